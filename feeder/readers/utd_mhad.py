"""UTD-MHAD: one MATLAB file a clip, d_skel (20 joints, 3, frames), one person seen from the front, Kinect v1, metres.

A file name aA_sS_tT_skeleton.mat says action, subject and trial; the label is the action's number less one.
Cross-subject, as published (Chen, Jafari, Kehtarnavaz, ICIP 2015): subjects 1, 3, 5 and 7 train, 2, 4, 6 and 8 test
("val"). With holdout, for choosing anything honestly, the test subjects are not touched: the last of the training
subjects is "val" and the others "train".

Left and right are those of the person, and many classes are performed with the right arm: a flip makes other actions of
them.
"""

from __future__ import annotations

import re
from argparse import Namespace
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from feeder.readers.clip import Clip, Listing, Parts
from feeder.readers.matlab import read_mat
from feeder.sequence import SkeletonSequence
from torchlight.errors import DataError

NUM_JOINT, NUM_PERSON = 20, 1
SUBJECTS = {"type": int, "nargs": "+", "choices": range(1, 9)}
OPTIONS = {
    "--train_subject": {**SUBJECTS, "help": "subjects that train (default: 1 3 5 7)"},
    "--test_subject": {**SUBJECTS, "help": "subjects that test (default: 2 4 6 8)"},
}
FPS = 30.0
NAME = re.compile(r"(a([1-9]|1[0-9]|2[0-7])_s([1-8])_t([1-4]))_skeleton\.mat")
CROSS_SUBJECT = ((1, 3, 5, 7), (2, 4, 6, 8))  # subjects that train, subjects that test
ACTIONS = [
    "right arm swipe to the left",
    "right arm swipe to the right",
    "right hand wave",
    "two hand front clap",
    "right arm throw",
    "cross arms in the chest",
    "basketball shoot",
    "right hand draw x",
    "right hand draw circle clockwise",
    "right hand draw circle counter-clockwise",
    "draw triangle",
    "bowling",
    "front boxing",
    "baseball swing from right",
    "tennis forehand swing",
    "arm curl",
    "tennis serve",
    "two hand push",
    "right hand knock on door",
    "right hand catch",
    "right hand pick up and throw",
    "jogging in place",
    "walking in place",
    "sit to stand",
    "stand to sit",
    "forward lunge",
    "squat",
]


def read(path: str | Path) -> SkeletonSequence:
    """One clip."""
    path = Path(path)
    fields = read_mat(path, ["d_skel"])
    if "d_skel" not in fields:
        raise DataError(f"{path}: not a skeleton file of UTD-MHAD, or cut off: 'd_skel' is missing")
    joints = fields["d_skel"]
    joints = joints[..., None] if joints.ndim == 2 else joints  # MATLAB keeps no last dimension of 1: a single frame
    if joints.shape[:2] != (NUM_JOINT, 3) or joints.ndim != 3 or not joints.size or joints.dtype.kind not in "iuf":
        raise DataError(f"{path}: d_skel has shape {joints.shape}, numbers ({NUM_JOINT}, 3, frames) are needed")
    if not (np.abs(joints.astype(np.float64)) < 1e6).all():
        raise DataError(f"{path}: a coordinate is not finite")
    keypoints = np.ascontiguousarray(joints.transpose(2, 0, 1)[None], np.float32)  # (V, 3, T) -> (M, T, V, 3)
    named = NAME.fullmatch(path.name)
    name, label = (named[1], int(named[2]) - 1) if named else (path.stem, -1)
    return SkeletonSequence(name, label, keypoints, None, None, "utd-mhad", FPS)


def list_clips(
    data_path: str | Path,
    part: str,
    holdout: bool = False,
    subjects: tuple[Iterable[int], Iterable[int]] = CROSS_SUBJECT,
) -> Listing:
    """The clips of "train" or "val" in data_path or its folder Skeleton/.

    Args:
        holdout: the last of the training subjects is "val"; the test subjects are not touched.
        subjects: those that train, those that test.
    """
    folder = Path(data_path)
    folder = folder / "Skeleton" if (folder / "Skeleton").is_dir() else folder
    train, test = map(set, subjects)
    if holdout:
        train, test = train - {max(train)}, {max(train)}
    chosen = train if part == "train" else test
    clips, left_out = [], []
    for file in folder.iterdir():
        if named := NAME.fullmatch(file.name):
            if int(named[3]) in chosen:
                clips.append(Clip(file, named[1], int(named[2]) - 1))
        else:
            left_out.append((file.name, "is not named like a clip (a1_s1_t1_skeleton.mat)"))
    return Listing(sorted(clips, key=lambda clip: clip.name), sorted(left_out))


def reader(arg: Namespace) -> Callable[[Path], SkeletonSequence]:
    return read


def list_parts(arg: Namespace, out_folder: Path) -> Parts:
    subjects = arg.train_subject or CROSS_SUBJECT[0], arg.test_subject or CROSS_SUBJECT[1]
    if both := sorted(set(subjects[0]) & set(subjects[1])):
        raise DataError(
            f"subject {both[0]} is among --train_subject and --test_subject; test clips must not be trained on"
        )
    if arg.holdout and len(set(subjects[0])) < 2:
        raise DataError("--holdout keeps one training subject back, so --train_subject must name two or more")
    return [(out_folder, part, list_clips(arg.data_path, part, arg.holdout, subjects)) for part in ("train", "val")]


def all_clips(arg: Namespace) -> list[Clip]:
    return [clip for part in ("train", "val") for clip in list_clips(arg.data_path, part).clips]


def label_names(data_path: str | Path | None = None) -> list[str]:
    """Class names by label."""
    return list(ACTIONS)
