"""A video file, in two passes.

1  decode -> estimate poses -> track and classify windows (windows.py); the joints go to a file on disk
2  decode -> draw with the predictions (drawing.py) -> encode
"""

from __future__ import annotations

import tempfile
from bisect import bisect
from collections.abc import Iterable, Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from tqdm import tqdm

from feeder.pose.estimators import FrameEstimator
from feeder.skeleton import load_skeleton
from feeder.video.blank import BlankVideo
from feeder.video.decode import Frame, Video
from feeder.video.encode import VideoWriter
from processor.recognizer import Recognizer
from processor.video.display import Display
from processor.video.drawing import DrawnPerson, Mosaic, drawn_person
from processor.video.page import demo_page
from processor.video.result import build_result, print_result, printable, window_row, write_result
from processor.video.settings import Settings
from processor.video.vote import Vote
from processor.video.windows import Window, WindowClassifier
from torchlight.prefetch import prefetch


class JointsFile:
    """Tracks and joints of every frame, written in the first pass and read in the second: memory stays flat."""

    def __init__(self):
        self.file = tempfile.TemporaryFile()  # noqa: SIM115 (it goes with the object)

    def write(self, tracks: np.ndarray, joints: np.ndarray) -> None:
        np.save(self.file, tracks, allow_pickle=False)
        np.save(self.file, joints, allow_pickle=False)

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        end = self.file.tell()
        self.file.seek(0)
        while self.file.tell() < end:
            yield np.load(self.file), np.load(self.file)


def process_video(
    settings: Settings, recognizer: Recognizer, video: Video | BlankVideo, estimate: FrameEstimator, output: Path
) -> dict[str, Any]:
    """Recognise the actions of a video, write <output>.mp4, .json, .csv and .html, print and return the result."""
    began, joints_file = perf_counter(), JointsFile()
    windows, num_frame = classify_windows(settings, recognizer, video, estimate, joints_file)
    broken = video.broken
    print("Pose estimation complete.")
    result = summarise(recognizer, windows, num_frame, video)
    write_result(output, result)
    recognised = perf_counter()
    path = output.with_name(f"{output.name}.mp4")
    path, drawn = draw(settings, recognizer, video, joints_file, windows, result, path)
    if broken:
        print(f"{broken} damaged frames were left out.")
    if drawn < num_frame:
        print(f"ended in the window: {printable(path)} has the first {drawn} of {num_frame} frames")
    demo_page(result, path, num_frame / video.fps).write(output.with_name(f"{output.name}.html"))
    print_result(result, speed(num_frame, drawn, recognised - began, perf_counter() - recognised), path)
    return result


def classify_windows(
    settings: Settings,
    recognizer: Recognizer,
    video: Video | BlankVideo,
    estimate: FrameEstimator,
    joints_file: JointsFile,
) -> tuple[list[Window], int]:
    """The first pass: the windows of all persons, and the number of frames."""
    skeleton, size = load_skeleton(estimate.layout), (video.width, video.height)
    classifier = WindowClassifier(recognizer, skeleton, size, settings.window, settings.stride, settings.fps, video.fps)
    num_frame = 0
    poses = ((Frame(frame.index, frame.seconds, None), estimate(frame)) for frame in prefetch(video))
    for frame, persons in progress(prefetch(poses), "pose", video.num_frame):
        joints_file.write(*classifier.add_frame(frame.index, frame.seconds, persons))
        num_frame += 1
    return classifier.finish(), num_frame


def summarise(
    recognizer: Recognizer, windows: list[Window], num_frame: int, video: Video | BlankVideo
) -> dict[str, Any]:
    """The content of the .json."""
    vote = Vote(recognizer.num_class)
    for window in windows:
        vote.add(window.probability, window.seen)
    rows, persons = [window_row(recognizer, window) for window in windows], len({window.track for window in windows})
    return build_result(recognizer, vote.mean, rows, persons, printable(video.path), num_frame, video.fps)


def draw(
    settings: Settings,
    recognizer: Recognizer,
    video: Video | BlankVideo,
    joints_file: JointsFile,
    windows: list[Window],
    result: dict[str, Any],
    path: Path,
) -> tuple[Path, int]:
    """The second pass: every frame with its predictions.

    Returns:
        The file and the number of frames in it. If q was pressed these are fewer, and its name ends in _partial.
    """
    mosaic = Mosaic((video.width, video.height), settings.height, recognizer.skeleton)
    predictions, display, drawn = Predictions(recognizer, windows), Display(settings.show), 0
    label = result["label"] if windows else "no person seen"
    frames = (
        (frame.seconds, mosaic.draw(frame.image, predictions.persons(frame.index, *persons), label, result["score"]))
        for frame, persons in zip(prefetch(video), joints_file)
    )
    sound_from = video.path if video.has_audio else None
    with VideoWriter(path, *mosaic.size, video.fps, sound_from) as out:
        for seconds, picture in progress(prefetch(frames), "drawing", result["frames"]):
            out.write(picture, seconds)
            drawn += 1
            if display(picture):
                out.partial = drawn < result["frames"]
                break
    return out.path, drawn


class Predictions:
    """The windows of each person, to find the one that a frame shows."""

    def __init__(self, recognizer: Recognizer, windows: list[Window]):
        self.recognizer = recognizer
        self.windows: dict[int, list[Window]] = {}
        for window in windows:
            self.windows.setdefault(window.track, []).append(window)
        self.middles = {track: [w.first + w.last for w in of_track] for track, of_track in self.windows.items()}

    def persons(self, index: int, tracks: np.ndarray, joints: np.ndarray) -> list[DrawnPerson]:
        """The persons of a frame, each as its window whose middle is nearest has it."""
        return [
            drawn_person(self.recognizer, self.nearest(track, index), track, points, index)
            for track, points in zip(tracks.tolist(), joints)
        ]

    def nearest(self, track: int, index: int) -> Window | None:
        if track not in self.windows:
            return None
        middles = self.middles[track]
        k = bisect(middles, 2 * index)
        near = [j for j in (k - 1, k) if 0 <= j < len(middles)]
        return self.windows[track][min(near, key=lambda j: abs(middles[j] - 2 * index))]


def progress(items: Iterable, title: str, total: int | None) -> tqdm:
    return tqdm(items, title, total, unit=" frames", leave=False, disable=None)


def speed(num_frame: int, drawn: int, recognition: float, drawing: float) -> str:
    """Frames per second of the two passes, and together, from their seconds."""
    passes = {"pose and recognition": (num_frame, recognition), "drawing and encoding": (drawn, drawing)}
    rates = [f"{title} {count / max(seconds, 1e-9):.1f} frames/s" for title, (count, seconds) in passes.items()]
    return ", ".join([*rates, f"together {num_frame / max(recognition + drawing, 1e-9):.1f}"])
