"""Windows over a long recording: which frames, and keypoints at a steady frame rate."""

from __future__ import annotations

import math

import numpy as np

LOST = 0.15  # seconds between two frames beyond which nothing is interpolated, unless frames come more slowly than that
GAP = 1.0  # seconds after which somebody lost is forgotten
LEAST = 8  # frames in which somebody has to be seen


def spans(length: int, size: int, stride: int) -> list[tuple[int, int]]:
    """(begin, end) of windows that cover `length` frames: one every `stride`, the last one ending with the recording.

    A recording shorter than a window is one window of its own length.
    """
    if length <= size:
        return [(0, length)] if length else []
    begins = list(range(0, length - size, stride)) + [length - size]
    return [(begin, begin + size) for begin in begins]


def between(a: np.ndarray, b: np.ndarray, share: float) -> np.ndarray:
    """Joints (V, 3) `share` of the way from a to b; where one end is missing, the other if it is the nearer one."""
    seen_a, seen_b = a[:, 2:] > 0, b[:, 2:] > 0
    nearest = a if share < 0.5 else b
    return np.where(seen_a & seen_b, a + (b - a) * np.float32(share), nearest)


def reached(moment: float) -> int:
    """The last whole moment that is over, or nearly so: the times in a video tremble."""
    return math.floor(moment + 0.25)


class Resampler:
    """The joints of one person at a steady rate, from frames at any rate.

    `add` returns the moments that have become known since: (number, joints), number / fps seconds after the beginning of
    the video. Between two frames joints are interpolated; a person lost for longer is missing in between.

    Args:
        fps: the steady rate.
        rate: frames a second of the video, on average.
    """

    def __init__(self, fps: float, rate: float = 30.0):
        self.fps, self.lost = fps, max(LOST, 1.5 / rate)
        self.last: tuple[float, np.ndarray] | None = None

    def add(self, seconds: float, joints: np.ndarray) -> list[tuple[int, np.ndarray]]:
        """The joints (V, 3) seen at that time, later than those before."""
        joints = joints.astype(np.float32)
        previous, self.last = self.last, (seconds, joints)
        here = seconds * self.fps
        if previous is None:
            return [(reached(here), joints)]
        there = previous[0] * self.fps
        moments = np.arange(reached(there) + 1, reached(here) + 1)
        if seconds - previous[0] > self.lost:
            return [(int(k), joints if k == moments[-1] else np.zeros_like(joints)) for k in moments]
        share = np.clip((moments - there) / max(here - there, 1e-9), 0, 1)
        return [(int(k), between(previous[1], joints, s)) for k, s in zip(moments, share)]
