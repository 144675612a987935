"""The clips of the starter model: Penn Action's fifteen sports, and motion that is none of them, the class "other".

A network that has only ever seen sports calls everything a sport. What it is shown as "other", all of it by the same 13
joints and made noisy in the same way by the feeder:

    everyday motion     NW-UCLA and SBU, 3-D recordings seen by a random camera (not "throw", which is like a pitch)
    synthetic motion    of feeder/synthetic.py, without the actions that Penn Action has
    nothing happens     a Penn Action clip that stops at one frame, hardly moving
    nothing fits        the arms of one action on the legs of another

A clip is a function of the seed and its own name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from feeder.readers import nw_ucla, penn_action, sbu
from feeder.sequence import SkeletonSequence
from feeder.skeleton import load_skeleton, remap
from feeder.synthetic import clips as synthetic
from feeder.synthetic.camera import FRAME_SIZE, project

LAYOUT = "penn-action"
OTHER = len(penn_action.ACTIONS)
LABEL_NAMES = [*(name.replace("_", " ") for name in penn_action.ACTIONS), "other"]
NOT_OTHER = {"throw"}  # of NW-UCLA
ENDS = {"left_hand": "left_wrist", "right_hand": "right_wrist", "left_foot": "left_ankle", "right_foot": "right_ankle"}
SYNTHETIC = ("standing", "walking", "waving", "clapping", "punching", "kicking", "bowing", "sitting down")
SHARE = {"everyday": 0.3, "synthetic": 0.1, "still": 0.08, "mixed": 0.08}  # of the number of sports
LEGS = slice(7, 13)  # hips, knees and ankles in the layout


def clips(
    part: str, penn: str, ucla: str, interaction: str, holdout: bool = False, seed: int = 0
) -> list[SkeletonSequence]:
    """The clips of "train" or "val"; with holdout the test clips of Penn Action are not touched.

    Args:
        penn, ucla, interaction: the folders of Penn Action, NW-UCLA and SBU.
    """
    sports = [read_sport(clip) for clip in penn_action.list_clips(penn, part, holdout).clips]
    everyday = list(everyday_motion(part, ucla, interaction, seed))
    count = {kind: round(share * len(sports)) for kind, share in SHARE.items()}
    chosen = generator(seed, part).permutation(len(everyday))[: count["everyday"]]
    others = [everyday[i] for i in chosen]
    others += list(synthetic_motion(part, count["synthetic"], seed))
    for kind, make in (("still", stand_still), ("mixed", mix)):
        others += [make(sports, f"{kind}_{part}_{i:04d}", seed) for i in range(count[kind])]
    return sports + others


def generator(*name: object) -> np.random.Generator:
    """Random numbers of a name's own."""
    return np.random.default_rng(list(hashlib.sha256(repr(name).encode()).digest()))


def read_sport(clip) -> SkeletonSequence:
    sequence = penn_action.read(clip.path)
    return replace(sequence, name=f"penn_{clip.name}")


# ---- everyday motion


def everyday_motion(part: str, ucla: str, interaction: str, seed: int) -> Iterator[SkeletonSequence]:
    """NW-UCLA's subjects 9 and 10, and SBU's fifth fold, are "val"."""
    actions = list(nw_ucla.ACTIONS.values())
    for clip in nw_ucla.list_clips(ucla, part, holdout=True).clips:
        if actions[clip.label] not in NOT_OTHER:
            yield from seen_by_a_camera(nw_ucla.read(clip.path), f"ucla_{clip.name}", seed)
    for clip in sbu.list_clips(interaction, part, fold=5).clips:
        yield from seen_by_a_camera(sbu.read(clip.path), f"sbu_{clip.name}", seed)


def seen_by_a_camera(sequence: SkeletonSequence, name: str, seed: int) -> Iterator[SkeletonSequence]:
    """Each person of a 3-D clip as a 2-D clip of the 13 joints."""
    source, target = load_skeleton(sequence.layout), load_skeleton(LAYOUT)
    if sequence.layout == "sbu":  # its hands and feet are where others have wrists and ankles
        source = replace(source, joints=tuple(ENDS.get(joint, joint) for joint in source.joints))
    for person, joints in enumerate(sequence.keypoints):  # (T, V, 3) metres, y up
        there = joints.any((1, 2))
        if there.sum() < 8:
            continue
        joints = joints[there]
        ground = [joints[..., 0].mean(), np.percentile(joints[..., 1], 1), joints[..., 2].mean()]
        rng = generator(seed, name, person)
        pixels, _ = project(joints.astype(np.float64) - ground, rng)
        keypoints = pixels / FRAME_SIZE - 0.5
        joints = remap(np.concatenate([keypoints, np.ones_like(keypoints[..., :1])], -1), source, target)
        yield other(f"{name}_{person}", joints, FRAME_SIZE)


def synthetic_motion(part: str, count: int, seed: int) -> Iterator[SkeletonSequence]:
    source, target = load_skeleton("openpose"), load_skeleton(LAYOUT)
    actions = [synthetic.LABEL_NAMES.index(name) for name in SYNTHETIC]
    subjects = synthetic.SUBJECTS[part]
    for i in range(count):
        repetition, subject = divmod(i // len(actions), len(subjects))
        clip = synthetic.make_clip(seed, subjects[subject], actions[i % len(actions)], repetition)
        joints = remap(np.concatenate([clip.keypoints[0], clip.scores[0][..., None]], -1), source, target)
        yield other(f"synthetic_{clip.name}", joints, clip.frame_size)


# ---- out of the sports themselves


def stand_still(sports: list[SkeletonSequence], name: str, seed: int) -> SkeletonSequence:
    """One pose for a while, swaying a little."""
    rng = generator(seed, name)
    sport = sports[rng.integers(len(sports))]
    joints = joints_of(sport)
    pose = joints[rng.integers(len(joints))]
    T = rng.integers(30, 120)
    sway = np.cumsum(rng.normal(0, 0.002, (T, 1, 2)) + rng.normal(0, 0.0005, (T, len(pose), 2)), 0)
    still = np.repeat(pose[None], T, 0)
    still[..., :2] += sway * (still[..., 2:] > 0)
    return other(name, still, sport.frame_size)


def mix(sports: list[SkeletonSequence], name: str, seed: int) -> SkeletonSequence:
    """The upper body of one action on the legs of another one."""
    rng = generator(seed, name)
    upper = sports[rng.integers(len(sports))]
    others = [sport for sport in sports if sport.label != upper.label]
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
    return other(name, a, upper.frame_size)


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


def joints_of(sequence: SkeletonSequence) -> np.ndarray:
    """(T, V, 3) x, y, score of person 1."""
    return np.concatenate([sequence.keypoints[0], sequence.scores[0][..., None]], -1)


def other(name: str, joints: np.ndarray, frame_size: tuple[int, int]) -> SkeletonSequence:
    joints = joints.astype(np.float32)
    return SkeletonSequence(name, OTHER, joints[None, ..., :2], joints[None, ..., 2], frame_size, LAYOUT, None)
