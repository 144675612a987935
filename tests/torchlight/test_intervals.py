"""Intervals and tests against closed forms, scipy, plain loops, and simulations in which the truth is known."""

import math
import subprocess
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from torchlight.intervals import (
    accuracy_interval,
    bootstrap_difference,
    difference,
    holm,
    mcnemar,
    paired,
    samples_needed,
    seed_variance,
    wilson,
)

ROOT = Path(__file__).resolve().parents[2]


def from_counts(both, only_a, only_b, neither):
    """Two runs (N,) with this table."""
    a = np.repeat([1, 1, 0, 0], [both, only_a, only_b, neither])
    b = np.repeat([1, 0, 1, 0], [both, only_a, only_b, neither])
    return a, b


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def seeds(rng, runs, ease, spread):
    """(runs, N) right answers: clips are as easy as `ease` says (logits), every seed is better or worse on all of them."""
    return rng.random((runs, len(ease))) < sigmoid(ease + rng.normal(0, spread, (runs, 1)))


# ---- one accuracy


@given(st.integers(1, 3000), st.floats(0, 1), st.sampled_from([0.8, 0.95, 0.99]))
def test_wilson_is_that_of_scipy(count, part, confidence):
    hits = round(part * count)
    expected = stats.binomtest(hits, count).proportion_ci(confidence, method="wilson")
    np.testing.assert_allclose(wilson(hits, count, confidence), expected, atol=1e-12)


def test_wilson_of_81_in_263_is_the_published_one():
    """Newcombe, Statistics in Medicine 1998, table I, method 3."""
    low, high = wilson(81, 263)
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)


def test_wilson_ends_are_where_the_score_test_just_does_not_reject():
    for hits, count in [(3, 10), (95, 100), (1, 1000)]:
        for end in wilson(hits, count):
            z = (hits / count - end) / math.sqrt(end * (1 - end) / count)
            assert abs(z) == pytest.approx(1.959964, rel=1e-6)


@pytest.mark.parametrize("hits, count", [(-1, 10), (11, 10), (0, 0)])
def test_wilson_refuses_what_is_no_share(hits, count):
    with pytest.raises(ValueError):
        wilson(hits, count)


def test_a_single_run_without_strata_has_wilsons_interval():
    assert accuracy_interval(np.repeat([1, 0], [81, 182])) == wilson(81, 263)


def test_the_bootstrap_is_that_of_a_plain_loop_over_samples():
    """Two classes, 40 and 10 samples, middling accuracy, where Wilson's ends lie within: index by index."""
    rng = np.random.default_rng(0)
    right, label = rng.random(50) < 0.6, np.repeat([0, 1], [40, 10])
    means = []
    for _ in range(4000):
        total = 0.0
        for c, size in ((0, 40), (1, 10)):
            own = right[label == c]
            drawn = own[rng.integers(0, size, size)].mean()
            total += 0.5 * (own.mean() + (drawn - own.mean()) * math.sqrt(size / (size - 1)))
        means.append(total)
    np.testing.assert_allclose(accuracy_interval(right, label), np.quantile(means, [0.025, 0.975]), atol=0.02)


@pytest.mark.parametrize("value", [0, 1])
@pytest.mark.parametrize("runs", [1, 3])
def test_all_right_or_all_wrong_is_not_certainty(runs, value):
    label = np.arange(40) % 4
    low, high = accuracy_interval(np.full((runs, 40), value), label)
    assert (low, high) == pytest.approx(wilson(40 * value, 40))  # equal classes: as 40 samples


@pytest.mark.filterwarnings("error")
def test_small_and_odd_sets_have_intervals_in_0_to_1_around_the_value():
    for runs, bits in product((1, 2, 3), product((0, 1), repeat=3)):
        right = np.tile(bits, (runs, 1))
        for strata in (None, np.array([0, 0, 1]), np.array([5, 7, 9])):
            low, high = accuracy_interval(right, strata, draws=200)
            means = [right[:, strata == c].mean() for c in np.unique(strata)] if strata is not None else right.mean()
            assert 0 <= low <= np.mean(means) + 1e-12 and np.mean(means) - 1e-12 <= high <= 1
            assert low < high


SCENES = {  # seeds, clips, mean and spread of the clips' ease, spread of the seeds: in logits
    "clips matter most": (3, 800, 4, 2, 0.05),
    "seeds matter most": (3, 800, 3, 2, 0.5),
    "nearly all right": (3, 200, 6, 2, 0.3),
    "five seeds": (5, 300, 3, 2, 0.4),
}


@pytest.mark.parametrize("scene", SCENES)
def test_the_interval_of_a_group_covers_the_truth(scene):
    runs, clips, mean, wide, spread = SCENES[scene]
    rng = np.random.default_rng(1)
    truth = sigmoid(mean + wide * rng.normal(size=400_000) + spread * rng.normal(size=400_000)).mean()
    covered = []
    for _ in range(250):
        low, high = accuracy_interval(seeds(rng, runs, rng.normal(mean, wide, clips), spread), None, rng, draws=500)
        covered.append(low <= truth <= high)
    assert 0.90 <= np.mean(covered) <= 0.99


