"""Motion that is no action of the starter model, made out of the clips that are: what its class "other" learns from.

    stand_still     one pose of a clip, hardly moving
    mix             the upper body of one action on the legs of another
    morph           slowly from a pose of one clip to a pose of another one, and on to a third

A clip is a function of the seed and its own name.
"""

from __future__ import annotations

import hashlib
from itertools import pairwise

import numpy as np

from feeder.sequence import SkeletonSequence

LEGS = slice(7, 13)  # hips, knees and ankles in the layout penn-action


def generator(*name: object) -> np.random.Generator:
    """Random numbers of a name's own."""
    return np.random.default_rng(list(hashlib.sha256(repr(name).encode()).digest()))


def stand_still(clips: list[SkeletonSequence], name: str, seed: int, label: int) -> SkeletonSequence:
    """One pose for a while, swaying a little."""
    rng = generator(seed, name)
    clip = clips[rng.integers(len(clips))]
    joints = joints_of(clip)
    pose = joints[rng.integers(len(joints))]
    T = rng.integers(30, 120)
    sway = np.cumsum(rng.normal(0, 0.002, (T, 1, 2)) + rng.normal(0, 0.0005, (T, len(pose), 2)), 0)
    still = np.repeat(pose[None], T, 0)
    still[..., :2] += sway * (still[..., 2:] > 0)
    return sequence(name, still, clip.frame_size, label)


def mix(clips: list[SkeletonSequence], name: str, seed: int, label: int) -> SkeletonSequence:
    """The upper body of one action on the legs of another one."""
    rng = generator(seed, name)
    upper = clips[rng.integers(len(clips))]
    others = [clip for clip in clips if clip.label != upper.label]
    lower = others[rng.integers(len(others))]
    a, b = joints_of(upper), joints_of(lower)
    T = min(len(a), len(b))
    frames = np.linspace(0, len(b) - 1, T).round().astype(int)
    a, b = np.resize(a, (T, *a.shape[1:])) if len(a) < T else a[:T].copy(), b[frames]
    unit = np.array(upper.frame_size) / upper.frame_size[1], np.array(lower.frame_size) / lower.frame_size[1]
    size = [body_size(joints[..., :2] * each, joints[..., 2] > 0) for joints, each in zip((a, b), unit)]
    legs = (b[:, LEGS, :2] - hips(b)) * unit[1] / size[1] * size[0] / unit[0] + hips(a)
    a[:, LEGS, :2] = legs
    a[:, LEGS, 2] = b[:, LEGS, 2]
    a *= a[..., 2:] > 0
    return sequence(name, a, upper.frame_size, label)


def morph(clips: list[SkeletonSequence], name: str, seed: int, label: int) -> SkeletonSequence:
    """Two to four poses of different clips, around the same hips and of the same size, and the way between them."""
    rng = generator(seed, name)
    poses, count = [], rng.integers(2, 5)
    while len(poses) < count:
        clip = clips[rng.integers(len(clips))]
        joints = joints_of(clip)
        pose = joints[[rng.integers(len(joints))]]  # (1, V, 3)
        if (pose[..., 2] > 0).sum() < 10:
            continue
        unit = np.array(clip.frame_size) / clip.frame_size[1]
        places = pose[..., :2] * unit
        seen = pose[..., 2] > 0
        places = (places - hips(np.concatenate([places, pose[..., 2:]], -1))) / body_size(places, seen) * 0.2
        poses.append((places[0], seen[0]))
    rows, visible = [], np.logical_and.reduce([seen for _, seen in poses])
    for (a, _), (b, _) in pairwise(poses):
        T = rng.integers(15, 60)
        share = 0.5 - 0.5 * np.cos(np.linspace(0, np.pi, T, endpoint=False))
        rows.append(a + share[:, None, None] * (b - a))
    places = np.concatenate(rows) * visible[:, None]
    scores = np.broadcast_to(visible, places.shape[:2])[..., None]
    return sequence(name, np.concatenate([places, scores], -1), (256, 256), label)


def hips(joints: np.ndarray) -> np.ndarray:
    """The middle of the hips (T, 1, 2), of those that are there."""
    pair = joints[:, 7:9]
    return (pair[..., :2] * (pair[..., 2:] > 0)).sum(1, keepdims=True) / np.maximum(
        (pair[..., 2:] > 0).sum(1, keepdims=True), 1
    )


def body_size(places: np.ndarray, seen: np.ndarray) -> float:
    """Root mean square distance of the joints (T, V, 2) from their mean in each frame."""
    count = np.maximum(seen.sum(1), 1)[:, None, None]
    offset = (places - (places * seen[..., None]).sum(1, keepdims=True) / count) * seen[..., None]
    return float(np.sqrt((offset**2).sum() / max(seen.sum(), 1))) or 1.0


def joints_of(clip: SkeletonSequence) -> np.ndarray:
    """(T, V, 3) x, y, score of person 1."""
    return np.concatenate([clip.keypoints[0], clip.scores[0][..., None]], -1)


def sequence(name: str, joints: np.ndarray, frame_size: tuple[int, int], label: int) -> SkeletonSequence:
    """A clip of one person from joints (T, 13, 3) x, y, score."""
    joints = joints.astype(np.float32)
    return SkeletonSequence(name, label, joints[None, ..., :2], joints[None, ..., 2], frame_size, "penn-action", None)
