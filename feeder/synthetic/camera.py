"""Random cameras that look at a body in metres. At yaw 0 the body faces the camera, and X is to the right of the picture.

`project` is the camera of the synthetic data set: in front, at eye level, the whole body in the picture. `look` is that
of the starter model's 3-D recordings: it may be anywhere a phone or a webcam is put, and may cut off the legs.
"""

from __future__ import annotations

import numpy as np

from feeder.synthetic.actions import Y, Z, drift
from feeder.synthetic.body import rotation

FRAME_SIZE = (340, 256)
ELEVATION = -10, 35  # degrees above the horizon
ROLL = 6  # degrees to either side
DISTANCE = 1.8, 7.0  # metres
CROPPED = 0.3  # share of the clips in which the picture ends between the hips and the ankles


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


def look(
    joints: np.ndarray, rng: np.random.Generator, yaw: float = 80, cropped: float = CROPPED
) -> tuple[np.ndarray, np.ndarray]:
    """Joints in metres, Y up, as a camera somewhere around sees them.

    Args:
        joints: (T, V, 3).
        yaw: degrees to either side from which the camera may look.
        cropped: probability that the picture ends somewhere between the hips and the ankles.

    Returns:
        keypoints (T, V, 2), centred fractions of FRAME_SIZE, y down; seen (T, V), bool: the joint is in the picture.
    """
    middle = np.median(joints, (0, 1))
    height = max(float(np.percentile(np.ptp(joints[..., Y], 1), 90)), 0.5)
    turn = np.deg2rad(rng.uniform([-yaw, ELEVATION[0], -ROLL], [yaw, ELEVATION[1], ROLL]))
    distance = float(np.exp(rng.uniform(*np.log(DISTANCE))))
    view = (joints - middle) @ rotation(yaw=turn[0]) @ rotation(pitch=turn[1], roll=turn[2])
    depth = (distance - view[..., Z:]).clip(0.4)
    places = view[..., :2] / depth * distance / height * rng.uniform(0.45, 0.8) * [1, -1]  # heights of the picture
    top, bottom = places[..., 1].min(1), places[..., 1].max(1)
    seen = np.ones(joints.shape[:2], bool)
    if rng.random() < cropped:
        edge = np.median(top + rng.uniform(0.5, 0.9) * (bottom - top))  # hips are at about 0.5
        seen = places[..., 1] < edge
    keypoints = places * [FRAME_SIZE[1] / FRAME_SIZE[0], 1]
    return keypoints * seen[..., None], seen