@pytest.mark.parametrize("classes, size", [(10, 20), (60, 4), (15, 70)])
def test_the_interval_of_mean_class_accuracy_covers_the_truth(classes, size):
    rng = np.random.default_rng(2)
    share = rng.uniform(0.5, 1, classes)
    label = np.repeat(np.arange(classes), np.maximum(2, rng.poisson(size, classes)))
    covered = []
    for _ in range(250):
        low, high = accuracy_interval(rng.random(len(label)) < share[label], label, rng, draws=500)
        covered.append(low <= share.mean() <= high)
    assert 0.90 <= np.mean(covered) <= 0.99


def test_seed_variance_is_found_again_and_not_the_chance_of_the_samples():
    rng = np.random.default_rng(3)
    share = np.clip(0.8 + rng.normal(0, 0.05, (2000, 1)), 0, 1)  # of each seed, on all clips alike
    assert seed_variance(rng.random((2000, 100)) < share) == pytest.approx(share.var(), rel=0.2)
    assert seed_variance(rng.random((2000, 100)) < 0.8) < 0.0002  # by chance alone accuracies have a variance of 0.0016


# ---- the difference of two


def test_mcnemar_by_hand():
    """Of 12 clips that only one has right, 2 and 10: twice the chance of 2 heads or fewer in 12, (1 + 12 + 66) / 4096."""
    a, b = from_counts(100, 2, 10, 5)
    assert mcnemar(a, b) == mcnemar(b, a) == pytest.approx(158 / 4096)


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 200))
def test_mcnemar_is_the_sum_of_binomial_coefficients(only_a, only_b, both):
    a, b = from_counts(both + 1, only_a, only_b, 0)
    few, n = min(only_a, only_b), only_a + only_b
    assert mcnemar(a, b) == pytest.approx(min(1, 2 * sum(math.comb(n, k) for k in range(few + 1)) / 2**n))


@given(st.integers(0, 40), st.integers(0, 40), st.integers(1, 500))
def test_the_paired_interval_agrees_with_the_test(only_a, only_b, both):
    found = paired(*from_counts(both, only_a, only_b, 3))
    assert found.low <= found.value <= found.high
    assert (found.low <= 0 <= found.high) == (found.p > 0.05)


@pytest.mark.parametrize(
    "size, differ, shift", [(200, 0.05, 0.0), (200, 0.05, 0.02), (1000, 0.02, 0.02), (50, 0.5, 0.2)]
)
def test_the_paired_interval_covers_the_truth(size, differ, shift):
    rng, covered = np.random.default_rng(4), []
    for _ in range(400):
        u = rng.random(size)
        only_a, only_b = u < (differ - shift) / 2, (u >= (differ - shift) / 2) & (u < differ)
        found = paired(~only_b, ~only_a)
        covered.append(found.low <= shift <= found.high)
    assert np.mean(covered) >= 0.92


@pytest.mark.parametrize("runs", [1, 3])
def test_two_equal_runs_are_never_different(runs):
    right = np.random.default_rng(5).random((runs, 100)) < 0.9
    found = difference(right, right)
    assert found.value == 0 and found.low < 0 < found.high and found.p > 0.9
    assert samples_needed(right, right) is None


@pytest.mark.parametrize("runs", [(1, 1), (3, 3), (1, 3)])
def test_the_order_of_the_samples_changes_nothing(runs):
    rng = np.random.default_rng(6)
    a, b = (seeds(rng, n, rng.normal(3, 2, 200), 0.2) for n in runs)
    order = rng.permutation(200)
    np.testing.assert_allclose(difference(a, b), difference(a[:, order], b[:, order]), rtol=1e-12)
    label = rng.integers(0, 7, 200)
    np.testing.assert_allclose(accuracy_interval(a, label), accuracy_interval(a[:, order], label[order]), rtol=1e-12)


def test_turning_the_two_round_turns_the_sign():
    rng = np.random.default_rng(7)
    ease = rng.normal(3, 2, 300)
    for runs in (1, 3):
        a, b = seeds(rng, runs, ease, 0.2), seeds(rng, runs, ease + 0.5, 0.2)
        there, back = difference(a, b), difference(b, a)
        expected = (-back.value, -back.high, -back.low, back.p)
        assert there == pytest.approx(expected)


def test_equal_seeds_give_equal_digits_and_others_nearly_so():
    rng = np.random.default_rng(8)
    a, b = seeds(rng, 3, rng.normal(3, 2, 300), 0.2), seeds(rng, 3, rng.normal(3, 2, 300), 0.2)
    assert difference(a, b, 1) == difference(a, b, 1) != difference(a, b, 2)
    np.testing.assert_allclose(difference(a, b, 1), difference(a, b, 2), atol=0.01)


