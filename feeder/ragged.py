"""Clips without their padding: of a sample (C, T, V, M) only the frames and the persons that there are, (C, t, V, m).

Whoever indexes them gets samples with their padding, as from a .npy; feeder/sampling.py alone looks at the clips as they
are stored, since that is much less to read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np

Shape = tuple[int, int, int, int]  # (C, T, V, M)


def without_padding(sample: np.ndarray) -> np.ndarray:
    """A sample (C, T, V, M) float32 up to its last frame and its last person that are not all zero: (C, t, V, m), a view.

    A negative zero is a value, so that padding() gives back every bit; a sample of nothing but zeros is (C, 0, V, 0).
    """
    seen = np.ascontiguousarray(sample).view(np.uint32) != 0
    t = np.flatnonzero(seen.any(axis=(0, 2, 3))).max(initial=-1) + 1
    m = np.flatnonzero(seen.any(axis=(0, 1, 2))).max(initial=-1) + 1
    return sample[:, :t, :, :m]


def padded(clip: np.ndarray, shape: Shape) -> np.ndarray:
    """A clip (C, t, V, m) as a sample (C, T, V, M), with zeros where there is nothing."""
    if clip.shape == shape:
        return clip
    sample = np.zeros(shape, np.float32)
    sample[:, : clip.shape[1], :, : clip.shape[3]] = clip
    return sample


class Ragged(Sequence[np.ndarray]):
    """Some clips in memory: a sequence of samples (C, T, V, M).

    Attributes:
        clips: the same without their padding, (C, t, V, m) each.
        shape: (C, T, V, M) of the samples.
    """

    def __init__(self, clips: Sequence[np.ndarray], shape: Shape) -> None:
        self.clips, self.shape = clips, shape

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, i: int) -> np.ndarray:
        return padded(self.clips[i], self.shape)


class Values(Protocol):
    """The values of all clips, one after the other: a float32 array (S,), or what reads slices of one from disk."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: slice) -> np.ndarray: ...


class RaggedData:
    """All clips of a packed data set, as an array (N, C, T, V, M) is indexed: by a number, a slice, or an array of numbers.

    Args:
        values: of all clips, each (C, t, V, m) in C order.
        shape: (C, T, V, M) of a sample.
        num_frame, num_person: (N,) t and m of each clip.
    """

    dtype, ndim = np.dtype(np.float32), 5

    def __init__(self, values: Values, shape: Shape, num_frame: np.ndarray, num_person: np.ndarray) -> None:
        self.values, self.shape = values, (len(num_frame), *shape)
        self.num_frame, self.num_person = num_frame.astype(np.int64), num_person.astype(np.int64)
        size = self.num_frame * self.num_person * (shape[0] * shape[2])
        self.begin = np.concatenate([[0], np.cumsum(size)])  # (N + 1,)

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: int | slice | Sequence[int] | np.ndarray) -> np.ndarray:
        if isinstance(index, int | np.integer):
            return padded(self.clip(range(len(self))[index]), self.shape[1:])
        numbers = range(*index.indices(len(self))) if isinstance(index, slice) else np.arange(len(self))[index]
        samples = np.zeros((len(numbers), *self.shape[1:]), np.float32)
        for sample, i in zip(samples, numbers):
            clip = self.clip(int(i))
            sample[:, : clip.shape[1], :, : clip.shape[3]] = clip
        return samples

    def __array__(self, dtype: np.dtype | None = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype)

    def clip(self, i: int) -> np.ndarray:
        """Clip i without its padding, (C, t, V, m)."""
        _, C, _, V, _ = self.shape
        values = self.values[self.begin[i] : self.begin[i + 1]]
        return values.reshape(C, self.num_frame[i], V, self.num_person[i])

    def take(self, numbers: np.ndarray) -> Ragged:
        """Some clips."""
        return Ragged([self.clip(i) for i in numbers], self.shape[1:])
