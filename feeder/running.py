"""Preprocessing for a network that is fed frame by frame (net/streaming.py): nothing of a frame depends on later ones.

    preprocess = RunningPreprocess(recognizer.preprocess, window=64, hold=44)
    person = preprocess.begin()
    x = preprocess(person, frames, aspect)          # (C, T, V, M), the next frames -> those that are ready, (C, T', V, M)
    x = preprocess(person, None, aspect)            # no more will come: those that were held back

What looks at one frame alone is done as ever. `NormalizeBody` takes one centre and one size from the whole window, so that
what moves in it still moves; a stream has no window. In its place here: running means over the joints that were seen, of
their places and squares, in which a frame's weight falls by e in half a window. Its frames are then as old, on average,
as those of a window, and what moves across the picture stays near the middle.

In the beginning such a mean would follow every movement. So the first `hold` frames wait until they are all there, and
take the centre and size that they have together. Nothing is late by that, if the network needs as many for its first
feature.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from feeder import pipeline, transforms
from feeder.pipeline import Batch, Transform
from feeder.preprocess import Preprocess
from feeder.rng import ClipRNG
from torchlight.errors import DataError

FRAME_BY_FRAME = (
    pipeline.Standardize,
    pipeline.PreNormalize2D,
    pipeline.NormalizeBody,
    pipeline.IgnoreScore,
    pipeline.Stream,
)


@dataclass
class Running:
    """Of one sequence: the running sums, and the frames that wait.

    Attributes:
        count, place, square: sums over joints of 1, of the coordinates (dimension,), of their squares.
        waiting: clips (C, T, V, M); None once the beginning is over.
    """

    count: float
    place: np.ndarray
    square: float
    waiting: list[np.ndarray] | None

    def add(self, frames: np.ndarray, dimension: int, decay: float) -> tuple[np.ndarray, np.ndarray]:
        """Frames (C, T, V, M) -> the centre (dimension, T) and the size (T,) with each of them."""
        centre, size = np.empty((dimension, frames.shape[1])), np.empty(frames.shape[1])
        xyz, seen = (
            frames[:dimension].astype(np.float64),
            (frames != 0).any(0),
        )  # a missing joint is zero, and adds nothing
        counts, places = seen.sum((1, 2)), xyz.sum((2, 3))
        squares = np.square(xyz).sum((0, 2, 3))
        for t in range(frames.shape[1]):
            self.count = self.count * decay + counts[t]
            self.place = self.place * decay + places[:, t]
            self.square = self.square * decay + squares[t]
            there = max(self.count, 1e-9)
            centre[:, t] = self.place / there
            size[t] = np.sqrt(max(self.square / there - np.square(centre[:, t]).sum(), 0.0)) or 1.0
        return centre, size


class RunningPreprocess:
    """
    Args:
        preprocess: of the network's clips; its sampler is left out, the frames come at the network's rate.
        window: frames of a window.
        hold: frames that wait in the beginning, where a centre is needed.

    Raises:
        DataError: one of the transforms needs whole windows.
    """

    def __init__(self, preprocess: Preprocess, window: int, hold: int):
        self.skeleton, self.dimension = preprocess.skeleton, preprocess.dimension
        self.steps = preprocess.transforms[1:]
        for step in self.steps:
            if not is_frame_by_frame(step):
                raise DataError(f"{step.key} needs whole windows, it cannot be done frame by frame")
        self.decay = float(np.exp(-2 / window))
        self.hold = hold if any(isinstance(step, pipeline.NormalizeBody) for step in self.steps) else 0

    def begin(self) -> Running:
        return Running(0.0, np.zeros(self.dimension or 0), 0.0, [] if self.hold else None)

    def __call__(self, running: Running, frames: np.ndarray | None, aspect: float) -> np.ndarray:
        """The next frames of a sequence (C, T, V, M), None: there are no more -> those that are ready (C, T', V, M)."""
        over, beginning = frames is None, running.waiting is not None
        frames = np.zeros((1, 0, 1, 1), np.float32) if over else frames
        if beginning:
            running.waiting += [] if over else [frames]
            if not over and sum(each.shape[1] for each in running.waiting) < self.hold:
                return frames[:, :0]
            frames = np.concatenate(running.waiting, 1) if running.waiting else frames
            running.waiting = None
        if not frames.shape[1]:
            return frames
        batch = Batch([frames], np.array([aspect]), NO_RNG, self.skeleton, self.dimension)
        batch.data = frames[None].astype(np.float32)
        for step in self.steps:
            if isinstance(step, pipeline.NormalizeBody):
                self._normalize_body(batch, running, self.hold if beginning else 0)
            else:
                step(batch)
        return batch.data[0]

    def _normalize_body(self, batch: Batch, running: Running, hold: int) -> None:
        if self.dimension == 2:
            batch.data = transforms.to_isotropic(batch.data, batch.aspect)
        batch.aspect = np.ones_like(batch.aspect)
        clip = batch.data[0].copy()
        centre, size = running.add(clip, self.dimension, self.decay)
        together = min(hold, len(size)) - 1
        if together > 0:
            centre[:, :together], size[:together] = centre[:, together, None], size[together]
        seen = (clip != 0).any(0)
        xyz = (clip[: self.dimension] - centre[:, :, None, None]) / size[:, None, None] * seen
        clip[: self.dimension] = xyz
        batch.data = clip[None]


NO_RNG = ClipRNG(0, np.zeros(1), np.zeros(1))


def is_frame_by_frame(step: Transform) -> bool:
    if isinstance(step, pipeline.PreNormalize2D):
        return step.over == "frame"
    if isinstance(step, pipeline.Stream):
        return not any(name.endswith("motion") for name in step.names)
    return type(step) in FRAME_BY_FRAME
