"""Preprocessing frame by frame: the plain weighted means, in any chunks, and nothing that later frames could change."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feeder import pipeline
from feeder.preprocess import Preprocess
from feeder.rng import ClipRNG
from feeder.running import RunningPreprocess
from feeder.skeleton import load_skeleton
from torchlight.errors import DataError

BODY = load_skeleton("penn-action")


def clip(T=50, M=2, seed=0, missing=0.2):
    rng = np.random.default_rng(seed)
    walk = np.cumsum(rng.normal(0, 0.01, (2, T, 1, 1)), 1)
    x = np.concatenate([rng.normal(0, 0.1, (2, T, 13, M)) + walk + 0.3, rng.uniform(0.3, 1, (1, T, 13, M))])
    return (x * (rng.random((1, T, 13, M)) > missing)).astype(np.float32)


def preprocess(*steps, dimension=2):
    return Preprocess([pipeline.UniformSample(64), *steps], BODY, dimension)


def run(x, running, sizes=(1,), aspect=1.5):
    person, out, t, i = running.begin(), [], 0, 0
    while t < x.shape[1]:
        out.append(running(person, x[:, t : t + sizes[i % len(sizes)]], aspect))
        t, i = t + sizes[i % len(sizes)], i + 1
    out.append(running(person, None, aspect))
    return np.concatenate([each for each in out if each.shape[1]], 1)


def plain(x, window, hold, aspect=1.5):
    """The means over all joints seen until then, or until `hold`; a frame of age a weighs exp(-2 a / window)."""
    x = x.astype(np.float64) * np.array([aspect, 1, 1])[:, None, None, None]
    seen = (x != 0).any(0)
    out = np.zeros_like(x)
    for t in range(x.shape[1]):
        last = min(max(t, hold - 1), x.shape[1] - 1)
        weight = seen[: last + 1] * np.exp(-2 * (last - np.arange(last + 1)) / window)[:, None, None]
        centre = [np.average(x[c, : last + 1], weights=weight) for c in (0, 1)]
        away = [np.square(x[c, : last + 1] - centre[c]) for c in (0, 1)]
        size = np.sqrt(np.average(away[0] + away[1], weights=weight))
        for c in (0, 1):
            out[c, t] = (x[c, t] - centre[c]) / size
        out[2, t] = x[2, t]
    return out * seen


@pytest.mark.parametrize("hold", [0, 1, 20, 50, 80])
def test_centre_and_size_are_means_weighted_by_age(hold):
    running = RunningPreprocess(preprocess(pipeline.NormalizeBody()), 32, hold)
    np.testing.assert_allclose(run(clip(), running), plain(clip(), 32, hold), atol=2e-5)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=4), st.integers(1, 40), st.integers(0, 45))
def test_any_chunks_give_the_same(sizes, T, hold):
    running = RunningPreprocess(preprocess(pipeline.NormalizeBody(), pipeline.IgnoreScore()), 32, hold)
    np.testing.assert_allclose(run(clip(T), running, sizes), run(clip(T), running, [T]), atol=1e-6)


def test_no_frame_depends_on_later_ones_but_the_first_on_those_held_back_with_them():
    running = RunningPreprocess(preprocess(pipeline.NormalizeBody()), 32, 20)
    other = clip()
    other[:, 33:] = clip(seed=1)[:, 33:]
    actual, expected = run(other, running), run(clip(), running)
    np.testing.assert_array_equal(actual[:, :33], expected[:, :33])
    assert not np.allclose(actual[:, 33:], expected[:, 33:])


def test_a_sequence_that_is_over_early_is_normalised_as_a_window_if_the_window_is_long():
    ordinary = preprocess(pipeline.NormalizeBody(), pipeline.IgnoreScore())
    running = RunningPreprocess(ordinary, 1_000_000, 64)
    ordinary.transforms[0] = pipeline.WholeClip()
    x = clip(40)
    rng = ClipRNG(0, np.zeros(1), np.zeros(1))
    np.testing.assert_allclose(run(x, running), ordinary([x], np.array([1.5]), rng)[0], atol=1e-4)


def test_what_looks_at_one_frame_alone_is_as_ever_and_nothing_waits():
    mean = np.random.default_rng(0).normal(0, 0.1, (3, 13))
    ordinary = preprocess(
        pipeline.Standardize(mean.tolist(), (1 + mean**2).tolist()),
        pipeline.PreNormalize2D(),
        pipeline.IgnoreScore(),
        pipeline.Stream("bone"),
    )
    running = RunningPreprocess(ordinary, 32, 20)
    person = running.begin()
    assert running(person, clip()[:, :3], 1.5).shape == (3, 3, 13, 2)
    ordinary.transforms[0] = pipeline.WholeClip()
    rng = ClipRNG(0, np.zeros(1), np.zeros(1))
    np.testing.assert_allclose(run(clip(), running), ordinary([clip()], np.array([1.5]), rng)[0], atol=1e-6)


def test_3d_has_one_centre_of_three_coordinates_and_no_aspect():
    running = RunningPreprocess(preprocess(pipeline.NormalizeBody(), dimension=3), 1_000_000, 64)
    x = run(clip(missing=0), running)
    assert np.abs(x.mean((1, 2, 3))).max() < 1e-4 and abs(np.square(x).sum(0).mean() - 1) < 1e-4


def test_missing_stays_zero_and_nobody_at_all_is_no_error():
    running = RunningPreprocess(preprocess(pipeline.NormalizeBody()), 32, 10)
    x = clip()
    x[:, 20:30] = 0
    x[:, :5] = 0
    y = run(x, running)
    np.testing.assert_array_equal((y != 0).any(0), (x != 0).any(0))
    assert not run(np.zeros((3, 30, 13, 1), np.float32), running).any()
    assert np.isfinite(y).all()


class Own(pipeline.Transform):
    key = "own"


@pytest.mark.parametrize(
    ("step", "line"),
    [
        (pipeline.PreNormalize2D("box"), "pre_normalize_2d needs whole windows"),
        (pipeline.Stream("bone_motion"), "stream needs whole windows"),
        (Own(), "own needs whole windows"),
    ],
)
def test_what_needs_a_window_is_refused(step, line):
    with pytest.raises(DataError, match=line):
        RunningPreprocess(preprocess(step), 64, 44)
