"""Every transform against a plain loop, and what holds for all of them: zeros stay zero, inputs stay as they were."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feeder import sampling, transforms
from feeder.rng import ClipRNG
from feeder.skeleton import load_skeleton


def clips(seed, N=3, C=3, T=12, V=18, M=2, missing=0.3):
    """Random clips with missing joints, an empty second person in clip 0 and empty frames at the end of clip 1."""
    rng = np.random.default_rng(seed)
    batch = rng.normal(size=(N, C, T, V, M)).astype(np.float32)
    batch *= rng.random((N, 1, T, V, M)) > missing
    batch[0, ..., 1] = 0
    batch[1, :, T - T // 3 :] = 0
    return batch


def rng(N, seed=0):
    return ClipRNG(seed, np.zeros(N, int), np.arange(N))


VIEW = (8, 1, 2, 5)  # hip, spine, right and left shoulder


def upright(batch):
    return transforms.pre_normalize_3d(batch, transforms.first_pose(batch, VIEW), VIEW)


FLIP, PARENTS = load_skeleton("openpose").flip, load_skeleton("openpose").parents
IN_PLACE = {  # transforms that keep every joint in its frame
    "pre_normalize_3d": lambda b: upright(b),
    "pre_normalize_2d frame": lambda b: transforms.pre_normalize_2d(b),
    "pre_normalize_2d box": lambda b: transforms.pre_normalize_2d(b, box=True),
    "centre 2-D": lambda b: transforms.normalize_body(b, 2),
    "centre 3-D": lambda b: transforms.normalize_body(b, 3),
    "rotate 2-D": lambda b: transforms.rotate(b, 0.3, 2, rng(len(b))),
    "rotate 3-D": lambda b: transforms.rotate(b, 0.3, 3, rng(len(b))),
    "scale": lambda b: transforms.scale(b, 0.2, 3, rng(len(b))),
    "random_move": lambda b: transforms.random_move(b, np.full(len(b), 1.3), rng(len(b))),
    "jitter": lambda b: transforms.jitter(b, 0.1, 2, rng(len(b))),
    "random_bones": lambda b: transforms.random_bones(b, PARENTS, FLIP, 0.2, 2, rng(len(b))),
    "random_smooth": lambda b: transforms.random_smooth(b, 2.0, 2, rng(len(b))),
    "ignore_score": transforms.ignore_score,
    "normalize_axes": lambda b: transforms.normalize_axes(b, 3),
    "to_isotropic": lambda b: transforms.to_isotropic(b, np.full(len(b), 1.3)),
    "normalize": lambda b: transforms.normalize(b, np.full(b.shape[1:4:2], 0.5), np.full(b.shape[1:4:2], 2.0)),
}
OTHERS = {
    "swap_sides": lambda b: transforms.swap_sides(b, FLIP, rng(len(b))),
    "lose": lambda b: transforms.joint_dropout(b, 0.2, rng(len(b))),
    "mirror": lambda b: transforms.mirror(b, FLIP, rng(len(b))),
    "window": lambda b: sampling.window(b, 7),
    "random_window": lambda b: sampling.random_window(b, 7, rng(len(b))),
    "random_shift": lambda b: sampling.random_shift(b, rng(len(b))),
}


@pytest.mark.parametrize("name", IN_PLACE)
@given(seed=st.integers(0, 2**16))
@settings(max_examples=15, deadline=None)
def test_missing_joints_stay_missing(name, seed):
    batch = clips(seed)
    missing = ~transforms.present(batch)
    assert not (IN_PLACE[name](batch) * missing).any()


@pytest.mark.parametrize("name", [*IN_PLACE, *OTHERS])
def test_input_is_left_as_it_was_and_output_is_float32(name):
    batch = clips(1)
    before = batch.copy()
    out = {**IN_PLACE, **OTHERS}[name](batch)
    assert out.dtype == np.float32
    np.testing.assert_array_equal(batch, before)


@pytest.mark.parametrize("name", [*IN_PLACE, *OTHERS])
def test_a_clip_does_not_depend_on_its_batch(name):
    batch = clips(2)
    together = {**IN_PLACE, **OTHERS}[name](batch)
    alone = {**IN_PLACE, **OTHERS}[name](batch[:1])
    np.testing.assert_array_equal(together[0], alone[0])


def test_centre_gives_mean_zero_and_size_one_over_the_joints_seen():
    batch = clips(3) + 0.0
    out = transforms.normalize_body(batch, 3)
    for clip, mask in zip(out, transforms.present(batch)):
        joints = clip[:, mask[0]]  # (3, joints seen)
        np.testing.assert_allclose(joints.mean(1), 0, atol=1e-5)
        np.testing.assert_allclose((joints**2).sum(0).mean(), 1, rtol=1e-5)


def test_rotation_keeps_distances_and_turns_anticlockwise_about_each_axis():
    batch = clips(4, missing=0)
    for dimension in (2, 3):
        out = transforms.rotate(batch, 0.3, dimension, rng(3))
        np.testing.assert_allclose(
            np.linalg.norm(out[:, :dimension], axis=1), np.linalg.norm(batch[:, :dimension], axis=1), rtol=1e-5
        )
    quarter = np.pi / 2
    np.testing.assert_allclose(transforms.rotation_matrix(quarter, 0, 0) @ [0, 1, 0], [0, 0, 1], atol=1e-12)
    np.testing.assert_allclose(transforms.rotation_matrix(0, quarter, 0) @ [0, 0, 1], [1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(transforms.rotation_matrix(0, 0, quarter) @ [1, 0, 0], [0, 1, 0], atol=1e-12)


def test_axes_are_turned_about_in_the_order_that_is_asked_for():
    x, y, z = (transforms.rotation_matrix(*angles) for angles in ((0.3, 0, 0), (0, 0.5, 0), (0, 0, 0.7)))
    np.testing.assert_allclose(transforms.rotation_matrix(0.3, 0.5, 0.7), z @ y @ x)
    np.testing.assert_allclose(transforms.rotation_matrix(0.3, 0.5, 0.7, "yxz"), z @ x @ y)


def test_axes_are_normalised_each_over_its_own_range_of_the_joints_seen():
    batch = clips(6, N=4)
    batch[3, 1] = 0.25 * transforms.present(batch)[3, 0]  # a flat clip
    out = transforms.normalize_axes(batch, 3)
    for clip, result in zip(batch, out):
        seen = clip.any(0)
        for axis, normalised in zip(clip, result):
            low, high = axis[seen].min(), axis[seen].max()
            expected = (axis - low) / (high - low) * 2 - 1 if high > low else 0 * axis
            np.testing.assert_allclose(normalised, expected * seen, atol=1e-5)
    score = transforms.normalize_axes(batch, 2)[:, 2]
    np.testing.assert_array_equal(score, batch[:, 2])


def test_mirror_twice_is_no_mirror_and_swaps_the_sides():
    batch = clips(5, N=16)
    once = transforms.mirror(batch, FLIP, rng(16))
    changed = [(once[i] != batch[i]).any() for i in range(16)]
    assert 0 < sum(changed) < 16
    np.testing.assert_array_equal(transforms.mirror(once, FLIP, rng(16)), batch)
    i = changed.index(True)
    skeleton = load_skeleton("openpose")
    left, right = skeleton.mirror[0]
    np.testing.assert_array_equal(once[i, 0, :, left], -batch[i, 0, :, right])
    np.testing.assert_array_equal(once[i, 1:, :, left], batch[i, 1:, :, right])


def plain_random_move(clip, aspect, ends):
    """The original's algorithm, frame by frame, on one clip (C, T, V, M), in isotropic units and with zeros kept zero."""
    T = clip.shape[1]
    out = clip.copy()
    for t in range(T):
        a, s, tx, ty = (e[0] + (e[1] - e[0]) * t / T for e in ends)
        for v in range(clip.shape[2]):
            for m in range(clip.shape[3]):
                if clip[:, t, v, m].any():
                    x, y = clip[0, t, v, m] * aspect, clip[1, t, v, m]
                    out[0, t, v, m] = s * (np.cos(a) * x - np.sin(a) * y) / aspect + tx
                    out[1, t, v, m] = s * (np.sin(a) * x + np.cos(a) * y) + ty
    return out


