import base64
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feeder.skeleton import load_skeleton
from processor.page.motion import MOST_FRAMES, TURN, Motions, describe, encode, up_axis
from processor.page.page import Clip
from tests.processor.page.conftest import swinging


def decoded(motion) -> np.ndarray:
    """(K, M, V, D): the coordinates of the bytes, NaN where missing."""
    byte = motion.points.astype(np.float64)
    return np.where(motion.points == 0, np.nan, motion.low + (byte - 1) * motion.step)


@given(st.integers(0, 2**32), st.integers(2, 3), st.integers(1, 90), st.integers(1, 3), st.floats(0.3, 3))
@settings(max_examples=40, deadline=None)
def test_a_decoded_clip_is_off_by_half_a_step_at_most_and_missing_stays_missing(seed, D, T, M, aspect):
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, (D, T, 5, M)).astype(np.float32)
    missing = rng.random((T, 5, M)) < 0.3
    x[:, missing] = 0
    motion = encode(Clip("a", x, aspect=aspect), dimension=D)
    people = [m for m in range(M) if not missing[:, :, m].all()]
    got = decoded(motion)
    assert got.shape == (len(motion.frames), len(people), 5, D)
    for k, frame in enumerate(motion.frames):
        for m, person in enumerate(people):
            for v in range(5):
                if missing[frame, v, person]:
                    assert np.isnan(got[k, m, v]).all()
                    continue
                plain = x[:, frame, v, person].astype(np.float64)
                plain = (
                    np.array([plain[0] * aspect, plain[1]]) if D == 2 else np.array([-plain[0], -plain[1], plain[2]])
                )
                assert np.abs(got[k, m, v] - plain).max() <= motion.step / 2 + 1e-9


def test_frames_after_the_last_one_with_anybody_are_cut_and_those_before_stay():
    x = np.zeros((3, 50, 5, 2), np.float32)
    x[:, 3:20, :, 1] = np.random.default_rng(0).normal(size=(3, 17, 5))
    motion = encode(Clip("a", x), 3)
    assert motion.length == 20 and motion.points.shape == (20, 1, 5, 3)
    assert not motion.points[:3].any() and motion.points[3:].all()


@pytest.mark.parametrize("x", [np.zeros((3, 9, 5, 2)), np.full((3, 9, 5, 2), np.nan), np.zeros((3, 0, 5, 1))])
def test_a_clip_without_anybody_has_no_frames(x):
    motion = encode(Clip("a", x), 3)
    assert motion.points.size == 0 and motion.length == 0
    document = json.loads(Motions(None, 3, 10**6, [Clip("a", x)]).json())
    assert document["clips"][0]["length"] == 0


def test_joints_that_are_not_numbers_are_missing():
    x = swinging()
    x[0, 4, 7], x[1, 5, 8] = np.nan, np.inf
    points = encode(Clip("a", x), 3).points
    assert not points[4, 0, 7].any() and not points[5, 0, 8].any() and (points == 0).sum() == 6


def test_long_clips_are_thinned_out_evenly_and_marked_frames_are_kept():
    x = np.repeat(swinging(50), 20, axis=1)  # 1000 frames
    motion = encode(Clip("a", x, marks=[(501, 503)]), 3)
    assert len(motion.frames) <= MOST_FRAMES and {0, 501, 503, 999} <= set(motion.frames.tolist())
    assert np.diff(motion.frames).max() <= 19
    assert motion.length == 1000


def test_one_joint_far_away_does_not_shrink_the_body_and_is_at_the_edge():
    x = swinging()
    whole = np.ptp(encode(Clip("a", x), 3).points[..., 1].astype(int))
    x[0, 7, 3] = 500
    motion = encode(Clip("a", x), 3)
    assert np.ptp(motion.points[0, ..., 1].astype(int)) > whole / 4
    assert motion.points[7, 0, 3, 0] == 1  # x is turned round: the camera's left


