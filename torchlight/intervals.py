"""How sure a measured accuracy is, and whether a difference between two is more than chance. numpy and scipy, no torch.

Everywhere: `right` is (S, N) bool or 0/1: whether each of S runs (trainings that differ in their seed) answered each of N
samples right; one run may be (N,). Accuracies and differences are shares, 0..1. Intervals hold 95 % unless another confidence
is given. The order of the samples changes nothing. What is drawn at random comes from the seed or generator that is given.

With several runs an accuracy is uncertain twice: other samples, other seeds. Two or three runs that are resampled with
replacement differ too little from each other (three values have two degrees of freedom), so the bootstraps here draw samples
alone, and add the part of the seeds from Student's t, with the variance between runs less what it owes to the samples.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

DRAWS = 10_000
CONFIDENCE = 0.95
POWER = 0.8  # of samples_needed: how often a difference that is there is to be found


class Interval(NamedTuple):
    low: float
    high: float


class Difference(NamedTuple):
    """An accuracy minus another, its interval, and p: how often chance alone would do as much, in either direction."""

    value: float
    low: float
    high: float
    p: float


# ---- one accuracy


def wilson(hits: float, count: float, confidence: float = CONFIDENCE) -> Interval:
    """The score interval of a share (Wilson, JASA 1927). Hits and count may be fractions: an effective number of samples."""
    if not 0 <= hits <= count or count <= 0:
        raise ValueError(f"{hits} of {count} is not a share")
    z2 = float(stats.norm.ppf((1 + confidence) / 2)) ** 2
    middle = (hits + z2 / 2) / (count + z2)
    half = math.sqrt(z2 * (hits * (count - hits) / count + z2 / 4)) / (count + z2)
    return Interval(0.0 if hits == 0 else middle - half, 1.0 if hits == count else middle + half)


def accuracy_interval(
    right: np.ndarray,
    strata: np.ndarray | None = None,
    rng: np.random.Generator | int = 0,
    draws: int = DRAWS,
    confidence: float = CONFIDENCE,
) -> Interval:
    """Of the mean accuracy of S runs; with strata (N,) of the mean of the strata's accuracies, e.g. mean class accuracy.

    Of one run without strata it is wilson(), else a bootstrap within every stratum. That is too narrow near 0 and 1 (no
    width at all where all answers are right), so the interval reaches at least as far as Wilson's with the effective number
    of samples, value (1 - value) / variance.
    """
    right = _checked(right)
    runs = len(right)
    if runs == 1 and strata is None:
        return wilson(int(right.sum()), right.shape[1], confidence)
    parts = _parts(strata, right.shape[1])
    weight, size = np.array([part.weight for part in parts]), np.array([len(part.members) for part in parts])
    mean = right.mean(0)  # (N,)
    spread = np.array([mean[part.members].var() for part in parts])
    value = _means(right, parts).mean()
    seeds = seed_variance(right, strata) / runs
    variance = seeds + (weight**2 * spread / np.maximum(size - 1, 1)).sum()
    equal = 1 / (weight**2 / size).sum()  # what the effective number would be if all samples were equally hard
    effective = min(value * (1 - value) / variance, right.size) if variance > 0 else equal
    score = wilson(min(value, 1.0) * effective, effective, confidence)

    rng = np.random.default_rng(rng)
    drawn = _resampled(right.sum(0), parts, rng, draws) / runs + _seed_part(seeds, runs - 1, rng, draws)
    low, high = np.quantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2]).tolist()
    return Interval(max(0.0, min(low, score.low)), min(1.0, max(high, score.high)))


def seed_variance(right: np.ndarray, strata: np.ndarray | None = None) -> float:
    """The variance of the accuracy from seed to seed on endlessly many samples: that on these, less what chance adds; >= 0."""
    right = _checked(right).astype(np.float64)
    runs, samples = right.shape
    if runs < 2:
        return 0.0
    parts = _parts(strata, samples)
    means = _means(right, parts)  # (S,)
    rest = right - right.mean(0) - means[:, None] + means.mean()  # what neither run nor sample explains: (S, N)
    square = (rest**2).sum(0) / (runs - 1)  # (N,)
    chance = sum(part.weight**2 * square[part.members].mean() / len(part.members) for part in parts)
    variance = float(means.var(ddof=1) - chance)
    return variance if variance > 1e-15 else 0.0  # not the rounding of a zero, which would break ties


# ---- the difference of two


def difference(
    a: np.ndarray,
    b: np.ndarray,
    rng: np.random.Generator | int = 0,
    draws: int = DRAWS,
    confidence: float = CONFIDENCE,
) -> Difference:
    """The accuracy of b minus that of a, (S', N) and (S, N) on the same samples: paired() or bootstrap_difference()."""
    a, b = _checked(a), _checked(b)
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"{a.shape[1]} and {b.shape[1]} samples; they must be the same")
    if len(a) == len(b) == 1:
        return paired(a[0], b[0], confidence)
    return bootstrap_difference(a, b, rng, draws, confidence)


