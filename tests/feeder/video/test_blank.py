"""Videos that are not there: the frame that is guessed holds everybody."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feeder.readers.openpose import read_frames
from feeder.video.blank import USUAL, BlankVideo, guess_size


def at(x, y, score=0.9):
    return np.array([[[x, y, score], [1, 1, 0.5]]], np.float32)


@pytest.mark.parametrize(
    ("x", "y", "size"),
    [
        (300, 200, (320, 240)),
        (630, 479.5, (960, 540)),
        (1270, 700, (1280, 720)),
        (1279.6, 700, (1920, 1080)),
        (700, 1200, (720, 1280)),
    ],
)
def test_it_is_the_smallest_usual_size_with_everybody_in_it(x, y, size):
    assert guess_size([at(5, 5), at(x, y), np.zeros((0, 2, 3))]) == size


def test_missing_joints_say_nothing_and_nobody_is_a_small_frame():
    assert guess_size([at(9000, 9000, score=0)]) == guess_size([]) == USUAL[0]


@given(st.floats(0, 20_000), st.floats(0, 20_000))
def test_nobody_is_cut_off(x, y):
    width, height = guess_size([at(x, y)])
    assert x < width - 1 and y < height - 1
    assert (width, height) in [*USUAL, *(size[::-1] for size in USUAL)] or x > 2159 or y > 2159


def test_real_joints_are_within_the_frame(real_data):
    for clip in ("Kick_1", "Kick_10"):
        keypoints = read_frames(real_data / "openpose_body25" / clip)
        video = BlankVideo(keypoints, real_data)
        seen = np.concatenate([persons[persons[..., 2] > 0] for persons in keypoints.persons])
        assert (seen[:, 0] < video.width - 1).all() and (seen[:, 1] < video.height - 1).all()
