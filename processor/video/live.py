"""A camera or a stream, recognised while it runs.

    python main.py demo --video 0                        # a window where there is a display; q or Ctrl-C ends it
    python main.py demo --video rtsp://address/stream

Four threads, each of which takes the latest item when it is ready for the next one, so that the picture is never late:

    camera -> poses -> tracks and predictions -> the picture, its window and its file

An hour takes no more memory than a minute: of the windows and segments, the votes are kept, and a row each on disk. What a
person does now is said at once; a segment is final some seconds after it is over (segments.py).
"""

from __future__ import annotations

import json
import re
import signal
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import numpy as np

from feeder.pose.estimators import PoseEstimator
from feeder.skeleton import load_skeleton
from feeder.video.camera import Camera
from feeder.video.decode import Frame
from feeder.video.encode import VideoWriter
from processor.recognizer import Recognizer
from processor.video.continual import make_classifier
from processor.video.display import Display
from processor.video.drawing import DrawnPerson, Mosaic, drawn_person
from processor.video.page import demo_page
from processor.video.repetitions import LiveRepetitions
from processor.video.result import build_result, print_result, segment_row, window_row, write_result
from processor.video.segments import Segment, Segmenter
from processor.video.settings import Settings
from processor.video.timeline import Timeline
from processor.video.vote import LongestLabel, Vote, answer_of_mean
from processor.video.windows import Window, WindowClassifier
from torchlight.latest import latest
from torchlight.lock import exclusive

LONG_SIDE = 256  # of the picture that MoveNet sees: two thirds of the work of 320
IDLE = 0.1  # seconds without a picture after which the keys of the window are read all the same
RECENT = 30  # pictures over which the frame rate is measured
SHOWN = 60.0  # seconds of the timeline in the picture


class Tracked(NamedTuple):
    """A picture, its persons, what they do (None: it is not known yet), and the segments of the last SHOWN seconds."""

    frame: Frame
    persons: list[DrawnPerson]
    answer: tuple[str, float] | None
    segments: list[Segment]


def process_stream(settings: Settings, recognizer: Recognizer, source: str, estimate: PoseEstimator) -> dict[str, Any]:
    """Run until q, Ctrl-C or the end of the stream; then <name>.mp4, .json and the rest are there, like those of a file."""
    source, name = source_of(source)
    output = settings.output_dir / name
    lock = exclusive(settings.output_dir, name, "another --output_dir")
    with lock, Camera(source) as camera, ended_by_signal() as stop:
        print(f"{name}: {camera.width}x{camera.height}, {camera.fps:.0f} frames/s; q in the window or Ctrl-C ends it")
        layout, size = load_skeleton(estimate.layout), (camera.width, camera.height)
        classifier = make_classifier(settings, recognizer, layout, size, camera.fps, at_once=True)
        record = Record(recognizer, settings.vote, settings.only_recognised)
        tracked = track(latest(estimate_poses(camera, estimate)), classifier, record)
        drawn = draw(latest(tracked, IDLE), camera, recognizer, stop, settings.height, output)
        if not stop.is_set():
            print(f"{name} gives no more pictures.")
        result = record.result(name, drawn)
        write_result(output, result)
        path = output.with_name(f"{output.name}.mp4")
        demo_page(result, path, record.seconds).write(output.with_name(f"{output.name}.html"))
        used = f"{record.used} of the camera's {record.taken} pictures used ({record.used / record.taken:.0%})"
        print_result(result, f"{result['fps']:.1f} frames/s; {used}", path)
    return result


def source_of(video: str) -> tuple[str, str]:
    """What the camera is opened with, and what its results are called: camera0, or the last part of the address."""
    if "://" not in video:
        number = video if video.isdecimal() else "0"  # camera_source, the original's word
        return number, f"camera{int(number)}"
    address = urlsplit(video)  # its path alone: there may be a password before it, or a key behind it
    last = Path(unquote(address.path)).stem or address.hostname or ""
    return video, re.sub(r"[^\w. -]+", "_", last).strip(". -") or "stream"


