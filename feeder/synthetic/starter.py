"""The clips of the starter model: fifteen sports, everyday actions, and motion that is none of them, the class "other".

    the sports          Penn Action, annotated videos
    everyday actions    NW-UCLA, UTD-MHAD and SBU: 3-D recordings, each seen by several random cameras (camera.py)
    other               people of SBU who hug, shake hands or are only pushed; synthetic standing and bowing; poses that
                        hardly move, mixtures and slow passages between poses of all clips (other_motion.py)

ACTIONS says which action of which recording has which name: actions that look the same by 13 joints have one name, and no
name has a side, because every clip is also seen in a mirror (the feeder's flip: a mirrored body before a mirrored camera
is the mirrored picture). Everything is seen by the same 13 joints. A clip is a function of the seed and its own name.

Parts: Penn Action and UTD-MHAD as published; NW-UCLA's subjects 9 and 10 and SBU's fifth fold are "val". With holdout
none of these test clips is touched: "val" is Penn Action's held-out fifth, UTD-MHAD's subject 7, NW-UCLA's subjects 7 and
8, and SBU's first fold. 95 of NW-UCLA's view 3 (all of "pick up with two hands" and "drop") are copies of view 2 and
left out; parts never share a subject of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from feeder.readers import nw_ucla, penn_action, sbu, utd_mhad
from feeder.readers.clip import Clip
from feeder.sequence import SkeletonSequence
from feeder.skeleton import Skeleton, load_skeleton, remap
from feeder.synthetic import clips as synthetic
from feeder.synthetic.actions import ACTIONS as MOTIONS
from feeder.synthetic.actions import LEFT, RIGHT, wave
from feeder.synthetic.body import make_body
from feeder.synthetic.camera import FRAME_SIZE, look
from feeder.synthetic.other_motion import generator, mix, morph, sequence, stand_still
from feeder.transforms import stretch_bones

LAYOUT = "penn-action"
SPORTS = [name.replace("_", " ") for name in penn_action.ACTIONS]
ACTIONS = {  # name of the class: names of the actions in NW-UCLA, UTD-MHAD, SBU
    "baseball swing": ("baseball swing from right",),
    "bowl": ("bowling",),
    "squat": ("squat",),
    "tennis forehand": ("tennis forehand swing",),
    "tennis serve": ("tennis serve",),
    "pick up": ("pick up with one hand", "pick up with two hands"),
    "drop": ("drop trash",),
    "walk": ("walk around", "walking in place", "approaching", "departing"),
    "sit down": ("sit down", "stand to sit"),
    "stand up": ("stand up", "sit to stand"),
    "put on": ("donning",),
    "take off": ("doffing",),
    "throw": ("throw", "right arm throw"),
    "carry": ("carry",),
    "kick": ("kicking",),
    "push": ("pushing", "two hand push"),
    "punch": ("punching",),
    "swipe": ("right arm swipe to the left", "right arm swipe to the right"),
    "wave": ("right hand wave",),
    "clap": ("two hand front clap",),
    "cross arms": ("cross arms in the chest",),
    "basketball shot": ("basketball shoot",),
    "draw in the air": (
        "right hand draw x",
        "right hand draw circle clockwise",
        "right hand draw circle counter-clockwise",
        "draw triangle",
    ),
    "boxing": ("front boxing",),
    "arm curl": ("arm curl",),
    "knock on a door": ("right hand knock on door",),
    "catch": ("right hand catch",),
    "pick up and throw": ("right hand pick up and throw",),
    "jog": ("jogging in place",),
    "lunge": ("forward lunge",),
}
EVERYDAY = [name for name in ACTIONS if name not in SPORTS]
LABEL_NAMES = [*SPORTS, *EVERYDAY, "other"]
OTHER = len(LABEL_NAMES) - 1
NAME_OF = {action: name for name, actions in ACTIONS.items() for action in actions}
ENDS = {"left_hand": "left_wrist", "right_hand": "right_wrist", "left_foot": "left_ankle", "right_foot": "right_ankle"}
SYNTHETIC = {
    "standing": "other",
    "bowing": "other",
    "walking": "walk",
    "waving": "wave",
    "both waving": "wave",
    "clapping": "clap",
}
SYNTHETIC_CLIPS = 60  # of each, in training; a quarter of that in tests
LIMBS = 0.1  # spread of the lengths of bones in training (of their logarithms): sensors differ about where a joint is
SHARE = {"still": 0.06, "mixed": 0.06, "morph": 0.05}  # of the number of clips of actions
SPORTS_TIMES = 2  # each clip of Penn Action in training: as many clips as the cameras of the 3-D recordings make
VIEWS = {"ucla": 1, "utd": 4, "sbu": 2}  # cameras for every recording, in training
ALONE = {"kick", "push", "punch", "walk"}  # of SBU: what the motion of one person says
LEGS_MATTER = {"kick", "lunge", "jog", "squat"}  # not seen without legs
FPS = {"ucla": 30.0, "utd": utd_mhad.FPS, "sbu": sbu.FPS}
HELD_OUT, TESTED = {7, 8}, {9, 10}  # subjects of NW-UCLA
COPIES = {2, 3}  # actions of NW-UCLA whose view 3 is a copy of view 2


def clips(
    part: str, penn: str, ucla: str, utd: str, interaction: str, holdout: bool = False, seed: int = 0, leave_out=()
) -> list[SkeletonSequence]:
    """The clips of "train" or "val"; with holdout no test clip is touched.

    Args:
        penn, ucla, utd, interaction: the folders of Penn Action, NW-UCLA, UTD-MHAD and SBU.
        leave_out: names of classes that are not trained on; in "val" their clips are "other".
    """
    known = [read_sport(clip) for clip in penn_action.list_clips(penn, part, holdout).clips]
    if part == "train":
        known += [replace(clip, name=f"{clip.name}_{i}") for i in range(1, SPORTS_TIMES) for clip in known]
    known += everyday_motion(part, ucla, utd, interaction, holdout, seed)
    known += synthetic_motion(part, seed)
    absent = {LABEL_NAMES.index(name) for name in leave_out}
    if part == "train":
        known = [clip for clip in known if clip.label not in absent]
    known = [replace(clip, label=OTHER) if clip.label in absent else clip for clip in known]
    sources = [clip for clip in known if clip.label != OTHER]
    made = []
    for kind, make in (("still", stand_still), ("mixed", mix), ("morph", morph)):
        count = round(SHARE[kind] * len(sources))
        made += [make(sources, f"{kind}_{part}_{i:04d}", seed, OTHER) for i in range(count)]
    return known + made


def read_sport(clip: Clip) -> SkeletonSequence:
    return replace(penn_action.read(clip.path), name=f"penn_{clip.name}")


# ---- 3-D recordings


def everyday_motion(
    part: str, ucla: str, utd: str, interaction: str, holdout: bool, seed: int
) -> Iterator[SkeletonSequence]:
    for clip in ucla_clips(ucla, part, holdout):
        yield from views(nw_ucla.read(clip.path), "ucla", nw_ucla.label_names()[clip.label], clip.name, part, seed)
    for clip in utd_mhad.list_clips(utd, part, holdout).clips:
        yield from views(utd_mhad.read(clip.path), "utd", utd_mhad.ACTIONS[clip.label], clip.name, part, seed)
    for clip in sbu.list_clips(interaction, part, 5, holdout).clips:
        yield from views(sbu.read(clip.path), "sbu", sbu.ACTIONS[clip.label], clip.name, part, seed)


def ucla_clips(folder: str | Path, part: str, holdout: bool) -> Iterator[Clip]:
    """All views of the subjects of a part, with the labels of what they show, without copies."""
    for clip in nw_ucla.list_clips(folder, "train", views=((1, 2, 3), ()), fix_labels=True).clips:
        action, subject, _, view = map(int, nw_ucla.NAME.fullmatch(clip.path.name).groups())
        if (view == 3 and action in COPIES) or (holdout and subject in TESTED):
            continue
        if (subject in (HELD_OUT if holdout else TESTED)) == (part == "val"):
            yield clip


def views(
    recording: SkeletonSequence, source: str, action: str, name: str, part: str, seed: int
) -> Iterator[SkeletonSequence]:
    """The persons of a recording as 2-D clips of 13 joints, one for each camera; val: one camera.

    Of two persons who interact, the one who moves more acts; the other one is "other".
    """
    persons = [upright(joints, FPS[source]) for joints in recording.keypoints]
    persons = [joints for joints in persons if len(joints) >= 8]
    persons.sort(key=lambda joints: -travelled(joints))
    for person, joints in enumerate(persons):
        named = NAME_OF.get(action, "other")
        if source == "sbu" and (person > 0 or named not in ALONE):
            named = "other"
        for view in range(VIEWS[source] if part == "train" and named != "other" else 1):
            at = f"{source}_{name}_{person}_{view}"
            rng, layout = generator(seed, at), load_skeleton(recording.layout)
            body = with_other_limbs(joints, layout, rng) if part == "train" else joints
            seen = seen_by_a_camera(body, layout, rng, 180 if source == "sbu" else 80, named)
            yield sequence(at, seen, FRAME_SIZE, LABEL_NAMES.index(named))


def upright(joints: np.ndarray, fps: float) -> np.ndarray:
    """The frames of Kinect's (T, V, 3) in which the person is there, at 30 a second, facing Z as synthetic bodies do."""
    joints = joints[joints.any((1, 2))].astype(np.float64) * [-1, 1, -1]  # Kinect's z points away from the camera
    if fps < 30 and len(joints) > 1:
        at = np.arange(0, len(joints) - 1 + 1e-9, fps / 30)
        before = np.minimum(at.astype(int), len(joints) - 2)
        joints = joints[before] + (at - before)[:, None, None] * (joints[before + 1] - joints[before])
    return joints


