"""A camera or a stream, recognised while it runs.

    python main.py demo --video 0                        # a window where there is a display; q or Ctrl-C ends it
    python main.py demo --video rtsp://address/stream

Four threads, each of which takes the latest item when it is ready for the next one, so that the picture is never late:

    camera -> poses -> tracks and predictions -> the picture, its window and its file

An hour takes no more memory than a minute: of the windows, the vote is kept, and a row each on disk.
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
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np

from feeder.pose.estimators import PoseEstimator
from feeder.skeleton import load_skeleton
from feeder.video.camera import Camera
from feeder.video.decode import Frame
from feeder.video.encode import VideoWriter
from processor.recognizer import Recognizer
from processor.video.display import Display
from processor.video.drawing import DrawnPerson, Mosaic, drawn_person
from processor.video.page import demo_page
from processor.video.result import build_result, print_result, window_row, write_result
from processor.video.settings import Settings
from processor.video.vote import Vote
from processor.video.windows import Window, WindowClassifier
from torchlight.latest import latest
from torchlight.lock import exclusive

LONG_SIDE = 256  # of the picture that MoveNet sees: two thirds of the work of 320
IDLE = 0.1  # seconds without a picture after which the keys of the window are read all the same
RECENT = 30  # pictures over which the frame rate is measured

Tracked = tuple[Frame, list[DrawnPerson], np.ndarray | None]  # a picture, its persons, the vote over them


def process_stream(settings: Settings, recognizer: Recognizer, source: str, estimate: PoseEstimator) -> dict[str, Any]:
    """Run until q, Ctrl-C or the end of the stream; then <name>.mp4, .json and .csv are there, like those of a file."""
    source, name = source_of(source)
    output = settings.output_dir / name
    lock = exclusive(settings.output_dir, name, "another --output_dir")
    with lock, Camera(source) as camera, ended_by_signal() as stop:
        print(f"{name}: {camera.width}x{camera.height}, {camera.fps:.0f} frames/s; q in the window or Ctrl-C ends it")
        classifier = WindowClassifier(
            recognizer,
            load_skeleton(estimate.layout),
            (camera.width, camera.height),
            settings.window,
            settings.stride,
            settings.fps,
            camera.fps,
            batch=1,
        )
        record = Record(recognizer)
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
    """Every person with the latest prediction, which comes every --stride frames. After the last picture, what is left
    is classified.
    """
    predictions: dict[int, Window] = {}
    for frame, persons in poses:
        numbers, joints = classifier.add_frame(frame.index, frame.seconds, persons)
        predictions |= {window.track: window for window in record.take(classifier)}
        predictions = {number: window for number, window in predictions.items() if number in classifier.tracks}
        record.count(frame)
        drawn = [
            drawn_person(classifier.recognizer, predictions.get(number), number, points, frame.index)
            for number, points in zip(numbers.tolist(), joints)
        ]
        vote = Vote(classifier.recognizer.num_class)
        for window in predictions.values():
            vote.add(window.probability, window.seen)
        yield frame, drawn, vote.mean
    classifier.finish()
    record.take(classifier)


def draw(
    tracked: Iterator[Tracked | None],
    camera: Camera,
    recognizer: Recognizer,
    stop: threading.Event,
    height: int,
    output: Path,
) -> int:
    """Draw, show and write until the camera ends or `stop` is set; the number of pictures written."""
    mosaic = Mosaic((camera.width, camera.height), height, recognizer.skeleton)
    display, picture, drawn = Display(True), None, 0
    times: deque[float] = deque(maxlen=RECENT)
    with VideoWriter(output.with_name(f"{output.name}.mp4"), *mosaic.size, camera.fps) as out:
        for each in tracked:
            if stop.is_set():
                camera.stop()  # after which there are a last picture or two
            if each is not None:
                frame, persons, probability = each
                times.append(frame.seconds)
                rate = (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 else None
                label, score = ("", 0.0) if probability is None else recognizer.decide(probability)
                picture = mosaic.draw(frame.image, persons, label, score, fps=rate)
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
    """What is kept of a stream: the rows of all windows on disk, the vote, and counts of the camera's pictures.

    Attributes:
        used, taken: pictures that were used, and all that the camera took until the last of them.
        seconds: time of that one.
    """

    def __init__(self, recognizer: Recognizer):
        self.recognizer, self.rows, self.tracks = recognizer, RowsOnDisk(), set()
        self.vote = Vote(recognizer.num_class)
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

    def result(self, name: str, drawn: int) -> dict[str, Any]:
        """The content of the .json: frames and fps are those of the .mp4, in a window they count the camera's pictures."""
        fps = (drawn - 1) / self.seconds if self.seconds else 0.0
        return build_result(self.recognizer, self.vote.mean, self.rows, len(self.tracks), name, drawn, fps)
