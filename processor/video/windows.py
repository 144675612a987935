"""From persons in frames to answers: followed, brought to the network's joints and rate, cut into windows, asked about.

    watcher = Watcher(recognizer, load_skeleton("openpose"), (width, height), window=64, stride=16)
    for frame in video:
        tracks, joints = watcher.see(frame.index, frame.seconds, estimator(frame.image))
    watcher.finish()
    label, score = recognizer.decide(vote(watcher.windows))

What it remembers of a person is one window; what it keeps are the answers.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np

from feeder.skeleton import Skeleton, remap
from feeder.tracking.tracker import Tracker
from feeder.windows import GAP, LEAST, Resampler
from processor.recognizer import Prediction, Recognizer

BATCH = 16  # windows asked about at once


@dataclass
class Window:
    """One person for a while, and what the network says of it.

    Attributes:
        track: number of the person.
        first, last: frames of the video.
        begin, end: seconds.
        seen: frames, at the network's rate, in which the person was seen.
        probability: (num_class,).
        attention: (T', V) in 0..1, or None.
    """

    track: int
    first: int
    last: int
    begin: float
    end: float
    seen: int
    probability: np.ndarray | None = None
    attention: np.ndarray | None = None


@dataclass
class Moment:
    """One person at one of the network's frames: its number, the video's frame, joints (V, 3) in pixels."""

    number: int
    index: int
    seconds: float
    joints: np.ndarray


@dataclass
class Person:
    """A track that is still followed."""

    resampler: Resampler
    moments: deque[Moment]
    newest: float = 0.0  # seconds
    until_next: int = 0  # moments until the next window is due
    asked: bool = False  # whether there has been a window


@dataclass
class WindowClassifier:
    """Args: see above; fps: the rate the network was trained at, rate: frames of the video a second, batch: how many
    windows are asked about at once, 1 when the answers cannot wait (live.py, which takes them out of `windows`).
    """

    recognizer: Recognizer
    source: Skeleton
    frame_size: tuple[int, int]
    window: int = 64
    stride: int = 16
    fps: float = 30.0
    rate: float = 30.0
    batch: int = BATCH
    windows: list[Window] = field(default_factory=list)

    def __post_init__(self):
        self.target = self.recognizer.skeleton
        self.tracker = Tracker(self.source, max_gap=max(1, round(GAP * self.rate)))
        self.persons: dict[int, Person] = {}
        self.waiting: list[tuple[Window, np.ndarray]] = []
        remap(
            np.zeros((0, self.source.num_joint, 3), np.float32), self.source, self.target
        )  # refuses at once what cannot be

    def see(self, index: int, seconds: float, persons: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Persons (P, V, 3) in pixels of the next frame -> their tracks (P,), their joints in the network's layout."""
        tracks = self.tracker.update(index, persons)
        joints = remap(persons.astype(np.float32), self.source, self.target)
        self._add(tracks.tolist(), index, seconds, joints)
        self._leave([track for track, person in self.persons.items() if seconds - person.newest > GAP])
        if len(self.waiting) >= self.batch:
            self._ask()
        return tracks, joints

    def finish(self) -> list[Window]:
        """The video is over: ask about what is left. All windows, in the order of the video."""
        self._leave(list(self.persons))
        self._ask()
        self.windows.sort(key=lambda window: (window.first, window.track))
        return self.windows

    def _add(self, tracks: list[int], index: int, seconds: float, joints: np.ndarray) -> None:
        fresh = []
        for track, points in zip(tracks, joints):
            if track in self.persons and seconds - self.persons[track].newest > GAP:  # the times of the video jump
                self._leave([track])
            if track not in self.persons:
                moments = deque(maxlen=self.window)
                self.persons[track] = Person(Resampler(self.fps, self.rate), moments, until_next=self.window)
            self.persons[track].newest = seconds
            moments = self.persons[track].resampler.add(seconds, points)
            fresh += [(track, Moment(number, index, seconds, points)) for number, points in moments]
        fresh.sort(key=lambda each: each[1].number)
        for _, group in groupby(fresh, key=lambda each: each[1].number):
            together = list(group)
            for track, moment in together:  # everybody's, before a window is cut
                self.persons[track].moments.append(moment)
                self.persons[track].until_next -= 1
            for track, _ in together:
                if self.persons[track].until_next == 0:
                    self._window(track, self.persons[track])

    def _leave(self, tracks: list[int]) -> None:
        """Somebody is gone: the last window ends with the last frame."""
        for track in tracks:
            person = self.persons[track]
            if not person.asked or person.until_next < self.stride:
                self._window(track, person)
        for track in tracks:
            del self.persons[track]

    def _window(self, track: int, person: Person) -> None:
        person.asked, person.until_next = True, self.stride
        first, last = person.moments[0], person.moments[-1]
        rows = [np.stack([moment.joints for moment in person.moments])]  # (T, V, 3)
        rows += self._others(track, first.number, last.number)
        seen = int(rows[0].any((1, 2)).sum())
        if seen < LEAST:
            return
        window = Window(track, first.index, last.index, first.seconds, last.seconds, seen)
        self.waiting.append((window, self._clip(rows)))

    def _others(self, track: int, first: int, last: int) -> list[np.ndarray]:
        """The person's company in these moments, for a network of several persons, the one seen longest first."""
        if self.recognizer.num_person == 1:
            return []
        company = []
        for other, person in self.persons.items():
            row = np.zeros((last - first + 1, self.target.num_joint, 3), np.float32)
            for moment in person.moments if other != track else ():
                if first <= moment.number <= last:
                    row[moment.number - first] = moment.joints
            company.append((row.any((1, 2)).sum(), row))
        company = sorted((each for each in company if each[0]), key=lambda each: -each[0])
        return [row for _, row in company[: self.recognizer.num_person - 1]]

    def _clip(self, rows: list[np.ndarray]) -> np.ndarray:
        """Persons (T, V, 3) in pixels -> a clip (3, T, V, M) of centred fractions."""
        T = len(rows[0])
        clip = np.zeros((3, T, self.target.num_joint, self.recognizer.num_person), np.float32)
        for m, row in enumerate(rows):
            clip[:, :, :, m] = row[:T].transpose(2, 0, 1)
        seen = clip[2:] > 0
        clip[:2] = (clip[:2] / np.array(self.frame_size, np.float32)[:, None, None, None] - 0.5) * seen
        return clip

    def _ask(self) -> None:
        aspect = self.frame_size[0] / self.frame_size[1]
        # a network need not take clips of several lengths at once
        for T in {clip.shape[1] for _, clip in self.waiting}:
            windows, clips = zip(*(each for each in self.waiting if each[1].shape[1] == T))
            answer: Prediction = self.recognizer(clips, [aspect] * len(clips))
            for i, window in enumerate(windows):
                window.probability = answer.probability[i]
                window.attention = answer.attention[i].astype(np.float16) if answer.attention is not None else None
            self.windows.extend(windows)
        self.waiting = []


def vote(windows: list[Window]) -> np.ndarray | None:
    """The mean of the windows' probabilities, the longer a person was seen the heavier; None without a window."""
    if not windows:
        return None
    return np.average([window.probability for window in windows], axis=0, weights=[window.seen for window in windows])
