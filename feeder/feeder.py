"""Feeder: a packed data set and a Preprocess, and the samples that come out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from feeder import transforms
from feeder.dataset import DatasetInfo, is_h5, read_info
from feeder.packed import read_packed
from feeder.pipeline import DrawFrames, Sampler
from feeder.preprocess import NotFiniteError, Preprocess, check_finite
from feeder.ragged import RaggedData
from feeder.rng import ClipRNG
from feeder.skeleton import Skeleton, load_skeleton
from torchlight.errors import DataError, short

DEBUG_CLIPS = 100
CHUNK = 16  # clips transformed at once: for larger arrays the system maps fresh memory every time, page by page

Index = int | tuple[int, int]  # a clip, as drawn in epoch 0; or (epoch, clip)


class Feeder:
    """Clips of a packed data set (`*_data.npy` and `*_label.pkl`, or an `.h5`), read from disk as they are asked for.

    A sample is (C, T, V, M) float32 and its label an int; with num_clips > 1 it is (num_clips, C, T, V, M).
    An index is a clip, or (epoch, clip): the randomness of a clip depends on (seed, epoch, clip) and nothing else.

    Args:
        data_path: the `.npy`, (N, C, T, V, M) float32, or an `.h5` with all of it inside (feeder/h5.py).
        label_path: the `.pkl`, (sample names, labels); of a `.npy` alone.
        debug: 100 clips spread over all classes.
        mmap: leave the data on disk (True) or read them into memory once.
        layout: the skeleton layout, by name or as the path of a YAML file; default: that of dataset.yaml.
        dimension: 2 (channels x, y, score) or 3 (x, y, z); default: that of dataset.yaml.
        seed: of all randomness.
        preprocessing: `pipeline`, or the flat keys (feeder/preprocess.py); docs/config.md has a table of them.

    Attributes:
        label, sample_name: of every clip.
        info: what dataset.yaml beside the data, or in the .h5, says, or None.
        preprocess: the transforms.

    Raises:
        DataError: files that are not what they should be, or arguments that do not go together.
    """

    def __init__(
        self,
        data_path: str,
        label_path: str | None = None,
        debug: bool = False,
        mmap: bool = True,
        layout: str | None = None,
        dimension: int | None = None,
        seed: int = 0,
        **preprocessing: Any,
    ):
        self.data_path, self.seed = data_path, seed
        self.info = self._info(data_path)
        skeleton, dimension = agreed(self.info, layout, dimension, f"{data_path}")
        self.preprocess = Preprocess.from_config(preprocessing, skeleton, dimension)
        self._open(data_path, label_path, mmap)
        if debug:
            self.keep(spread_over_classes(self.label, DEBUG_CLIPS))
        self._check_joints()
        try:
            self.preprocess.fit(lambda: mean_and_std(self._read, len(self)))
        except NotFiniteError as error:
            raise self._named(error, np.arange(len(self))) from None

    def __len__(self) -> int:
        return len(self.label)

    def __iter__(self) -> Iterator[tuple[np.ndarray, int]]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: Index) -> tuple[np.ndarray, int]:
        data, label = self.get_batch([index])
        return data[0], int(label[0])

    def get_batch(self, indices: Sequence[Index]) -> tuple[np.ndarray, np.ndarray]:
        """A whole batch read and transformed at once: (N, C, T, V, M) float32 and (N,) int64 labels."""
        epochs, clips = np.array([index if isinstance(index, tuple) else (0, index) for index in indices]).T
        out = None
        for begin in range(0, len(clips), CHUNK):
            chunk = slice(begin, begin + CHUNK)
            rng = ClipRNG(self.seed, epochs[chunk], clips[chunk])
            try:
                data = self.preprocess(self._read(clips[chunk]), self.aspect[clips[chunk]], rng)
            except NotFiniteError as error:
                raise self._named(error, clips[chunk]) from None
            if len(clips) <= CHUNK:
                out = data
            elif out is None:
                out = np.empty((len(clips), *data.shape[1:]), np.float32)
            out[chunk] = data
        return out, np.array([self.label[clip] for clip in clips], np.int64)

    def recorded(self, clips: Sequence[int]) -> list[np.ndarray]:
        """Clips (C, T, V, M) as they were recorded, in the frames that a test takes of them: to look at."""
        clips = np.asarray(clips, int)
        steps = self.preprocess.evaluation().transforms
        choices = [step for step in steps if isinstance(step, Sampler | DrawFrames)]  # of frames
        sampler = Preprocess(choices, self.preprocess.skeleton)
        return list(sampler(self._read(clips), self.aspect[clips], ClipRNG(self.seed, np.zeros(len(clips)), clips)))

    def stored(self, clips: Sequence[int]) -> Sequence[np.ndarray]:
        """Clips (C, T, V, M) as they are in the file; of a memory map nothing is read yet."""
        return self._read(np.asarray(clips, int))

    def for_test(self, clips: Sequence[int]) -> np.ndarray:
        """Clips (N, C, T, V, M) as the network gets them in a test, one sample each, in the same frames as recorded()."""
        clips = np.asarray(clips, int)
        rng = ClipRNG(self.seed, np.zeros(len(clips)), clips)
        return self.preprocess.evaluation()(self._read(clips), self.aspect[clips], rng)

    def _named(self, error: NotFiniteError, clips: np.ndarray) -> DataError:
        names = ", ".join(str(self.sample_name[clips[i]]) for i in error.clips)
        return DataError(f"{self.data_path}: {error} in {names}; a missing joint must be zero")

    # ---- the data source; Feeder_kinetics has another

    def _info(self, data_path: str) -> DatasetInfo | None:
        return read_info(data_path)

    def _open(self, data_path: str, label_path: str | None, mmap: bool) -> None:
        packed = read_packed(data_path, label_path, mmap)
        self.data, self.sample_name, self.label = packed.data, packed.sample_name, packed.label
        self.clip = np.arange(len(self.label))  # where each sample lies in the file
        self.aspect = aspect_ratio(packed.frame_size, len(self.label))

    def __getstate__(self) -> dict:
        """A worker process gets the name of a memory-mapped file, not a copy of what is in it."""
        state = self.__dict__.copy()
        if isinstance(self.data, np.memmap):
            state["data"] = str(self.data.filename)
        return state

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        if isinstance(self.data, str):
            self.data = np.load(self.data, mmap_mode="r")

    def keep(self, chosen: np.ndarray) -> None:
        """Leave only these clips (numbers) in the feeder."""
        self.clip, self.aspect = self.clip[chosen], self.aspect[chosen]
        self.sample_name = [self.sample_name[i] for i in chosen]
        self.label = [self.label[i] for i in chosen]

    def _read(self, clips: np.ndarray) -> Sequence[np.ndarray]:
        """Clips as stored, (C, T, V, M) each; of a memory map nothing is read yet, of an .h5 their padding not at all."""
        if isinstance(self.data, RaggedData):
            return self.data.take(self.clip[clips])
        data = np.asarray(self.data)  # a view: a memmap costs at every index
        return [data[i] for i in self.clip[clips]]

    def _check_joints(self) -> None:
        joints, skeleton = self._read(np.array([0]))[0].shape[2], self.preprocess.skeleton
        if skeleton and skeleton.num_joint != joints:
            raise DataError(
                f"the data have {joints} joints, the layout {short(skeleton.name)} has {skeleton.num_joint}; "
                "give the layout they were recorded with"
            )


def agreed(
    info: DatasetInfo | None, layout: str | None, dimension: int | None, where: str
) -> tuple[Skeleton | None, int | None]:
    """Skeleton and dimension from the config and from dataset.yaml; DataError if the two contradict each other."""
    info, where = info or DatasetInfo(), f"dataset.yaml {'in' if is_h5(where) else 'beside'} {where}"
    skeleton, stored = load_skeleton(layout) if layout else None, info.skeleton
    if skeleton and stored and skeleton.joints != stored.joints:
        raise DataError(f"layout: {layout} in the config, but {where} says {stored.name}")
    if dimension is not None and info.dimension not in (None, dimension):
        raise DataError(f"dimension: {dimension} in the config, but {where} says {info.dimension}")
    return skeleton or stored, info.dimension if dimension is None else dimension


def aspect_ratio(frame_size: np.ndarray | None, num_sample: int) -> np.ndarray:
    """Width over height of each clip's frame, 1 where it is not known: (N,)."""
    if frame_size is None:
        return np.ones(num_sample)
    width, height = frame_size.T
    return np.where((width > 0) & (height > 0), width / np.maximum(height, 1), 1.0)


