"""Clips that are there twice: the same bytes, or the same motion after resampling, moving, scaling or in a mirror.

The same motion: the joints' ways around their own mean (measure.motion), of unit length, differ by less than NEAR. Two
recordings of one action by one person differ by 0.12 at least in UTD-MHAD (the nearest of all pairs of Penn Action are at 0.16,
of SBU at 0.24), a copy with noise of a hundredth of the body by less than 0.1. All pairs are compared by their sketches,
block by block; those that are near are compared again on the clips.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

NEAR = 0.1  # of the length of the motion
SKETCHED = 0.13  # the same between sketches, which are off by 9 % (standard deviation)
BLOCK = 4096  # clips by clips that are compared at once
MOST_PAIRS, MOST_LOOKS = 5_000_000, 150_000  # pairs of near sketches; those that are looked at on the clips


@dataclass(frozen=True)
class Pair:
    """Two clips (their numbers, one < two) that are one.

    Attributes:
        how: "exact", "near" or "mirrored".
        distance: of the motions, 0 for exact.
    """

    one: int
    two: int
    how: str
    distance: float = 0.0


def exact(digest: np.ndarray) -> list[Pair]:
    """Pairs of the same bytes, (N, 2) uint64: each clip with the first one like it. Empty clips have digest 0."""
    first: dict[tuple, int] = {}
    pairs = []
    for i, key in enumerate(map(tuple, digest.tolist())):
        if key == (0, 0):
            continue
        if key in first:
            pairs.append(Pair(first[key], i, "exact"))
        else:
            first[key] = i
    return pairs


def candidates(
    sketches: np.ndarray, progress: Callable[[int], None] = lambda done: None
) -> Iterator[tuple[int, int, str]]:
    """(one, two, how) of sketches (N, 2, WIDTH) that are near; one < two."""
    moving = np.flatnonzero(sketches[:, 0].any(1))
    plain, mirror = sketches[moving, 0], sketches[moving, 1]
    half = np.square(plain).sum(1, dtype=np.float32) / 2
    rows = [np.concatenate([part, -half_of[:, None], np.ones_like(half)[:, None]], 1)
            for part, half_of in ((plain, half), (mirror, np.square(mirror).sum(1) / 2))]  # fmt: skip
    columns = np.concatenate([plain, np.ones_like(half)[:, None], -half[:, None]], 1)  # row @ column = -distance² / 2
    least = np.float32(-(SKETCHED**2) / 2)
    for a in range(0, len(moving), BLOCK):
        for b in range(a, len(moving), BLOCK):
            for how, row in zip(("near", "mirrored"), rows):
                near = row[a : a + BLOCK] @ columns[b : b + BLOCK].T > least
                if near.any():
                    for i, j in np.argwhere(near):
                        if a + i < b + j:
                            yield int(moving[a + i]), int(moving[b + j]), how
        progress(len(plain[a : a + BLOCK]))


def verified(
    pairs: Iterator[tuple[int, int, str]],
    motion_of: Callable[[int], np.ndarray],
    mirror: Callable[[np.ndarray], np.ndarray],
) -> tuple[list[Pair], bool]:
    """Those whose motions are as near as their sketches, and whether there were too many to look at all.

    Of many clips that are one, each is paired once: what others have connected is not looked at again.

    Args:
        motion_of: (D, moments, V, M) of a clip.
        mirror: of such a motion.
    """
    found: list[Pair] = []
    parent: dict[int, int] = {}
    looked = 0

    def root(i: int) -> int:
        while parent.setdefault(i, i) != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for count, (one, two, how) in enumerate(pairs):
        if root(one) == root(two):
            continue
        if looked == MOST_LOOKS or count >= MOST_PAIRS:
            return found, True
        looked += 1
        a, b = motion_of(one), motion_of(two)
        a = mirror(a) if how == "mirrored" else a
        distance = float(np.linalg.norm(_unit(a) - _unit(b)))
        if distance < NEAR:
            found.append(Pair(one, two, how, distance))
            parent[root(two)] = root(one)
    return found, False


def _unit(motion: np.ndarray) -> np.ndarray:
    return motion / max(float(np.linalg.norm(motion)), 1e-9)
