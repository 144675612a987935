"""NW-UCLA Multiview: one JSON file a clip, {"skeletons": [frames][20][3]}, one person, Kinect v1, metres.

A file name aAA_sSS_eEE_vVV.json says action, subject, repetition and view. The label is the action's place among the
ten that exist. Cross-view: views 1 and 2 train, view 3 is the test ("val"). With holdout, for choosing anything
honestly, view 3 is not touched: of views 1 and 2, subjects 9 and 10 are "val" and the others "train".
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import orjson

from feeder.readers.clip import Clip, Listing
from feeder.sequence import DataError, Sequence

NUM_JOINT = 20
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
TRAIN_VIEWS = {1, 2}
HELD_OUT_SUBJECTS = {9, 10}


def read(path: str | Path) -> Sequence:
    """One clip."""
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
    label = LABEL.get(int(named[1]), -1) if named else -1
    return Sequence(path.stem, label, joints[None].astype(np.float32), None, None, "nw-ucla", None)


def list_clips(data_path: str | Path, part: str, holdout: bool = False) -> Listing:
    """The clips of "train" or "val" in data_path or its folder all_sqe/."""
    folder = Path(data_path)
    folder = folder / "all_sqe" if (folder / "all_sqe").is_dir() else folder
    clips, left_out = [], []
    for file in sorted(folder.iterdir()):
        named = NAME.fullmatch(file.name)
        if not named or int(named[1]) not in LABEL:
            left_out.append((file.name, "is not named like a clip (a01_s01_e00_v01.json)"))
            continue
        action, subject, _, view = map(int, named.groups())
        train = view in TRAIN_VIEWS
        if holdout:
            if not train:
                continue
            train = subject not in HELD_OUT_SUBJECTS
        if train == (part == "train"):
            clips.append(Clip(file, file.stem, LABEL[action]))
    return Listing(clips, left_out)


def label_names(data_path: str | Path | None = None) -> list[str]:
    """Class names by label."""
    return list(ACTIONS.values())
