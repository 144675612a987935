"""Who finds the joints in a video: an estimator that looks at every picture, or a program that has looked before."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from feeder.skeleton import load_skeleton
from feeder.video.decode import Frame
from torchlight.errors import DataError, UsageError

BLACK = 340, 256  # size of the picture where there is none

Estimator = Callable[[Frame], np.ndarray]  # a frame -> persons (P, V, 3): x, y in pixels, score


def estimator_for(arg: Namespace, video, given, folder: Path) -> tuple[Estimator, str]:
    """Who finds the persons of this video, and in which layout."""
    if given is None and arg.openpose and arg.pose != "openpose":
        from feeder.pose.openpose import run_openpose
        from feeder.readers.openpose import read_frames

        print("OpenPose is looking at the video ...", flush=True)
        given = read_frames(run_openpose(arg.openpose, video.path, folder, model=arg.openpose_model))
    if given is not None:
        return Given(given, (video.width, video.height)), given.layout
    estimate = picture_estimator(arg)
    return lambda frame: estimate(frame.image), estimate.layout


def picture_estimator(arg: Namespace, long_side: int = 320):
    """MoveNet, or OpenPose's Python module: called with an image (H, W, 3), it gives the persons; its layout."""
    if arg.pose == "openpose":
        from feeder.pose.openpose import OpenPose

        if not arg.openpose:
            raise UsageError("--pose openpose is OpenPose's Python module; name its build folder with --openpose")
        return OpenPose(arg.openpose, arg.openpose_model)
    from feeder.pose.movenet import MoveNet

    return MoveNet(long_side=long_side)


class Given:
    """Persons that were found before; a frame that they do not reach is empty."""

    def __init__(self, keypoints, frame_size: tuple[int, int]):
        self.persons, self.first = keypoints.persons, keypoints.first  # the number of the first frame
        self.unit = np.array([*frame_size, 1] if keypoints.fractions else [1, 1, 1], np.float32)
        self.nobody = np.zeros((0, load_skeleton(keypoints.layout).num_joint, 3), np.float32)

    def __call__(self, frame: Frame) -> np.ndarray:
        at = frame.index - self.first
        return self.persons[at] * self.unit if 0 <= at < len(self.persons) else self.nobody


class Black:
    """A video that nobody has: black frames behind given persons, with the attributes of Video."""

    def __init__(self, keypoints, path: Path, fps: float = 30.0):
        self.path, self.fps, self.num_frame = path, fps, keypoints.first + len(keypoints.persons)
        self.has_audio, self.broken = False, 0
        if not self.num_frame:
            raise DataError(f"{path} has no frames")
        self.width, self.height = BLACK
        if not keypoints.fractions:
            largest = max((persons[..., :2].max(initial=0) for persons in keypoints.persons), default=0)
            self.width = self.height = max(64, int(largest) + 1)

    def __iter__(self) -> Iterator[Frame]:
        for index in range(self.num_frame):
            yield Frame(index, index / self.fps, np.zeros((self.height, self.width, 3), np.uint8))