def test_a_real_shift_of_three_seeds_is_found():
    rng, found = np.random.default_rng(9), 0
    for _ in range(50):
        ease = rng.normal(3, 2, 500)
        each = difference(seeds(rng, 3, ease, 0.1), seeds(rng, 3, ease + 1, 0.1), rng, draws=1000)
        found += each.p < 0.05 and each.low > 0
    assert found >= 45


@pytest.mark.parametrize("runs", [(3, 3), (5, 5), (1, 3)])
@pytest.mark.parametrize("spread, shift", [(0.05, 0), (0.4, 0), (0.1, 1)])
def test_the_interval_of_a_difference_covers_the_truth_and_p_says_the_same(runs, spread, shift):
    """Each of the two has clips that suit it better. Resampling three seeds covers 85 % where the seeds matter most."""
    rng, covered, false = np.random.default_rng(10), [], []
    ease = 4 + 2 * rng.normal(size=400_000) + math.hypot(0.5, spread) * rng.normal(size=400_000)
    truth = (sigmoid(ease + shift) - sigmoid(ease)).mean()
    for _ in range(250):
        ease = rng.normal(4, 2, 500)
        a, b = (seeds(rng, n, ease + rng.normal(0, 0.5, 500) + up, spread) for n, up in zip(runs, (0, shift)))
        found = bootstrap_difference(a, b, rng, draws=1000)
        covered.append(found.low <= truth <= found.high)
        false.append((found.low > 0 or found.high < 0) != (found.p < 0.05))
    assert (0.90 if min(runs) > 1 else 0.87) <= np.mean(covered) <= 0.995  # one against three: 91 % at worst
    assert np.mean(false) < 0.02  # at p = 0.05 itself


def test_the_bootstrap_is_that_of_a_plain_loop_over_samples_and_seeds():
    rng = np.random.default_rng(11)
    ease = rng.normal(2, 2, 150)
    a, b = seeds(rng, 3, ease, 0.5), seeds(rng, 2, ease + 0.3, 0.5)
    variance = (2 * seed_variance(a) + seed_variance(b)) / 3 * (1 / 3 + 1 / 2)
    assert variance > 0
    far = []
    for _ in range(10_000):
        signs = rng.choice([-1, 1], 150)
        far.append(abs((signs * (b.mean(0) - a.mean(0))).mean() + math.sqrt(variance) * rng.standard_t(3)))
    found = bootstrap_difference(a, b)
    assert found.value == pytest.approx(b.mean() - a.mean())
    assert (found.high - found.low) / 2 == pytest.approx(np.quantile(far, 0.95), rel=0.04)
    assert found.p == pytest.approx(np.mean(np.array(far) >= abs(found.value)), abs=0.02)


@given(st.integers(0, 30), st.integers(0, 30), st.sampled_from([1, 2, 3]))
@settings(max_examples=40, deadline=None)
def test_seeds_that_agree_on_every_clip_have_the_p_of_mcnemar(only_a, only_b, runs):
    a, b = from_counts(100, only_a, only_b, 5)
    found = bootstrap_difference(np.tile(a, (runs, 1)), np.tile(b, (2, 1)))
    assert found.p == pytest.approx(mcnemar(a, b), abs=0.02)
    assert found.low <= found.value <= found.high


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([0.2]) == [0.2]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
@settings(max_examples=50)
def test_holm_never_lowers_a_p_and_keeps_their_order(p):
    corrected = holm(p)
    assert all(q >= each and q <= 1 for q, each in zip(corrected, p))
    assert all(x <= y for (_, x), (_, y) in zip(sorted(zip(p, corrected)), sorted(zip(p, corrected))[1:]))


def test_with_the_number_of_samples_needed_four_of_five_tests_find_the_difference():
    a, b = from_counts(180, 6, 10, 4)  # 2 points of 200 clips: cannot be told
    needed = samples_needed(a, b)
    rng, found = np.random.default_rng(12), []
    for _ in range(400):
        _, only_a, only_b, _ = rng.multinomial(needed, [0.90, 0.03, 0.05, 0.02])
        found.append(stats.binomtest(only_b, only_a + only_b).pvalue < 0.05)
    assert 0.72 <= np.mean(found) <= 0.88
    assert samples_needed(a, b, tests=3) > needed


def test_no_number_of_samples_makes_up_for_seeds_that_differ_too_much():
    rng = np.random.default_rng(13)
    levels = [[0.6], [0.8], [0.95]]
    a, b = (rng.random((3, 1000)) < np.array(levels) + shift for shift in (0, 0.01))
    assert samples_needed(a, b) is None


@pytest.mark.parametrize(
    "right", [np.zeros((0, 5)), np.zeros((2, 0)), np.full(4, 2), np.full(4, np.nan), np.zeros((1, 2, 3))]
)
def test_what_is_not_right_or_wrong_is_refused(right):
    with pytest.raises(ValueError):
        accuracy_interval(right)


def test_torch_is_not_needed():
    script = "import sys, torchlight.intervals\nassert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)
