"""NW-UCLA Multiview: one JSON file a clip, {"skeletons": [frames][20][3]}, one person, Kinect v1, metres.

A file name aAA_sSS_eEE_vVV.json says action, subject, repetition and view. The label is the action's place among the
ten that exist. Cross-view: views 1 and 2 train, view 3 is the test ("val"). With holdout, for choosing anything
honestly, view 3 is not touched: of views 1 and 2, subjects 9 and 10 are "val" and the others "train".

24 clips of view 2 bear the name of the opposite action: subject 4 stands up where the name says "sit down" (the head
rises by 0.2 to 0.4 m) and the other way round, and subject 5's donning and doffing are swapped (a network that has
seen view 1 alone says so of all 13). They are read as they are published; with fix_labels, as what they show.
"""

from __future__ import annotations

import re
from argparse import Namespace
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import numpy as np
import orjson

from feeder.readers.clip import Clip, Listing, Parts
from feeder.sequence import SkeletonSequence
from torchlight.errors import DataError

NUM_JOINT, NUM_PERSON = 20, 1
VIEWS = {"type": int, "nargs": "+", "choices": (1, 2, 3)}
OPTIONS = {
    "--train_view": {**VIEWS, "help": "views that train (default: 1 2)"},
    "--test_view": {**VIEWS, "help": "views that test (default: 3)"},
    "--fix_labels": {
        "action": "store_true",
        "default": None,
        "help": "give 24 training clips the label of what they show",
    },
}
NAME = re.compile(r"a(\d\d)_s(\d\d)_e(\d\d)_v(\d\d)\.json")
ACTIONS = {
    1: "pick up with one hand",
    2: "pick up with two hands",
    3: "drop trash",
    4: "walk around",
    5: "sit down",
    6: "stand up",
    8: "donning",
    9: "doffing",
    11: "throw",
    12: "carry",
}
LABEL = {action: label for label, action in enumerate(ACTIONS)}
CROSS_VIEW = ((1, 2), (3,))  # views that train, views that test
HELD_OUT_SUBJECTS = {9, 10}
OPPOSITE = {5: 6, 6: 5, 8: 9, 9: 8}
SWAPPED = {(5, 4, 2), (6, 4, 2), (8, 5, 2), (9, 5, 2)}  # action as named, subject, view


def read(path: str | Path, fix_labels: bool = False) -> SkeletonSequence:
    """One clip. fix_labels: see list_clips."""
    path = Path(path)
    try:
        content = orjson.loads(path.read_bytes())
        joints = np.array(content["skeletons"], np.float64)  # (T, V, 3)
    except orjson.JSONDecodeError as error:
        raise DataError(f"{path}: not valid JSON, cut off or damaged ({error})") from None
    except (KeyError, TypeError):
        raise DataError(f"{path}: not an NW-UCLA file: 'skeletons', a list of frames of joints, is missing") from None
    except ValueError:
        raise DataError(f"{path}: not every frame has {NUM_JOINT} joints of three numbers") from None
    if joints.shape[1:] != (NUM_JOINT, 3) or not len(joints):
        raise DataError(f"{path}: shape is {joints.shape}, (frames, {NUM_JOINT}, 3) is needed")
    if not (np.abs(joints) < 1e6).all():
        raise DataError(f"{path}: a coordinate is not finite")
    named = NAME.fullmatch(path.name)
    label = _label(named, fix_labels) if named else -1
    return SkeletonSequence(path.stem, label, joints[None].astype(np.float32), None, None, "nw-ucla", None)


def list_clips(
    data_path: str | Path,
    part: str,
    holdout: bool = False,
    views: tuple[Iterable[int], Iterable[int]] = CROSS_VIEW,
    fix_labels: bool = False,
) -> Listing:
    """The clips of "train" or "val" in data_path or its folder all_sqe/.

    Args:
        holdout: a part of the training clips is "val"; the test views are not touched.
        views: those that train, those that test.
        fix_labels: the 24 clips with a wrong name get the right label.
    """
    folder = Path(data_path)
    folder = folder / "all_sqe" if (folder / "all_sqe").is_dir() else folder
    train_views, test_views = views
    clips, left_out = [], []
    for file in sorted(folder.iterdir()):
        named = NAME.fullmatch(file.name)
        if not named or int(named[1]) not in LABEL:
            left_out.append((file.name, "is not named like a clip (a01_s01_e00_v01.json)"))
            continue
        subject, view = int(named[2]), int(named[4])
        if holdout:
            chosen = view in train_views and (subject in HELD_OUT_SUBJECTS) == (part == "val")
        else:
            chosen = view in (train_views if part == "train" else test_views)
        if chosen:
            clips.append(Clip(file, file.stem, _label(named, fix_labels)))
    return Listing(clips, left_out)


def reader(arg: Namespace) -> Callable[[Path], SkeletonSequence]:
    return partial(read, fix_labels=bool(arg.fix_labels))


def list_parts(arg: Namespace, out_folder: Path) -> Parts:
    views = arg.train_view or CROSS_VIEW[0], arg.test_view or CROSS_VIEW[1]
    if both := sorted(set(views[0]) & set(views[1])):
        raise DataError(f"view {both[0]} is among --train_view and --test_view; test clips must not be trained on")
    options = {"holdout": arg.holdout, "views": views, "fix_labels": bool(arg.fix_labels)}
    return [(out_folder, part, list_clips(arg.data_path, part, **options)) for part in ("train", "val")]


def all_clips(arg: Namespace) -> list[Clip]:
    return [clip for part in ("train", "val") for clip in list_clips(arg.data_path, part).clips]


def _label(named: re.Match, fix_labels: bool) -> int:
    action, subject, _, view = map(int, named.groups())
    wrong = fix_labels and (action, subject, view) in SWAPPED
    return LABEL.get(OPPOSITE[action] if wrong else action, -1)


def label_names(data_path: str | Path | None = None) -> list[str]:
    """Class names by label."""
    return list(ACTIONS.values())
