"""What kind of coordinates clips have, told from their values, with the evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from feeder.inspection.body import Body, cut


@dataclass(frozen=True)
class Kind:
    """pixels, fractions, centred, normalised, metres, millimetres or unknown; the evidence is one sentence."""

    name: str
    evidence: str

    @property
    def words(self) -> str:
        return WORDS[self.name]


WORDS = {
    "pixels": "pixels",
    "fractions": "fractions of the frame, 0 to 1",
    "centred": "centred fractions of the frame, -0.5 to 0.5",
    "normalised": "normalised, -1 to 1",
    "metres": "metres",
    "millimetres": "millimetres",
    "unknown": "of an unknown unit",
}

ROUGHER = 2.0  # times as rough as x and y
PIXELS = 4.0  # what is further to the right is not a fraction


def recognise(low: np.ndarray, high: np.ndarray, size: np.ndarray, dimension: int) -> Kind:
    """From the lowest and highest coordinates of N clips, (N, C), and the sizes of their bodies, (N,).

    A hundredth of the clips at either end may be anything.
    """
    there = np.isfinite(low).all(1)
    if not there.any():
        return Kind("unknown", "no joint was seen")
    least = np.quantile(low[there], 0.01, axis=0)[:dimension]
    most = np.quantile(high[there], 0.99, axis=0)[:dimension]
    axes = ", ".join(f"{axis} {a:.4g} to {b:.4g}" for axis, a, b in zip("xyz", least, most))
    tall = float(np.median(size[there]))
    if dimension == 3:
        evidence = f"{axes}; bodies are {tall:.3g} tall (median)"
        if 0.6 <= tall <= 2.6:
            near = max(np.abs(least).max(), np.abs(most).max()) <= 1.02
            return Kind("normalised" if near and tall <= 2.04 and _fills(least, most) else "metres", evidence)
        return Kind("millimetres" if 600 <= tall <= 2600 else "unknown", evidence)
    evidence = axes
    if most.max() > 4:
        return Kind("pixels" if least.min() > -0.5 * most.max() else "unknown", evidence)
    if least.min() >= -0.02 and most.max() <= 1.05:
        return Kind("fractions", evidence)
    if least.min() >= -0.55 and most.max() <= 0.55:
        return Kind("centred", evidence)
    if least.min() >= -1.1 and most.max() <= 1.1:
        return Kind("normalised", evidence)
    return Kind("unknown", evidence)


def _fills(least: np.ndarray, most: np.ndarray) -> bool:
    """Do the clips reach -1 and 1 on an axis, as normalised ones do?"""
    return bool(((least < -0.97) & (most > 0.97)).any())


def has_scores(clips: Sequence[np.ndarray], body: Body) -> bool:
    """Is the third channel of these clips (C, T, V, M) a score, and not a depth?

    A score is in 0..1. It is one where x and y are pixels; where it is the same for all joints; where x and y are on both sides
    of 0 and it never is, unless bones keep their lengths better with it, as they do with a depth; and where it is much rougher
    than x and y.
    """
    flat, steadier, rough, low, high = [], [], [], np.zeros(2), np.zeros(2)
    for clip in clips:
        clip, seen = cut(clip)
        if len(clip) < 3 or not seen.any():
            continue
        third = clip[2][seen]
        if not np.isfinite(clip).all() or third.min() < 0 or third.max() > 1:
            return False
        low, high = np.minimum(low, clip[:2].min((1, 2, 3))), np.maximum(high, clip[:2].max((1, 2, 3)))
        flat.append(len(np.unique(third)) < 0.02 * len(third) or np.ptp(third) < 1e-6)
        both = seen[1:] & seen[:-1]
        if both.any():
            rough.append([_roughness(channel, seen, both) for channel in clip[:3]])
        steadier.append(_steadier(clip, seen, body))
    if not flat:
        return False
    if np.mean(flat) > 0.5 or high.max() > PIXELS:
        return True
    if (low < -0.01).all() and (high > 0.01).all():
        return not np.mean(steadier) > 0.5
    x, y, z = np.median(rough, 0) if rough else (1, 1, 0)
    return bool(z > ROUGHER * max(x, y))


def _roughness(channel: np.ndarray, seen: np.ndarray, both: np.ndarray) -> float:
    """The usual step from frame to frame, over the spread."""
    spread = channel[seen].std()
    return float(np.abs(np.diff(channel, axis=0))[both].mean() / max(spread, 1e-9))


def _steadier(clip: np.ndarray, seen: np.ndarray, body: Body) -> bool:
    """Do most bones change less over the clip with the third channel than without it?"""
    if not len(body.bones):
        return False
    child, parent = body.bones.T
    known = (seen[:, child] & seen[:, parent]).astype(float)  # (T, B, M)
    square = np.square(clip[:3][:, :, child] - clip[:3][:, :, parent])

    def change(length: np.ndarray) -> np.ndarray:
        count = np.maximum(known.sum((0, 2)), 1)
        mean = (length * known).sum((0, 2)) / count
        spread = np.sqrt((np.square(length - mean[:, None]) * known).sum((0, 2)) / count)
        return spread / np.maximum(mean, 1e-9)

    return bool(np.mean(change(np.sqrt(square.sum(0))) < change(np.sqrt(square[:2].sum(0)))) > 0.5)