@pytest.mark.parametrize("aspect", [1.0, 340 / 256])
def test_random_move_equals_the_frame_by_frame_algorithm(aspect):
    batch = clips(6)
    got = transforms.random_move(batch, np.full(3, aspect), rng(3))
    draws = rng(3)
    candidates = (transforms.ANGLES, transforms.SCALES, transforms.OFFSETS, transforms.OFFSETS)
    ends = np.stack([draws.choice(c, (2,)) for c in candidates], 1)  # (N, 4, 2): angle, scale, x, y at both ends
    want = np.stack([plain_random_move(clip, aspect, own) for clip, own in zip(batch, ends)])
    np.testing.assert_allclose(got, want, atol=2e-6)


def test_pre_normalize_3d_stands_person_1_upright_facing_one_way():
    hip, spine, right, left = VIEW
    batch = clips(7, missing=0)
    out = upright(batch)
    for clip, before in zip(out, batch):
        np.testing.assert_allclose(clip[:, 0, spine, 0], 0, atol=2e-6)
        up, across = clip[:, 0, spine, 0] - clip[:, 0, hip, 0], clip[:, 0, left, 0] - clip[:, 0, right, 0]
        np.testing.assert_allclose(up[:2], 0, atol=1e-5)
        assert up[2] > 0 and across[0] > 0 and abs(across[1]) < 1e-5
        bones = [c[:, :, 3] - c[:, :, 4] for c in (clip, before)]  # lengths and handedness stay
        np.testing.assert_allclose(np.linalg.norm(bones[0], axis=0), np.linalg.norm(bones[1], axis=0), atol=1e-4)
    turns = [transforms.turn_onto(*np.random.default_rng(i).normal(size=(2, 3))) for i in range(20)]
    np.testing.assert_allclose([np.linalg.det(turn) for turn in turns], 1)
    assert (transforms.present(out) == transforms.present(batch)).all()


