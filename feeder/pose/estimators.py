"""Pose estimators: who finds the keypoints of the persons in a picture.

A new estimator is a class like PoseEstimator in a file of this folder, and a line in make_estimator.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from feeder.readers.openpose import Keypoints
from feeder.skeleton import load_skeleton
from feeder.video.decode import Frame
from torchlight.errors import DataError


class PoseEstimator(Protocol):
    """Finds the persons in one picture; an object belongs to one thread."""

    layout: str  # of the keypoints, a name of resource/skeleton

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 RGB -> (P, V, 3) float32: x, y in pixels, score; 0 where a joint is missing."""


class FrameEstimator(Protocol):
    """Gives the persons of a frame of a video: (P, V, 3) as above."""

    layout: str

    def __call__(self, frame: Frame) -> np.ndarray: ...


def make_estimator(
    name: str = "movenet",
    openpose: str | None = None,
    openpose_model: str = "COCO",
    long_side: int = 320,
    num_thread: int | None = None,
) -> PoseEstimator:
    """The pose estimator of that name.

    Args:
        name: movenet, blazepose, or openpose for OpenPose's Python module.
        openpose: the folder in which OpenPose was built.
        openpose_model: COCO or BODY_25.
        long_side: pixels of the longer side of what MoveNet sees.
        num_thread: of MoveNet and BlazePose; None: all cores but one.

    Raises:
        DataError: it is not installed, or cannot be fetched.
    """
    if name == "openpose":
        from feeder.pose.openpose import OpenPose

        if not openpose:
            raise DataError("--pose openpose is OpenPose's Python module; name its build folder with --openpose")
        return OpenPose(openpose, openpose_model)
    if name == "blazepose":
        from feeder.pose.blazepose import BlazePose

        return BlazePose(long_side=long_side, num_thread=num_thread)
    from feeder.pose.movenet import MoveNet

    return MoveNet(long_side=long_side, num_thread=num_thread)


class EachImage:
    """A pose estimator that is run on the image of every frame."""

    def __init__(self, estimator: PoseEstimator):
        self.estimator, self.layout = estimator, estimator.layout

    def __call__(self, frame: Frame) -> np.ndarray:
        return self.estimator(frame.image)


class PrecomputedKeypoints:
    """Keypoints from a file in place of an estimator; a frame that is not in the file has no persons.

    Args:
        keypoints: of feeder.readers.openpose.read_frames.
        frame_size: width and height of the video in pixels.
    """

    def __init__(self, keypoints: Keypoints, frame_size: tuple[int, int]):
        self.layout, self.persons, self.first = keypoints.layout, keypoints.persons, keypoints.first
        self.unit = np.array([*frame_size, 1] if keypoints.fractions else [1, 1, 1], np.float32)
        self.empty = np.zeros((0, load_skeleton(keypoints.layout).num_joint, 3), np.float32)

    def __call__(self, frame: Frame) -> np.ndarray:
        index = frame.index - self.first
        return self.persons[index] * self.unit if 0 <= index < len(self.persons) else self.empty
