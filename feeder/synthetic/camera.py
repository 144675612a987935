"""A random camera that looks at a body in metres. At yaw 0 the body faces it, and X is to the right of the picture."""

from __future__ import annotations

import numpy as np

from feeder.synthetic.actions import Y, Z, drift
from feeder.synthetic.body import rotation

FRAME_SIZE = (340, 256)


def project(joints: np.ndarray, rng) -> tuple[np.ndarray, np.ndarray]:
    """Joints in metres -> pixels (T, V, 2), y down, and depth (T, V), metres nearer than the body."""
    T, height = len(joints), np.ptp(joints[..., Y], 1).max()
    yaw, pitch, roll = np.deg2rad(rng.uniform([-60, -4, -3], [60, 14, 3]))
    distance, share = rng.uniform(3.5, 7.0), rng.uniform(0.48, 0.76)  # of the picture's height that the body fills
    width, tall = FRAME_SIZE
    along = rng.uniform(0.75, 1.0) * joints[..., Z:].mean(1, keepdims=True)  # the camera goes along with a walker
    view = (joints - [0, height / 2, 0] - [0, 0, 1] * along) @ rotation(yaw=yaw) @ rotation(pitch=pitch, roll=roll)
    focal = share * tall * distance / height
    pixels = focal * view[..., :2] / (distance - view[..., 2:]).clip(0.5) * [1, -1]
    place = rng.uniform(-1, 1, 2) * [0.2, 0.06] + 0.008 * drift(rng, T, 2)
    return pixels + place[:, None] * [width, tall] + [width / 2, tall / 2], view[..., Z] - view[..., Z].mean(
        1, keepdims=True
    )