@contextmanager
def ended_by_signal() -> Iterator[threading.Event]:
    """An event that SIGINT (Ctrl-C) or SIGTERM sets; nothing is interrupted, so that the files are finished."""
    stop = threading.Event()
    signals = signal.SIGINT, signal.SIGTERM
    before = [signal.signal(number, lambda *_: stop.set()) for number in signals]
    try:
        yield stop
    finally:
        for number, handler in zip(signals, before):
            signal.signal(number, handler)


# ---- the stages


def estimate_poses(camera: Camera, estimate: Callable[[np.ndarray], np.ndarray]) -> Iterator[tuple[Frame, np.ndarray]]:
    """The camera's latest picture, and the persons in it."""
    for frame in iter(camera.read, None):
        yield frame, estimate(frame.image)


def track(poses: Iterator[tuple[Frame, np.ndarray]], classifier: WindowClassifier, record: Record) -> Iterator[Tracked]:
    """Every person with what it does now, by its latest windows. After the last picture, what is left is classified."""
    predictions: dict[int, Window] = {}
    segmenter, recent = Segmenter(classifier.recognizer), deque[Segment]()
    repetitions = LiveRepetitions(classifier.recognizer.skeleton, classifier.rate)
    current: dict[int, Segment] = {}
    shown: list[Segment] = []
    for frame, persons in poses:
        numbers, joints = classifier.add_frame(frame.index, frame.seconds, persons)
        repetitions.add(frame.index, frame.seconds, numbers, joints)
        predictions |= {window.track: window for window in record.take(classifier)}
        predictions = {number: window for number, window in predictions.items() if number in classifier.tracks}
        short, classifier.short_windows = classifier.short_windows, []
        over = [segment for window in short for segment in segmenter.add(window)]
        over += segmenter.finish([number for number in segmenter.persons if number not in classifier.tracks])
        if over or short:
            over, growing = repetitions.count(over, segmenter.undecided())
            counted = {segment.track: segment for segment in growing}
        record.add_segments(over)
        recent += over
        while recent and recent[0].end < frame.seconds - SHOWN:
            recent.popleft()
        for window in short:
            if segment := segmenter.current(window.track):
                now = counted.get(window.track)
                same = now is not None and now.label == segment.label
                current[window.track] = replace(segment, moments=now.moments) if same else segment
        current = {number: segment for number, segment in current.items() if number in classifier.tracks}
        record.count(frame)
        if over or short:
            shown = [*recent, *growing]
        drawn = [
            drawn_person(
                classifier.recognizer,
                predictions.get(number),
                number,
                points,
                frame.index,
                record.answer_for(current.get(number)),
            )
            for number, points in zip(numbers.tolist(), joints)
            if not record.only_recognised or (number in current and current[number].recognised)
        ]
        yield Tracked(frame, drawn, record.answer_now(predictions, current), shown)
    classifier.finish()
    record.take(classifier)
    over = [segment for window in classifier.short_windows for segment in segmenter.add(window)]
    record.add_segments(repetitions.count(over + segmenter.finish(), [])[0])