def test_pre_normalize_3d_does_not_depend_on_the_camera():
    batch = clips(8, missing=0)
    turned = np.einsum("dc,nctvm->ndtvm", transforms.rotation_matrix(0.5, -1.0, 0.3), batch) + np.float32(2)
    turned = (turned * transforms.present(batch)).astype(np.float32)
    np.testing.assert_allclose(upright(batch), upright(turned), atol=1e-4)


def test_pre_normalize_3d_of_a_clip_without_a_spine_takes_it_as_it_comes():
    batch = clips(9, missing=0)
    batch[1, :, 0, 1, 0] = 0
    np.testing.assert_array_equal(upright(batch)[1], batch[1])


def test_the_view_is_that_of_the_first_frame_whatever_is_cut_out():
    batch = clips(10, missing=0)
    first = transforms.first_pose(batch, VIEW)
    part = transforms.pre_normalize_3d(batch[:, :, 3:7], first, VIEW)
    np.testing.assert_array_equal(part, upright(batch)[:, :, 3:7])


def test_pre_normalize_2d_fills_minus_one_to_one():
    batch = np.zeros((1, 3, 1, 4, 1), np.float32)
    batch[0, :, 0, :, 0] = [[-0.5, 0.1, 0.5, 0.3], [-0.5, 0.1, 0.3, 0.4], [1, 0.5, 0.9, 0.005]]
    frame = transforms.pre_normalize_2d(batch)[0, :, 0, :, 0]
    np.testing.assert_allclose(frame, [[-1, 0.2, 1, 0], [-1, 0.2, 0.6, 0], [1, 0.5, 0.9, 0]], atol=1e-6)
    box = transforms.pre_normalize_2d(batch, box=True)[0, :2, 0, :, 0]
    np.testing.assert_allclose(box, [[-1, 0.2, 1, 0], [-1, 0.5, 1, 0]], atol=1e-6)


