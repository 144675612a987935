"""What becomes of annotated joints in the eyes of a pose estimator: errors, gaps, doubtful scores, mixed-up sides."""

from __future__ import annotations

import numpy as np


def simulate_detection(
    clip: np.ndarray,
    flip: np.ndarray,
    aspect: float,
    rng: np.random.Generator,
    jitter=0.03,
    lost=0.1,
    scores=(0.3, 0.9),
) -> np.ndarray:
    """A 2-D clip (3, T, V, M) of centred fractions, spoilt.

    Args:
        flip: Skeleton.flip, (V,); in every second clip the sides change names.
        aspect: width of the frame over its height.
        jitter: standard deviation of the error of every coordinate, in body sizes: the longer side of the box around
            the joints, the median over the frames.
        lost: probability of every joint in every frame to be missing.
        scores: what the score of a joint is drawn from.
    """
    seen = clip[2:] > 0  # (1, T, V, M)
    unit = np.array([aspect, 1.0])[:, None, None, None]
    places = np.where(seen, clip[:2] * unit, np.nan)
    there = seen.any((0, 2, 3))
    extent = np.nanmax(places[:, there], (2, 3)) - np.nanmin(places[:, there], (2, 3))  # (2, frames)
    size = np.median(extent.max(0)) if there.any() else 0.0
    out = clip.copy()
    out[:2] += rng.normal(0, 1, out[:2].shape) * jitter * size / unit
    out[2:] = rng.uniform(*scores, seen.shape)
    out *= seen & (rng.random(seen.shape) >= lost)
    return out[:, :, flip] if rng.random() < 0.5 else out
