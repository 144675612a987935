"""Feeder: a packed data set, what is done to its clips on the way, and the samples that come out."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from feeder import transforms
from feeder.packed import read_packed
from feeder.rng import ClipRNG
from feeder.skeleton import Skeleton, load_skeleton
from feeder.streams import STREAMS, stream
from torchlight.errors import DataError

DEBUG_CLIPS = 100
VIEW_JOINTS = (("spine_base", "hip_centre"), ("spine_middle", "spine"), ("right_shoulder",), ("left_shoulder",))
CHUNK = 16  # clips transformed at once: larger arrays the system takes back and hands out anew each time, page by page


class Feeder:
    """Clips of a packed data set (`*_data.npy` and `*_label.pkl`), read from disk as they are asked for.

    A sample is (C, T, V, M) float32 and its label an int; with num_clips > 1 it is (num_clips, C, T, V, M).
    Index i + e * len(feeder) is clip i as drawn in epoch e: its randomness depends on (seed, e, i) and nothing else.

    Args:
        data_path: the `.npy`, (N, C, T, V, M) float32.
        label_path: the `.pkl`, (sample names, labels).
        random_choose: frames at random: a window beginning anywhere, or with uniform_sample a frame anywhere in its bin.
        random_move: a slow random camera move.
        window_size: frames of a sample; longer clips are cut, shorter ones padded. -1: as stored.
        debug: 100 clips spread over all classes.
        mmap: leave the data on disk (True) or read them into memory once.
        random_shift: the real frames begin at random within the clip.
        normalization: subtract the data set's mean and divide by its standard deviation, per channel and joint.
        uniform_sample: one frame from each of window_size equal bins over the real frames, in place of a window.
        num_clips: samples of a clip at test, their scores to be averaged; needs uniform_sample.
        random_crop: with uniform_sample, the smallest fraction of the clip that is sampled, e.g. 0.75, or the least and
            the most frames, e.g. [40, 100].
        random_repeat: with uniform_sample, the clip comes one after the other up to so many times.
        centre: clips around their own mean in units of their own size, isotropic.
        pre_normalize_3d: 3-D clips turned so that person 1 first stands upright and faces the same way; needs a layout
            that names hip, spine and shoulders.
        pre_normalize_2d: "frame" or "box": 2-D clips in -1..1 over the frame, or over what the clip's joints fill.
        mirror: left and right changed over in every second clip; needs a layout.
        swap_sides: left and right change names in every second clip, where they mean nothing; needs a layout.
        random_lose: largest share of joints that go missing, as a detector loses them.
        random_jitter: largest standard deviation of an error on every coordinate; with centre in units of the body.
        ignore_score: dimension 2: a score of 1 for every joint that was seen.
        random_rotate: largest angle in rad (in the plane, or about each axis; [x, y, z] gives each its own).
        random_scale: largest relative change of each axis, e.g. 0.15.
        stream: joint, bone, joint_motion or bone_motion; bones need a layout.
        layout: the skeleton layout, by name or as the path of a YAML file.
        dimension: 2 (channels x, y, score) or 3 (x, y, z); needed by centre, random_rotate, random_scale and streams.
        seed: of all randomness.

    Raises:
        DataError: files that are not what they should be, or arguments that do not go together.
    """

    epoch_in_index = True  # the processor may ask for index i + e * len(feeder)

    def __init__(
        self,
        data_path: str,
        label_path: str,
        random_choose: bool = False,
        random_move: bool = False,
        window_size: int = -1,
        debug: bool = False,
        mmap: bool = True,
        random_shift: bool = False,
        normalization: bool = False,
        uniform_sample: bool = False,
        num_clips: int = 1,
        random_crop: float | list[int] = 1.0,
        random_repeat: int = 1,
        centre: bool = False,
        pre_normalize_3d: bool = False,
        pre_normalize_2d: str | None = None,
        mirror: bool = False,
        swap_sides: bool = False,
        random_lose: float = 0.0,
        random_jitter: float = 0.0,
        ignore_score: bool = False,
        random_rotate: float | list[float] = 0.0,
        random_scale: float = 0.0,
        stream: str = "joint",
        layout: str | None = None,
        dimension: int | None = None,
        seed: int = 0,
    ):
        self.random_choose, self.random_move, self.random_shift = random_choose, random_move, random_shift
        self.window_size, self.uniform_sample = window_size, uniform_sample
        self.num_clips, self.random_crop, self.random_repeat = num_clips, random_crop, random_repeat
        self.centre, self.mirror, self.swap_sides = centre, mirror, swap_sides
        self.random_lose, self.random_jitter, self.ignore_score = random_lose, random_jitter, ignore_score
        self.pre_normalize_3d, self.pre_normalize_2d = pre_normalize_3d, pre_normalize_2d
        self.random_rotate, self.random_scale = random_rotate, random_scale
        self.stream, self.dimension, self.seed = stream, dimension, seed
        self.skeleton = load_skeleton(layout) if layout else None
        self.view_joints = view_joints(self.skeleton) if self.skeleton else None
        self._check_options()
        self._open(data_path, label_path, mmap)
        if debug:
            self._keep(spread_over_classes(self.label, DEBUG_CLIPS))
        self._check_joints()
        self.mean, self.std = mean_and_std(self._read, len(self)) if normalization else (None, None)

    def __len__(self) -> int:
        return len(self.label)

    def __iter__(self) -> Iterator[tuple[np.ndarray, int]]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: list[int]) -> list[tuple[np.ndarray, int]]:
        """A whole batch read and transformed at once, as one sample a clip (torch's DataLoader calls this)."""
        epochs, clips = np.divmod(np.asarray(indices, np.int64), len(self))
        samples: list[tuple[np.ndarray, int]] = []
        for begin in range(0, len(clips), CHUNK):
            some = slice(begin, begin + CHUNK)
            chance = ClipRNG(self.seed, epochs[some], clips[some])
            batch = self._transform(self._read(clips[some]), self.aspect[clips[some]], chance)
            samples += [(sample, self.label[clip]) for sample, clip in zip(batch, clips[some])]
        return samples

    # ---- where the clips come from; Feeder_kinetics has its own

    def _open(self, data_path: str, label_path: str, mmap: bool) -> None:
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

    def _keep(self, chosen: np.ndarray) -> None:
        self.clip, self.aspect = self.clip[chosen], self.aspect[chosen]
        self.sample_name = [self.sample_name[i] for i in chosen]
        self.label = [self.label[i] for i in chosen]

    def _read(self, clips: np.ndarray) -> list[np.ndarray]:
        """Clips as stored, (C, T, V, M) each; of a memory map nothing is read yet."""
        data = np.asarray(self.data)  # a view: a memmap costs at every index
        return [data[i] for i in self.clip[clips]]

    # ---- what is done to them

    def _transform(self, clips: list[np.ndarray], aspect: np.ndarray, chance: ClipRNG) -> np.ndarray:
        if self.uniform_sample:
            drawn = chance if self.random_choose else None
            length = transforms.real_frames(clips)
            crop, repeat = self.random_crop, self.random_repeat
            frames = transforms.uniform_frames(length, self.window_size, self.num_clips, crop, repeat, drawn)
            batch = transforms.take_frames(clips, frames.reshape(len(clips), -1))  # the samples of one clip in a row
        elif self.random_choose:
            batch = transforms.random_window(clips, self.window_size, chance)
        elif self.window_size > 0:
            batch = transforms.window(clips, self.window_size)
        else:
            batch = np.stack(clips)
        if self.mean is not None:
            batch = transforms.normalize(batch, self.mean, self.std)
        if self.random_shift:
            batch = transforms.random_shift(batch, chance)
        if self.random_lose:
            batch = transforms.lose(batch, self.random_lose, chance)
        if self.pre_normalize_3d:
            first = transforms.first_pose(clips, self.view_joints)
            batch = transforms.pre_normalize_3d(batch, first, self.view_joints)
        if self.pre_normalize_2d:
            batch = transforms.pre_normalize_2d(batch, box=self.pre_normalize_2d == "box")
        if self.centre:
            batch = transforms.centre(
                transforms.to_isotropic(batch, aspect) if self.dimension == 2 else batch, self.dimension
            )
            aspect = np.ones_like(aspect)
        if self.random_jitter:
            batch = transforms.jitter(batch, self.random_jitter, self.dimension, chance)
        if self.ignore_score:
            batch = transforms.ignore_score(batch)
        if self.random_move:
            batch = transforms.random_move(batch, aspect, chance)
        if self.mirror:
            batch = transforms.mirror(batch, self.skeleton.flip, chance)
        if self.swap_sides:
            batch = transforms.swap_sides(batch, self.skeleton.flip, chance)
        if self.random_rotate:
            flat = self.dimension == 2
            batch = transforms.to_isotropic(batch, aspect) if flat else batch
            batch = transforms.rotate(batch, self.random_rotate, self.dimension, chance)
            batch = transforms.to_isotropic(batch, 1 / aspect) if flat else batch
        if self.random_scale:
            batch = transforms.scale(batch, self.random_scale, self.dimension, chance)
        if self.num_clips > 1:
            N, C, _, V, M = batch.shape
            batch = batch.reshape(N, C, self.num_clips, -1, V, M).swapaxes(1, 2)  # (N, num_clips, C, T, V, M)
            samples = stream(batch.reshape(-1, *batch.shape[2:]), self.stream, self._parents, self.dimension)
            return samples.reshape(batch.shape)
        return stream(batch, self.stream, self._parents, self.dimension)

    @property
    def _parents(self) -> np.ndarray | None:
        return self.skeleton.parents if self.skeleton else None

    # ---- what does not go together

    def _check_options(self) -> None:
        def require(condition: bool, line: str) -> None:
            if not condition:
                raise DataError(line)

        require(
            not self.pre_normalize_3d or (self.dimension == 3 and self.view_joints is not None),
            "pre_normalize_3d needs dimension: 3 and a layout with hip, spine and shoulders, e.g. layout: ntu-rgb+d",
        )
        require(
            self.pre_normalize_2d in (None, "frame", "box"),
            f"pre_normalize_2d {self.pre_normalize_2d!r} is neither frame nor box",
        )
        require(
            self.pre_normalize_2d is None or self.dimension == 2,
            "pre_normalize_2d needs dimension: 2 (x, y, score)",
        )
        geometric = (
            self.centre or self.random_rotate or self.random_jitter or self.random_scale or self.stream != "joint"
        )
        require(
            self.window_size == -1 or self.window_size > 0, f"window_size {self.window_size} is neither -1 nor positive"
        )
        require(
            self.window_size > 0 or not (self.random_choose or self.uniform_sample),
            "random_choose and uniform_sample need a window_size, the frames of a sample",
        )
        require(self.num_clips >= 1, f"num_clips {self.num_clips} is not a positive number")
        require(self.num_clips == 1 or self.uniform_sample, "num_clips needs uniform_sample: True")
        require(
            self.num_clips == 1 or not (self.random_choose or self.random_shift),
            "num_clips is for testing: it does not go with random_choose or random_shift",
        )
        crop = self.random_crop
        require(
            0 < crop <= 1 if np.isscalar(crop) else len(crop) == 2 and 1 <= crop[0] <= crop[1],
            f"random_crop {crop} is neither a fraction in (0, 1] nor [least, most] frames",
        )
        require(
            (self.random_crop == 1 and self.random_repeat == 1) or (self.uniform_sample and self.random_choose),
            "random_crop and random_repeat need uniform_sample: True and random_choose: True",
        )
        require(self.random_repeat >= 1, f"random_repeat {self.random_repeat} is not a positive number")
        require(0 <= self.random_lose < 1, f"random_lose {self.random_lose} is not in [0, 1)")
        require(not self.ignore_score or self.dimension == 2, "ignore_score needs dimension: 2 (x, y, score)")
        require(self.stream in STREAMS, f"unknown stream {self.stream!r}; the streams are {', '.join(STREAMS)}")
        require(
            self.dimension in (None, 2, 3), f"dimension {self.dimension!r} is neither 2 (x, y, score) nor 3 (x, y, z)"
        )
        require(
            np.isscalar(self.random_rotate) or (self.dimension == 3 and len(self.random_rotate) == 3),
            f"random_rotate {self.random_rotate} should be one angle in rad, or [x, y, z] for dimension: 3",
        )
        require(
            not geometric or self.dimension is not None,
            "centre, random_rotate, random_scale, random_jitter and streams need dimension: 2 (x, y, score) or 3 (x, y, z)",
        )
        require(
            self.skeleton is not None or not (self.mirror or self.swap_sides or self.stream.startswith("bone")),
            "mirror, swap_sides and bone streams need the skeleton's layout, e.g. layout: openpose",
        )

    def _check_joints(self) -> None:
        joints = self._read(np.array([0]))[0].shape[2]
        if self.skeleton and self.skeleton.num_joint != joints:
            raise DataError(
                f"the data have {joints} joints, the layout {self.skeleton.name!r} has {self.skeleton.num_joint}; "
                "give the layout they were recorded with"
            )


def view_joints(skeleton: Skeleton) -> tuple[int, ...] | None:
    """The numbers of hip, spine, right and left shoulder; None for a layout that lacks one of them."""
    names = skeleton.joints
    found = [[names.index(name) for name in choices if name in names] for choices in VIEW_JOINTS]
    return tuple(joints[0] for joints in found) if all(found) else None


def aspect_ratio(frame_size: np.ndarray | None, num_sample: int) -> np.ndarray:
    """Width over height of each clip's frame, 1 where it is not known: (N,)."""
    if frame_size is None:
        return np.ones(num_sample)
    width, height = frame_size.T
    return np.where((width > 0) & (height > 0), width / np.maximum(height, 1), 1.0)


def spread_over_classes(label: list[int], count: int) -> np.ndarray:
    """At most `count` sample numbers, as many of each class as there are, in their old order."""
    label = np.asarray(label)
    turn = np.empty(len(label), int)  # the how-manieth of its class each sample is
    for c in np.unique(label):
        members = np.flatnonzero(label == c)
        turn[members] = np.arange(len(members))
    return np.sort(np.argsort(turn, kind="stable")[:count])


def mean_and_std(read, num_sample: int, chunk: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation over the joints that were seen, per channel and joint: (C, V) each."""
    count = total = square = 0.0
    for begin in range(0, num_sample, chunk):
        batch = np.stack(read(np.arange(begin, min(begin + chunk, num_sample))))
        count = count + transforms.present(batch).sum(axis=(0, 2, 4))  # (1, V)
        total = total + batch.sum(axis=(0, 2, 4), dtype=np.float64)  # (C, V)
        square = square + np.square(batch, dtype=np.float64).sum(axis=(0, 2, 4))
    count = np.maximum(count, 1)
    mean = total / count
    variance = np.maximum(square / count - mean**2, 0)
    return mean, np.where(variance > 1e-12, np.sqrt(variance), 1.0)
