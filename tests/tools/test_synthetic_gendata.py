import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from feeder.packed import read_packed
from feeder.synthetic.camera import FRAME_SIZE
from feeder.synthetic.clips import LABEL_NAMES, make_clip

TOOLS = Path(__file__).resolve().parents[2] / "tools"


def tool(name, *arguments):
    return subprocess.run(
        [sys.executable, str(TOOLS / name), *map(str, arguments)], capture_output=True, text=True, timeout=120
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("work") / "synthetic"
    done = tool("synthetic_gendata.py", "--out_folder", folder, "--num_train", 30, "--num_test", 20, "--num_frame", 100)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def read(folder, part):
    return read_packed(folder / f"{part}_data.npy", folder / f"{part}_label.pkl")


def test_files_have_the_promised_shapes(made):
    folder, _ = made
    for part, number in (("train", 30), ("val", 20)):
        packed = read(folder, part)
        assert packed.data.shape == (number, 3, 100, 18, 1) and packed.data.dtype == np.float32
        assert sorted(set(packed.label)) == list(range(10))
        assert np.bincount(packed.label).tolist() == [number // 10] * 10
        assert (np.load(folder / f"{part}_frame_size.npy") == FRAME_SIZE).all()
    assert (folder / "label_names.txt").read_text(encoding="utf-8").splitlines() == list(LABEL_NAMES)


def test_a_row_is_the_clip_of_its_name(made):
    packed = read(made[0], "train")
    name = packed.sample_name[23]
    subject, action, repetition = (int(part[1:]) for part in name.split("_"))
    np.testing.assert_array_equal(packed.data[23], make_clip(0, subject, action, repetition).array(100, 1))
    assert packed.label[23] == action


def test_one_line_says_what_was_made(made):
    folder, stdout = made
    assert stdout.count("\n") == 1
    assert str(folder) in stdout and "30 clips" in stdout and "20 clips" in stdout


@pytest.mark.parametrize("option", ["--num_train", "--num_test", "--num_frame", "--seed"])
def test_a_wrong_number_is_one_line_and_exit_2(tmp_path, option):
    done = tool("synthetic_gendata.py", "--out_folder", tmp_path / "x", option, "-1")
    assert done.returncode == 2 and not (tmp_path / "x").exists()
    assert done.stderr.count("\n") == 1 and option in done.stderr


def test_the_drawing_tool_draws_them(made, tmp_path):
    folder, _ = made
    data = ["--data_path", folder / "val_data.npy", "--label_path", folder / "val_label.pkl"]
    names, output = folder / "label_names.txt", tmp_path / "new" / "picture.png"
    done = tool("draw_skeletons.py", *data, "--label_names", names, "--output", output, "--columns", 2, "--moments", 3)
    assert done.returncode == 0, done.stderr
    assert output.read_bytes().startswith(b"\x89PNG") and 3_000 < output.stat().st_size < 150_000


def test_the_drawing_tool_names_a_wrong_layout_and_an_unknown_clip(made, tmp_path):
    folder, _ = made
    data = ["--data_path", folder / "val_data.npy", "--label_path", folder / "val_label.pkl"]
    layout = tool("draw_skeletons.py", *data, "--layout", "ntu-rgb+d", "--output", tmp_path / "x.png")
    clip = tool("draw_skeletons.py", *data, "--sample", "nobody", "--output", tmp_path / "x.png")
    for done, word in ((layout, "18 joints"), (clip, "nobody")):
        assert done.returncode == 2 and word in done.stderr and "Traceback" not in done.stderr
