"""Sampling of frames against plain loops."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from feeder import sampling
from tests.feeder.test_transforms import rng


def test_real_frames_end_with_the_last_joint():
    batch = np.zeros((3, 3, 10, 18, 2), np.float32)
    batch[0, 0, 6, 4, 1] = 0.5
    batch[1, 2, 9, 0, 0] = 1
    assert sampling.real_frames(batch).tolist() == [7, 10, 1]


@given(length=st.integers(1, 20), size=st.integers(1, 30))
@settings(max_examples=60, deadline=None)
def test_window_pads_at_the_end_and_crops_to_the_middle(length, size):
    batch = np.zeros((1, 3, 20, 2, 1), np.float32)
    batch[0, 0, :length] = np.arange(1, length + 1)[:, None, None]
    got = sampling.window(batch, size)[0, 0, :, 0, 0]
    real = np.arange(1, length + 1)
    skip = max(length - size, 0) // 2
    want = np.pad(real[skip : skip + size], (0, max(size - length, 0)))
    assert got.tolist() == want.tolist()


@given(T=st.integers(1, 20), size=st.integers(1, 30), seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_random_window_is_a_run_of_the_clip_or_the_whole_clip_in_a_run(T, size, seed):
    batch = np.zeros((1, 1, T, 1, 1), np.float32)
    batch[0, 0, :, 0, 0] = np.arange(1, T + 1)
    got = sampling.random_window(batch, size, rng(1, seed))[0, 0, :, 0, 0]
    kept = got[got > 0]
    assert len(got) == size and len(kept) == min(T, size)
    assert (np.diff(kept) == 1).all() and (np.diff(np.flatnonzero(got)) == 1).all()


def test_random_window_reaches_both_ends():
    batch = np.zeros((1, 1, 10, 1, 1), np.float32)
    batch[0, 0, :, 0, 0] = np.arange(1, 11)
    first = {int(sampling.random_window(batch, 4, rng(1, s))[0, 0, 0, 0, 0]) for s in range(300)}
    assert first == set(range(1, 8))


@given(seed=st.integers(0, 999), length=st.integers(1, 12))
@settings(max_examples=40, deadline=None)
def test_random_shift_keeps_every_frame_in_order(seed, length):
    batch = np.zeros((1, 1, 12, 1, 1), np.float32)
    batch[0, 0, :length, 0, 0] = np.arange(1, length + 1)
    got = sampling.random_shift(batch, rng(1, seed))[0, 0, :, 0, 0]
    assert got[got > 0].tolist() == list(range(1, length + 1))
    assert (np.diff(np.flatnonzero(got)) == 1).all()


@given(length=st.integers(1, 300), size=st.integers(1, 64), crop=st.floats(0.1, 1), seed=st.integers(0, 99))
@settings(max_examples=100, deadline=None)
def test_uniform_frames_take_one_frame_of_each_bin(length, size, crop, seed):
    frames = sampling.uniform_frames(np.array([length]), size, crop=crop, rng=rng(1, seed))[0, 0]
    assert frames.min() >= 0 and frames.max() < length and (np.diff(frames) >= 0).all()
    whole = sampling.uniform_frames(np.array([length]), size, rng=rng(1, seed))[0, 0]
    low = np.floor(np.arange(size) * length / size)
    assert (whole >= low).all() and (whole <= low + np.ceil(length / size)).all()


def test_uniform_clips_of_a_test_are_different_and_always_the_same():
    one = sampling.uniform_frames(np.array([100]), 10, num_clips=1)[0]
    ten = sampling.uniform_frames(np.array([100]), 10, num_clips=10)[0]
    assert one.tolist() == [[5, 15, 25, 35, 45, 55, 65, 75, 85, 95]]
    assert ten[:, 0].tolist() == list(range(10)) and ten[3].tolist() == [3, 13, 23, 33, 43, 53, 63, 73, 83, 93]


def test_a_repeated_clip_goes_on_with_its_first_frame():
    for seed in range(30):
        frames = sampling.uniform_frames(np.array([10]), 40, repeat=3, rng=rng(1, seed))[0, 0]
        steps = np.diff(frames)
        assert frames.min() == 0 and frames.max() == 9 and set(steps.tolist()) <= {0, 1, 2, -8, -9}
    wraps = {
        int((np.diff(sampling.uniform_frames(np.array([10]), 40, repeat=3, rng=rng(1, s))[0, 0]) < 0).sum())
        for s in range(30)
    }
    assert wraps == {0, 1, 2}


def test_a_crop_in_frames_covers_so_many_frames_or_the_whole_clip():
    for seed in range(30):
        long = sampling.uniform_frames(np.array([500]), 64, crop=(40, 100), rng=rng(1, seed))[0, 0]
        assert 35 <= long[-1] - long[0] <= 100 and (np.diff(long) >= 0).all()
        short = sampling.uniform_frames(np.array([30]), 64, crop=(40, 100), rng=rng(1, seed))[0, 0]
        assert short[0] == 0 and short[-1] == 29


def test_a_looped_clip_of_few_frames_keeps_its_speed_as_in_pyskl():
    """PYSKL's UniformSample of 10 frames from 4: sample i of n begins at i * 4 // n and goes on from the beginning."""
    for i, frames in enumerate(sampling.uniform_frames(np.array([4]), 10, num_clips=2, loop=True)[0]):
        assert frames.tolist() == [(i * 4 // 2 + k) % 4 for k in range(10)]
    drawn = sampling.uniform_frames(np.array([4] * 200), 10, loop=True, rng=rng(200, 0))[:, 0]
    assert (np.diff(drawn) % 4 == 1).all() and set(drawn[:, 0]) == {0, 1, 2, 3}
    enough = [np.array([10, 25]), 10]
    assert (sampling.uniform_frames(*enough, loop=True) == sampling.uniform_frames(*enough)).all()


@given(length=st.integers(1, 100), size=st.integers(1, 64), seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_drawn_frames_are_real_ones_in_their_order(length, size, seed):
    frames = sampling.drawn_frames(np.array([length, 7]), size, rng(2, seed))
    assert frames.shape == (2, size) and (np.diff(frames) >= 0).all()
    assert frames.min() >= 0 and frames[0].max() < length and frames[1].max() < 7


def test_drawn_frames_of_a_test_go_evenly_from_the_first_to_the_last():
    """As CTR-GCN's feeder of NW-UCLA: the whole part of linspace(0, length - 1, size)."""
    for length, size in ((1, 5), (30, 52), (134, 52), (52, 52)):
        expected = np.linspace(0, length - 1, size).astype(int)
        assert sampling.drawn_frames(np.array([length]), size)[0].tolist() == expected.tolist()


def test_every_frame_is_drawn_as_often_as_any_other():
    counts = np.bincount(sampling.drawn_frames(np.array([4] * 2000), 5, rng(2000)).ravel(), minlength=4)
    assert (abs(counts / 10_000 - 0.25) < 0.02).all()
