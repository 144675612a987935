"""The vote is the weighted mean of the windows, taken one by one or at once, for one clip or for many."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from processor.video.vote import Vote


def test_without_a_window_there_is_no_vote():
    assert Vote(3).mean is None


@given(seed=st.integers(0, 99), count=st.integers(1, 30), num_vote=st.integers(1, 4))
def test_a_vote_is_numpy_s_weighted_average(seed, count, num_vote):
    rng = np.random.default_rng(seed)
    probability, seen = rng.dirichlet(np.ones(5), count), rng.integers(1, 65, count)
    of = rng.integers(0, num_vote, count)
    at_once, one_by_one = Vote(5, num_vote), Vote(5, num_vote)
    at_once.add(probability, seen, of)
    for each in zip(probability, seen, of):
        one_by_one.add(*each)
    for k in range(num_vote):
        if (of == k).any():
            plain = np.average(probability[of == k], axis=0, weights=seen[of == k])
            np.testing.assert_allclose(at_once.means[k], plain)
            np.testing.assert_allclose(one_by_one.means[k], plain)
        else:
            assert np.isnan(at_once.means[k]).all()
