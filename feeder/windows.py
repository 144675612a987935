"""Windows over a long recording: which frames, and keypoints at a steady frame rate."""

from __future__ import annotations

import math

import numpy as np

MAX_INTERPOLATED = (
    0.15  # seconds between two frames up to which keypoints are interpolated, or 1.5 frames of a slower video
)
GAP = 1.0  # seconds after which a person who is not detected any more is dropped
LEAST = 8  # frames of a window in which a person has to be detected


def spans(length: int, size: int, stride: int) -> list[tuple[int, int]]:
    """(begin, end) of windows that cover `length` frames: one every `stride`, the last one ending with the recording.

    A recording shorter than a window is one window of its own length.
    """
    if length <= size:
        return [(0, length)] if length else []
    begins = list(range(0, length - size, stride)) + [length - size]
    return [(begin, begin + size) for begin in begins]


def interpolate(a: np.ndarray, b: np.ndarray, share: float) -> np.ndarray:
    """Joints (V, 3) `share` of the way from a to b; where one end is missing, the other if it is the nearer one."""
    seen_a, seen_b = a[:, 2:] > 0, b[:, 2:] > 0
    nearest = a if share < 0.5 else b
    return np.where(seen_a & seen_b, a + (b - a) * np.float32(share), nearest)


def last_sample(position: float) -> int:
    """The last whole sample number up to a position; a quarter early is allowed, since the times in a video are not exact."""
    return math.floor(position + 0.25)


class Resampler:
    """The keypoints of one person at a steady frame rate, from frames at any rate.

    `add` returns the samples that are known now: (number, keypoints); sample `number` is number / fps seconds after the
    beginning of the video. Between two frames keypoints are interpolated; across a longer gap they are missing.

    Args:
        fps: frames per second of the samples.
        rate: frames per second of the video, on average.
    """

    def __init__(self, fps: float, rate: float = 30.0):
        self.fps, self.max_interpolated = fps, max(MAX_INTERPOLATED, 1.5 / rate)
        self.last: tuple[float, np.ndarray] | None = None

    def add(self, seconds: float, joints: np.ndarray) -> list[tuple[int, np.ndarray]]:
        """The joints (V, 3) seen at that time, later than those before."""
        joints = joints.astype(np.float32)
        previous, self.last = self.last, (seconds, joints)
        here = seconds * self.fps
        if previous is None:
            return [(last_sample(here), joints)]
        there = previous[0] * self.fps
        numbers = np.arange(last_sample(there) + 1, last_sample(here) + 1)
        if seconds - previous[0] > self.max_interpolated:
            return [(int(k), joints if k == numbers[-1] else np.zeros_like(joints)) for k in numbers]
        share = np.clip((numbers - there) / max(here - there, 1e-9), 0, 1)
        return [(int(k), interpolate(previous[1], joints, s)) for k, s in zip(numbers, share)]
