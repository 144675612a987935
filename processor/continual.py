"""A recogniser that is fed frame by frame: a prediction costs four frames of work, however long its window is.

    continual = ContinualRecognizer(recognizer, window=64)
    person = continual.begin(aspect)
    for clip in clips:                                      # (C, T, V, M): the next frames, T a multiple of continual.stride
        continual.add([person], [clip])                     # several persons at once cost less
        prediction = continual.predict([person], frames=64) # over the last 64 frames that are known
    continual.finish(person, rest)                          # no more will come: all is known now

What it takes are frames at the network's rate, as a reader gives them. The network is net/streaming.py, what comes before it
feeder/running.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
import torch

from feeder.running import Running, RunningPreprocess
from net.streaming import State
from processor.protocols import streaming_form
from processor.recognizer import Prediction, Recognizer
from torchlight.errors import DataError, UsageError


@dataclass
class Person:
    """What is remembered of one person, or of several who are one sample.

    Attributes:
        aspect: width over height of the frames.
        running: of the preprocessing.
        state: of the network; None before its first frame.
        count: frames so far.
        known, known_before: frames whose features are known, and were before the last call.
        over: no more frames come.
    """

    aspect: float
    running: Running
    state: State | None = None
    count: int = 0
    known: int = 0
    known_before: int = 0
    over: bool = False


class ContinualRecognizer:
    """
    Args:
        recognizer: the network.
        window: frames of the longest prediction.

    Attributes:
        stride, delay: of net.streaming.Streaming, in frames.
        hold: whole strides of the delay: for so many frames nothing is known.

    Raises:
        UsageError: this network, or its preprocessing, needs whole windows.
    """

    def __init__(self, recognizer: Recognizer, window: int):
        self.recognizer, self.stream = recognizer, streaming_form(recognizer.network, window)
        if self.stream is None:
            raise UsageError(
                "--streaming: this network takes whole windows; an ST-GCN or ST-GCN++ can be fed frame by frame"
            )
        self.stride, self.delay = self.stream.stride, self.stream.delay
        self.hold = self.delay - self.delay % self.stride
        try:
            self.preprocess = RunningPreprocess(recognizer.preprocess, window, self.hold)
        except DataError as error:
            raise UsageError(f"--streaming: {error}") from error

    def begin(self, aspect: float) -> Person:
        return Person(aspect, self.preprocess.begin())

    def add(self, persons: Sequence[Person], clips: Sequence[np.ndarray]) -> None:
        """The next frames (C, T, V, M) of each; T is a multiple of the stride."""
        for person, clip in zip(persons, clips):
            person.count, person.known_before = person.count + clip.shape[1], person.known
        self._feed([(each, self.preprocess(each.running, clip, each.aspect)) for each, clip in zip(persons, clips)])

    def finish(self, person: Person, rest: np.ndarray) -> None:
        """rest: the last frames (C, T, V, M), any number of them."""
        person.over, person.known_before, person.count = True, person.known, person.count + rest.shape[1]
        for frames in (rest, None):
            self._feed([(person, self.preprocess(person.running, frames, person.aspect))])
        if person.state is not None:
            self.stream.state = person.state
            self.stream.flush()
            self._remember([person])

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
            person.known = known[i] * self.stride

    def due(self, persons: Sequence[Person], size: int, stride: int) -> dict[int, list[tuple[int, int]]]:
        """Of the windows of `size` frames, one every `stride` and one at the end: those that the last call has completed.

        Whole strides of the network count: a size is rounded down to these, a stride up.

        Returns:
            `ago` of predict: [(which of the persons, how many frames were there at the window's end), ...].
        """
        S, found = self.stride, dict[int, list[tuple[int, int]]]()
        size, stride = max(S, size - size % S), self.whole(stride)
        for i, person in enumerate(persons):
            last = min(person.known, person.count)
            ends = [
                end for end in range(person.known_before + S, last + 1, S) if end >= size and (end - size) % stride == 0
            ]
            if person.over and last and (last < size or (last - size) % stride):
                ends.append(last)
            for end in ends:
                found.setdefault(0 if end == last else person.known - end, []).append((i, end))
        return found

    def whole(self, frames: int) -> int:
        """Rounded up to whole strides."""
        return -(-frames // self.stride) * self.stride

    def predict(self, persons: Sequence[Person], frames: int, ago: int = 0) -> Prediction:
        """Over the last `frames` frames that are known, or those so many frames before; as Recognizer.__call__.

        The persons are at the same point of a stride, and all of them are over or none is.
        """
        states = [replace(person.state, kept=[]) for person in persons]
        self.stream.state = State.join(states) if len(states) > 1 else states[0]
        feature, count = self.stream.latest(frames, ago)
        count = count.clamp(min=1).to(feature.device) * feature[0, 0, 0].numel()
        pooled = feature.float().sum((2, 3, 4)) / count[:, None]
        return self.recognizer.prediction(self.stream.logits(frames, ago), feature[..., 0], pooled)
