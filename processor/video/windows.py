"""From the persons in frames to predictions: tracked, resampled to the network's rate, cut into windows, classified.

    classifier = WindowClassifier(recognizer, load_skeleton("openpose"), (width, height), window=64, stride=16)
    for frame in video:
        tracks, joints = classifier.add_frame(frame.index, frame.seconds, estimator(frame.image))
    classifier.finish()
    vote = Vote(recognizer.num_class)
    for window in classifier.windows:
        vote.add(window.probability, window.seen)

Of a person it keeps one window of keypoints; the predictions stay in `windows`, from where live.py takes them. Short
windows, from which segments are made (segments.py), are cut and classified beside them where they are wanted.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np

from feeder.skeleton import Skeleton, remap
from feeder.tracking.tracker import Tracker
from feeder.windows import GAP, LEAST, Resampler
from processor.recognizer import Recognizer

BATCH = 16  # windows classified at once


@dataclass
class Window:
    """One person for a while, and the prediction for it.

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
class Sample:
    """One person at one frame of the network's rate: its number, the video's frame, joints (V, 3) in pixels."""

    number: int
    index: int
    seconds: float
    joints: np.ndarray


class Cutter:
    """Says when the next window of a person is complete: the first after `size` samples, then one every `stride`."""

    def __init__(self, size: int, stride: int, short: bool):
        self.size, self.stride, self.short = size, stride, short
        self.until_next = size  # samples
        self.classified = False  # whether there has been a window


@dataclass
class Track:
    """A person who is still tracked."""

    resampler: Resampler
    samples: deque[Sample]
    cutters: list[Cutter]
    last_seen: float = 0.0  # seconds


