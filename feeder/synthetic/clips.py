"""The synthetic data set: ten actions performed by articulated bodies and seen by a camera, as openpose skeletons.

    from feeder.synthetic.clips import clips
    for sequence in clips("train", 600): ...

A clip is made in four steps: an action says where pelvis, torso, hands and feet are at each moment of its cycle (actions.py);
a body is hung on it (body.py); a camera looks at it (camera.py); a pose estimator is simulated (detection.py). A clip is a
function of (seed, subject, action, repetition) alone; train and val are performed by different subjects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from feeder.sequence import SkeletonSequence
from feeder.synthetic.actions import ACTIONS, FPS, Body, at_rest, drift
from feeder.synthetic.body import joints_of, make_body
from feeder.synthetic.camera import FRAME_SIZE, project
from feeder.synthetic.detection import detect

LABEL_NAMES = tuple(ACTIONS)
NUM_FRAME = 60, 150  # the shortest and the longest clip
SUBJECTS = {"train": range(0, 30), "val": range(30, 40)}


def perform(body: Body, action: int, rng) -> np.ndarray:
    """(T, 18, 3) metres: one body doing one action in its own way."""
    return move(body, *list(ACTIONS.values())[action], rng)


def move(body: Body, do: Callable, cycles: float, rng) -> np.ndarray:
    """(T, 18, 3) metres: do is a function of actions.py, cycles how often a second it is done."""
    T = rng.integers(NUM_FRAME[0], NUM_FRAME[1] + 1)
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
