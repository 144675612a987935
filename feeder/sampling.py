"""Sampling of frames: which frames of a clip make up a sample. Pure functions on arrays.

They take a batch (N, C, T, V, M), a list of clips (C, T, V, M) or a feeder.ragged.Ragged, and return a new batch: of a clip
that still lies on disk only the sampled frames are read. `rng` is a feeder.rng.ClipRNG.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from feeder.ragged import Ragged, Shape
from feeder.rng import ClipRNG


def stored(batch: Iterable[np.ndarray]) -> Iterable[np.ndarray]:
    """The clips of a batch as they are stored: those of a Ragged without their padding."""
    return batch.clips if isinstance(batch, Ragged) else batch


def sample_shape(batch: Sequence[np.ndarray]) -> Shape:
    """(C, T, V, M) of the clips of a batch, with their padding."""
    return batch.shape if isinstance(batch, Ragged) else batch[0].shape


def real_frames(batch: Iterable[np.ndarray]) -> np.ndarray:
    """Frames up to the last one with a joint in it: (N,) int, at least 1."""
    return np.array([np.flatnonzero(clip.any(axis=(0, 2, 3))).max(initial=0) + 1 for clip in stored(batch)])


def take_frames(batch: Sequence[np.ndarray], frames: np.ndarray) -> np.ndarray:
    """The frames (N, L) of each clip; a frame number of -1 gives an empty frame. -> (N, C, L, V, M)"""
    C, _, V, M = sample_shape(batch)
    out = np.empty((len(frames), C, frames.shape[1], V, M), np.float32)
    for clip, chosen, taken in zip(stored(batch), frames, out):
        _, t, _, m = clip.shape  # fewer than T and M where the padding is left out
        if t:
            clip.take(chosen, axis=1, out=taken[..., :m], mode="wrap")
        taken[..., m:] = 0
        if chosen.min() < 0 or chosen.max() >= t:
            taken[:, (chosen < 0) | (chosen >= t)] = 0
    return out


def window(batch: Sequence[np.ndarray], size: int) -> np.ndarray:
    """`size` frames: the middle of the real frames where there are more, padded with empty frames where there are fewer."""
    T = sample_shape(batch)[1]
    begin = np.maximum(real_frames(batch) - size, 0) // 2
    frames = begin[:, None] + np.arange(size)
    return take_frames(batch, np.where(frames < T, frames, -1))


def random_window(batch: Sequence[np.ndarray], size: int, rng: ClipRNG) -> np.ndarray:
    """`size` frames beginning anywhere; a shorter clip lands anywhere in the window. (The original's `random_choose`.)"""
    T = sample_shape(batch)[1]
    begin = rng.integers(min(0, T - size), max(0, T - size) + 1)
    frames = begin[:, None] + np.arange(size)
    return take_frames(batch, np.where((frames >= 0) & (frames < T), frames, -1))


def random_shift(batch: Sequence[np.ndarray], rng: ClipRNG) -> np.ndarray:
    """The real frames begin anywhere they still fit, with empty frames around them."""
    T = sample_shape(batch)[1]
    length = real_frames(batch)
    begin = rng.integers(0, T - length + 1)
    frames = np.arange(T) - begin[:, None]
    return take_frames(batch, np.where((frames >= 0) & (frames < length[:, None]), frames, -1))


def drawn_frames(length: np.ndarray, size: int, rng: ClipRNG | None = None) -> np.ndarray:
    """`size` of the real frames in their order, each drawn from all of them; without rng evenly spaced, the first to the last.

    Args:
        length: (N,) real frames of each clip.

    Returns:
        (N, size) int frame numbers, some of them more than once.
    """
    if rng is None:
        return np.linspace(0, length - 1, size, axis=1).astype(np.int64)
    return np.sort((rng.uniform(shape=(size,)) * length[:, None]).astype(np.int64), axis=1)


def uniform_frames(
    length: np.ndarray,
    size: int,
    num_clips: int = 1,
    crop: float | Sequence[int] = 1.0,
    repeat: int = 1,
    rng: ClipRNG | None = None,
    loop: bool = False,
) -> np.ndarray:
    """One frame from each of `size` equal bins over the real frames (uniform sampling, PYSKL; Duan et al. 2022).

    Args:
        length: (N,) real frames of each clip.
        size: bins, the frames of a sample.
        num_clips: samples of one clip without rng, at evenly spaced places in the bins.
        crop: smallest fraction of the clip that the bins cover, or how many of its frames, (least, most); the part is
            random.
        repeat: the clip comes up to so many times, one after the other; how often is random.
        rng: with it a frame is drawn at random in each bin; without it nothing is random.
        loop: a clip of fewer frames than bins keeps its speed and is repeated, as in PYSKL, instead of being stretched.

    Returns:
        (N, num_clips, size) int frame numbers.
    """
    length = length[:, None, None].astype(np.float64)
    if rng is None:
        inside = (np.arange(num_clips)[:, None] + 0.5) / num_clips  # the same place in every bin
        frames = (np.arange(size) + inside) * (length / size)
    else:
        inside = rng.uniform(shape=(1, size))
        whole = length * np.floor(rng.uniform(1, repeat + 1, (1, 1))) if repeat > 1 else length
        if np.isscalar(crop):
            part = rng.uniform(crop, 1.0, (1, 1)) * whole
        else:
            part = np.minimum(rng.uniform(*crop, (1, 1)), whole)
        begin = rng.uniform(shape=(1, 1)) * (whole - part)
        frames = begin + (np.arange(size) + inside) * (part / size)
        frames = frames % length if repeat > 1 else frames
    if loop:
        begin = np.floor((rng.uniform(shape=(1, 1)) if rng else np.arange(num_clips)[:, None] / num_clips) * length)
        frames = np.where(length < size, (begin + np.arange(size)) % length, frames)
    return np.minimum(frames.astype(np.int64), length.astype(np.int64) - 1)
