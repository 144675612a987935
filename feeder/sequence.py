"""One skeleton sequence on its way in: what every reader yields and every consumer takes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass
class SkeletonSequence:
    """The skeletons of one clip, before packing. A missing joint is all zero.

    Attributes:
        name: unique in its data set; scores are keyed by it.
        label: class index, -1 if unknown.
        keypoints: (M, T, V, D) float32; D = 2: centred fractions of the frame, x right, y down; D = 3: metres.
        scores: (M, T, V) float32 in 0..1, or None (3-D recordings have none).
        frame_size: (width, height) in pixels, or None.
        layout: name of the skeleton layout, see feeder/skeleton.py.
        fps: frames per second, or None.
    """

    name: str
    label: int
    keypoints: np.ndarray
    scores: np.ndarray | None = None
    frame_size: tuple[int, int] | None = None
    layout: str = "openpose"
    fps: float | None = None

    def array(self, num_frame: int | None = None, num_person: int | None = None) -> np.ndarray:
        """The sample (C, T, V, M): x, y, score or x, y, z; cut or padded with zeros to num_frame and num_person."""
        channels = (
            self.keypoints if self.scores is None else np.concatenate([self.keypoints, self.scores[..., None]], -1)
        )
        persons, frames, joints, C = channels.shape
        out = np.zeros((C, num_frame or frames, joints, num_person or persons), np.float32)
        M, T = min(persons, out.shape[3]), min(frames, out.shape[1])
        out[:, :T, :, :M] = channels[:M, :T].transpose(3, 1, 2, 0)  # (M, T, V, C) -> (C, T, V, M)
        return out
