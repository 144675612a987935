"""One look at a clip: what is counted for the facts, what is wrong with it, and a sketch of its motion to compare by."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from feeder.inspection.body import Body, Spot, cut, persons
from feeder.inspection.motion import check_motion

MOMENTS, WIDTH = 16, 64  # frames that a sketch is made from, and its numbers
LEAST_MOTION = 0.003  # of the body: what moves less has no motion to compare
SCORE_BINS = 20


@dataclass(frozen=True)
class Setting:
    """What a clip is measured against.

    Attributes:
        body: names, bones and mirror pairs.
        dimension: 2 (channels x, y, score) or 3 (x, y, z).
    """

    body: Body
    dimension: int

    @property
    def flip(self) -> np.ndarray:
        """(V,): the permutation that swaps left and right."""
        flip = np.arange(len(self.body.names))
        for a, b in self.body.pairs:
            flip[[a, b]] = b, a
        return flip


@dataclass(eq=False)
class Measures:
    """The measures of N clips.

    Attributes:
        length: (N,) frames up to the last real one.
        persons: (N,) persons who are in it.
        there: (N,) frames that a person is seen in, summed over the persons.
        seen: (N, V) of these, those in which the joint is seen.
        low, high: (N, C) of the coordinates that were seen; NaN where there are none.
        size: (N,) of the largest person, in units of the data (2-D: of y); NaN where there is none.
        scores: (SCORE_BINS,) how many scores of seen joints are in each bin of 0..1.
        digest: (N, 2) uint64, of the bytes of the real frames.
        sketch: (N, 2, WIDTH) float32, of the motion and of its mirror image; 0 where there is none.
        spots: (clip, Spot) of everything that was found.
    """

    length: np.ndarray
    persons: np.ndarray
    there: np.ndarray
    seen: np.ndarray
    low: np.ndarray
    high: np.ndarray
    size: np.ndarray
    scores: np.ndarray
    digest: np.ndarray
    sketch: np.ndarray
    spots: list[tuple[int, Spot]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.length)

    @classmethod
    def empty(cls, N: int, C: int, V: int) -> Measures:
        """For N clips of C channels and V joints, to be filled in."""
        nan = np.full((N, C), np.nan, np.float32)
        return cls(
            *(np.zeros(N, int) for _ in range(3)),
            np.zeros((N, V), int),
            nan,
            nan.copy(),
            np.full(N, np.nan, np.float32),
            np.zeros(SCORE_BINS, int),
            np.zeros((N, 2), np.uint64),
            np.zeros((N, 2, WIDTH), np.float32),
        )

    @classmethod
    def concatenate(cls, several: Sequence[Measures]) -> Measures:
        """Those of all clips, one after the other; the spots are already numbered through."""
        names = ("length", "persons", "there", "seen", "low", "high", "size")
        rest = ("digest", "sketch")
        joined = {name: np.concatenate([getattr(each, name) for each in several]) for name in names + rest}
        spots = [spot for each in several for spot in each.spots]
        return cls(**joined, scores=np.sum([each.scores for each in several], 0), spots=spots)


def measure(clips: Sequence[np.ndarray], aspect: Sequence[float], setting: Setting, first: int = 0) -> Measures:
    """Clips (C, T, V, M) as stored; `first` is the number of the first one, for the spots."""
    C, _, V, _ = clips[0].shape
    measures = Measures.empty(len(clips), C, V)
    for i, clip in enumerate(clips):
        with np.errstate(over="ignore", invalid="ignore"):  # coordinates may be of any size
            spots = _one(measures, i, clip, float(aspect[i]), setting)
        measures.spots += [(first + i, spot) for spot in spots]
    return measures


def _one(to: Measures, i: int, clip: np.ndarray, aspect: float, setting: Setting) -> list[Spot]:
    """Fill in row i and give what is wrong."""
    clip, seen = cut(clip)
    to.length[i] = T = clip.shape[1]
    if T == 0:
        return [Spot("empty", 0, 0)]
    real = np.ascontiguousarray(clip)
    to.digest[i] = np.frombuffer(hashlib.blake2b(real.tobytes(), digest_size=16).digest(), np.uint64)
    to.persons[i] = int(seen.any((0, 1)).sum())
    to.seen[i], to.there[i] = seen.sum((0, 2)), seen.any(1).sum()
    if not np.isfinite(real.sum()) and not np.isfinite(real).all():  # the first is quick, but may overflow
        bad = ~np.isfinite(real)
        frames = np.flatnonzero(bad.any((0, 2, 3)))
        joints = [setting.body.names[v] for v in np.flatnonzero(bad.any((0, 1, 3)))]
        return [Spot("not_finite", int(frames[0]), int(frames[-1]), _some(joints), float(bad.sum()))]
    to.low[i] = np.where(seen, real, np.inf).min((1, 2, 3))
    to.high[i] = np.where(seen, real, -np.inf).max((1, 2, 3))
    dimension = setting.dimension
    if dimension == 2 and len(real) > 2:
        bins = (np.clip(real[2][seen], 0, 1) * SCORE_BINS).astype(np.int64)
        to.scores += np.bincount(np.minimum(bins, SCORE_BINS - 1), minlength=SCORE_BINS)
    found = persons(real, seen, dimension, aspect)
    to.size[i] = max(person.size for person in found)
    if T == 1:
        return [Spot("one_frame", 0, 0)]
    y = motion(real[:dimension], seen, MOMENTS, aspect if dimension == 2 else 1.0)
    amount = float(np.sqrt(np.square(y).sum(0).mean()))
    if np.isfinite(amount) and amount > LEAST_MOTION * to.size[i]:
        to.sketch[i] = sketch(y, setting.flip)
    return check_motion(found, setting.body, dimension)


def motion(points: np.ndarray, seen: np.ndarray, moments: int, aspect: float = 1.0) -> np.ndarray:
    """Where each joint is at so many evenly spaced moments, relative to its own mean: (D, T, V, M) -> (D, moments, V, M).

    So neither the frame rate nor the place matters; a joint that is missing at a moment is at its mean.
    """
    T = points.shape[1]
    at = np.linspace(0, T - 1, moments)
    before = np.floor(at).astype(int)
    after = np.minimum(before + 1, T - 1)
    part = (at - before).astype(np.float32)[:, None, None]
    w0, w1 = seen[before] * (1 - part), seen[after] * part  # (moments, V, M)
    weight = w0 + w1
    there = weight > 0
    y = (points[:, before] * w0 + points[:, after] * w1) / np.where(there, weight, 1)
    mean = y.sum(1, keepdims=True) / np.maximum(there.sum(0), 1)
    y = (y - mean) * there
    y[0] *= np.float32(aspect)
    return y.astype(np.float32, copy=False)


def sketch(y: np.ndarray, flip: np.ndarray) -> np.ndarray:
    """A motion and its mirror image as (2, WIDTH): random projections, which keep the distances of motions of unit length.

    (Johnson and Lindenstrauss, 1984: to about 9 % here.)
    """
    y = y / np.linalg.norm(y)
    project = _projection(y.size)
    return np.stack([y.ravel() @ project, mirrored(y, flip).ravel() @ project])


def mirrored(y: np.ndarray, flip: np.ndarray) -> np.ndarray:
    """x negated, left and right joints exchanged."""
    y = y[:, :, flip]
    y[0] *= -1
    return y


_PROJECTIONS: dict[int, np.ndarray] = {}


def _projection(size: int) -> np.ndarray:
    if size not in _PROJECTIONS:
        numbers = np.random.default_rng(0).standard_normal((size, WIDTH)) / np.sqrt(WIDTH)
        _PROJECTIONS[size] = numbers.astype(np.float32)
    return _PROJECTIONS[size]


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