def test_swapped_sides_change_names_and_places_stay():
    batch = clips(11, missing=0)
    out = transforms.swap_sides(batch, FLIP, rng(len(batch)))
    for before, after in zip(batch, out):
        assert (after == before).all() or (after == before[:, :, FLIP]).all()
    assert (out != batch).any()


def test_lost_joints_are_lost_as_often_as_asked_and_the_rest_is_untouched():
    batch = np.ones((400, 3, 8, 18, 1), np.float32)
    out = transforms.joint_dropout(batch, 0.2, rng(400))
    gone = ~out.any(1)  # (N, T, V, M)
    whole = gone.all((1, 3))  # (N, V): a joint missing throughout
    assert 0.18 < (whole.sum(1) == 1).mean() < 0.32
    assert 0.08 < gone[~whole.any(1)].mean() < 0.12  # half of the largest share on average
    assert (out[np.broadcast_to(~gone[:, None], out.shape)] == 1).all()


def test_jitter_moves_every_joint_by_its_clip_s_own_error():
    batch = np.ones((300, 3, 20, 18, 1), np.float32)
    error = transforms.jitter(batch, 0.1, 2, rng(300)) - batch
    assert not error[:, 2].any()
    spread = error[:, :2].std((1, 2, 3, 4))
    assert spread.max() < 0.105 and 0.045 < spread.mean() < 0.055 and abs(error.mean()) < 1e-3


def test_random_bones_keeps_directions_and_the_centre_and_both_sides_alike():
    batch = clips(0, N=200, T=3, M=2, missing=0)[2:, ..., :1]
    out = transforms.random_bones(batch, PARENTS, FLIP, 0.2, 2, rng(len(batch)))
    factors = np.ones((len(batch), 18))
    for joint, parent in enumerate(PARENTS):
        before, after = (x[:, :2, :, joint, 0] - x[:, :2, :, parent, 0] for x in (batch, out))
        if joint == parent:
            np.testing.assert_array_equal(batch[..., joint, :], out[..., joint, :])
        else:
            factor = np.linalg.norm(after, axis=1) / np.linalg.norm(before, axis=1)  # (N, T)
            np.testing.assert_allclose(after, factor[:, None] * before, atol=1e-4)
            np.testing.assert_allclose(factor, factor[:, :1].repeat(3, 1), rtol=2e-3)  # of the whole clip
            factors[:, joint] = factor[:, 0]
    np.testing.assert_allclose(factors, factors[:, FLIP], rtol=2e-3)
    assert np.log(factors[:, np.arange(18) != PARENTS]).std() == pytest.approx(0.2, abs=0.02)
    np.testing.assert_array_equal(batch[:, 2], out[:, 2])


def test_random_bones_takes_a_joint_along_whose_parent_is_missing():
    batch = clips(0, N=4, T=2, M=2, missing=0)[2:, ..., :1]
    batch[..., 3, :] = 0  # the right elbow; the wrist, joint 4, hangs from it
    out = transforms.random_bones(batch, PARENTS, FLIP, 0.3, 2, rng(2))
    shoulder, wrist = (out[..., v, :] - batch[..., v, :] for v in (2, 4))
    np.testing.assert_allclose(wrist[:, :2], shoulder[:, :2], atol=1e-6)


def test_random_smooth_is_a_gaussian_over_the_frames_that_were_seen():
    batch = clips(3, N=5, T=12)[..., 1:]
    most = 1.5
    out = transforms.random_smooth(batch, most, 2, rng(5))
    width = rng(5).uniform(0, most, (1, 1, 1, 1)).ravel()
    seen = (batch != 0).any(1)  # (N, T, V, M)
    for n in range(5):
        for t in range(12):
            for v in range(18):
                if seen[n, t, v, 0]:
                    weights = [
                        np.exp(-0.5 * ((i - t) / width[n]) ** 2) * seen[n, i, v, 0] * (abs(i - t) <= 2 * most)
                        for i in range(12)
                    ]
                    plain = np.average(batch[n, :2, :, v, 0], axis=1, weights=weights)
                    np.testing.assert_allclose(out[n, :2, t, v, 0], plain, atol=1e-5)
