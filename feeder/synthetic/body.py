"""An articulated body: bones of constant length, hung on what an action says of pelvis, torso, hands and feet.

Axes: X to the body's own left, Y up, Z forward; metres.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from feeder.synthetic.actions import ACTIONS, SIDE, Body, Pose, X, Y, Z


def make_body(seed: int, subject: int) -> Body:
    rng = np.random.default_rng((seed, subject, len(ACTIONS)))  # an action that no clip has: a stream of its own
    tall = rng.uniform(1.5, 1.95)
    share = np.array([0.108, 0.058, 0.288, 0.178, 0.16, 0.24, 0.245, 0.042, 0.088])  # of the height, adults' averages
    lengths = tall * share * rng.uniform(0.92, 1.08, len(share))
    style = rng.uniform([0.0, -0.04, 0.85, 0.9], [0.09, 0.12, 1.18, 1.12])
    return Body(*lengths, *style)


def rotation(pitch=0.0, yaw=0.0, roll=0.0) -> np.ndarray:
    """Forward by pitch, to the left by yaw and roll; radians (T,) -> (T, 3, 3) for rows of points: points @ it."""
    angles = np.stack(np.broadcast_arrays(yaw, pitch, -np.asarray(roll)), -1)
    return Rotation.from_euler("YXZ", angles).as_matrix().swapaxes(-1, -2)


def bend(root, target, first: float, second: float, pole):
    """Two bones from root towards target, the joint between them on the side of pole; (..., 3) -> middle, end.

    The law of cosines. A target out of reach is approached as far as the bones allow.
    """
    line = target - root
    distance = np.linalg.norm(line, axis=-1, keepdims=True)
    line = line / np.maximum(distance, 1e-9)
    reach = np.clip(distance, 0.3 * (first + second), 0.998 * (first + second))
    along = (first**2 + reach**2 - second**2) / (2 * reach)
    aside = pole - (pole * line).sum(-1, keepdims=True) * line
    aside = aside / np.linalg.norm(aside, axis=-1, keepdims=True)
    return root + along * line + np.sqrt(np.maximum(first**2 - along**2, 0)) * aside, root + reach * line


def joints_of(pose: Pose, body: Body) -> np.ndarray:
    """(T, 18, 3) openpose joints in metres, the ground at Y = 0; every bone has its length in every frame."""
    feet = pose.feet * SIDE + SIDE * [body.hip, 0, 0]
    pelvis = pose.pelvis + [0, body.ankle + body.leg, 0]
    across = feet - pelvis[:, None] - SIDE * [body.hip, 0, 0]
    leg = 0.995 * body.leg
    lowest = feet[:, :, Y] + np.sqrt(np.maximum(leg**2 - across[..., X] ** 2 - across[..., Z] ** 2, 0))
    lowest += 2 * (feet[:, :, Y] - body.ankle)  # a foot in the air does not pull the body down
    pelvis[:, Y] = np.minimum(pelvis[:, Y], lowest.min(1))  # it sinks until both legs reach the ground
    hips = pelvis[:, None] + SIDE * [body.hip, 0, 0]  # (T, 2, 3)
    knees, ankles = bend(hips, feet, body.thigh, body.shin, SIDE * [0.1, 0.5, 1.0])

    torso = rotation(pose.lean, pose.twist, pose.tilt)  # (T, 3, 3)
    neck = pelvis[:, None] + np.array([[0, body.torso, 0]]) @ torso  # (T, 1, 3)
    shoulders = neck + SIDE * [body.shoulder, -0.02, 0] @ torso
    wrists = shoulders + body.arm * (pose.hands * SIDE) @ torso
    elbows, wrists = bend(shoulders, wrists, body.upper_arm, body.forearm, SIDE * [0.4, -0.7, -0.6] @ torso)

    head = rotation(pose.lean + pose.nod, pose.twist + pose.turn, pose.tilt)
    nose, eyes, ears = (neck + body.head * SIDE * at @ head for at in ([0, 1.2, 0.8], [0.2, 1.42, 0.62], [0.5, 1.3, 0]))
    arms = np.stack([shoulders, elbows, wrists], 2).reshape(-1, 6, 3)  # right, then left
    legs = np.stack([hips, knees, ankles], 2).reshape(-1, 6, 3)
    joints = np.concatenate([nose[:, :1], neck, arms, legs, eyes, ears], 1)
    joints[..., Z] += pose.travel[:, None]
    return joints
