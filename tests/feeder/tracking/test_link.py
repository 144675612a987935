"""feeder/readers/tracks.py: identity survives any order of detections."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import linear_sum_assignment

from feeder.tracking.link import MAX_GAP, MAX_STEP, distance, link_persons, pair

V = 18


def walkers(T, starts, speed=0.004, seed=0):
    """People who walk to the right from these places: (T, P, V, 2)."""
    rng = np.random.default_rng(seed)
    body = rng.uniform(-0.1, 0.1, (len(starts), V, 2))
    place = np.array([[x, 0.0] for x in starts]) + np.arange(T)[:, None, None] * [speed, 0]
    return (place[:, :, None] + body).astype("f4")


def shuffled(pose, score, seed=1):
    """Every frame's persons in another order."""
    rng = np.random.default_rng(seed)
    pose, score = pose.copy(), score.copy()
    for t in range(len(pose)):
        order = rng.permutation(pose.shape[1])
        pose[t], score[t] = pose[t, order], score[t, order]
    return pose, score


@pytest.mark.parametrize("people", [1, 2, 3, 5, 7])
def test_the_order_within_a_frame_does_not_matter(people):
    pose = walkers(40, np.linspace(-0.4, 0.4, people) * people)
    score = np.broadcast_to(np.linspace(0.9, 0.5, people)[:, None], (40, people, V)).astype("f4").copy()
    out, out_score = link_persons(*shuffled(pose, score), people)
    np.testing.assert_array_equal(out, pose.transpose(1, 0, 2, 3))
    np.testing.assert_array_equal(out_score, score.transpose(1, 0, 2))


def test_scores_that_take_turns_do_not_swap_bodies():
    """The original's bug: sorted by score in every frame, person 0 would be another body every second frame."""
    pose = walkers(20, [-0.3, 0.3])
    score = np.full((20, 2, V), 0.5, "f4")
    score[::2, 0], score[1::2, 1] = 0.6, 0.6
    order = np.argsort(-score.sum(2), axis=1)
    by_score = np.take_along_axis(pose, order[..., None, None], 1), np.take_along_axis(score, order[..., None], 1)
    out, _ = link_persons(*by_score, 2)
    np.testing.assert_array_equal(out, pose.transpose(1, 0, 2, 3))


@pytest.mark.parametrize("gap, same", [(1, True), (MAX_GAP - 1, True), (MAX_GAP, False)])
def test_who_is_lost_for_less_than_a_second_is_the_same_person(gap, same):
    """Seen for 40 of 40 + gap frames at 0.9: as one person more than somebody seen in all of them at 0.4, as two less."""
    pose = walkers(40 + gap, [0.0, 0.6], 0.0)
    score = np.full(pose.shape[:3], 0.4, "f4")
    score[:, 0] = 0.9
    score[20 : 20 + gap, 0] = 0
    pose = pose * (score[..., None] > 0)
    out, _ = link_persons(*shuffled(pose, score), 1)
    np.testing.assert_array_equal(out[0], pose[:, 0 if same else 1])


def test_a_row_that_is_free_takes_the_next_track():
    pose, score = walkers(40, [0.0], 0.0), np.ones((40, 1, V), "f4")
    pose[20:] += 1.0  # somebody else, where nobody could have walked to
    out, _ = link_persons(pose, score, 2)
    np.testing.assert_array_equal(out[0], pose[:, 0])
    assert not out[1].any()


def test_tracks_come_by_total_score_and_what_has_no_row_is_left_out():
    pose = walkers(10, [-2, 0, 2])
    score = np.broadcast_to(np.array([0.2, 0.9, 0.5])[:, None], (10, 3, V)).astype("f4").copy()
    out, out_score = link_persons(*shuffled(pose, score), 2)
    np.testing.assert_array_equal(out, pose[:, [1, 2]].transpose(1, 0, 2, 3))
    np.testing.assert_allclose(out_score[:, 0, 0], [0.9, 0.5])


def test_missing_joints_do_not_count_as_a_place():
    """The original measures the distance to (0, 0) where a joint is missing."""
    a, b = np.full((V, 2), 5.0, "f4"), np.full((V, 2), 5.01, "f4")
    seen = np.arange(V) < 9
    b[seen] = 0
    assert distance(a, b, np.ones(V, bool), ~seen) == pytest.approx(0.01 * 2**0.5, rel=1e-3)
    assert distance(a, b, seen, ~seen) == MAX_STEP


def test_nobody():
    out, score = link_persons(np.zeros((4, 1, V, 2), "f4"), np.zeros((4, 1, V), "f4"), 2)
    assert (out.shape, score.shape) == ((2, 4, V, 2), (2, 4, V))
    assert not out.any()


@given(st.integers(1, 6).flatmap(lambda P: arrays("f4", (3, P, P), elements=st.floats(0, 1, width=32), unique=True)))
@settings(max_examples=60, deadline=None)
def test_pairing_costs_as_little_as_scipy_finds(cost):
    cost = np.minimum(cost, np.float32(MAX_STEP))
    for c, back in zip(cost, pair(cost)):
        rows, columns = linear_sum_assignment(c)
        best = c[rows, columns]
        mine = [c[i, j] for j, i in enumerate(back) if i >= 0]
        assert len(set(back[back >= 0])) == len(mine)
        unpaired = len(c) - len(mine)
        assert sum(mine) + unpaired * MAX_STEP == pytest.approx(best.sum(), abs=1e-5)
        assert all(m < MAX_STEP for m in mine)


@given(
    arrays("f4", (6, 3, 4, 2), elements=st.floats(-0.5, 0.5, width=32)),
    arrays("f4", (6, 3, 4), elements=st.sampled_from([0, 0.25, 1])),
    st.integers(1, 4),
)
@settings(max_examples=60, deadline=None)
def test_every_row_of_a_frame_is_a_different_detection(pose, score, rows):
    pose = np.where(score[..., None] > 0, pose, 0)
    out, out_score = link_persons(pose, score, rows)
    for t in range(6):
        there = [(p.tobytes(), s.tobytes()) for p, s in zip(pose[t], score[t]) if s.any()]
        used = [(p.tobytes(), s.tobytes()) for p, s in zip(out[:, t], out_score[:, t]) if s.any()]
        for detection in used:
            there.remove(detection)  # ValueError if it is not one, or is used twice
    assert not out[out_score == 0].any()
