"""A blank video, for keypoints whose video is not there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from feeder.readers.openpose import Keypoints
from feeder.video.decode import Frame
from torchlight.errors import DataError

MAX_FRAME = 1_000_000  # nine hours
SIZE = 340, 256  # where the keypoints are fractions of the frame


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
            largest = max((persons[..., :2].max(initial=0) for persons in keypoints.persons), default=0)
            self.width = self.height = max(64, int(largest) + 1)

    def __iter__(self) -> Iterator[Frame]:
        for index in range(self.num_frame):
            yield Frame(index, index / self.fps, np.zeros((self.height, self.width, 3), np.uint8))
