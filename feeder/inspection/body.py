"""A clip without its padding: the persons that are in it, and how far their joints go from frame to frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from feeder.skeleton import Skeleton

FAR = np.float32(1e30)  # outside of every box


@dataclass(frozen=True)
class Spot:
    """Where in a clip something was found.

    Attributes:
        kind: of the problem, a key of feeder.inspection.findings.KINDS.
        first, last: frames of the clip as stored, both included.
        detail: which joint, bone or person.
        amount: how bad it is; the unit depends on the kind, more is worse.
    """

    kind: str
    first: int
    last: int
    detail: str = ""
    amount: float = 0.0


@dataclass(eq=False)
class Person:
    """One person of a clip, in units in which x, y (and z) are alike.

    Attributes:
        slot: which of the M persons of the sample.
        points: (D, T, V) float32.
        seen: (T, V) bool.
        size: the longer side of the box around the joints, median over the frames.
        both: (T-1, V) bool: seen in this frame and in the next.
        step: (T-1, V) float32: the way from this frame to the next, in sizes; 0 where it is not known.
    """

    slot: int
    points: np.ndarray
    seen: np.ndarray
    size: float
    both: np.ndarray
    step: np.ndarray

    @property
    def there(self) -> np.ndarray:
        """(T,) bool: frames in which a joint was seen."""
        return self.seen.any(1)


@dataclass(frozen=True)
class Body:
    """What the checks need of a layout: names (V,), bones (B, 2) of child and parent, mirror pairs (P, 2)."""

    names: tuple[str, ...]
    bones: np.ndarray
    pairs: np.ndarray

    @classmethod
    def of(cls, skeleton: Skeleton | None, num_joint: int) -> Body:
        """Without a layout, or with one of another number of joints, there are neither bones nor pairs."""
        if skeleton is None or skeleton.num_joint != num_joint:
            none = np.zeros((0, 2), int)
            return cls(tuple(f"joint {v}" for v in range(num_joint)), none, none)
        bones = np.array(skeleton.bones, int).reshape(-1, 2)
        return cls(skeleton.joints, bones, np.array(skeleton.mirror, int).reshape(-1, 2))


def cut(clip: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A clip (C, T, V, M) up to its last real frame, and where a joint was seen, (T, V, M) bool."""
    seen = clip[0] != 0
    for channel in clip[1:]:
        seen |= channel != 0
    real = np.flatnonzero(seen.any((1, 2)))
    length = int(real[-1]) + 1 if len(real) else 0
    return clip[:, :length], seen[:length]


def persons(clip: np.ndarray, seen: np.ndarray, dimension: int, aspect: float = 1.0) -> list[Person]:
    """The persons of a clip that was cut, whose values are finite."""
    found = []
    for slot in np.flatnonzero(seen.any((0, 1))):
        points = np.array(clip[:dimension, :, :, slot], np.float32, order="C")
        if dimension == 2 and aspect != 1:
            points[0] *= np.float32(aspect)
        found.append(_person(int(slot), points, np.ascontiguousarray(seen[..., slot])))
    return found


def _person(slot: int, points: np.ndarray, seen: np.ndarray) -> Person:
    low = np.where(seen, points, FAR).min(2)  # (D, T)
    high = np.where(seen, points, -FAR).max(2)
    side = (high - low).max(0)
    side = side[side > 0]
    size = float(np.median(side)) if len(side) else 0.0
    both = seen[1:] & seen[:-1]
    step = np.sqrt(np.square(np.diff(points, axis=1)).sum(0)) * both
    return Person(slot, points, seen, size, both, step / np.float32(size or 1))


def runs(true: np.ndarray) -> list[tuple[int, int]]:
    """(first, last) of every run of True in (N,) bool."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], true, [False]]).astype(np.int8)))
    return [(int(a), int(b) - 1) for a, b in zip(edges[::2], edges[1::2])]