def mcnemar(a: np.ndarray, b: np.ndarray) -> float:
    """p of McNemar's exact test: of the samples that only one of two runs (N,) has right, each has as good a chance to."""
    only_a, only_b = _only(a, b)
    return float(stats.binomtest(only_b, only_a + only_b).pvalue) if only_a + only_b else 1.0


def paired(a: np.ndarray, b: np.ndarray, confidence: float = CONFIDENCE) -> Difference:
    """Of two single runs (N,): p is McNemar's.

    The interval is the wider one, at each end, of that of Agresti and Min (Statistics in Medicine, 2005: Wald's after half a
    sample more in each cell of the table), and of the exact one that belongs to McNemar's test. So it holds 0 where p does
    not speak against it.
    """
    only_a, only_b = _only(a, b)
    samples, differ = np.size(a), only_a + only_b
    z = float(stats.norm.ppf((1 + confidence) / 2))
    middle = (only_b - only_a) / (samples + 2)
    half = z * math.sqrt(differ + 1 - (only_b - only_a) ** 2 / (samples + 2)) / (samples + 2)
    low, high = middle - half, middle + half
    if differ:
        exact = stats.binomtest(only_b, differ).proportion_ci(confidence, "exact")
        low = min(low, (2 * exact.low - 1) * differ / samples)
        high = max(high, (2 * exact.high - 1) * differ / samples)
    return Difference((only_b - only_a) / samples, max(-1.0, low), min(1.0, high), mcnemar(a, b))


def bootstrap_difference(
    a: np.ndarray,
    b: np.ndarray,
    rng: np.random.Generator | int = 0,
    draws: int = DRAWS,
    confidence: float = CONFIDENCE,
) -> Difference:
    """Of groups of runs (S, N) and (S', N), paired by sample: a wild bootstrap, in which there is no difference.

    In every draw each sample's difference turns its sign or not, and the seeds' part is that of the module's docstring. p
    is how often that goes as far as what was found; the interval reaches as far to either side as 95 % of the draws. Of
    single runs p would be McNemar's. The seeds' variance is taken to be the same in both groups, so a single run can be
    held against a group.
    """
    a, b = _checked(a), _checked(b)
    rng = np.random.default_rng(rng)
    variance, freedom = pooled_seed_variance(a, b)
    each = len(a) * b.sum(0) - len(b) * a.sum(0)  # (N,) whole numbers, exact: many are equal
    scale = len(a) * len(b) * len(each)
    size, count = np.unique(np.abs(each[each != 0]), return_counts=True)
    drawn = (2 * rng.binomial(count, 0.5, (draws, len(size))) - count) @ size / scale  # (draws,)
    far = np.abs(drawn + _seed_part(variance * (1 / len(a) + 1 / len(b)), freedom, rng, draws))
    value = float(each.sum() / scale)
    half = float(np.quantile(far, confidence, method="inverted_cdf"))
    if not half:  # not a sample differs; as wide as in paired()
        half = float(stats.norm.ppf((1 + confidence) / 2)) / (len(each) + 2)
    p = float((far >= abs(value)).sum() + 1) / (draws + 1)
    return Difference(value, max(-1.0, value - half), min(1.0, value + half), p)


def pooled_seed_variance(a: np.ndarray, b: np.ndarray) -> tuple[float, int]:
    """seed_variance of both groups together, and its degrees of freedom."""
    a, b = _checked(a), _checked(b)
    freedom = len(a) + len(b) - 2
    return ((len(a) - 1) * seed_variance(a) + (len(b) - 1) * seed_variance(b)) / max(freedom, 1), freedom


