"""tools/compare_poses.py on persons made by hand."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tools.compare_poses import HIPS, NECK, distances, jitter, measure

ROOT = Path(__file__).resolve().parents[2]


def person(x=0.0, score=0.8):
    """Joints on a line 10 apart, the torso 100 long."""
    points = np.column_stack([np.arange(18) * 10 + x, np.zeros(18), np.full(18, score)])
    points[NECK, :2], points[HIPS, :2] = (50 + x, 0), (50 + x, 100)
    return points


def test_shares_are_of_frames_and_of_joints_of_persons():
    half = person()
    half[9:] = 0
    found = iter([np.zeros((0, 18, 3)), np.stack([person(score=0.1), half]), person()[None], np.zeros((0, 18, 3))])
    rate, persons, joints, _ = measure(lambda image: next(found), [None] * 4, None)
    assert rate > 0 and persons == 0.5 and joints == 0.75  # half is seen better than the faint one


def test_jitter_is_the_second_difference_in_torso_lengths():
    still = np.stack([person(3 * t) for t in range(10)])
    assert jitter(still) == 0
    shaken = np.stack([person(5 * (t % 2)) for t in range(10)])  # x(t-1) - 2 x(t) + x(t+1) is 10 or -10
    assert jitter(shaken) == pytest.approx(0.1)
    assert np.isnan(jitter(np.zeros((5, 18, 3))))


def test_distances_are_from_the_nearest_person_and_infinite_where_nothing_is_found():
    known, near = person(), person(15)
    known[3], near[4] = 0, 0
    far = distances(np.stack([person(90), near]), known)
    assert len(far) == 17 and np.isinf(far).sum() == 1
    np.testing.assert_allclose(far[np.isfinite(far)], 0.15)
    assert np.isinf(distances(np.zeros((0, 18, 3)), known)).all()


def test_known_joints_are_counted_within_a_tenth_and_a_fifth():
    row = measure(
        lambda image: person(15)[None], [None] * 3, {0: person()[None], 2: person(10)[None], 9: person()[None]}
    )
    assert row[4:] == [0.5, 1.0]


def test_what_makes_no_sense_is_one_line(tmp_path):
    argv = [sys.executable, ROOT / "tools/compare_poses.py", "a.mp4", "b.mp4", "--keypoints", "c"]
    done = subprocess.run(argv, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2 and done.stderr == "error: --keypoints are of one video\n"
