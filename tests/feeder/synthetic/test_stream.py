"""Streams of clips, and how segments are scored."""

from itertools import pairwise

import numpy as np
import pytest

from feeder.synthetic.stream import Part, cross_fade, make_stream, one_place, score


def clip(T, x=0.0, size=1.0):
    rng = np.random.default_rng(T)
    joints = np.ones((T, 13, 3))
    joints[..., :2] = rng.normal(0, size, (T, 13, 2)) + [x, 0]
    return joints


def test_bodies_have_one_place_and_one_size():
    for x, size in ((5.0, 0.1), (-3.0, 40.0)):
        placed = one_place(clip(40, x, size))[..., :2]
        np.testing.assert_allclose(placed.mean((0, 1)), 0, atol=1e-9)
        spread = np.sqrt(((placed - placed.mean(1, keepdims=True)) ** 2).sum(-1).mean())
        assert spread == pytest.approx(0.18)


def test_missing_joints_stay_missing():
    joints = clip(30)
    joints[4:9, 3] = 0
    assert not one_place(joints)[4:9, 3].any()
    faded = cross_fade(joints, clip(30), 10)
    assert not faded[4:9, 3].any() and len(faded) == 50


def test_a_fade_goes_from_one_to_the_other_in_equal_steps():
    a, b = np.ones((20, 1, 3)), np.ones((20, 1, 3))
    a[..., 0], b[..., 0] = 0, 11
    np.testing.assert_allclose(cross_fade(a, b, 10)[:, 0, 0], [0] * 10 + list(range(1, 11)) + [11] * 10)


def test_parts_lie_one_after_the_other_and_neighbours_of_one_label_are_one():
    stream, parts = make_stream([(clip(50), "run"), (clip(70), "jump")], [clip(30), clip(12)], 60, 1)
    assert parts[0].first == 0 and parts[-1].last == len(stream) - 1
    for a, b in pairwise(parts):
        assert b.first == a.last + 1 and a.label != b.label
    again, _ = make_stream([(clip(50), "run"), (clip(70), "jump")], [clip(30), clip(12)], 60, 1)
    assert (stream == again).all() and np.isfinite(stream).all()


def test_a_segment_counts_where_label_and_half_of_the_frames_are_right():
    truth = [Part("run", 0, 99), Part(None, 100, 199), Part("jump", 200, 299)]
    assert score(truth, truth).f1 == 1 and score(truth, truth).labelled == 0
    half = [Part("run", 0, 49), Part("jump", 260, 299), Part("run", 100, 124)]
    result = score(truth, half)
    assert (result.found, result.known, result.segments) == (1, 2, 3) and result.f1 == pytest.approx(2 / 5)
    assert result.labelled == pytest.approx(0.25)
    twice = [Part("run", 0, 99), Part("run", 0, 99)]
    assert score(truth, twice).found == 1
    assert score(truth, [Part("jump", 0, 99)]).found == 0 and score(truth, []).f1 == 0
