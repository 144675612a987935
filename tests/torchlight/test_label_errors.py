"""torchlight/label_errors.py against confident learning written out in loops, and on labels swapped on purpose."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from torchlight.label_errors import find_label_errors, thresholds


def plainly(probability, labels):
    """Suspicious samples, as in section 3 of Northcutt et al.: those off the diagonal of the confident joint."""
    N, K = probability.shape
    t = []
    for j in range(K):
        own = [probability[i, j] for i in range(N) if labels[i] == j]
        t.append(sum(own) / len(own) if own else 1.0)
    found = []
    for i in range(N):
        reached = [j for j in range(K) if probability[i, j] >= t[j]]
        found.append(bool(reached) and max(reached, key=lambda j: (probability[i, j], -j)) != labels[i])
    return found


@given(st.integers(0, 10**6), st.integers(1, 40), st.integers(2, 6))
@settings(max_examples=100, deadline=None)
def test_it_is_confident_learning(seed, N, K):
    rng = np.random.default_rng(seed)
    probability, labels = rng.dirichlet(np.ones(K), N), rng.integers(0, K, N)
    found = find_label_errors(probability, labels)
    assert found.suspicious.tolist() == plainly(probability, labels)
    for i in range(N):
        others = [(probability[i, j], -j) for j in range(K) if j != labels[i]]
        assert found.suggested[i] == -max(others)[1]
        assert found.margin[i] == pytest.approx(probability[i, labels[i]] - max(others)[0])
    assert (np.diff(found.margin[found.order]) >= 0).all() and sorted(found.order) == list(range(N))


def test_swapped_labels_come_first():
    rng = np.random.default_rng(0)
    true = rng.integers(0, 10, 1000)
    probability = rng.dirichlet(np.ones(10), 1000) * 0.4
    probability[np.arange(1000), true] += 0.6
    wrong = rng.choice(1000, 20, replace=False)
    labels = true.copy()
    labels[wrong] = (true[wrong] + rng.integers(1, 10, 20)) % 10
    found = find_label_errors(probability, labels)
    assert set(found.order[:20]) == set(wrong)
    assert set(np.flatnonzero(found.suspicious)) <= set(wrong) and found.suspicious.sum() >= 5  # surer than the average
    assert (found.suggested[wrong] == true[wrong]).all()


def test_a_class_without_samples_is_reached_by_certainty_alone():
    assert thresholds(np.array([[0.5, 0.5]]), np.array([0])).tolist() == [0.5, 1.0]


def test_shapes_that_do_not_go_together_are_refused():
    with pytest.raises(ValueError, match="do not go together"):
        find_label_errors(np.ones((2, 3)), np.array([1]))


def sessions_of(count, each, K, rng):
    """Labels, groups and probabilities of sessions with `each` samples of every class, answered rightly but for noise."""
    labels = np.tile(np.repeat(np.arange(K), each), count)
    groups = [f"session {i}" for i in np.repeat(np.arange(count), each * K)]
    probability = rng.dirichlet(np.ones(K), len(labels)) * 0.5
    probability[np.arange(len(labels)), labels] += 0.5
    return labels, groups, probability


def test_two_classes_exchanged_in_one_session_come_first_though_a_class_is_hard():
    rng = np.random.default_rng(0)
    true, groups, probability = sessions_of(6, 5, 8, rng)
    hard = (true == 3) & (np.array(groups) == "session 4")  # all taken for class 5, which is answered rightly
    probability[hard] = np.eye(8)[5]
    labels, session = true.copy(), np.array(groups) == "session 2"
    labels[session & (true == 1)], labels[session & (true == 6)] = 6, 1
    wrong = np.flatnonzero(labels != true)
    probability[wrong[:3]] = rng.dirichlet(np.ones(8), 3)  # of some of them the networks have no idea
    found = find_label_errors(probability, labels, groups)
    (exchange,) = found.exchanges
    assert exchange.group == "session 2" and exchange.classes == (1, 6) and set(exchange.samples) == set(wrong)
    assert set(found.order[:10]) == set(wrong) and (found.suggested[wrong] == true[wrong]).all()
    assert found.suspicious[wrong].all()
    alone = find_label_errors(probability, labels)
    assert alone.exchanges == [] and set(alone.order[:10]) != set(wrong)


@given(st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_nothing_is_exchanged_where_labels_are_right(seed):
    labels, groups, probability = sessions_of(4, 3, 6, np.random.default_rng(seed))
    assert find_label_errors(probability, labels, groups).exchanges == []
