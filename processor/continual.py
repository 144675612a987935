"""A recogniser that is fed frame by frame: a prediction costs four frames of work, however long its window is.

    continual = ContinualRecognizer(recognizer, window=64)
    person = continual.begin(aspect)
    for clip in clips:                                      # (C, T, V, M): the next frames, T a multiple of continual.stride
        continual.add([person], [clip])                     # several persons at once cost less
        prediction = continual.predict([person], frames=64) # over the last 64 frames that are known
    continual.finish(person, rest)                          # no more will come: all is known now

What it takes are frames at the network's rate, as a reader gives them. The network is net/streaming.py, what comes before it
feeder/running.py.

The network sees them at half speed: before every frame comes the one half-way from the last. What it sees at one moment is
then half as long, and its features are known in half the time. A window does the same to short clips, which it stretches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from math import lcm

import numpy as np
import torch

from feeder.running import Running, RunningPreprocess
from net.streaming import State
from processor.protocols import streaming_form
from processor.recognizer import Prediction, Recognizer
from torchlight.errors import DataError, UsageError

SLOW = 2  # samples of the network for each frame; chosen on clips held out of the training (docs/streaming.md)


@dataclass
class Person:
    """What is remembered of one person, or of several who are one sample.

    Attributes:
        aspect: width over height of the frames.
        running: of the preprocessing.
        state: of the network; None before its first frame.
        last: the last frame (C, V, M); None before the first.
        count: frames so far.
        known, known_before: frames whose features are known, in whole strides, and were before the last call.
        spare: samples whose features are known beyond these.
        over: no more frames come.
    """

    aspect: float
    running: Running
    state: State | None = None
    last: np.ndarray | None = None
    count: int = 0
    known: int = 0
    known_before: int = 0
    spare: int = 0
    over: bool = False


class ContinualRecognizer:
    """
    Args:
        recognizer: the network.
        window: frames of the longest prediction.

    Attributes:
        stride: frames from one prediction to the next.
        delay: frames after which a feature is known.
        hold: whole strides of the delay: for so many frames nothing is known.

    Raises:
        UsageError: this network, or its preprocessing, needs whole windows.
    """

    def __init__(self, recognizer: Recognizer, window: int):
        self.recognizer, self.stream = recognizer, streaming_form(recognizer.network, SLOW * window)
        if self.stream is None:
            raise UsageError(
                "--streaming: this network takes whole windows; an ST-GCN or ST-GCN++ can be fed frame by frame"
            )
        self.stride = lcm(self.stream.stride, SLOW) // SLOW
        self.delay = -(-self.stream.delay // SLOW)
        self.hold = self.delay - self.delay % self.stride
        try:
            self.preprocess = RunningPreprocess(recognizer.preprocess, SLOW * window, SLOW * self.hold)
        except DataError as error:
            raise UsageError(f"--streaming: {error}") from error

    def begin(self, aspect: float) -> Person:
        return Person(aspect, self.preprocess.begin())

    def add(self, persons: Sequence[Person], clips: Sequence[np.ndarray]) -> None:
        """The next frames (C, T, V, M) of each; T is a multiple of the stride."""
        samples = [self._slow_motion(person, clip) for person, clip in zip(persons, clips)]
        for person in persons:
            person.known_before = person.known
        self._feed([(each, self.preprocess(each.running, x, each.aspect)) for each, x in zip(persons, samples)])

    def finish(self, person: Person, rest: np.ndarray) -> None:
        """rest: the last frames (C, T, V, M), any number of them."""
        person.over, person.known_before = True, person.known
        for samples in (self._slow_motion(person, rest), None):
            self._feed([(person, self.preprocess(person.running, samples, person.aspect))])
        if person.state is not None:
            self.stream.state = person.state
            self.stream.flush()
            self._remember([person])

    def _slow_motion(self, person: Person, clip: np.ndarray) -> np.ndarray:
        """Frames (C, T, V, M) -> samples (C, SLOW * T, V, M); the first frame has none before it and is repeated."""
        T = clip.shape[1]
        if T == 0:
            return clip
        before = clip[:, 0] if person.last is None else person.last
        person.last, person.count = clip[:, -1], person.count + T
        a = np.concatenate([before[:, None], clip[:, :-1]], 1)
        both = (a != 0).any(0) & (clip != 0).any(0)
        parts = [np.where(both, a + (clip - a) * np.float32(k / SLOW), clip) for k in range(1, SLOW + 1)]
        return np.stack(parts, 2).reshape(len(clip), SLOW * T, *clip.shape[2:])

    def _feed(self, frames: Sequence[tuple[Person, np.ndarray]]) -> None:
        """Those with as many frames, and at the same point of a stride, are one batch."""

        def kind(each: tuple[Person, np.ndarray]) -> tuple[int, int]:
            person, x = each
            return x.shape[1], 0 if person.state is None else int(person.state.age[0]) % self.stride

        for (T, _), batch in groupby(sorted(frames, key=kind), kind):
            if T == 0:
                continue
            persons, x = zip(*batch)
            _, _, V, M = x[0].shape
            states = [self.stream.begin(1, V, M) if each.state is None else each.state for each in persons]
            self.stream.state = State.join(states) if len(states) > 1 else states[0]
            self.stream(torch.from_numpy(np.stack(x)).to(self.recognizer.device))
            self._remember(persons)

    def _remember(self, persons: Sequence[Person]) -> None:
        known = self.stream.known().clamp(min=0).tolist()
        for i, person in enumerate(persons):
            person.state = self.stream.state[i : i + 1]
            samples = known[i] * self.stream.stride
            person.known = samples // (SLOW * self.stride) * self.stride
            person.spare = samples - SLOW * person.known

    def due(self, persons: Sequence[Person], size: int, stride: int) -> dict[int, list[tuple[int, int]]]:
        """Of the windows of `size` frames, one every `stride` and one at the end: those that the last call has completed.

        Whole strides of the network count: a size is rounded down to these, a stride up.

        Returns:
            `ago` of predict: [(which of the persons, how many frames were there at the window's end), ...].
        """
        S, found = self.stride, dict[int, list[tuple[int, int]]]()
        size, stride = max(S, size - size % S), self.whole(stride)
        for i, person in enumerate(persons):
            last = person.count if person.over else person.known
            ends = [
                end for end in range(person.known_before + S, last + 1, S) if end >= size and (end - size) % stride == 0
            ]
            if person.over and last and (last < size or (last - size) % stride):
                ends.append(last)
            for end in ends:
                ago = 0 if end % S else SLOW * (person.known - end) + person.spare
                found.setdefault(ago, []).append((i, end))
        return found

    def whole(self, frames: int) -> int:
        """Rounded up to whole strides."""
        return -(-frames // self.stride) * self.stride

    def predict(self, persons: Sequence[Person], frames: int, ago: int = 0) -> Prediction:
        """Over the last `frames` frames that are known, or those `ago`, as `due` says it; as Recognizer.__call__.

        The persons are at the same point of a stride, and all of them are over or none is.
        """
        states = [replace(person.state, kept=[]) for person in persons]
        self.stream.state = State.join(states) if len(states) > 1 else states[0]
        samples = SLOW * frames
        feature, count = self.stream.latest(samples, ago)
        count = count.clamp(min=1).to(feature.device) * feature[0, 0, 0].numel()
        pooled = feature.float().sum((2, 3, 4)) / count[:, None]
        return self.recognizer.prediction(self.stream.logits(samples, ago), feature[..., 0], pooled, streaming=True)
