"""How often a person repeats an action: counted in every segment of an action that is one of repetitions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from feeder.counting import count
from feeder.skeleton import Skeleton
from processor.video.segments import Segment

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
