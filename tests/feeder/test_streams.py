"""The four streams against a plain loop over joints, and on hand-made cases."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feeder.pipeline import Stream, UniformSample
from feeder.preprocess import Preprocess
from feeder.rng import ClipRNG
from feeder.skeleton import load_skeleton
from feeder.streams import STREAMS, stream
from torchlight.errors import DataError

PARENTS = load_skeleton("openpose").parents


def plain(clip, name, dimension):
    """(C, T, V, M), joint by joint."""
    if name.startswith("bone"):
        out = np.zeros_like(clip)
        for t, v, m in np.ndindex(clip.shape[1:]):
            end, start = clip[:, t, v, m], clip[:, t, PARENTS[v], m]
            if end.any() and start.any():
                out[:dimension, t, v, m] = end[:dimension] - start[:dimension]
                out[dimension:, t, v, m] = np.minimum(end[dimension:], start[dimension:])
        clip = out
    if name.endswith("motion"):
        out = np.zeros_like(clip)
        for t, v, m in np.ndindex(clip.shape[1] - 1, *clip.shape[2:]):
            end, start = clip[:, t + 1, v, m], clip[:, t, v, m]
            if end.any() and start.any():
                out[:dimension, t, v, m] = end[:dimension] - start[:dimension]
                out[dimension:, t, v, m] = np.minimum(end[dimension:], start[dimension:])
        clip = out
    return clip


@pytest.mark.parametrize("name", STREAMS)
@given(seed=st.integers(0, 2**16), dimension=st.sampled_from([2, 3]))
@settings(max_examples=10, deadline=None)
def test_streams_equal_the_loop_over_joints(name, seed, dimension):
    rng = np.random.default_rng(seed)
    batch = rng.normal(size=(2, 3, 6, 18, 2)).astype(np.float32) * (rng.random((2, 1, 6, 18, 2)) > 0.3)
    if dimension == 2:
        batch[:, 2] = np.abs(batch[:, 2])
    before = batch.copy()
    got = stream(batch, name, PARENTS, dimension)
    np.testing.assert_allclose(got, [plain(clip, name, dimension) for clip in batch], atol=1e-6)
    np.testing.assert_array_equal(batch, before)


def test_the_centre_joint_has_no_bone():
    batch = np.ones((1, 3, 2, 18, 1), np.float32)
    centre = load_skeleton("openpose").centre
    assert not stream(batch, "bone", PARENTS, 3)[0, :, :, centre].any()
    assert stream(batch, "bone", PARENTS, 2)[0, 2, :, centre].all()  # its score stays


def test_motion_beside_a_gap_is_zero():
    batch = np.zeros((1, 3, 4, 18, 1), np.float32)
    batch[0, 0, [0, 1, 3]] = np.array([1, 3, 4], np.float32)[:, None, None]
    assert stream(batch, "joint_motion", PARENTS, 3)[0, 0, :, 0, 0].tolist() == [2, 0, 0, 0]


def test_several_streams_are_channels_side_by_side():
    batch = np.random.default_rng(0).normal(size=(2, 3, 5, 18, 1)).astype(np.float32)
    got = stream(batch, "joint+bone+joint_motion", PARENTS, 3)
    assert got.shape == (2, 9, 5, 18, 1)
    np.testing.assert_array_equal(got[:, :3], batch)
    np.testing.assert_array_equal(got[:, 3:6], stream(batch, "bone", PARENTS, 3))
    np.testing.assert_array_equal(got[:, 6:], stream(batch, "joint_motion", PARENTS, 3))


@pytest.mark.parametrize(
    ("name", "problem"),
    [("joint+bon", "unknown stream 'bon'"), ("bone+bone", "the same stream twice"), ("joint+", "unknown stream ''")],
)
def test_streams_that_do_not_exist_are_refused(name, problem):
    with pytest.raises(DataError, match=problem):
        Stream(name).check(load_skeleton("openpose"), 3)


def test_ten_samples_of_a_clip_have_the_channels_of_both_streams():
    skeleton = load_skeleton("openpose")
    clip = np.random.default_rng(0).normal(size=(3, 40, 18, 1)).astype(np.float32)
    rng = ClipRNG(0, np.zeros(1), np.zeros(1))
    ten = Preprocess([UniformSample(8, num_clips=10), Stream("joint+bone")], skeleton, 3)([clip], np.ones(1), rng)
    assert ten.shape == (1, 10, 6, 8, 18, 1)
    joints = Preprocess([UniformSample(8, num_clips=10)], skeleton, 3)([clip], np.ones(1), rng)
    np.testing.assert_array_equal(ten[:, :, :3], joints)
    np.testing.assert_array_equal(ten[0, :, 3:], stream(joints[0], "bone", PARENTS, 3))
