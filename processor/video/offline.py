"""A video file, gone through twice.

First every frame is looked at for persons, who are followed and asked about in windows (watch.py); then, when the answer
is known, every frame is drawn (drawing.py). What is kept in between are the joints, on disk.
"""

from __future__ import annotations

import tempfile
from argparse import Namespace
from bisect import bisect
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

import numpy as np
from tqdm import tqdm

from feeder.pose.estimators import Estimator, estimator_for
from feeder.skeleton import load_skeleton
from feeder.video.decode import Frame
from feeder.video.encode import VideoWriter
from processor.recognizer import Recognizer
from processor.video import drawing
from processor.video.display import Display, person_of
from processor.video.result import outcome, printable, row, tell, write_result
from processor.video.windows import Window, WindowClassifier, vote
from torchlight.prefetch import prefetch


class Spool:
    """The persons of every frame, written down in the first pass and read in the second: memory stays flat."""

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


def one_video(arg: Namespace, recognizer: Recognizer, video, output: Path, given) -> dict:
    """Watch it, decide, write <output>.mp4, .json and .csv, and say what was seen."""
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        estimate, layout = estimator_for(arg, video, given, Path(folder))
        spool, began = Spool(), perf_counter()
        watcher = WindowClassifier(
            recognizer,
            load_skeleton(layout),
            (video.width, video.height),
            arg.window,
            arg.stride,
            arg.model_fps,
            video.fps,
        )
        frames = persons_of(video, estimate)
        num_frame = 0
        for frame, persons in progress(prefetch(frames), "pose", video.num_frame):
            spool.write(*watcher.see(frame.index, frame.seconds, persons))
            num_frame += 1
        windows = watcher.finish()
    broken = video.broken
    seconds = {"pose and recognition": perf_counter() - began}
    print("Pose estimation complete.")
    result = summary(recognizer, windows, num_frame, video)
    write_result(output, result)
    began = perf_counter()
    draw(arg, recognizer, video, spool, windows, result, output.with_name(f"{output.name}.mp4"))
    seconds["drawing and encoding"] = perf_counter() - began
    if broken:
        print(f"{broken} damaged frames were left out.")
    rates = [f"{stage} {num_frame / max(each, 1e-9):.1f} frames/s" for stage, each in seconds.items()]
    rates.append(f"together {num_frame / max(sum(seconds.values()), 1e-9):.1f}")
    tell(result, ", ".join(rates), output)
    return result


def persons_of(video, estimate: Estimator) -> Iterator[tuple[Frame, np.ndarray]]:
    """Every frame without its picture, and its persons."""
    for frame in prefetch(video):
        yield Frame(frame.index, frame.seconds, None), estimate(frame)


def progress(items, title: str, total: int | None):
    return tqdm(items, title, total, unit=" frames", leave=False, disable=None)


def summary(recognizer: Recognizer, windows: list[Window], num_frame: int, video) -> dict:
    """What is in the .json; scores are probabilities."""
    rows, persons = [row(recognizer, window) for window in windows], len({window.track for window in windows})
    return outcome(recognizer, vote(windows), rows, persons, printable(video.path), num_frame, video.fps)


# ---- drawing


class Answers:
    """The windows of each person, to ask what was said of somebody in a frame."""

    def __init__(self, recognizer: Recognizer, windows: list[Window]):
        self.recognizer = recognizer
        self.of_track: dict[int, list[Window]] = {}
        for window in windows:
            self.of_track.setdefault(window.track, []).append(window)
        self.middle = {t: [w.first + w.last for w in of_track] for t, of_track in self.of_track.items()}

    def at(self, track: int, index: int) -> Window | None:
        """The person's window whose middle is nearest."""
        windows = self.of_track.get(track)
        if not windows:
            return None
        middle = self.middle[track]
        k = bisect(middle, 2 * index)
        near = [j for j in (k - 1, k) if 0 <= j < len(middle)]
        return windows[min(near, key=lambda j: abs(middle[j] - 2 * index))]

    def person(self, track: int, joints: np.ndarray, index: int) -> drawing.Person:
        window = self.at(track, index)
        if window is None:
            return drawing.Person(track, joints, "", 0.0, None)
        return person_of(self.recognizer, window, track, joints, index)


def draw(
    arg: Namespace, recognizer: Recognizer, video, spool: Spool, windows: list[Window], result: dict, path: Path
) -> None:
    """The second pass: every frame with what is known now."""
    mosaic = drawing.Panes((video.width, video.height), arg.height, recognizer.skeleton)
    answers = Answers(recognizer, windows)
    voted = result["label"] if windows else "nobody seen"
    window = Display(arg.show)

    def mosaics() -> Iterator[tuple[float, np.ndarray]]:
        for frame, (tracks, joints) in zip(prefetch(video), spool):
            persons = [answers.person(t, j, frame.index) for t, j in zip(tracks.tolist(), joints)]
            yield frame.seconds, mosaic.draw(frame.image, persons, voted, result["score"])

    sound_from = video.path if video.has_audio else None
    with VideoWriter(path, *mosaic.size, video.fps, sound_from) as out:
        for seconds, picture in progress(prefetch(mosaics()), "drawing", result["frames"]):
            out.write(picture, seconds)
            if window(picture):
                raise KeyboardInterrupt
