"""How often a person repeats an action: counted in every segment of an action that is one of repetitions."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from feeder.counting import Counter, count
from feeder.skeleton import Skeleton
from processor.video.segments import DELAY, Segment

FPS = 30.0  # frames a second at which a camera's persons are looked at
KEPT = DELAY + 6.0  # seconds of joints that are kept: a segment begins at most DELAY and a window before it is known of
COUNTED = {
    "jumpingjack",
    "squat",
    "pushup",
    "situp",
    "pullup",
    "jog",
    "jogging",
    "jogginginplace",
}  # as `plainly` has them


def plainly(label: str) -> str:
    """A label as COUNTED has it: "Push-ups" is pushup."""
    return "".join(letter for letter in label.lower() if letter.isalnum()).removesuffix("s")


def is_counted(segment: Segment) -> bool:
    return plainly(segment.label) in COUNTED


def with_repetitions(
    segments: Sequence[Segment], frames: Iterable[tuple[np.ndarray, np.ndarray]], skeleton: Skeleton, fps: float
) -> list[Segment]:
    """The segments, those of counted actions with their repetitions.

    Args:
        frames: of the video in turn, its tracks (P,) and their joints (P, V, 3) in pixels.
        fps: frames per second of the video.
    """
    wanted = [segment for segment in segments if is_counted(segment)]
    joints = {id(segment): [] for segment in wanted}
    nobody = np.zeros((skeleton.num_joint, 3), np.float32)
    for i, (tracks, points) in enumerate(frames) if wanted else ():
        of_track = dict(zip(tracks.tolist(), points))
        for segment in wanted:
            if segment.first <= i <= segment.last:
                joints[id(segment)].append(of_track.get(segment.track, nobody))
    return [counted(segment, joints.get(id(segment)), skeleton, fps) for segment in segments]


def counted(segment: Segment, joints: Sequence[np.ndarray] | None, skeleton: Skeleton, fps: float) -> Segment:
    """The segment with the moments at which a repetition ends; as it is where there are no joints (V, 3) to count."""
    if not joints:
        return segment
    found = count(np.stack(joints), fps, skeleton, moving=True)
    return replace(segment, moments=tuple(segment.first + int(moment) for moment in found.moments))


@dataclass
class Counting:
    """The counter of one segment, and the last frame that it was given."""

    counter: Counter
    last: int


class LiveRepetitions:
    """The same while a camera runs, of segments that still grow.

    Args:
        skeleton: the layout of the joints.
        rate: frames per second of the camera.
    """

    def __init__(self, skeleton: Skeleton, rate: float):
        self.skeleton, self.rate = skeleton, rate
        self.seen: dict[int, deque[tuple[int, float, np.ndarray]]] = {}
        self.running: dict[tuple[int, str, int], Counting] = {}

    def add(self, index: int, seconds: float, tracks: np.ndarray, joints: np.ndarray) -> None:
        """The next frame: tracks (P,) and joints (P, V, 3)."""
        for track, points in zip(tracks.tolist(), joints):
            self.seen.setdefault(track, deque()).append((index, seconds, points))
        for track, frames in list(self.seen.items()):
            while frames and frames[0][1] < seconds - KEPT:
                frames.popleft()
            if not frames:
                del self.seen[track]

    def count(self, over: Sequence[Segment], growing: Sequence[Segment]) -> tuple[list[Segment], list[Segment]]:
        """Segments that are over and all that are not, with the repetitions so far; the others are forgotten."""
        over, growing = ([self._counted(segment) for segment in segments] for segments in (over, growing))
        keys = {key_of(segment) for segment in growing}
        self.running = {key: counting for key, counting in self.running.items() if key in keys}
        return over, growing

    def _counted(self, segment: Segment) -> Segment:
        if not is_counted(segment):
            return segment
        new = Counting(Counter(FPS, self.skeleton, self.rate, moving=True), segment.first - 1)
        counting = self.running.setdefault(key_of(segment), new)
        for index, seconds, points in self.seen.get(segment.track, ()):
            if counting.last < index <= segment.last:
                counting.counter.add(seconds, points)
                counting.last = index
        counting.counter.finish()
        frames = (segment.last - segment.first) / max(segment.end - segment.begin, 1e-6)  # a second
        moments = (segment.first + round((moment - segment.begin) * frames) for moment in counting.counter.moments)
        return replace(segment, moments=tuple(moments))


def key_of(segment: Segment) -> tuple[int, str, int]:
    return segment.track, segment.label, segment.first
