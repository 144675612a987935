"""Predictions for tracked persons by a network that is fed frame by frame (`--streaming`).

The windows are those of windows.py: as many frames, as often. What they are of differs: here a network has seen all that
was before them, and some frames after them, so they are there later (continual.delay), at a cost that does not grow with
their length or number. Persons who come and go are a batch: every `continual.stride` samples those who have enough new
ones are fed together; enough is as many as from one window to the next.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from math import gcd

import numpy as np

from feeder.skeleton import Skeleton
from feeder.windows import LEAST, Resampler
from processor.continual import ContinualRecognizer, Person
from processor.recognizer import Recognizer
from processor.video.settings import Settings
from processor.video.windows import Sample, Track, Window, WindowClassifier


def make_classifier(
    settings: Settings,
    recognizer: Recognizer,
    source: Skeleton,
    frame_size: tuple[int, int],
    rate: float,
    at_once: bool = False,
) -> WindowClassifier:
    """The classifier that the settings want; at_once: predictions are needed when they can be had."""
    classifier = ContinualClassifier if settings.streaming else WindowClassifier
    return classifier(
        recognizer,
        source,
        frame_size,
        settings.window,
        settings.stride,
        settings.fps,
        rate,
        short=settings.short,
        short_stride=settings.short_stride,
        max_persons=settings.max_persons,
        **({"batch": 1} if at_once else {}),
    )


@dataclass
class ContinualTrack(Track):
    """
    Attributes:
        person: the network's memory of the track.
        count: samples so far; the network has had person.count of them.
        company: tracks of the other persons of a sample, in their places.
    """

    person: Person | None = None
    count: int = 0
    company: list[int | None] = field(default_factory=list)


@dataclass
class ContinualClassifier(WindowClassifier):
    """Like WindowClassifier; `batch` means nothing."""

    def __post_init__(self):
        super().__post_init__()
        self.continual = ContinualRecognizer(self.recognizer, self.window)
        strides = (self.stride, self.short_stride) if self.short else (self.stride,)
        self.chunk = gcd(*map(self.continual.whole, strides))  # samples that are fed at once, after the first

    def _new_track(self) -> Track:
        memory = self.window + self.continual.delay + self.chunk + 2 * self.continual.stride
        person = self.continual.begin(self.frame_size[0] / self.frame_size[1])
        company: list[int | None] = [None] * (self.recognizer.num_person - 1)
        return ContinualTrack(Resampler(self.fps, self.rate), deque(maxlen=memory), [], 0.0, person, company=company)

    def _cut_windows(self, simultaneous: list[tuple[Track, int, Sample]]) -> None:
        for track, _, _ in simultaneous:
            track.count += 1
        S, tracks = self.continual.stride, list(self.tracks.items())
        if simultaneous[0][2].number % S == S - 1:  # the same moments for all
            while ready := {n: track for n, track in tracks if track.count - track.person.count >= self._chunk(track)}:
                clips = [self._next_clip(number, self._chunk(track)) for number, track in ready.items()]
                self.continual.add([track.person for track in ready.values()], clips)
                self._predict(ready)

    def _end_tracks(self, numbers: list[int]) -> None:
        for number in numbers:
            track = self.tracks[number]
            self.continual.finish(track.person, self._next_clip(number, track.count - track.person.count))
            self._predict({number: track})
        for number in numbers:
            del self.tracks[number]

    def _chunk(self, track: ContinualTrack) -> int:
        """Samples that are fed at once: first all of those for which nothing is known yet."""
        return self.chunk if track.person.count else max(self.continual.hold, self.continual.stride)

    def _next_clip(self, number: int, frames: int) -> np.ndarray:
        """The samples of a track that the network gets next, with its company: (3, frames, V, M)."""
        track = self.tracks[number]
        begin = len(track.samples) - (track.count - track.person.count)
        samples = list(track.samples)[begin : begin + frames]
        if not samples:
            return np.zeros((3, 0, self.target.num_joint, self.recognizer.num_person), np.float32)
        rows = [np.stack([sample.joints for sample in samples])]
        for other in self._company(number, track):
            row = np.zeros_like(rows[0])
            for sample in self.tracks[other].samples if other is not None else ():
                if 0 <= sample.number - samples[0].number < frames:
                    row[sample.number - samples[0].number] = sample.joints
            rows.append(row)
        return self._clip(rows)

    def _company(self, number: int, track: ContinualTrack) -> list[int | None]:
        """Who else is in the sample: those who are, as long as they are there; in free places those seen longest."""
        others = sorted(self.tracks, key=lambda other: -self.tracks[other].count)
        free = [other for other in others if other != number and other not in track.company]
        for place, other in enumerate(track.company):
            if other not in self.tracks:
                track.company[place] = free.pop(0) if free else None
        return track.company

    def _predict(self, tracks: dict[int, ContinualTrack]) -> None:
        """The windows of which the last feature is known since the last call."""
        numbers, persons = list(tracks), [track.person for track in tracks.values()]
        kinds = [(self.window, self.stride, False), (min(self.short, self.window), self.short_stride, True)]
        for size, stride, short in kinds:
            for ago, due in self.continual.due(persons, size, stride).items() if size else ():
                windows = [self._window(numbers[i], end, size) for i, end in due]
                due = [(window, persons[i]) for window, (i, _) in zip(windows, due) if window.seen >= LEAST]
                if due:
                    self._add_windows(*zip(*due), size, ago, short)

    def _window(self, number: int, end: int, size: int) -> Window:
        track = self.tracks[number]
        last = len(track.samples) - (track.count - end)
        samples = list(track.samples)[max(0, last - size) : last]
        seen = sum(sample.joints.any() for sample in samples)
        first, last = samples[0], samples[-1]
        return Window(number, first.index, last.index, first.seconds, last.seconds, int(seen))

    def _add_windows(self, windows: list[Window], persons: list[Person], size: int, ago: int, short: bool) -> None:
        prediction = self.continual.predict(persons, size, ago)
        for i, window in enumerate(windows):
            window.probability = prediction.probability[i]
            if not short:
                attention = prediction.attention[i]
                window.attention = attention[attention.any(1).argmax() :].astype(
                    np.float16
                )  # none before the beginning
            (self.short_windows if short else self.windows).append(window)