def draw(
    tracked: Iterator[Tracked | None],
    camera: Camera,
    recognizer: Recognizer,
    stop: threading.Event,
    height: int,
    output: Path,
) -> int:
    """Draw, show and write until the camera ends or `stop` is set; the number of pictures written."""
    mosaic = Mosaic((camera.width, camera.height), height, recognizer.skeleton, timeline=True)
    timeline, shown = Timeline(mosaic.size[0], mosaic.strip), None
    display, picture, drawn = Display(True), None, 0
    times: deque[float] = deque(maxlen=RECENT)
    with VideoWriter(output.with_name(f"{output.name}.mp4"), *mosaic.size, camera.fps) as out:
        for each in tracked:
            if stop.is_set():
                camera.stop()  # after which there are a last picture or two
            if each is not None:
                frame, persons, answer, segments = each
                times.append(frame.seconds)
                rate = (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 else None
                label, score = answer or ("", 0.0)
                picture = mosaic.draw(frame.image, persons, label, score, fps=rate)
                if mosaic.strip:
                    if segments is not shown:
                        timeline.show(segments, max(0.0, frame.seconds - SHOWN), max(SHOWN, frame.seconds))
                        shown = segments
                    timeline.paint(picture, frame.seconds)
                out.write(picture, frame.seconds if drawn else 0.0)
                drawn += 1
            if display(None if each is None else picture):
                stop.set()
    return drawn


# ---- what is kept


class RowsOnDisk(list):
    """A list of rows in a temporary file: iterating (as json.dump does) reads one after the other."""

    def __init__(self):
        super().__init__()
        self.file, self.length = tempfile.TemporaryFile("w+", encoding="utf-8"), 0  # noqa: SIM115 (it goes with the object)

    def append(self, row: dict) -> None:
        self.file.seek(0, 2)
        self.file.write(json.dumps(row) + "\n")
        self.length += 1

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[dict]:
        self.file.seek(0)
        return map(json.loads, self.file)


class Record:
    """What is kept of a stream: the rows of all windows and segments on disk, the votes, and counts of pictures.

    Args:
        vote: "segments" or "mean".
        only_recognised: list only persons who are recognised.

    Attributes:
        used, taken: pictures that were used, and all that the camera took until the last of them.
        seconds: time of that one.
    """

    def __init__(self, recognizer: Recognizer, vote: str = "mean", only_recognised: bool = False):
        self.recognizer, self.by, self.only_recognised = recognizer, vote, only_recognised
        self.rows, self.segments, self.tracks, self.recognised = RowsOnDisk(), RowsOnDisk(), set(), set()
        self.vote, self.longest = Vote(recognizer.num_class), LongestLabel()
        self.used, self.taken, self.seconds = 0, 0, 0.0

    def count(self, frame: Frame) -> None:
        self.used, self.taken, self.seconds = self.used + 1, frame.index + 1, frame.seconds

    def take(self, classifier: WindowClassifier) -> list[Window]:
        """The windows that have been classified since, which the classifier then forgets."""
        windows, classifier.windows = classifier.windows, []
        for window in windows:
            self.rows.append(window_row(self.recognizer, window))
            self.tracks.add(window.track)
            self.vote.add(window.probability, window.seen)
        return windows

    def add_segments(self, segments: list[Segment]) -> None:
        for segment in segments:
            self.longest.add(segment)
            if segment.recognised:
                self.recognised.add(segment.track)
            if segment.recognised or not self.only_recognised:
                self.segments.append(segment_row(segment))

    def answer_for(self, current: Segment | None) -> tuple[str, float] | None:
        """What is said of one person; None: what its latest window says."""
        if self.by == "mean":
            return None
        return (current.told(), current.score) if current is not None else ("", 0.0)

    def answer_now(self, predictions: dict[int, Window], current: dict[int, Segment]) -> tuple[str, float] | None:
        """What is said of the picture: the surest label of a person in it, or the mean of their latest windows."""
        if self.by == "mean":
            vote = Vote(self.recognizer.num_class)
            for window in predictions.values():
                vote.add(window.probability, window.seen)
            return None if vote.mean is None else self.recognizer.decide(vote.mean)
        surest = max(current.values(), key=lambda segment: (segment.recognised, segment.score), default=None)
        return None if surest is None else (surest.told(), surest.score)

    def result(self, name: str, drawn: int) -> dict[str, Any]:
        """The content of the .json: frames and fps are those of the .mp4, in a window they count the camera's pictures."""
        fps = (drawn - 1) / self.seconds if self.seconds else 0.0
        mean = self.vote.mean
        answer = answer_of_mean(self.recognizer, mean) if self.by == "mean" else self.longest.answer(self.seconds)
        tracks, rows = self.tracks, self.rows
        if self.only_recognised:
            tracks, rows = tracks & self.recognised, RowsOnDisk()
            for row in self.rows:
                if row["track"] in tracks:
                    rows.append(row)
        return build_result(self.recognizer, self.by, answer, mean, rows, self.segments, len(tracks), name, drawn, fps)
