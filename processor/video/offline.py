"""A video file, in two passes.

1  decode -> estimate poses -> track and classify windows (windows.py); the joints go to a file on disk
2  decode -> draw with the predictions (drawing.py) and the segments (segments.py, timeline.py) -> encode
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
from processor.video.continual import make_classifier
from processor.video.display import Display
from processor.video.drawing import DrawnPerson, Mosaic, drawn_person
from processor.video.page import demo_page
from processor.video.repetitions import with_repetitions
from processor.video.result import build_result, print_result, printable, segment_row, window_row, write_result
from processor.video.segments import Segment, segments_of
from processor.video.settings import Settings
from processor.video.timeline import Timeline
from processor.video.vote import LongestLabel, Vote, answer_of_mean
from processor.video.windows import Window
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
    """Recognise the actions of a video, write <output>.mp4, .json, .csv, _segments.csv and .html, print and return the
    result.
    """
    began, joints_file = perf_counter(), JointsFile()
    result, windows, segments = recognise(settings, recognizer, video, estimate, joints_file)
    num_frame, broken = result["frames"], video.broken
    print("Pose estimation complete.")
    write_result(output, result)
    recognised = perf_counter()
    path = output.with_name(f"{output.name}.mp4")
    predictions = Predictions(settings, recognizer, windows, segments)
    path, drawn = draw(settings, recognizer, video, joints_file, predictions, result, path)
    if broken:
        print(f"{broken} damaged frames were left out.")
    if drawn < num_frame:
        print(f"ended in the window: {printable(path)} has the first {drawn} of {num_frame} frames")
    demo_page(result, path, num_frame / video.fps).write(output.with_name(f"{output.name}.html"))
    print_result(result, speed(num_frame, drawn, recognised - began, perf_counter() - recognised), path)
    return result


def recognise(
    settings: Settings,
    recognizer: Recognizer,
    video: Video | BlankVideo,
    estimate: FrameEstimator,
    joints_file: JointsFile,
) -> tuple[dict[str, Any], list[Window], list[Segment]]:
    """The first pass, and what comes of it: the content of the .json, the windows and the segments of all persons."""
    windows, segments, num_frame = classify_windows(settings, recognizer, video, estimate, joints_file)
    segments = with_repetitions(segments, joints_file, recognizer.skeleton, video.fps)
    return summarise(settings, recognizer, windows, segments, num_frame, video), windows, segments


def classify_windows(
    settings: Settings,
    recognizer: Recognizer,
    video: Video | BlankVideo,
    estimate: FrameEstimator,
    joints_file: JointsFile,
) -> tuple[list[Window], list[Segment], int]:
    """The first pass: the windows and segments of all persons, and the number of frames."""
    skeleton, size = load_skeleton(estimate.layout), (video.width, video.height)
    classifier = make_classifier(settings, recognizer, skeleton, size, video.fps)
    num_frame = 0
    poses = ((Frame(frame.index, frame.seconds, None), estimate(frame)) for frame in prefetch(video))
    for frame, persons in progress(prefetch(poses), "pose", video.num_frame):
        joints_file.write(*classifier.add_frame(frame.index, frame.seconds, persons))
        num_frame += 1
    windows = classifier.finish()
    return windows, segments_of(recognizer, classifier.short_windows), num_frame


def summarise(
    settings: Settings,
    recognizer: Recognizer,
    windows: list[Window],
    segments: list[Segment],
    num_frame: int,
    video: Video | BlankVideo,
) -> dict[str, Any]:
    """The content of the .json."""
    vote, longest = Vote(recognizer.num_class), LongestLabel()
    for window in windows:
        vote.add(window.probability, window.seen)
    for segment in segments:
        longest.add(segment)
    mean, seconds = settings.vote == "mean", num_frame / video.fps
    answer = answer_of_mean(recognizer, vote.mean) if mean else longest.answer(seconds)
    if settings.only_recognised:
        segments = [segment for segment in segments if segment.recognised]
        recognised = {segment.track for segment in segments}
        windows = [window for window in windows if window.track in recognised]
    rows, persons = [window_row(recognizer, window) for window in windows], len({window.track for window in windows})
    parts = [segment_row(segment) for segment in segments]
    name = printable(video.path)
    return build_result(recognizer, settings.vote, answer, vote.mean, rows, parts, persons, name, num_frame, video.fps)


def draw(
    settings: Settings,
    recognizer: Recognizer,
    video: Video | BlankVideo,
    joints_file: JointsFile,
    predictions: Predictions,
    result: dict[str, Any],
    path: Path,
) -> tuple[Path, int]:
    """The second pass: every frame with its predictions.

    Returns:
        The file and the number of frames in it. If q was pressed these are fewer, and its name ends in _partial.
    """
    mosaic = Mosaic((video.width, video.height), settings.height, recognizer.skeleton, timeline=True)
    timeline = Timeline(mosaic.size[0], mosaic.strip)
    timeline.show(predictions.all_segments, 0.0, result["frames"] / video.fps)
    display, drawn = Display(settings.show), 0
    label = result["label"] if result["top5"] else "no person seen"

    def picture_of(frame: Frame, tracks: np.ndarray, joints: np.ndarray) -> tuple[float, np.ndarray]:
        persons = predictions.persons(frame.index, tracks, joints)
        picture = mosaic.draw(frame.image, persons, label, result["score"])
        timeline.paint(picture, frame.seconds)
        return frame.seconds, picture

    frames = (picture_of(frame, *persons) for frame, persons in zip(prefetch(video), joints_file))
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
    """The windows and segments of each person, to find those that a frame shows."""

    def __init__(self, settings: Settings, recognizer: Recognizer, windows: list[Window], segments: list[Segment]):
        self.settings, self.recognizer, self.all_segments = settings, recognizer, segments
        self.windows: dict[int, list[Window]] = {}
        for window in windows:
            self.windows.setdefault(window.track, []).append(window)
        self.middles = {track: [w.first + w.last for w in of_track] for track, of_track in self.windows.items()}
        self.segments: dict[int, list[Segment]] = {}
        for segment in segments:
            self.segments.setdefault(segment.track, []).append(segment)
        self.firsts = {track: [s.first for s in of_track] for track, of_track in self.segments.items()}

    def persons(self, index: int, tracks: np.ndarray, joints: np.ndarray) -> list[DrawnPerson]:
        """The persons of a frame: with the attention of the window whose middle is nearest, and what the segment says,
        or that window with --vote mean.
        """
        persons = []
        for track, points in zip(tracks.tolist(), joints):
            segment = self.segment(track, index)
            if self.settings.only_recognised and not (segment and segment.recognised):
                continue
            answer = None
            if segment is not None and self.settings.vote == "segments":
                answer = segment.told(index), segment.score
            persons.append(drawn_person(self.recognizer, self.nearest(track, index), track, points, index, answer))
        return persons

    def nearest(self, track: int, index: int) -> Window | None:
        if track not in self.windows:
            return None
        middles = self.middles[track]
        k = bisect(middles, 2 * index)
        near = [j for j in (k - 1, k) if 0 <= j < len(middles)]
        return self.windows[track][min(near, key=lambda j: abs(middles[j] - 2 * index))]

    def segment(self, track: int, index: int) -> Segment | None:
        """The one in which the frame is; before the first and after the last, these."""
        if track not in self.segments:
            return None
        return self.segments[track][max(0, bisect(self.firsts[track], index) - 1)]


def progress(items: Iterable, title: str, total: int | None) -> tqdm:
    return tqdm(items, title, total, unit=" frames", leave=False, disable=None)


def speed(num_frame: int, drawn: int, recognition: float, drawing: float) -> str:
    """Frames per second of the two passes, and together, from their seconds."""
    passes = {"pose and recognition": (num_frame, recognition), "drawing and encoding": (drawn, drawing)}
    rates = [f"{title} {count / max(seconds, 1e-9):.1f} frames/s" for title, (count, seconds) in passes.items()]
    return ", ".join([*rates, f"together {num_frame / max(recognition + drawing, 1e-9):.1f}"])
