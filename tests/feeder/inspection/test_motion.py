"""feeder/inspection/motion.py: each defect is put into clean clips and is found, where it is, and nothing else is."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from feeder.inspection.body import Body, cut, persons, runs
from feeder.inspection.measure import Setting, measure
from feeder.skeleton import load_skeleton

OPENPOSE = load_skeleton("openpose")
WRIST, ELBOW = OPENPOSE.joints.index("right_wrist"), OPENPOSE.joints.index("right_elbow")


def size(clip, dimension):
    return persons(*cut(clip), dimension)[0].size


@pytest.mark.parametrize("kind", ["flat", "solid"])
def test_clean_clips_have_no_defect(kind, request, found):
    assert found(request.getfixturevalue(kind), dimension=2 if kind == "flat" else 3) == {}


def test_every_clip_with_nan_or_infinity_is_found_with_its_frames(solid, found):
    data = solid.copy()
    data[3, 1, 20, 5, 0], data[3, 0, 22, 5, 0], data[7, 2, 0, 1, 0] = np.nan, np.inf, -np.inf
    assert found(data, dimension=3) == {"not_finite": {"train3": [(20, 22)], "train7": [(0, 0)]}}


def test_empty_clips_and_clips_of_one_frame_are_found(flat, found):
    data = flat.copy()
    data[2], data[5, :, 1:] = 0, 0
    assert found(data) == {"empty": {"train2": [(0, 0)]}, "one_frame": {"train5": [(0, 0)]}}


@pytest.mark.parametrize("kind, dimension", [("flat", 2), ("solid", 3)])
def test_a_frozen_clip_and_a_pause_are_told_apart(kind, dimension, request, found):
    data = request.getfixturevalue(kind).copy()
    data[4] = data[4, :, 30:31]  # all 150 frames alike
    assert cut(data[10])[0].shape[1] > 60  # somebody who stands, and so is not far off when the pause is over
    data[10, :, 10:60] = data[10, :, 10:11]
    assert found(data, dimension=dimension) == {"frozen": {"train4": [(0, 149)]}, "pause": {"train10": [(10, 59)]}}


def test_a_short_pause_is_none(solid, found):
    data = solid.copy()
    data[9, :, 10:19] = data[9, :, 10:11]
    assert found(data, dimension=3) == {}


@pytest.mark.parametrize("away", [1, 2, 3])
@pytest.mark.parametrize("kind, dimension", [("flat", 2), ("solid", 3)])
def test_a_joint_that_jumps_and_comes_back_is_found_in_these_frames(kind, dimension, away, request, found):
    data = request.getfixturevalue(kind).copy()
    wanted = {}
    for i in range(0, 40, 4):
        clip, t = data[i], 25
        while not clip[:, t - 1 : t + away + 1, WRIST].any(0).all():  # where the wrist is seen
            t += 1
        clip[1, t : t + away, WRIST] += (0.6 if away == 1 else 1.0) * size(data[i], dimension)
        wanted[f"train{i}"] = [(t, t + away - 1)]
    assert found(data, dimension=dimension) == {"jump": wanted}


def test_a_fast_motion_out_and_back_is_not_a_jump(solid, found):
    data = solid.copy()
    for i in range(40):
        swing = np.sin(np.linspace(0, np.pi, 9))[:, None] * 0.8  # 0.8 m away and back within 9 frames
        data[i, 2, 20:29, [ELBOW, WRIST]] += swing * np.array([0.5, 1.0]).reshape(2, 1, 1)
    assert "jump" not in found(data, dimension=3)


@pytest.mark.parametrize("kind, dimension", [("flat", 2), ("solid", 3)])
def test_a_cut_is_found(kind, dimension, request, found):
    data = request.getfixturevalue(kind).copy()
    for i in (1, 11):
        data[i, 0, 40:] += 0.5 * size(data[i], dimension) * data[i].any(0)[40:]
    assert found(data, dimension=dimension) == {"cut": {"train1": [(40, 40)], "train11": [(40, 40)]}}


def test_frames_of_two_recordings_in_turn_are_cuts(solid, found):
    data = solid.copy()
    data[6, 0, 20:40:2] += 0.8
    assert found(data, dimension=3) == {"cut": {"train6": [(20, 39)]}}


@pytest.mark.parametrize("kind, dimension", [("flat", 2), ("solid", 3)])
def test_left_and_right_swapped_for_a_while_are_found_from_first_to_last_frame(kind, dimension, request, found):
    data = request.getfixturevalue(kind).copy()
    wanted = {}
    for i in range(40):
        if kind == "flat" and _side_view(data[i]):
            continue  # where left and right lie on one another, nothing can be seen
        first, last = 12 + i % 5, 12 + i % 5 + (i % 7) + 1
        data[i, :, first : last + 1] = data[i, :, first : last + 1][:, :, OPENPOSE.flip]
        wanted[f"train{i}"] = [(first, last)]
    assert len(wanted) > 10
    assert found(data, dimension=dimension) == {"flip": wanted}


def _side_view(clip):
    """Are left and right nearer than a tenth of the body, or not all seen?"""
    left, right = np.array(OPENPOSE.mirror).T
    x, seen = clip[:2, 5:30, :, 0], clip[2, 5:30, :, 0] > 0
    both = seen[:, left] & seen[:, right]
    gap = np.linalg.norm(x[:, :, left] - x[:, :, right], axis=0)
    return both.mean() < 0.95 or (gap * both).sum(1).min() / 8 < 0.1 * size(clip, 2)


def test_persons_who_exchange_places_are_found(solid, found):
    data = np.concatenate([solid, np.roll(solid, 1, axis=0)], -1)  # (40, 3, 150, 18, 2)
    data[:, 0, ..., 1] += 1.0 * data[..., 1].any(1)
    wanted = {}
    for i in range(0, 40, 3):
        first, last = 20, 20 + i // 3
        data[i, :, first : last + 1] = data[i, :, first : last + 1, :, ::-1]
        wanted[f"train{i}"] = [(first, last)]
    assert found(data, dimension=3) == {"swap": wanted}


def test_a_person_who_goes_on_in_anothers_place_is_found(solid, found):
    data = np.concatenate([solid, np.zeros_like(solid)], -1)
    data[8, :, 30:, :, 1], data[8, :, 30:, :, 0] = data[8, :, 30:, :, 0].copy(), 0
    assert found(data, dimension=3) == {"swap": {"train8": [(30, 30)]}}


def test_bones_that_change_are_found_in_3_d(solid, found):
    data = solid.copy()
    for i in (0, 17):
        arm = data[i, :, 30:50, WRIST] - data[i, :, 30:50, ELBOW]
        fade = np.clip(np.minimum(np.arange(20), 19 - np.arange(20)) / 4, 0, 1)[None, :, None]  # no jump at either end
        data[i, :, 30:50, WRIST] += 2.5 * fade * arm
    result = found(data, dimension=3)
    assert list(result) == ["bone"] and set(result["bone"]) == {"train0", "train17"}
    assert all(28 <= first <= last <= 52 for frames in result["bone"].values() for first, last in frames)


def test_bones_that_grow_out_of_bounds_are_found_in_2_d(flat, found):
    data = flat.copy()
    t = next(t for t in range(40, 80) if data[12, 2, t, WRIST].all() and data[12, 2, t, ELBOW].all())
    data[12, 1, t, WRIST] += 1.2 * size(data[12], 2)
    data[12, :, t + 1, WRIST] = data[12, :, t - 1, WRIST] = (
        0  # so that it is no jump: nothing tells where it comes from
    )
    assert found(data) == {"bone": {"train12": [(t, t)]}}


def test_other_clips_do_not_change_what_is_found_in_one(solid):
    setting = Setting(Body.of(OPENPOSE, 18), 3)
    data = solid.copy()
    data[5, :, 12:17] = data[5, :, 12:17][:, :, OPENPOSE.flip]
    alone = measure(data[5:6], [1.0], setting, 5).spots
    assert [spot for spot in measure(data, np.ones(40), setting).spots if spot[0] == 5] == alone != []


@settings(max_examples=60, deadline=None)
@given(
    arrays.arrays(
        np.float32,
        st.tuples(st.just(3), st.integers(1, 8), st.just(18), st.integers(1, 2)),
        elements=st.sampled_from([0.0, 0.1, -0.2, 1.0, 1e-30, 3e38, -1e20, np.nan, np.inf]),
    ),
    st.sampled_from([2, 3]),
)
def test_any_numbers_are_measured(clip, dimension):
    measures = measure([clip], [1.5], Setting(Body.of(OPENPOSE, 18), dimension))
    assert measures.length[0] <= clip.shape[1]
    for _, spot in measures.spots:
        assert 0 <= spot.first <= spot.last < clip.shape[1]
    assert np.isfinite(measures.sketch).all()


def test_runs_are_first_and_last():
    assert runs(np.array([True, False, True, True])) == [(0, 0), (2, 3)] and runs(np.zeros(3, bool)) == []


def test_clips_are_left_as_they_are(flat):
    data = flat[:, :, :60].copy()
    data.flags.writeable = False
    measures = measure(data, np.full(40, 1.5), Setting(Body.of(OPENPOSE, 18), 2))
    np.testing.assert_array_equal(data, flat[:, :, :60])
    wide = data.copy()
    wide[:, 0] *= 1.5  # the same as if the aspect had been in the coordinates
    np.testing.assert_allclose(
        measures.sketch, measure(wide, np.ones(40), Setting(Body.of(OPENPOSE, 18), 2)).sketch, atol=1e-5
    )