def test_attention_is_that_of_the_frames_shown():
    x = swinging(120)
    attention = np.linspace(0, 1, 30)[:, None] * np.ones(20)
    motion = encode(Clip("a", x, attention=attention), 3)
    plain = [round(attention[frame * 30 // 120, 0] * 255) for frame in motion.frames]
    assert motion.attention.shape == (len(motion.frames), 20) and motion.attention[:, 3].tolist() == plain


def test_wrong_shapes_are_told_with_the_name_of_the_clip():
    with pytest.raises(ValueError, match=r"clip odd: keypoints of shape \(3, 4, 5\), not \(C, T, V, M\)"):
        encode(Clip("odd", np.zeros((3, 4, 5))))
    with pytest.raises(ValueError, match=r"clip odd: attention of shape \(4, 7\), not \(T', 20\)"):
        encode(Clip("odd", swinging(), attention=np.zeros((4, 7))))


def test_a_turn_is_a_rotation_and_puts_up_upwards():
    for (axis, sign), turn in TURN.items():
        turn = np.array(turn)
        assert np.linalg.det(turn) == pytest.approx(1)
        assert (turn @ (sign * np.eye(3)[axis])).tolist() == [0, -1, 0]  # down is the second axis of a screen


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("sign", [1, -1])
def test_up_is_found_from_feet_and_head(axis, sign):
    x = np.moveaxis(swinging(), 0, -1)  # (T, V, M, 3), y up
    x = np.roll(x, axis - 1, axis=-1) * sign
    assert up_axis(load_skeleton("nw-ucla"), [np.moveaxis(x, -1, 0)]) == (axis, sign)


def test_up_is_y_where_nothing_tells():
    assert up_axis(None, [swinging()]) == (1, 1)
    assert up_axis(load_skeleton("mediapipe-hand"), [np.ones((3, 5, 21, 1))]) == (1, 1)
    assert up_axis(load_skeleton("nw-ucla"), [np.zeros((3, 5, 20, 1))]) == (1, 1)


def test_sides_of_joints_and_bones_are_those_of_their_names():
    for layout in ("nw-ucla", "penn-action", "coco", "ntu-rgb+d"):
        skeleton = load_skeleton(layout)
        told = describe(skeleton)
        side = {name: 1 if "left" in name else 2 if "right" in name else 0 for name in skeleton.joints}
        assert told["sides"] == [side[name] for name in skeleton.joints]
        for (a, b, colour), bone in zip(told["bones"], skeleton.bones, strict=True):
            both = {side[skeleton.joints[a]], side[skeleton.joints[b]]} - {0}
            assert (a, b) == bone and colour == (both.pop() if len(both) == 1 else 0)


def test_the_budget_holds_and_the_first_clips_are_kept():
    clips = [Clip(f"clip {i}", swinging()) for i in range(10)]
    whole = len(Motions(None, 3, 10**9, clips).json())
    half = Motions(None, 3, whole // 2, clips)
    assert len(half.json()) <= whole // 2 + 30
    kept = [half.index(clip) for clip in clips]
    number = sum(place is not None for place in kept)
    assert 3 <= number <= 5 and kept == [*range(number), *[None] * (10 - number)]


def test_a_clip_that_comes_twice_is_stored_once():
    clip = Clip("a", swinging())
    motions = Motions(None, 3, 10**6, [clip, Clip("a", swinging()), clip])
    assert len(json.loads(motions.json())["clips"]) == 2 and motions.index(clip) == 0


def test_a_real_clip_is_upright_and_seen_as_the_camera_saw_it(real_data):
    """The left shoulder of who sits down, facing the camera, is on the right of the picture."""
    skeleton = load_skeleton("nw-ucla")
    at = {name: i for i, name in enumerate(skeleton.joints)}
    files = sorted((real_data / "nw_ucla" / "all_sqe").glob("a05_s0[1-5]_e00_v01.json"))
    recorded = [np.array(json.loads(file.read_text())["skeletons"]) for file in files]  # (T, V, 3)
    clips = [Clip(file.stem, x.transpose(2, 0, 1)[..., None]) for file, x in zip(files, recorded)]
    assert clips
    document = json.loads(Motions(skeleton, 3, 10**7, clips).json())
    for clip in document["clips"]:
        points = np.frombuffer(base64.b64decode(clip["points"]), np.uint8).reshape(clip["shape"]).astype(int)
        head, feet = points[:, 0, at["head"], 1], points[:, 0, at["left_ankle"], 1]
        assert (head < feet).all()
        assert np.median(points[:, 0, at["left_shoulder"], 0] - points[:, 0, at["right_shoulder"], 0]) > 0
