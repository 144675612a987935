"""A person who never was: ten actions performed by an articulated body and seen by a camera, as openpose skeletons.

    from feeder.synthetic.clips import clips
    for sequence in clips("train", 600): ...

A clip is made in four steps: an action says where pelvis, torso, hands and feet are at each moment of its cycle
(synthetic_actions.py); `joints_of` hangs a body on it, in metres, bones of constant length; `project` looks at it
through a camera; `detect` spoils the picture as a pose estimator does. A clip is a function of (seed, subject, action,
repetition) alone; train and val are performed by different subjects.

Axes: X to the body's own left, Y up, Z forward. At yaw 0 it faces the camera and X is to the right of the picture.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.spatial.transform import Rotation

from feeder.sequence import SkeletonSequence
from feeder.synthetic.actions import ACTIONS, FPS, SIDE, Body, Pose, X, Y, Z, at_rest, drift

LABEL_NAMES = tuple(ACTIONS)
FRAME_SIZE = (340, 256)
NUM_FRAME = 60, 150  # the shortest and the longest clip
SUBJECTS = {"train": range(0, 30), "val": range(30, 40)}


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


# ------------------------------------------------------------------------------------------- the camera and its eyes


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


def detect(pixels: np.ndarray, depth: np.ndarray, rng) -> tuple[np.ndarray, np.ndarray]:
    """What a pose estimator makes of it: keypoints (T, V, 2), centred fractions of the frame, and scores (T, V).

    They tremble; what is far behind the body or on the far side of the head is doubtful; what is doubtful, out of the
    frame, or lost for a while is missing: zero in all channels.
    """
    T, V = depth.shape
    scores = rng.uniform(0.75, 0.9) + 0.08 * drift(rng, T, V) - 0.5 * np.maximum(-depth - 0.1, 0)
    ear = (depth[:, [16, 17]] - depth[:, [17, 16]]) / 0.15  # -1..1: how much an ear is turned to the camera
    scores[:, [16, 17]] -= np.maximum(0, -0.2 - ear) * 2
    scores[:, [14, 15]] -= np.maximum(0, -0.65 - ear) * 3
    for _ in range(rng.poisson(rng.exponential(1.5) * T / FPS)):
        start, frames = rng.integers(T), rng.integers(2, 30)
        scores[start : start + frames, rng.integers(V)] -= rng.uniform(0.2, 1.0)
    scores[rng.random(T) < 0.004] = 0  # nobody was found in this frame

    size = np.ptp(pixels[..., 1], 1).mean()
    tremble = size * rng.uniform(0.0015, 0.005) * (rng.normal(size=(T, V, 2)) + drift(rng, T, V, 2))
    pixels = pixels + tremble * (1 + 2 * (1 - scores.clip(0, 1)))[..., None]
    keypoints = pixels / FRAME_SIZE - 0.5
    scores = np.where((np.abs(keypoints) < 0.5).all(-1) & (scores > 0.1), scores.clip(0, 1), 0)
    return keypoints * (scores > 0)[..., None], scores


# ------------------------------------------------------------------------------------------------------- the clips


def perform(body: Body, action: int, rng) -> np.ndarray:
    """(T, 18, 3) metres: one body doing one action in its own way."""
    T = rng.integers(NUM_FRAME[0], NUM_FRAME[1] + 1)
    do, cycles = list(ACTIONS.values())[action]
    tempo = cycles * body.tempo * rng.uniform(0.85, 1.2) * (1 + 0.1 * drift(rng, T))
    p = rng.random() + np.cumsum(tempo) / FPS
    size = body.size * rng.uniform(0.9, 1.15) * (1 + 0.06 * drift(rng, T))
    pose = at_rest(body, T, rng)
    do(pose, body, p, size, rng)
    return joints_of(pose.mirrored() if rng.random() < 0.5 else pose, body)


def make_clip(seed: int, subject: int, action: int, repetition: int) -> SkeletonSequence:
    rng = np.random.default_rng((seed, subject, action, repetition))
    keypoints, scores = detect(*project(perform(make_body(seed, subject), action, rng), rng), rng)
    return SkeletonSequence(
        name=f"s{subject:03d}_a{action:02d}_r{repetition:02d}",
        label=action,
        keypoints=keypoints[None].astype(np.float32),
        scores=scores[None].astype(np.float32),
        frame_size=FRAME_SIZE,
        layout="openpose",
        fps=FPS,
    )


def clips(part: str, number: int, seed: int = 0) -> Iterator[SkeletonSequence]:
    """The first `number` clips of "train" or "val": the actions in turn, then the subjects, then once more."""
    subjects = SUBJECTS[part]
    for i in range(number):
        turn, action = divmod(i, len(ACTIONS))
        repetition, subject = divmod(turn, len(subjects))
        yield make_clip(seed, subjects[subject], action, repetition)