def holm(p: Sequence[float]) -> list[float]:
    """p of several tests, corrected so that the chance of any false alarm stays that of one (Holm, 1979)."""
    corrected, largest = [0.0] * len(p), 0.0
    for place, i in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
        largest = max(largest, min(1.0, (len(p) - place) * p[i]))
        corrected[i] = largest
    return corrected


def samples_needed(a: np.ndarray, b: np.ndarray, tests: int = 1, confidence: float = CONFIDENCE) -> int | None:
    """How many samples like these would show the difference in 80 % of cases, were it just as large as it looks.

    By the normal approximation: value ** 2 = (z + z') ** 2 (variance of the seeds + variance of the samples / N). None where
    there is no difference, or where it is the seeds that differ too much for any number of samples.

    Args:
        tests: how many tests are made; each then has that part of 1 - confidence.
    """
    a, b = _checked(a), _checked(b)
    each = b.mean(0) - a.mean(0)  # (N,)
    variance, _ = pooled_seed_variance(a, b)
    z = stats.norm.ppf(1 - (1 - confidence) / 2 / tests) + stats.norm.ppf(POWER)
    left = (each.mean() / z) ** 2 - variance * (1 / len(a) + 1 / len(b))
    needed = math.ceil(each.var() / left) if left > 0 else 0
    return needed if needed > len(each) else None


# ---- inside


class _Part(NamedTuple):
    """Samples that are resampled among themselves, and the weight of their mean."""

    members: np.ndarray
    weight: float


def _parts(strata: np.ndarray | None, samples: int) -> list[_Part]:
    """All samples, or each stratum; strata of one sample, which alone would never vary, are one part together."""
    if strata is None:
        return [_Part(np.arange(samples), 1.0)]
    _, strata, size = np.unique(strata, return_inverse=True, return_counts=True)
    parts = [_Part(np.flatnonzero(strata == i), 1 / len(size)) for i in np.flatnonzero(size > 1)]
    alone = np.flatnonzero(size[strata] == 1)
    return [*parts, _Part(alone, len(alone) / len(size))] if len(alone) else parts


def _means(right: np.ndarray, parts: list[_Part]) -> np.ndarray:
    """(S,) the accuracy of every run, the weighted mean of its parts."""
    return sum(part.weight * right[:, part.members].mean(1) for part in parts)


def _resampled(values: np.ndarray, parts: list[_Part], rng: np.random.Generator, draws: int) -> np.ndarray:
    """(draws,) the weighted mean of the parts of (N,) values, each resampled with replacement.

    How often each value is drawn is drawn, not each sample: there are few values. Deviations are stretched by
    sqrt(n / (n - 1)), by which those of a resample are too small.
    """
    total = np.zeros(draws)
    for members, weight in parts:
        value, count = np.unique(values[members], return_counts=True)
        size = len(members)
        mean = (value * count).sum() / size
        drawn = rng.multinomial(size, count / size, draws) @ value / size
        total += weight * (mean + (drawn - mean) * math.sqrt(size / max(size - 1, 1)))
    return total


def _seed_part(variance: float, freedom: int, rng: np.random.Generator, draws: int) -> np.ndarray | float:
    """(draws,) by how much other seeds could have changed a mean of that variance."""
    return math.sqrt(variance) * rng.standard_t(freedom, draws) if variance > 0 else 0.0


def _checked(right: np.ndarray) -> np.ndarray:
    """(S, N) int64."""
    right = np.atleast_2d(np.asarray(right))
    if right.ndim != 2 or 0 in right.shape or not np.isin(right, (0, 1)).all():
        raise ValueError(f"right has shape {right.shape}: (S, N) of 0 and 1 is needed, with one sample at least")
    return right.astype(np.int64)


def _only(a: np.ndarray, b: np.ndarray) -> tuple[int, int]:
    """How many samples only one of two runs has right."""
    a, b = np.asarray(a, bool), np.asarray(b, bool)
    if a.shape != b.shape or a.ndim != 1 or not len(a):
        raise ValueError(f"{a.shape} and {b.shape}: two runs (N,) on the same samples are needed")
    return int((a & ~b).sum()), int((b & ~a).sum())