def spread_over_classes(label: list[int], count: int) -> np.ndarray:
    """At most `count` sample numbers, as many of each class as there are, in their old order."""
    label = np.asarray(label)
    index_in_class = np.empty(len(label), int)
    for c in np.unique(label):
        members = np.flatnonzero(label == c)
        index_in_class[members] = np.arange(len(members))
    return np.sort(np.argsort(index_in_class, kind="stable")[:count])


def mean_and_std(read, num_sample: int, chunk: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation over the joints that were seen, per channel and joint: (C, V) each."""
    count = total = square = 0.0
    for begin in range(0, num_sample, chunk):
        batch = np.stack(read(np.arange(begin, min(begin + chunk, num_sample))))
        try:
            check_finite(batch)
        except NotFiniteError as error:
            raise NotFiniteError([begin + i for i in error.clips]) from None
        count = count + transforms.present(batch).sum(axis=(0, 2, 4))  # (1, V)
        total = total + batch.sum(axis=(0, 2, 4), dtype=np.float64)  # (C, V)
        square = square + np.square(batch, dtype=np.float64).sum(axis=(0, 2, 4))
    count = np.maximum(count, 1)
    mean = total / count
    variance = np.maximum(square / count - mean**2, 0)
    return mean, np.where(variance > 1e-12, np.sqrt(variance), 1.0)
