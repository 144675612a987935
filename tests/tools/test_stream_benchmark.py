"""The stream benchmark: the joints that reach the demo are those of the clips, and mistakes are one line."""

import argparse
import pickle

import numpy as np
import pytest

from feeder.skeleton import load_skeleton, remap
from tools.stream_benchmark import FRAME, coco, read_clips
from torchlight.errors import DataError


def test_through_coco_18_the_thirteen_joints_come_back_in_pixels():
    rng = np.random.default_rng(0)
    joints = np.concatenate([rng.uniform(-0.4, 0.4, (13, 2)), rng.uniform(0.3, 1, (13, 1))], -1)
    joints[5] = 0
    back = remap(coco(joints)[None].astype(np.float32), load_skeleton("openpose"), load_skeleton("penn-action"))[0]
    want = (joints * [FRAME[1], FRAME[1], 1] + [FRAME[0] / 2, FRAME[1] / 2, 0]) * (joints[:, 2:] > 0)
    np.testing.assert_allclose(back, want, rtol=1e-5)


def test_without_class_names_it_says_what_to_give(tmp_path):
    np.save(tmp_path / "d.npy", np.ones((2, 3, 20, 13, 1), np.float32))
    with (tmp_path / "l.pkl").open("wb") as file:
        pickle.dump((["a", "b"], [0, 1]), file)
    arg = argparse.Namespace(
        data_path=str(tmp_path / "d.npy"), label_path=str(tmp_path / "l.pkl"), label_names=None, unknown="other"
    )
    with pytest.raises(DataError, match="does not exist; name the classes"):
        read_clips(arg)
    (tmp_path / "label_names.txt").write_text("run\nother\n")
    known, unknown = read_clips(arg)
    assert [label for _, label in known] == ["run"] and len(unknown) == 1 and unknown[0].shape == (20, 13, 3)
    arg.unknown = "nothing"
    with pytest.raises(DataError, match="'nothing'"):
        read_clips(arg)
