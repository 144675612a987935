"""The transforms of Preprocess: small classes with their arguments, what they need of the data, and one call each.

The mathematics are pure functions in feeder/transforms.py; here stands when they apply. A transform of your own is a
dataclass like these, named in a config by its dotted name; see feeder/preprocess.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import ClassVar

import numpy as np

from feeder import sampling, transforms
from feeder.rng import ClipRNG
from feeder.skeleton import Skeleton
from feeder.streams import STREAMS, stream
from torchlight.errors import DataError, did_you_mean, short

LONGEST = 100_000  # frames of a sample
WHERE = "in feeder_args or in dataset.yaml beside the data"
VIEW_JOINTS = (("spine_base", "hip_centre"), ("spine_middle", "spine"), ("right_shoulder",), ("left_shoulder",))


@dataclass
class Batch:
    """Clips on their way through the transforms.

    Attributes:
        clips: N arrays (C, T, V, M) as stored, possibly still on disk.
        aspect: (N,) width over height of each frame.
        rng: a row of random numbers for each clip.
        skeleton, dimension: of the data.
        data: (N, C, T, V, M) float32, from the first transform on.
        num_clips: samples of one clip, one after the other along T.
    """

    clips: Sequence[np.ndarray]
    aspect: np.ndarray
    rng: ClipRNG
    skeleton: Skeleton | None = None
    dimension: int | None = None
    data: np.ndarray | None = None
    num_clips: int = 1


class Transform:
    """One step. Subclasses are dataclasses of their arguments; `key` is the flat key of a config."""

    key: ClassVar[str]
    augments: ClassVar[bool] = False  # belongs to training alone
    needs_layout: ClassVar[bool] = False
    needs_dimension: ClassVar[tuple[int, ...]] = ()  # the dimensions that it works with; empty: any, known or not

    def check(self, skeleton: Skeleton | None, dimension: int | None) -> None:
        """Raises DataError where the arguments are wrong or the data are not what this transform needs."""
        if self.needs_layout and skeleton is None:
            raise DataError(f"{self.key} needs the skeleton's layout, e.g. layout: openpose, {WHERE}")
        if self.needs_dimension and dimension not in self.needs_dimension:
            kinds = {2: "2 (x, y, score)", 3: "3 (x, y, z)"}
            dimensions = " or ".join(kinds[d] for d in self.needs_dimension)
            raise DataError(f"{self.key} needs dimension: {dimensions}, {WHERE}")

    def __call__(self, batch: Batch) -> None:
        raise NotImplementedError

    def evaluation(self) -> Transform | None:
        """The same without augmentation; None if nothing is left."""
        return None if self.augments else self

    def require(self, condition: bool, problem: str) -> None:
        if not condition:
            raise DataError(f"{self.key} {problem}")


# ---- the first transform: which frames


class Sampler(Transform):
    """Turns batch.clips into batch.data."""

    def check(self, skeleton: Skeleton | None, dimension: int | None) -> None:
        check_window_size(self)


@dataclass(frozen=True)
class WholeClip(Sampler):
    """All stored frames."""

    key = "window_size"

    def check(self, skeleton: Skeleton | None, dimension: int | None) -> None:
        pass

    def __call__(self, batch: Batch) -> None:
        batch.data = np.stack(batch.clips)


@dataclass(frozen=True)
class Window(Sampler):
    """The middle window_size frames; shorter clips are padded with empty frames."""

    window_size: int
    key = "window_size"

    def __call__(self, batch: Batch) -> None:
        batch.data = sampling.window(batch.clips, self.window_size)


@dataclass(frozen=True)
class RandomWindow(Sampler):
    """window_size frames that begin anywhere; a shorter clip lands anywhere in the window."""

    window_size: int
    key = "random_choose"

    def __call__(self, batch: Batch) -> None:
        batch.data = sampling.random_window(batch.clips, self.window_size, batch.rng)

    def evaluation(self) -> Transform:
        return Window(self.window_size)


@dataclass(frozen=True)
class UniformSample(Sampler):
    """One frame from each of window_size equal bins over the real frames.

    Args:
        random: a random frame of each bin.
        num_clips: samples of one clip at test, whose scores are averaged.
        crop: smallest fraction of the clip that is sampled, or [least, most] frames.
        repeat: the clip is repeated up to so many times.
        loop: a clip of fewer frames is repeated instead of stretched.
    """

    window_size: int
    random: bool = False
    num_clips: int = 1
    crop: float | Sequence[int] = 1.0
    repeat: int = 1
    loop: bool = False
    key = "uniform_sample"

    def check(self, skeleton: Skeleton | None, dimension: int | None) -> None:
        super().check(skeleton, dimension)
        n, crop, repeat = self.num_clips, self.crop, self.repeat
        self.require(is_whole(n) and 1 <= n <= 1000, f"num_clips {short(n)} is not a number from 1 to 1,000")
        self.require(n == 1 or not self.random, "num_clips is for testing: it does not go with random_choose")
        right = 0 < crop <= 1 if _is_number(crop) else _are_numbers(crop, 2) and 1 <= crop[0] <= crop[1]
        self.require(right, f"random_crop {short(crop)} is neither a fraction in (0, 1] nor [least, most] frames")
        self.require(is_whole(repeat) and 1 <= repeat <= 100, f"random_repeat {short(repeat)} is not from 1 to 100")
        self.require(isinstance(self.loop, bool), f"loop {short(self.loop)} is neither True nor False")
        whole = (crop == 1 and repeat == 1) or self.random
        self.require(whole, "random_crop and random_repeat need uniform_sample: True and random_choose: True")

    def __call__(self, batch: Batch) -> None:
        length, rng = sampling.real_frames(batch.clips), batch.rng if self.random else None
        frames = sampling.uniform_frames(
            length, self.window_size, self.num_clips, self.crop, self.repeat, rng, self.loop
        )
        batch.data = sampling.take_frames(batch.clips, frames.reshape(len(batch.clips), -1))
        batch.num_clips = self.num_clips

    def evaluation(self) -> Transform:
        return UniformSample(self.window_size, loop=self.loop)


# ---- what is done to the frames, in the order in which the flat keys are applied


@dataclass(frozen=True)
class Standardize(Transform):
    """(x - mean) / std per channel and joint; (C, V) each, those of the data set where they are not given."""

    mean: Sequence[Sequence[float]] | None = None
    std: Sequence[Sequence[float]] | None = None
    key = "normalization"

    def fitted(self, mean: np.ndarray, std: np.ndarray) -> Standardize:
        return Standardize(mean.tolist(), std.tolist())

    def __call__(self, batch: Batch) -> None:
        if self.mean is None or self.std is None:
            raise DataError("normalization: the mean and standard deviation of the data set are not known here")
        batch.data = transforms.normalize(batch.data, np.asarray(self.mean), np.asarray(self.std))


@dataclass(frozen=True)
class RandomShift(Transform):
    """The real frames begin at random within the clip."""

    key, augments = "random_shift", True

    def __call__(self, batch: Batch) -> None:
        batch.data = sampling.random_shift(batch.data, batch.rng)


@dataclass(frozen=True)
class JointDropout(Transform):
    """Joints go missing, each with a probability that a clip draws from U(0, rate)."""

    rate: float
    key, augments = "joint_dropout", True

    def check(self, skeleton: Skeleton | None, dimension: int | None) -> None:
        self.require(_is_number(self.rate) and 0 <= self.rate < 1, f"{short(self.rate)} is not in [0, 1)")

    def __call__(self, batch: Batch) -> None:
        batch.data = transforms.joint_dropout(batch.data, self.rate, batch.rng)


@dataclass(frozen=True)
class PreNormalize3D(Transform):
    """Turned so that person 1 first stands upright and faces the same way, the spine at the origin (PYSKL)."""

    key, needs_dimension = "pre_normalize_3d", (3,)

    def check(self, skeleton: Skeleton | None, dimension: int | None) -> None:
        joints = skeleton and view_joints(skeleton)
        line = "needs dimension: 3 and a layout with hip, spine and shoulders, e.g. layout: ntu-rgb+d"
        self.require(dimension == 3 and joints is not None, line)

    def __call__(self, batch: Batch) -> None:
        joints = view_joints(batch.skeleton)
        first = transforms.first_pose(batch.clips, joints)
        batch.data = transforms.pre_normalize_3d(batch.data, first, joints)


@dataclass(frozen=True)
class PreNormalize2D(Transform):
    """-1..1 over the frame, or over the box of the clip's joints (PYSKL)."""

    over: str = "frame"
    key, needs_dimension = "pre_normalize_2d", (2,)

    def check(self, skeleton: Skeleton | None, dimension: int | None) -> None:
        self.require(self.over in ("frame", "box"), f"{short(self.over)} is neither frame nor box")
        super().check(skeleton, dimension)

    def __call__(self, batch: Batch) -> None:
        batch.data = transforms.pre_normalize_2d(batch.data, box=self.over == "box")