def travelled(joints: np.ndarray) -> float:
    """Metres that the joints (T, V, 3) move in all, by way of frames a fifth of a second apart: noise counts less."""
    return float(np.linalg.norm(np.diff(joints[::6], axis=0), axis=-1).sum())


def with_other_limbs(joints: np.ndarray, skeleton: Skeleton, rng: np.random.Generator) -> np.ndarray:
    """The motion (T, V, 3) of a body whose bones are a little longer or shorter, left as right."""
    factor = np.exp(rng.normal(0, LIMBS, skeleton.num_joint))
    factor = np.sqrt(factor * factor[skeleton.flip])[None]
    places = joints.transpose(2, 0, 1)[None, ..., None]  # (1, 3, T, V, 1)
    stretched = stretch_bones(places, np.ones(places[:, 0].shape, bool), factor, skeleton.parents)
    return stretched[0, ..., 0].transpose(1, 2, 0)


def seen_by_a_camera(
    joints: np.ndarray, source: Skeleton, rng: np.random.Generator, yaw: float = 80, named: str = ""
) -> np.ndarray:
    """(T, V, 3) metres -> (T', 13, 3) x, y, score.

    Short recordings begin and end with the action, windows of a video do not: half of them get a pause before or after.
    """
    target = load_skeleton(LAYOUT)
    if source.name == "sbu":  # its hands and feet are where others have wrists and ankles
        source = replace(source, joints=tuple(ENDS.get(joint, joint) for joint in source.joints))
    if len(joints) < 90 and rng.random() < 0.5:
        before, after = rng.multinomial(rng.integers(8, 40), rng.dirichlet([1, 1]))[:2]
        frames = np.concatenate([np.zeros(before, int), np.arange(len(joints)), np.full(after, len(joints) - 1)])
        joints = joints[frames] + np.cumsum(rng.normal(0, 0.0015, (len(frames), 1, 3)), 0)
    places, seen = look(joints, rng, yaw, 0.0 if named in LEGS_MATTER else 0.3)
    return remap(np.concatenate([places, seen[..., None]], -1), source, target)


