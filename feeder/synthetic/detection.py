"""Simulated pose estimators: errors, missing joints, doubtful scores, left-right swaps.

Two of them, for two kinds of input. `detect` knows the depth of every joint of a synthetic body, so that what is hidden behind
the body is doubtful. `simulate_detection` makes annotated 2-D clips noisy. The augmentations of feeder/transforms.py
(joint_dropout, jitter, swap_sides) are others on purpose: wider, for whole batches, and for training alone.
"""

from __future__ import annotations

import numpy as np

from feeder.synthetic.actions import FPS, drift
from feeder.synthetic.camera import FRAME_SIZE


def detect(pixels: np.ndarray, depth: np.ndarray, rng) -> tuple[np.ndarray, np.ndarray]:
    """A simulated pose estimator: keypoints (T, V, 2), centred fractions of the frame, and scores (T, V).

    Keypoints have jitter; what is far behind the body or on the far side of the head is doubtful; what is doubtful, out of the
    frame, or lost for a while is missing: zero in all channels.
    """
    T, V = depth.shape
    scores = rng.uniform(0.75, 0.9) + 0.08 * drift(rng, T, V) - 0.5 * np.maximum(-depth - 0.1, 0)
    ear = (depth[:, [16, 17]] - depth[:, [17, 16]]) / 0.15  # -1..1: how much an ear is turned to the camera
    scores[:, [16, 17]] -= np.maximum(0, -0.2 - ear) * 2
    scores[:, [14, 15]] -= np.maximum(0, -0.65 - ear) * 3
    for _ in range(rng.poisson(rng.exponential(1.5) * T / FPS)):
        start, frames = rng.integers(T), rng.integers(2, 30)
        scores[start : start + frames, rng.integers(V)] -= rng.uniform(0.2, 1.0)
    scores[rng.random(T) < 0.004] = 0  # no person was found in this frame

    size = np.ptp(pixels[..., 1], 1).mean()
    noise = size * rng.uniform(0.0015, 0.005) * (rng.normal(size=(T, V, 2)) + drift(rng, T, V, 2))
    pixels = pixels + noise * (1 + 2 * (1 - scores.clip(0, 1)))[..., None]
    keypoints = pixels / FRAME_SIZE - 0.5
    scores = np.where((np.abs(keypoints) < 0.5).all(-1) & (scores > 0.1), scores.clip(0, 1), 0)
    return keypoints * (scores > 0)[..., None], scores


def simulate_detection(
    clip: np.ndarray,
    flip: np.ndarray,
    aspect: float,
    rng: np.random.Generator,
    jitter=0.03,
    lost=0.1,
    scores=(0.3, 0.9),
) -> np.ndarray:
    """A 2-D clip (3, T, V, M) of centred fractions, with the noise of a detector.

    Args:
        flip: Skeleton.flip, (V,); every second clip is swapped left and right.
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