@dataclass(frozen=True)
class NormalizeBody(Transform):
    """Each clip around the mean of its joints, in units of their root mean square distance from it."""

    key, needs_dimension = "normalize_body", (2, 3)

    def __call__(self, batch: Batch) -> None:
        flat = batch.dimension == 2
        data = transforms.to_isotropic(batch.data, batch.aspect) if flat else batch.data
        batch.data, batch.aspect = transforms.normalize_body(data, batch.dimension), np.ones_like(batch.aspect)


@dataclass(frozen=True)
class RandomBones(Transform):
    """Every bone longer or shorter, left as right; spread is the standard deviation of the logarithm of its factor."""

    spread: float
    key, augments, needs_layout, needs_dimension = "random_bones", True, True, (2, 3)

    def check(self, skeleton: Skeleton | None, dimension: int | None) -> None:
        super().check(skeleton, dimension)
        self.require(_is_number(self.spread) and 0 <= self.spread <= 1, f"{short(self.spread)} is not in [0, 1]")

    def __call__(self, batch: Batch) -> None:
        parents, flip = batch.skeleton.parents, batch.skeleton.flip
        batch.data = transforms.random_bones(batch.data, parents, flip, self.spread, batch.dimension, batch.rng)


@dataclass(frozen=True)
class RandomSmooth(Transform):
    """A blur along time, its standard deviation drawn from U(0, most) frames for each clip: as a tracker smooths."""

    most: float
    key, augments, needs_dimension = "random_smooth", True, (2, 3)

    def check(self, skeleton: Skeleton | None, dimension: int | None) -> None:
        super().check(skeleton, dimension)
        self.require(_is_number(self.most) and 0 <= self.most <= 20, f"{short(self.most)} is not in [0, 20] frames")

    def __call__(self, batch: Batch) -> None:
        batch.data = transforms.random_smooth(batch.data, self.most, batch.dimension, batch.rng)