@dataclass
class WindowClassifier:
    """
    Args:
        recognizer: the network.
        source: the layout of the persons that are added.
        frame_size: width and height of the video in pixels.
        window, stride: frames of a window and from one window to the next, at `fps`.
        fps: frames per second of the network's clips.
        rate: frames per second of the video.
        batch: windows classified at once; 1 when predictions are needed at once.
        short, short_stride: the same of the short windows, of at most `window` frames; 0: there are none.
        max_persons: the persons of a frame that are tracked, those best seen; None: all.
    """

    recognizer: Recognizer
    source: Skeleton
    frame_size: tuple[int, int]
    window: int = 64
    stride: int = 16
    fps: float = 30.0
    rate: float = 30.0
    batch: int = BATCH
    short: int = 0
    short_stride: int = 8
    max_persons: int | None = None
    windows: list[Window] = field(default_factory=list)
    short_windows: list[Window] = field(default_factory=list)

    def __post_init__(self):
        self.target = self.recognizer.skeleton
        self.tracker = Tracker(self.source, max_gap=max(1, round(GAP * self.rate)))
        self.tracks: dict[int, Track] = {}
        self.queue: list[tuple[Window, np.ndarray, bool]] = []  # with its clip, and whether it is a short one
        no_persons = np.zeros((0, self.source.num_joint, 3), np.float32)
        remap(no_persons, self.source, self.target)  # raises at once where the layouts do not fit

    def add_frame(self, index: int, seconds: float, persons: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Persons (P, V, 3) in pixels of the next frame -> their tracks (P,), their joints in the network's layout.

        With `max_persons` these are the persons that are kept.
        """
        persons = best_seen(persons, self.max_persons)
        numbers = self.tracker.update(index, persons)
        joints = remap(persons.astype(np.float32), self.source, self.target)
        self._add_samples(numbers.tolist(), index, seconds, joints)
        self._end_tracks([number for number, track in self.tracks.items() if seconds - track.last_seen > GAP])
        if len(self.queue) >= self.batch:
            self._classify()
        return numbers, joints

    def finish(self) -> list[Window]:
        """The video is over: classify what is left. All windows, in the order of the video."""
        self._end_tracks(list(self.tracks))
        self._classify()
        for windows in (self.windows, self.short_windows):
            windows.sort(key=lambda window: (window.first, window.track))
        return self.windows

    def _add_samples(self, numbers: list[int], index: int, seconds: float, joints: np.ndarray) -> None:
        new: list[tuple[Track, int, Sample]] = []
        for number, points in zip(numbers, joints):
            if number in self.tracks and seconds - self.tracks[number].last_seen > GAP:  # the video's clock jumps
                self._end_tracks([number])
            if number not in self.tracks:
                self.tracks[number] = self._new_track()
            track = self.tracks[number]
            track.last_seen = seconds
            resampled = track.resampler.add(seconds, points)
            new += [(track, number, Sample(k, index, seconds, points)) for k, points in resampled]
        new.sort(key=lambda each: each[2].number)
        for _, group in groupby(new, key=lambda each: each[2].number):
            simultaneous = list(group)
            for track, _, sample in simultaneous:  # those of all persons, before a window is cut
                track.samples.append(sample)
            self._cut_windows(simultaneous)

    def _new_track(self) -> Track:
        cutters = [Cutter(self.window, self.stride, short=False)]
        if self.short:
            cutters.append(Cutter(min(self.short, self.window), self.short_stride, short=True))
        return Track(Resampler(self.fps, self.rate), deque(maxlen=self.window), cutters)

    def _cut_windows(self, simultaneous: list[tuple[Track, int, Sample]]) -> None:
        """The windows that are complete with these samples, of one moment."""
        for track, number, _ in simultaneous:
            for cutter in track.cutters:
                cutter.until_next -= 1
                if cutter.until_next == 0:
                    self._cut_window(number, track, cutter)

    def _end_tracks(self, numbers: list[int]) -> None:
        """These persons are gone: their last window ends with the last frame."""
        for number in numbers:
            track = self.tracks[number]
            for cutter in track.cutters:
                if not cutter.classified or cutter.until_next < cutter.stride:
                    self._cut_window(number, track, cutter)
        for number in numbers:
            del self.tracks[number]

    def _cut_window(self, number: int, track: Track, cutter: Cutter) -> None:
        cutter.classified, cutter.until_next = True, cutter.stride
        samples = list(track.samples)[-cutter.size :]
        first, last = samples[0], samples[-1]
        rows = [np.stack([sample.joints for sample in samples])]  # (T, V, 3)
        rows += self._other_persons(track, first.number, last.number)
        seen = int(rows[0].any((1, 2)).sum())
        if seen >= LEAST:
            window = Window(number, first.index, last.index, first.seconds, last.seconds, seen)
            self.queue.append((window, self._clip(rows), cutter.short))

    def _other_persons(self, track: Track, first: int, last: int) -> list[np.ndarray]:
        """The other persons in these samples, for a network of several persons, the one seen longest first."""
        if self.recognizer.num_person == 1:
            return []
        rows = []
        for other in self.tracks.values():
            row = np.zeros((last - first + 1, self.target.num_joint, 3), np.float32)
            for sample in other.samples if other is not track else ():
                if first <= sample.number <= last:
                    row[sample.number - first] = sample.joints
            rows.append((row.any((1, 2)).sum(), row))
        rows = sorted((each for each in rows if each[0]), key=lambda each: -each[0])
        return [row for _, row in rows[: self.recognizer.num_person - 1]]

    def _clip(self, rows: list[np.ndarray]) -> np.ndarray:
        """Persons (T, V, 3) in pixels -> a clip (3, T, V, M) of centred fractions."""
        T = len(rows[0])
        clip = np.zeros((3, T, self.target.num_joint, self.recognizer.num_person), np.float32)
        for m, row in enumerate(rows):
            clip[:, :, :, m] = row[:T].transpose(2, 0, 1)
        seen = clip[2:] > 0
        clip[:2] = (clip[:2] / np.array(self.frame_size, np.float32)[:, None, None, None] - 0.5) * seen
        return clip

    def _classify(self) -> None:
        aspect = self.frame_size[0] / self.frame_size[1]
        for T in {
            clip.shape[1] for _, clip, _ in self.queue
        }:  # a network need not take clips of several lengths at once
            windows, clips, short = zip(*(each for each in self.queue if each[1].shape[1] == T))
            prediction = self.recognizer(clips, [aspect] * len(clips))
            for i, window in enumerate(windows):
                window.probability = prediction.probability[i]
                if prediction.attention is not None and not short[i]:
                    window.attention = prediction.attention[i].astype(np.float16)
                (self.short_windows if short[i] else self.windows).append(window)
        self.queue = []


def best_seen(persons: np.ndarray, count: int | None) -> np.ndarray:
    """The `count` persons (P, V, 3) that are largest and surest, in the order in which they were given; None: all.

    What counts is the longer side of the box around the joints, times the sum of their scores.
    """
    if count is None or len(persons) <= count:
        return persons
    there = (persons != 0).any(-1)[..., None]  # (P, V, 1)
    high = np.where(there, persons[..., :2], -np.inf).max(1)
    low = np.where(there, persons[..., :2], np.inf).min(1)
    weight = np.where(there.any((1, 2)), (high - low).max(1), 0) * persons[..., 2].sum(1)
    return persons[np.sort(np.argsort(-weight, kind="stable")[:count])]
