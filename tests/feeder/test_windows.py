"""feeder/windows.py: windows cover a recording, a steady rate keeps its motion."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feeder.windows import Resampler, interpolate, spans


@given(length=st.integers(0, 500), size=st.integers(1, 100), stride=st.integers(1, 100))
@settings(deadline=None)
def test_windows_cover_every_frame_and_the_last_ends_with_the_recording(length, size, stride):
    windows = spans(length, size, min(stride, size))
    covered = np.zeros(length, bool)
    for begin, end in windows:
        assert end - begin == min(size, length)
        covered[begin:end] = True
    assert covered.all() and len(set(windows)) == len(windows)
    assert not length or (windows[0][0] == 0 and windows[-1][1] == length)


def joints(x, score=1.0):
    return np.array([[x, 2 * x, score], [x + 1, 0.5, score]], np.float32)


@pytest.mark.parametrize("rate", [7.5, 12, 25, 30, 60, 119.88])
def test_a_straight_motion_at_any_rate_is_the_same_motion_at_ours(rate):
    resampler, got = Resampler(30.0), []
    for i in range(int(4 * rate)):
        got += resampler.add(i / rate, joints(i / rate))
    numbers = [k for k, _ in got]
    assert numbers == list(range(numbers[-1] + 1)) and len(numbers) >= 4 * 30 - 30 / rate - 1
    for k, points in got:
        np.testing.assert_allclose(
            points[:, 0], joints(k / 30)[:, 0], atol=0.26 / 30
        )  # a moment may end a quarter early


def test_who_is_lost_for_long_is_missing_in_between_and_for_a_frame_is_not():
    resampler = Resampler(30.0)
    resampler.add(0.0, joints(1))
    assert all(points.any() for _, points in resampler.add(2 / 30, joints(2)))
    lost = resampler.add(1.0, joints(3))
    assert len(lost) == 28 and not any(points.any() for _, points in lost[:-1]) and lost[-1][1].any()


def test_between_two_frames_a_missing_joint_comes_from_the_nearer_one():
    a, b = joints(1), joints(2)
    b[1] = 0
    assert interpolate(a, b, 0.25)[:, 0].tolist() == [1.25, 2]
    assert interpolate(a, b, 0.75)[:, 0].tolist() == [1.75, 0]