@dataclass(frozen=True)
class RandomJitter(Transform):
    """A normal error on every coordinate, its standard deviation drawn from U(0, std) for each clip."""

    std: float
    key, augments, needs_dimension = "random_jitter", True, (2, 3)

    def check(self, skeleton: Skeleton | None, dimension: int | None) -> None:
        super().check(skeleton, dimension)
        self.require(_is_number(self.std) and self.std >= 0, f"{short(self.std)} is not a standard deviation")

    def __call__(self, batch: Batch) -> None:
        batch.data = transforms.jitter(batch.data, self.std, batch.dimension, batch.rng)


@dataclass(frozen=True)
class IgnoreScore(Transform):
    """A score of 1 for every joint that was seen."""

    key, needs_dimension = "ignore_score", (2,)

    def __call__(self, batch: Batch) -> None:
        batch.data = transforms.ignore_score(batch.data)


@dataclass(frozen=True)
class RandomMove(Transform):
    """A slow random camera move (section 4.1 of Yan et al.)."""

    key, augments = "random_move", True

    def __call__(self, batch: Batch) -> None:
        batch.data = transforms.random_move(batch.data, batch.aspect, batch.rng)


@dataclass(frozen=True)
class Mirror(Transform):
    """Every second clip is flipped: x negated, left and right joints swapped."""

    key, augments, needs_layout = "mirror", True, True

    def __call__(self, batch: Batch) -> None:
        batch.data = transforms.mirror(batch.data, batch.skeleton.flip, batch.rng)


@dataclass(frozen=True)
class SwapSides(Transform):
    """Left-right swap: in every second clip the joints change names and nothing moves."""

    key, augments, needs_layout = "swap_sides", True, True

    def __call__(self, batch: Batch) -> None:
        batch.data = transforms.swap_sides(batch.data, batch.skeleton.flip, batch.rng)


