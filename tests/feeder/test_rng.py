"""Random numbers that belong to (seed, epoch, clip): independent of the batch, evenly spread, different from each other."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from feeder.rng import ClipRNG

numbers = st.integers(0, 2**40)


@given(seed=st.integers(-5, 2**63), epoch=numbers, clips=st.lists(numbers, min_size=1, max_size=5))
def test_a_clip_draws_the_same_in_any_batch(seed, epoch, clips):
    def draw(clips):
        rng = ClipRNG(seed, np.full(len(clips), epoch), np.array(clips))
        return np.concatenate([rng.uniform(shape=(3,)), rng.uniform()[:, None], rng.uniform(shape=(2,))], 1)

    together = draw(clips)
    for row, clip in zip(together, clips):
        np.testing.assert_array_equal(row, draw([clip])[0])


def test_seeds_epochs_and_clips_all_matter_and_do_not_repeat():
    keys = [ClipRNG(s, np.full(50, e), np.arange(50)).uniform() for s in range(10) for e in range(10)]
    assert len(np.unique(np.concatenate(keys))) == 5000


def test_numbers_are_spread_evenly_and_draws_are_independent():
    rng = ClipRNG(0, np.zeros(200_000, int), np.arange(200_000))
    first, second = rng.uniform(), rng.uniform()
    for draws in (first, second):
        count = np.histogram(draws, 20, (0, 1))[0]
        assert abs(count - 10_000).max() < 400  # four standard deviations
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.01
    assert abs(np.corrcoef(first[1:], first[:-1])[0, 1]) < 0.01


@given(low=st.integers(-20, 20), size=st.integers(1, 30))
def test_integers_and_choices_reach_all_and_only_what_they_should(low, size):
    rng = ClipRNG(1, np.zeros(2000, int), np.arange(2000))
    assert set(rng.integers(low, low + size)) == set(range(low, low + size))
    assert set(rng.choice(np.arange(size), (2,)).ravel()) == set(range(size))
    high = np.arange(1, 2001)
    drawn = rng.integers(0, high)
    assert (drawn >= 0).all() and (drawn < high).all()
