"""Preprocess: what is done to clips between the data source and the network, as one ordered list of transforms.

    preprocess = Preprocess([UniformSample(64, random=True), NormalizeBody(), Mirror()], skeleton, dimension=2)
    data = preprocess(clips, aspect, ClipRNG(seed, epochs, indices))    # clips (C, T, V, M) -> (N, C, T', V, M)

A config lists the transforms of feeder/pipeline.py under `pipeline:`, in the order in which they are applied:

    pipeline:
      - UniformSample: {window_size: 64, random: True, crop: 0.75}
      - NormalizeBody
      - my.module.Transform: {strength: 2}      # a Transform of your own

or gives flat keys, which ORDER turns into that list, whatever their order in the file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from feeder import pipeline
from feeder.pipeline import Batch, RandomWindow, Sampler, Standardize, Transform, UniformSample, WholeClip, Window
from feeder.rng import ClipRNG
from feeder.skeleton import Skeleton
from torchlight.classes import check_arguments, import_class
from torchlight.errors import DataError, did_you_mean, short

ORDER: tuple[
    type[Transform], ...
] = (  # of the flat keys; the value of a key is its transform's argument, if it has one
    pipeline.Standardize,  # normalization
    pipeline.RandomShift,  # random_shift
    pipeline.JointDropout,  # joint_dropout
    pipeline.PreNormalize3D,  # pre_normalize_3d
    pipeline.PreNormalize2D,  # pre_normalize_2d
    pipeline.NormalizeBody,  # normalize_body
    pipeline.RandomBones,  # random_bones
    pipeline.RandomSmooth,  # random_smooth
    pipeline.RandomJitter,  # random_jitter
    pipeline.IgnoreScore,  # ignore_score
    pipeline.RandomMove,  # random_move
    pipeline.Mirror,  # mirror
    pipeline.SwapSides,  # swap_sides
    pipeline.RandomRotate,  # random_rotate
    pipeline.RandomScale,  # random_scale
    pipeline.NormalizeAxes,  # normalize_axes
    pipeline.Stream,  # stream
)
SWITCHES = ("normalization", "random_shift", "pre_normalize_3d", "normalize_body", "normalize_axes", "ignore_score")
SWITCHES += ("random_move", "mirror", "swap_sides", "random_choose", "uniform_sample")  # keys that are True or False
SAMPLING = {  # the flat keys that choose the frames, before all others
    "window_size": -1,
    "random_choose": False,
    "uniform_sample": False,
    "num_clips": 1,
    "random_crop": 1.0,
    "random_repeat": 1,
}
ALIASES = {"centre": "normalize_body", "random_lose": "joint_dropout"}  # former names
KEYS = (*SAMPLING, *(transform.key for transform in ORDER))
BUILT_IN = {
    name: found for name, found in vars(pipeline).items() if isinstance(found, type) and issubclass(found, Transform)
}
for _base in ("Transform", "Sampler"):
    del BUILT_IN[_base]


class NotFiniteError(DataError):
    """Some of the clips have NaN or infinite values; `clips` are their indices in the batch."""

    def __init__(self, clips: list[int]):
        super().__init__("values that are not finite (NaN, infinity)")
        self.clips = clips


class Preprocess:
    """An ordered list of transforms, checked against the data they are for.

    Args:
        transforms: the first one is a Sampler; a Stream, if there is one, is the last.
        skeleton: of the data, or None where no transform asks for it.
        dimension: 2 (channels x, y, score), 3 (x, y, z), or None.

    Raises:
        DataError: arguments that are wrong or do not go together.
    """

    def __init__(
        self, transforms: Sequence[Transform], skeleton: Skeleton | None = None, dimension: int | None = None
    ) -> None:
        self.transforms, self.skeleton, self.dimension = list(transforms), skeleton, dimension
        if dimension not in (None, 2, 3) or isinstance(dimension, bool):
            raise DataError(f"dimension {short(dimension)} is neither 2 (x, y, score) nor 3 (x, y, z)")
        for i, transform in enumerate(self.transforms):
            transform.check(skeleton, dimension)
            if isinstance(transform, Sampler) != (i == 0):
                samplers = ", ".join(name for name, found in BUILT_IN.items() if issubclass(found, Sampler))
                raise DataError(f"pipeline: exactly one of {samplers} is needed, in the first place")
            if isinstance(transform, pipeline.Stream) and i + 1 < len(self.transforms):
                raise DataError("pipeline: Stream must be the last transform")
            if isinstance(transform, pipeline.RandomShift) and self.num_clips > 1:
                raise DataError("num_clips is for testing: it does not go with random_shift")
        if not self.transforms:
            raise DataError("pipeline: the list is empty; begin with a sampler, e.g. UniformSample")

    @classmethod
    def from_config(
        cls, args: Mapping[str, Any], skeleton: Skeleton | None = None, dimension: int | None = None, own: bool = True
    ) -> Preprocess:
        """From `pipeline:` or the flat keys of a config.

        Args:
            own: transforms by dotted names may be imported; False for a side-car, which is data.
        """
        if args.get("pipeline") is None:
            return cls(
                from_flat_keys({key: value for key, value in args.items() if key != "pipeline"}), skeleton, dimension
            )
        if others := [key for key in args if key not in ("pipeline", "stream")]:
            raise DataError(f"pipeline: is given, so {short(others[0])} belongs into that list")
        listed = args["pipeline"]
        if not isinstance(listed, list):
            raise DataError(f"pipeline: {short(listed)} where a list of transforms belongs")
        steps = [from_entry(entry, f"pipeline[{i}]", own) for i, entry in enumerate(listed)]
        if args.get("stream"):  # --stream of the command line
            steps = [step for step in steps if not isinstance(step, pipeline.Stream)] + [
                pipeline.Stream(args["stream"])
            ]
        return cls(steps, skeleton, dimension)

    def __call__(self, clips: Sequence[np.ndarray], aspect: np.ndarray, rng: ClipRNG) -> np.ndarray:
        """Clips (C, T, V, M), aspect (N,): width over height of the frames -> (N, C, T', V, M) float32; with several
        samples of a clip (N, num_clips, C, T', V, M).

        Raises:
            NotFiniteError: a sampled frame has NaN or infinite values.
        """
        batch = Batch(clips, aspect, rng, self.skeleton, self.dimension)
        stream = self.transforms[-1] if isinstance(self.transforms[-1], pipeline.Stream) else None
        for i, transform in enumerate(self.transforms[: -1 if stream else None]):
            transform(batch)
            if i == 0:
                check_finite(batch.data)
        N, C, _, V, M = batch.data.shape
        if batch.num_clips > 1:  # a difference of frames is one within a sample
            samples = batch.data.reshape(N, C, batch.num_clips, -1, V, M).swapaxes(1, 2)
            batch.data = samples.reshape(N * batch.num_clips, C, -1, V, M)
        if stream:
            stream(batch)
        several = batch.num_clips > 1
        return batch.data.reshape(N, batch.num_clips, *batch.data.shape[1:]) if several else batch.data

    @property
    def num_clips(self) -> int:
        return getattr(self.transforms[0], "num_clips", 1)

    @property
    def window(self) -> int | None:
        """Frames of the recording that a sample stands for; None where that is the whole clip, whatever its length."""
        sampler = self.transforms[0]
        crop = getattr(sampler, "crop", 1.0)
        if isinstance(crop, list | tuple):  # frames
            least, most = crop
            size = sampler.window_size
            return int(size if least <= size <= most else round((least * most) ** 0.5))
        return sampler.window_size if isinstance(sampler, Window | RandomWindow) else None

    def fit(self, mean_and_std) -> None:
        """Give a Standardize without statistics those of the data set; mean_and_std() -> (C, V), (C, V)."""
        self.transforms = [
            step.fitted(*mean_and_std()) if isinstance(step, Standardize) and step.mean is None else step
            for step in self.transforms
        ]

    def evaluation(self) -> Preprocess:
        """The same without augmentation, one sample a clip."""
        steps = [step.evaluation() for step in self.transforms]
        return Preprocess([step for step in steps if step is not None], self.skeleton, self.dimension)

    def to_config(self) -> dict[str, Any]:
        """`dimension` and `pipeline` as plain values, from which from_config makes the same."""
        listed = []
        for step in self.transforms:
            given = {f.name: getattr(step, f.name) for f in fields(step) if getattr(step, f.name) != f.default}
            name = type(step).__name__ if type(step) in BUILT_IN.values() else _dotted(type(step))
            listed.append({name: given} if given else name)
        return {"dimension": self.dimension, "pipeline": listed}


def from_flat_keys(args: Mapping[str, Any]) -> list[Transform]:
    """The transforms that the flat keys of a config stand for, in their one order. Raises DataError."""
    keys: dict[str, Any] = {}
    for key, value in args.items():
        name = ALIASES.get(key, key)
        if name not in KEYS:
            raise DataError(f"there is no argument {short(key)}{did_you_mean(key, KEYS)} (there are {', '.join(KEYS)})")
        if name in keys:
            raise DataError(
                f"{short(key)} is a former name of {short(name)}, and both are given; give {short(name)} alone"
            )
        if name in SWITCHES and not isinstance(value, bool):
            raise DataError(f"{key}: {short(value)} where True or False belongs")
        keys[name] = value
    steps = [_sampler({**SAMPLING, **keys})]
    for transform in ORDER:
        value = keys.get(transform.key)
        if value not in (None, False, 0):
            steps.append(transform() if transform.key in SWITCHES else transform(value))
    return steps


def _sampler(keys: Mapping[str, Any]) -> Transform:
    size, crop, repeat = keys["window_size"], keys["random_crop"], keys["random_repeat"]
    if size != -1 and not (pipeline.is_whole(size) and size > 0):
        raise DataError(f"window_size {short(size)} is neither -1 nor positive")
    if keys["uniform_sample"]:
        return UniformSample(size, keys["random_choose"], keys["num_clips"], crop, repeat)
    if keys["num_clips"] != 1:
        raise DataError("num_clips needs uniform_sample: True")
    if crop != 1 or repeat != 1:
        raise DataError("random_crop and random_repeat need uniform_sample: True and random_choose: True")
    if keys["random_choose"]:
        return RandomWindow(size)
    return Window(size) if size > 0 else WholeClip()


def from_entry(entry: object, where: str, own: bool = True) -> Transform:
    """One entry of `pipeline:`, `Name` or `Name: {argument: value}`. Raises DataError or UsageError."""
    if isinstance(entry, str):
        entry = {entry: {}}
    if not isinstance(entry, dict) or len(entry) != 1:
        raise DataError(f"{where}: {short(entry)} where `Name` or `Name: {{argument: value}}` belongs")
    ((name, args),) = entry.items()
    found = BUILT_IN.get(name)
    if found is None and own and "." in str(name):
        found = import_class(name)
        if not issubclass(found, Transform):
            raise DataError(f"{where}: {name} is not a feeder.pipeline.Transform")
    if found is None:
        raise DataError(
            f"{where}: no transform {short(name)}{did_you_mean(name, BUILT_IN)}; there are {', '.join(BUILT_IN)}"
        )
    if args is not None and not isinstance(args, dict):
        raise DataError(f"{where}: {name}: {short(args)} where {{argument: value}} belongs")
    check_arguments(found, args or {}, f"{where}: {name}")
    return found(**(args or {}))


def check_finite(data: np.ndarray) -> None:
    """Raises NotFiniteError for clips (N, ...) with NaN or infinite values."""
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(data.sum()):  # quick; a sum may overflow, though no value is infinite
            return
    finite = np.isfinite(data).all(axis=tuple(range(1, data.ndim)))
    if not finite.all():
        raise NotFiniteError(np.flatnonzero(~finite).tolist())


def _dotted(found: type) -> str:
    return f"{found.__module__}.{found.__qualname__}"