@dataclass(frozen=True)
class RandomRotate(Transform):
    """By U(-angle, angle) rad in the plane, or about each axis, in this order; [x, y, z] gives each axis its own."""

    angle: float | Sequence[float]
    order: str = "xyz"
    key, augments, needs_dimension = "random_rotate", True, (2, 3)

    def check(self, skeleton: Skeleton | None, dimension: int | None) -> None:
        super().check(skeleton, dimension)
        right = _is_number(self.angle) or (dimension == 3 and _are_numbers(self.angle, 3))
        self.require(right, f"{short(self.angle)} should be one angle in rad, or [x, y, z] for dimension: 3")
        orders = ["".join(axes) for axes in permutations("xyz")]
        self.require(self.order in orders, f"order {short(self.order)} is not one of {', '.join(orders)}")

    def __call__(self, batch: Batch) -> None:
        data, flat = batch.data, batch.dimension == 2
        data = transforms.to_isotropic(data, batch.aspect) if flat else data
        data = transforms.rotate(data, self.angle, batch.dimension, batch.rng, self.order)
        batch.data = transforms.to_isotropic(data, 1 / batch.aspect) if flat else data


@dataclass(frozen=True)
class RandomScale(Transform):
    """Each axis by its own 1 + U(-amount, amount)."""

    amount: float
    key, augments, needs_dimension = "random_scale", True, (2, 3)

    def check(self, skeleton: Skeleton | None, dimension: int | None) -> None:
        super().check(skeleton, dimension)
        self.require(_is_number(self.amount) and 0 <= self.amount < 1, f"{short(self.amount)} is not in [0, 1)")

    def __call__(self, batch: Batch) -> None:
        batch.data = transforms.scale(batch.data, self.amount, batch.dimension, batch.rng)


@dataclass(frozen=True)
class NormalizeAxes(Transform):
    """Each axis of each clip from -1 to 1 over the coordinates that its joints have."""

    key, needs_dimension = "normalize_axes", (2, 3)

    def __call__(self, batch: Batch) -> None:
        batch.data = transforms.normalize_axes(batch.data, batch.dimension)


@dataclass(frozen=True)
class DrawFrames(Transform):
    """window_size of the frames that are there, for after a transform that must see the whole clip; of a `pipeline:` alone.

    Args:
        random: each frame drawn from all of them, in their order; else evenly spaced, the first to the last.
    """

    window_size: int
    random: bool = False
    key = "DrawFrames"

    def check(self, skeleton: Skeleton | None, dimension: int | None) -> None:
        check_window_size(self)

    def __call__(self, batch: Batch) -> None:
        rng = batch.rng if self.random else None
        frames = sampling.drawn_frames(sampling.real_frames(batch.data), self.window_size, rng)
        batch.data = sampling.take_frames(batch.data, frames)

    def evaluation(self) -> Transform:
        return DrawFrames(self.window_size)


@dataclass(frozen=True)
class Stream(Transform):
    """joint, bone, joint_motion or bone_motion, or several as channels side by side, joint+bone; the last of a list."""

    name: str = "joint"
    key = "stream"

    @property
    def names(self) -> list[str]:
        return str(self.name).split("+")

    def check(self, skeleton: Skeleton | None, dimension: int | None) -> None:
        for name in self.names:
            if name not in STREAMS:
                known = f"unknown stream {short(name)}; the streams are {', '.join(STREAMS)}, or several: joint+bone"
                raise DataError(f"{known}{did_you_mean(name, STREAMS)}")
        if len(set(self.names)) < len(self.names):
            raise DataError(f"stream {self.name}: the same stream twice")
        if self.name != "joint" and dimension not in (2, 3):
            raise DataError(f"stream {self.name} needs dimension: 2 (x, y, score) or 3 (x, y, z)")
        if any(name.startswith("bone") for name in self.names) and skeleton is None:
            raise DataError(f"stream {self.name} needs the skeleton's layout, e.g. layout: openpose")

    def __call__(self, batch: Batch) -> None:
        parents = batch.skeleton.parents if batch.skeleton else None
        batch.data = stream(batch.data, self.name, parents, batch.dimension)


def check_window_size(step: Transform) -> None:
    size = step.window_size
    step.require(is_whole(size) and size > 0, f"needs a window_size, the frames of a sample; found {short(size)}")
    step.require(size <= LONGEST, f"window_size {size} is more than {LONGEST:,} frames")


def view_joints(skeleton: Skeleton) -> tuple[int, ...] | None:
    """The indices of hip, spine, right and left shoulder; None for a layout that lacks one of them."""
    names = skeleton.joints
    found = [[names.index(name) for name in choices if name in names] for choices in VIEW_JOINTS]
    return tuple(joints[0] for joints in found) if all(found) else None


def is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < float("inf")


def _are_numbers(value: object, count: int) -> bool:
    return isinstance(value, list | tuple) and len(value) == count and all(map(_is_number, value))
