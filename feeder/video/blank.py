"""A blank video, for keypoints whose video is not there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from feeder.readers.openpose import Keypoints
from feeder.video.decode import Frame
from torchlight.errors import DataError

MAX_FRAME = 1_000_000  # nine hours
SIZE = 340, 256  # where the keypoints are fractions of the frame
USUAL = [
    (320, 240),
    (640, 360),
    (640, 480),
    (854, 480),
    (960, 540),
    (1280, 720),
    (1280, 960),
    (1920, 1080),
    (2560, 1440),
]
USUAL += [(3840, 2160)]  # pixels; each may stand upright, too
MARGIN = 0.03  # of the size, around persons who fit into no usual one


class BlankVideo:
    """Black frames behind keypoints, with the attributes of feeder.video.decode.Video."""

    def __init__(self, keypoints: Keypoints, path: Path, fps: float = 30.0):
        self.path, self.fps, self.num_frame = path, fps, keypoints.first + len(keypoints.persons)
        self.has_audio, self.broken = False, 0
        if not self.num_frame:
            raise DataError(f"{path} has no frames")
        if self.num_frame > MAX_FRAME:
            raise DataError(f"{path}: begins at frame {keypoints.first}; give its video with --video")
        self.width, self.height = SIZE
        if not keypoints.fractions:
            self.width, self.height = guess_size(keypoints.persons)

    def __iter__(self) -> Iterator[Frame]:
        for index in range(self.num_frame):
            yield Frame(index, index / self.fps, np.zeros((self.height, self.width, 3), np.uint8))


def guess_size(persons: Iterable[np.ndarray]) -> tuple[int, int]:
    """Width and height of a video in which all these joints (P, V, 3) are, in pixels: the smallest usual one, or else what
    they take up with a margin.
    """
    right = below = 0.0
    for each in persons:
        places = each[..., :2][each[..., 2] > 0]
        if len(places):
            right, below = max(right, float(places[:, 0].max())), max(below, float(places[:, 1].max()))
    usual = [*USUAL, *((height, width) for width, height in USUAL)]
    fitting = [size for size in usual if size[0] > right + 1 and size[1] > below + 1]
    if fitting:
        return min(fitting, key=lambda size: size[0] * size[1])
    return int(right * (1 + MARGIN)) + 2, int(below * (1 + MARGIN)) + 2
