"""SBU Kinect Interaction: sXXsYY/CC/NNN/skeleton_pos.txt, two persons in every clip, 15 joints each, 15 frames a second.

A line is a frame: its number, then x, y, z of 15 joints of person 1 and of person 2. x and y are recorded as fractions of
the picture and z scaled; here they become roughly metres, so that all three are of the order of 1:

    x' = 1.28 - 2.56 x        y' = 0.96 - 1.92 y (up)        z' = 1.28 z

that is, the millimetre-like units 1280 - 2560 x, 960 - 1920 y, 10000 z / 7.8125, divided by 1000.
The protocol is five folds by pair of persons; the label is the action's number less one. In fold k the pairs of fold k
are the test ("val"). With holdout, for choosing anything honestly, they are not touched: the pairs of the next fold
(1 after 5) are "val" and those of the other three "train".
"""

from __future__ import annotations

import re
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import numpy as np

from feeder.readers.clip import Clip, Listing, Parts
from feeder.sequence import SkeletonSequence
from torchlight.errors import DataError

NUM_JOINT, NUM_PERSON = 15, 2
OPTIONS = {"--fold": {"type": int, "help": "one fold, 1 to 5, written to --out_folder itself (default: all)"}}
FPS = 15.0
ACTIONS = [
    "approaching",
    "departing",
    "kicking",
    "pushing",
    "shaking hands",
    "hugging",
    "exchanging object",
    "punching",
]
FOLDS = [
    ["s01s02", "s03s04", "s05s02", "s06s04"],
    ["s02s03", "s02s07", "s03s05", "s05s03"],
    ["s01s03", "s01s07", "s07s01", "s07s03"],
    ["s02s01", "s02s06", "s03s02", "s03s06"],
    ["s04s02", "s04s03", "s04s06", "s06s02", "s06s03"],
]
PLACE = re.compile(r"(s\d\ds\d\d)/(\d\d)/(\d\d\d)")


def read(path: str | Path) -> SkeletonSequence:
    """One clip."""
    path = Path(path)
    text = path.read_bytes()
    rows = [line.rstrip(b", \t\r").split(b",") for line in text.split(b"\n") if line.strip()]
    width = 1 + 2 * NUM_JOINT * 3
    if not rows:
        raise DataError(f"{path}: is empty")
    for i, row in enumerate(rows, 1):
        if len(row) != width:
            raise DataError(f"{path}: line {i} has {len(row)} numbers instead of {width}; cut off or not an SBU file")
    try:
        values = np.array([[float(word) for word in row] for row in rows])  # (T, 91)
    except ValueError as error:
        raise DataError(f"{path}: holds something that is not a number ({error})") from None
    if not (np.abs(values) < 1e9).all():
        raise DataError(f"{path}: a coordinate is not finite")
    raw = values[:, 1:].reshape(-1, 2, NUM_JOINT, 3).transpose(1, 0, 2, 3)  # (M, T, V, 3)
    metres = np.array([1.28, 0.96, 0.0]) + np.array([-2.56, -1.92, 1.28]) * raw
    metres[~raw.any(-1)] = 0  # a joint recorded as 0, 0, 0 was not seen
    place = _place(path)
    name, label = (place.group().replace("/", "_"), int(place[2]) - 1) if place else (path.stem, -1)
    return SkeletonSequence(name, label, metres.astype(np.float32), None, None, "sbu", FPS)


def list_clips(data_path: str | Path, part: str, fold: int = 1, holdout: bool = False) -> Listing:
    """The clips of "train" or "val" of one fold, 1 to 5."""
    if fold not in range(1, len(FOLDS) + 1):
        raise DataError(f"fold {fold} does not exist; SBU has folds 1 to {len(FOLDS)}")
    test, held_out = set(FOLDS[fold - 1]), set(FOLDS[fold % len(FOLDS)])
    pairs = {pair for pairs in FOLDS for pair in pairs}
    clips, left_out = [], []
    for file in sorted(Path(data_path).rglob("*")):
        if file.is_dir():
            continue
        place = _place(file)
        if not place or place[1] not in pairs or not 1 <= int(place[2]) <= len(ACTIONS):
            left_out.append((str(file.relative_to(data_path)), "is not a clip (s01s02/01/001/skeleton_pos.txt)"))
            continue
        if holdout and place[1] in test:
            continue
        if (place[1] not in (held_out if holdout else test)) == (part == "train"):
            clips.append(Clip(file, place.group().replace("/", "_"), int(place[2]) - 1))
    return Listing(sorted(clips, key=lambda clip: clip.name), left_out)


def reader(arg: Namespace) -> Callable[[Path], SkeletonSequence]:
    return read


def list_parts(arg: Namespace, out_folder: Path) -> Parts:
    folds = {out_folder / f"fold{k}": k for k in range(1, len(FOLDS) + 1)}
    folds = folds if arg.fold is None else {out_folder: arg.fold}
    return [
        (folder, part, list_clips(arg.data_path, part, fold, arg.holdout))
        for folder, fold in folds.items()
        for part in ("train", "val")
    ]


def all_clips(arg: Namespace) -> list[Clip]:
    return [clip for part in ("train", "val") for clip in list_clips(arg.data_path, part).clips]


def label_names(data_path: str | Path | None = None) -> list[str]:
    """Class names by label."""
    return list(ACTIONS)


def _place(path: Path) -> re.Match | None:
    """Pair, action and repetition from the folders a file lies in."""
    return PLACE.fullmatch("/".join(path.absolute().parts[-4:-1])) if path.name == "skeleton_pos.txt" else None
