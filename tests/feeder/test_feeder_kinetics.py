"""Feeder_kinetics on hand-made JSON and on the real files: the clips that gendata packs, without packing them."""

import json

import numpy as np
import pytest

from feeder.feeder_kinetics import Feeder_kinetics
from torchlight.errors import DataError


def person(x, score=0.9):
    return {"pose": [x, 0.4] * 18, "score": [score] * 18}


@pytest.fixture
def folder(tmp_path):
    """Two clips, one without a skeleton, a stray file; in b two persons change places in the order of the file."""
    clips = tmp_path / "kinetics_train"
    clips.mkdir()
    frames = {
        "a": [[person(0.2)], [], [person(0.3)]],
        "b": [[person(0.2, 0.9), person(0.8, 0.5)], [person(0.81, 0.9), person(0.21, 0.5)]],
        "empty": [],
    }
    for name, persons in frames.items():
        data = [{"frame_index": i + 1, "skeleton": p} for i, p in enumerate(persons)]
        (clips / f"{name}.json").write_text(json.dumps({"data": data, "label": name, "label_index": 1}))
    (clips / "stray.txt").write_text("")
    labels = {name: {"has_skeleton": name != "empty", "label": name, "label_index": i} for i, name in enumerate("ba")}
    labels["empty"] = {"has_skeleton": False, "label": "x", "label_index": 2}
    (tmp_path / "labels.json").write_text(json.dumps(labels))
    return {"data_path": str(clips), "label_path": str(tmp_path / "labels.json")}


def test_clips_are_sorted_and_strays_are_named(folder):
    feeder = Feeder_kinetics(**folder)
    assert feeder.sample_name == ["a", "b"] and feeder.label == [1, 0]
    assert [name for name, _ in feeder.left_out] == ["empty", "stray.txt"]
    assert Feeder_kinetics(**folder, ignore_empty_sample=False).sample_name == ["a", "b", "empty"]


def test_frames_keep_their_place_and_persons_their_identity(folder):
    a, b = (sample for sample, _ in Feeder_kinetics(**folder))
    assert a.shape == (3, 300, 18, 2) and a.dtype == np.float32
    np.testing.assert_allclose(
        a[:, :4, 0, 0].T, [[-0.3, -0.1, 0.9], [0, 0, 0], [-0.2, -0.1, 0.9], [0, 0, 0]], atol=1e-6
    )
    np.testing.assert_allclose(sorted(b[0, 0, 0]), [-0.3, 0.3], atol=1e-6)
    np.testing.assert_allclose(b[0, 1, 0], b[0, 0, 0] + 0.01, atol=1e-6)  # by score they would change places


def test_options_of_the_feeder_work_here_too(folder):
    feeder = Feeder_kinetics(**folder, random_choose=True, random_move=True, window_size=50, stream="bone", dimension=2,
                             layout="openpose", num_person_out=1)  # fmt: skip
    assert feeder[0][0].shape == (3, 50, 18, 1)
    np.testing.assert_array_equal(feeder[1][0], feeder.get_batch([0, 1])[0][1])
    with pytest.raises(DataError, match="needs a window_size"):
        Feeder_kinetics(**folder, random_choose=True)


def test_real_files(real_data):
    folder = real_data / "kinetics_skeleton"
    feeder = Feeder_kinetics(str(folder / "kinetics_train"), str(folder / "kinetics_train_label.json"))
    assert len(feeder) == 3
    for sample, _ in feeder:
        seen = sample[2] > 0
        assert seen.any() and np.abs(sample[:2]).max() <= 0.6
        assert not sample[:2][:, ~seen].any()
