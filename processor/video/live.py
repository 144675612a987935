"""A camera or a stream, recognised while it runs.

    python main.py demo --video 0                        # a window where there is a display; q or Ctrl-C ends it
    python main.py demo --video rtsp://address/stream

Four threads, each of which takes what is newest when it is ready for more, so that the picture is never late:

    the camera -> joints -> who is who, and what they do -> the picture, its window and its file

An hour takes no more memory than a minute: of the windows, the sums of the vote are kept, and a row each on disk.
"""

from __future__ import annotations

import json
import re
import signal
import tempfile
import threading
from argparse import Namespace
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO
from urllib.parse import unquote, urlsplit

import numpy as np

from feeder.pose.estimators import picture_estimator
from feeder.skeleton import load_skeleton
from feeder.video.camera import Camera
from feeder.video.decode import Frame
from feeder.video.encode import VideoWriter
from processor.recognizer import Recognizer
from processor.video import drawing
from processor.video.display import Display, person_of
from processor.video.result import outcome, row, tell, write_result
from processor.video.windows import Window, WindowClassifier, vote
from torchlight.errors import UsageError
from torchlight.latest import latest

LONG_SIDE = 256  # of the picture that MoveNet sees: two thirds of the work of 320
IDLE = 0.1  # seconds without a picture after which the window's keys are looked at all the same
RECENT = 30  # pictures over which the frame rate is measured

Seen = tuple[Frame, list[drawing.Person], np.ndarray | None]  # a picture, who is in it, the vote over them


def run(arg: Namespace, recognizer: Recognizer, answers: TextIO) -> None:
    """Watch until q, Ctrl-C or the end of the stream; then <name>.mp4, .json and .csv are there, like those of a file."""
    if arg.keypoints or arg.pose == "json":
        raise UsageError("--keypoints are those of a file; the joints of a camera are found while it runs")
    if arg.openpose and arg.pose != "openpose":
        raise UsageError("--openpose is a program for files; for a camera add --pose openpose, its Python module")
    estimate = picture_estimator(arg, LONG_SIDE)
    source, name = source_of(arg.video)
    output = Path(arg.output_dir) / name
    output.parent.mkdir(parents=True, exist_ok=True)
    with Camera(source) as camera, ended_by_signal() as asked:
        print(f"{name}: {camera.width}x{camera.height}, {camera.fps:.0f} frames/s; q in the window or Ctrl-C ends it")
        size = camera.width, camera.height
        watcher = WindowClassifier(
            recognizer, load_skeleton(estimate.layout), size, arg.window, arg.stride, arg.model_fps, camera.fps, batch=1
        )
        record = Record(recognizer)
        seen = follow(latest(look(camera, estimate)), watcher, record)
        drawn = show(latest(seen, IDLE), camera, recognizer, asked, arg.height, output)
        if not asked.is_set():
            print(f"{name} gives no more pictures.")
        result = record.result(name, drawn)
        write_result(output, result)
        if arg.json:
            json.dump(result, answers, ensure_ascii=False)
            print(file=answers, flush=True)
        looked = f"{record.looked} of the camera's {record.taken} looked at ({record.looked / record.taken:.0%})"
        tell(result, f"{result['fps']:.1f} frames/s; {looked}", output)


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
    """An event that Ctrl-C, or a polite kill, sets; nothing is interrupted, so that what is begun is written."""
    asked = threading.Event()
    signals = signal.SIGINT, signal.SIGTERM
    before = [signal.signal(number, lambda *_: asked.set()) for number in signals]
    try:
        yield asked
    finally:
        for number, handler in zip(signals, before):
            signal.signal(number, handler)


# ---- the stages


def look(camera: Camera, estimate: Callable[[np.ndarray], np.ndarray]) -> Iterator[tuple[Frame, np.ndarray]]:
    """The camera's newest picture, and the persons in it."""
    for frame in iter(camera.read, None):
        yield frame, estimate(frame.image)


def follow(poses: Iterator[tuple[Frame, np.ndarray]], watcher: WindowClassifier, record: Record) -> Iterator[Seen]:
    """Everybody as the newest answer speaks of them, which comes every --stride frames. After the last picture,
    what is left is asked.
    """
    answers: dict[int, Window] = {}
    for frame, persons in poses:
        tracks, joints = watcher.see(frame.index, frame.seconds, persons)
        answers |= {window.track: window for window in record.take(watcher)}
        answers = {track: window for track, window in answers.items() if track in watcher.persons}
        record.looked, record.taken = record.looked + 1, frame.index + 1
        record.seconds = frame.seconds
        people = [
            person_of(watcher.recognizer, answers[track], track, points, frame.index)
            if track in answers
            else drawing.Person(track, points)  # not seen for long enough yet
            for track, points in zip(tracks.tolist(), joints)
        ]
        yield frame, people, vote(list(answers.values()))
    watcher.finish()
    record.take(watcher)


def show(
    seen: Iterator[Seen | None],
    camera: Camera,
    recognizer: Recognizer,
    asked: threading.Event,
    height: int,
    output: Path,
) -> int:
    """Draw, show and write until the camera ends or somebody has asked for that; how many pictures there are."""
    mosaic = drawing.Panes((camera.width, camera.height), height, recognizer.skeleton)
    window, picture, drawn = Display(True), None, 0
    times: deque[float] = deque(maxlen=RECENT)
    with VideoWriter(output.with_name(f"{output.name}.mp4"), *mosaic.size, camera.fps) as out:
        for each in seen:
            if asked.is_set():
                camera.stop()  # after which there are a last picture or two
            if each is not None:
                frame, people, probability = each
                times.append(frame.seconds)
                rate = (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 else None
                voted = ("", 0.0) if probability is None else recognizer.decide(probability)
                picture = mosaic.draw(frame.image, people, *voted, fps=rate)
                out.write(picture, frame.seconds if drawn else 0.0)
                drawn += 1
            if window(None if each is None else picture):
                asked.set()
    return drawn


# ---- what remains


class Rows(list):
    """A list of rows that lies on disk: whoever goes through it, json.dump for one, gets one after the other."""

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
    """What remains of all windows: rows on disk and the sums of the vote; and what became of the camera's pictures.

    Attributes:
        looked, taken: pictures that were looked at, and all that the camera took until the last of them.
        seconds: time of that one.
    """

    def __init__(self, recognizer: Recognizer):
        self.recognizer, self.rows, self.tracks = recognizer, Rows(), set()
        self.sum, self.weight = np.zeros(recognizer.num_class), 0
        self.looked, self.taken, self.seconds = 0, 0, 0.0

    def take(self, watcher: WindowClassifier) -> list[Window]:
        """The windows that have been answered since, which the watcher then forgets."""
        windows, watcher.windows = watcher.windows, []
        for window in windows:
            self.rows.append(row(self.recognizer, window))
            self.tracks.add(window.track)
            self.sum += window.seen * window.probability
            self.weight += window.seen
        return windows

    def result(self, name: str, drawn: int) -> dict:
        """What is in the .json: frames and fps are those of the .mp4, in a window they count the camera's pictures."""
        probability = self.sum / self.weight if self.weight else None
        fps = (drawn - 1) / self.seconds if self.seconds else 0.0
        return outcome(self.recognizer, probability, self.rows, len(self.tracks), name, drawn, fps)
