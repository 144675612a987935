"""The starter model on Penn Action's test clips, cut as the demo cuts a video: the figures of the README.

Shown with `pytest tests/processor/test_starter.py -s`.
"""

import re
from pathlib import Path

import pytest

from feeder.packed_writer import write_packed
from feeder.readers import penn_action
from feeder.synthetic.starter import LABEL_NAMES
from main import main
from processor.open_set import open_set_path
from processor.recognizer import Recognizer

STARTER = Path(__file__).resolve().parents[2] / "resource/models/starter.pt"


@pytest.fixture(scope="module")
def packed(real_data, tmp_path_factory):
    """Every third test clip: enough for the margin there is, in a third of the time."""
    folder = tmp_path_factory.mktemp("penn")
    clips = penn_action.list_clips(real_data / "penn_action", "val").clips[::3]
    write_packed(folder, "val", (penn_action.read(clip.path) for clip in clips), len(clips), 663, 1)
    return folder


def test_it_is_small_and_carries_all_it_needs():
    assert STARTER.stat().st_size + open_set_path(STARTER).stat().st_size <= 4_000_000
    recognizer = Recognizer.from_checkpoint(STARTER, use_gpu=False)
    assert recognizer.skeleton.num_joint == 13 and recognizer.label_names == LABEL_NAMES
    assert sum(recognizer.is_answer) >= 40 and recognizer.curve is not None and 0 < recognizer.threshold < 1


def test_annotated_and_detected_poses_are_recognised(packed, capsys):
    data = ["--data_path", str(packed / "val_data.npy"), "--label_path", str(packed / "val_label.pkl")]
    assert main(["calibrate", "--weights", str(STARTER), *data]) == 0
    out = capsys.readouterr().out
    with capsys.disabled():
        print(out)
    figures = re.findall(r"([\d.]+)% have their label first; ([\d.]+)% are answered with it", out)
    for first, answered in figures:
        assert float(first) >= 96 and float(answered) >= 92
    assert len(figures) == 2