def synthetic_motion(part: str, seed: int) -> Iterator[SkeletonSequence]:
    """Articulated bodies (body.py) by the same cameras."""
    layout, subjects = load_skeleton("openpose"), synthetic.SUBJECTS[part]
    motions = MOTIONS | {"both waving": (wave_with_both, MOTIONS["waving"][1])}
    for action, named in SYNTHETIC.items():
        for i in range(SYNTHETIC_CLIPS if part == "train" else SYNTHETIC_CLIPS // 4):
            at = f"synthetic_{action}_{part}_{i:03d}"
            rng, body = generator(seed, at), make_body(seed, subjects[i % len(subjects)])
            joints = synthetic.move(body, *motions[action], rng)
            yield sequence(at, seen_by_a_camera(joints, layout, rng, named=named), FRAME_SIZE, LABEL_NAMES.index(named))


def wave_with_both(pose, body, p, size, rng):
    wave(pose, body, p, size, rng)
    pose.hands[:, LEFT] = pose.hands[:, RIGHT]


def count_classes(sequences: Iterable[SkeletonSequence]) -> dict[str, int]:
    """Number of clips of each class."""
    count = np.bincount([clip.label for clip in sequences], minlength=len(LABEL_NAMES))
    return dict(zip(LABEL_NAMES, count.tolist()))
