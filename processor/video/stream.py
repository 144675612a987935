"""Actions in frames that a program has one after the other: images, or keypoints that it found itself.

stream = Stream(fps=30)
for image in frames:                    # (H, W, 3) uint8 RGB
    for person in stream.add(image):    # who is there now, and what each does
        print(person.track, person.label, person.score)
segments = stream.finish()              # who did what from when to when
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from feeder.pose.estimators import PoseEstimator, make_estimator
from feeder.skeleton import load_skeleton
from processor.demo import from_settings
from processor.recognizer import Recognizer
from processor.video.continual import make_classifier
from processor.video.result import segment_row
from processor.video.segments import Segment, Segmenter
from processor.video.settings import Settings
from processor.video.windows import WindowClassifier
from torchlight.errors import UsageError


class Person(NamedTuple):
    """One person in a frame.

    Attributes:
        track: the person's number.
        label, score: what the person does now, as far as it can be said at once; None before the first window is full.
        joints: (V, 3) in the network's layout: x, y in pixels, score; 0 where missing.
    """

    track: int
    label: str | None
    score: float | None
    joints: np.ndarray


class Stream:
    """
    Args:
        recognizer: default: the starter model.
        fps: of the frames, where no times are given.
        layout: of the keypoints that are added, as load_skeleton takes it; None: images are added.
        frame_size: width and height in pixels of the frames whose keypoints are added.
        estimate: who finds the keypoints in images; default: `pose` of the settings, MoveNet.
        settings: options of `main.py demo`, such as pose, stride, max_persons, streaming.

    Attributes:
        segments: those that are over, in the order in which they ended, as in the demo's .json (docs/demo.md), without
            repetitions. The list may be emptied at any time.
    """

    def __init__(
        self,
        recognizer: Recognizer | None = None,
        fps: float = 30.0,
        layout: str | Mapping | None = None,
        frame_size: tuple[int, int] | None = None,
        estimate: PoseEstimator | None = None,
        **settings: Any,
    ):
        if layout is not None and frame_size is None:
            raise UsageError("frame_size: width and height of the frames are needed, in pixels")
        arg, self.recognizer = from_settings(settings, recognizer)
        self.settings, self.fps = Settings.of(arg, self.recognizer), fps
        self.estimate = estimate
        if layout is None and estimate is None:
            self.estimate = make_estimator(arg.pose, arg.openpose, arg.openpose_model)
        self.source = load_skeleton(self.estimate.layout if layout is None else layout)
        self.classifier = None if frame_size is None else self._classifier(frame_size)
        self.takes_images, self.index, self.seconds = layout is None, 0, -1.0
        self.segmenter, self.current = Segmenter(self.recognizer), dict[int, Segment]()
        self.segments: list[dict[str, Any]] = []

    def add(self, frame: np.ndarray, seconds: float | None = None) -> list[Person]:
        """The next frame: an image (H, W, 3) uint8 RGB, or the keypoints of its persons (P, V, 3): x, y in pixels, score.

        Args:
            seconds: its time, later than that of the one before; default: by fps.
        """
        frame = np.asarray(frame)
        seconds = self.index / self.fps if seconds is None else float(seconds)
        if not seconds > self.seconds:
            raise UsageError(f"seconds: {seconds} is not later than the frame before, {self.seconds}")
        persons = self._found(frame) if self.takes_images else self._given(frame)
        tracks, joints = self.classifier.add_frame(self.index, seconds, persons)
        self.index, self.seconds = self.index + 1, seconds
        self._take_windows()
        alive = self.classifier.tracks
        self._end([track for track in self.segmenter.persons if track not in alive])
        found = [(track, self.current.get(track), points) for track, points in zip(tracks.tolist(), joints)]
        return [Person(track, now and now.label, now and now.score, points) for track, now, points in found]

    def finish(self) -> list[dict[str, Any]]:
        """There are no more frames: the segments, with those that were not over."""
        if self.classifier is not None:
            self.classifier.finish()
            self._take_windows()
        self._end(list(self.segmenter.persons))
        return self.segments

    def _found(self, image: np.ndarray) -> np.ndarray:
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise UsageError(f"frame: {image.dtype} {image.shape} where an image (H, W, 3) uint8 RGB belongs")
        size = image.shape[1], image.shape[0]
        if self.classifier is None:
            self.classifier = self._classifier(size)
        if size != self.classifier.frame_size:
            raise UsageError(f"frame: {size} pixels, where those before have {self.classifier.frame_size}")
        return self.estimate(np.ascontiguousarray(image))  # a view in the order RGB, of BGR, has none of its own

    def _given(self, persons: np.ndarray) -> np.ndarray:
        V = self.source.num_joint
        if persons.ndim != 3 or persons.shape[1:] != (V, 3) or not np.isfinite(persons).all():
            raise UsageError(f"frame: {persons.shape} where keypoints (P, {V}, 3) belong, finite, 0 where missing")
        return persons[persons.any((1, 2))].astype(np.float32)

    def _classifier(self, frame_size: tuple[int, int]) -> WindowClassifier:
        return make_classifier(self.settings, self.recognizer, self.source, tuple(frame_size), self.fps, at_once=True)

    def _take_windows(self) -> None:
        """What has been classified since; the classifier forgets it."""
        short, self.classifier.short_windows, self.classifier.windows = self.classifier.short_windows, [], []
        for window in short:
            self.segments += map(segment_row, self.segmenter.add(window))
            self.current[window.track] = self.segmenter.current(window.track)

    def _end(self, tracks: list[int]) -> None:
        self.segments += map(segment_row, self.segmenter.finish(tracks))
        for track in tracks:
            self.current.pop(track, None)
