"""Penn Action: one MATLAB file a clip, labels/NNNN.mat, one person, 13 joints annotated by hand in pixels.

Coordinates become centred fractions of the frame (x / width - 0.5); a joint that is not visible is missing, one outside
the frame is kept; the score of a joint is its visibility. The label is the action's place in the alphabet. The field
`train` of each file says 1: train, -1: test ("val"). With holdout, for choosing anything honestly, the test clips are
not touched: of the training clips of every class the last fifth by number is "val" and the rest "train". Clips with
neighbouring numbers often come from one video, so a block at the end leaks less than every fifth clip would.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from feeder.readers.clip import Clip, Listing, Parts
from feeder.readers.matlab import read_mat
from feeder.sequence import SkeletonSequence
from torchlight.errors import DataError, short

NUM_JOINT, NUM_PERSON = 13, 1
OPTIONS: dict[str, dict[str, Any]] = {}
ACTIONS = [
    "baseball_pitch",
    "baseball_swing",
    "bench_press",
    "bowl",
    "clean_and_jerk",
    "golf_swing",
    "jump_rope",
    "jumping_jacks",
    "pullup",
    "pushup",
    "situp",
    "squat",
    "strum_guitar",
    "tennis_forehand",
    "tennis_serve",
]


def read(path: str | Path) -> SkeletonSequence:
    """One clip; where x, y and visibility differ in length, the frames that all of them have."""
    path = Path(path)
    fields = read_mat(path, ["action", "x", "y", "visibility", "dimensions"])
    x, y, visible = (_matrix(fields, key, path) for key in ("x", "y", "visibility"))  # (T, V)
    height, width = _size(fields, path)
    T = min(len(x), len(y), len(visible))
    visible = visible[:T] > 0
    keypoints = np.stack([x[:T] / width - 0.5, y[:T] / height - 0.5], -1)  # (T, V, 2)
    if not (np.abs(keypoints[visible]) < 1e6).all():
        raise DataError(f"{path}: a visible joint has a coordinate that is not finite")
    keypoints = np.where(visible[..., None], keypoints, 0).astype(np.float32)
    action = _text(fields, "action", path)
    label = ACTIONS.index(action) if action in ACTIONS else -1
    scores = visible.astype(np.float32)
    return SkeletonSequence(path.stem, label, keypoints[None], scores[None], (width, height), "penn-action", None)


def list_clips(data_path: str | Path, part: str, holdout: bool = False) -> Listing:
    """The clips of "train" or "val" in data_path or its folder labels/."""
    folder = Path(data_path)
    folder = folder / "labels" if (folder / "labels").is_dir() else folder
    trained, tested, left_out = _index(folder)
    if not holdout:
        return Listing(list(trained if part == "train" else tested), list(left_out))
    clips = []
    for label in range(len(ACTIONS)):
        of_class = [clip for clip in trained if clip.label == label]
        held_out = len(of_class) - len(of_class) // 5
        clips += of_class[:held_out] if part == "train" else of_class[held_out:]
    return Listing(sorted(clips, key=lambda clip: clip.name), list(left_out))


def reader(arg: Namespace) -> Callable[[Path], SkeletonSequence]:
    return read


def list_parts(arg: Namespace, out_folder: Path) -> Parts:
    return [(out_folder, part, list_clips(arg.data_path, part, arg.holdout)) for part in ("train", "val")]


def all_clips(arg: Namespace) -> list[Clip]:
    return [clip for part in ("train", "val") for clip in list_clips(arg.data_path, part).clips]


def label_names(data_path: str | Path | None = None) -> list[str]:
    """Class names by label."""
    return list(ACTIONS)


@lru_cache(maxsize=1)
def _index(folder: Path) -> tuple[tuple[Clip, ...], tuple[Clip, ...], tuple[tuple[str, str], ...]]:
    """Training clips, test clips and what is left out: action and part are inside the files, so all are opened once."""
    trained, tested, left_out = [], [], []
    for file in sorted(folder.iterdir()):
        if file.suffix != ".mat":
            left_out.append((file.name, "is not a .mat file"))
            continue
        try:
            fields = read_mat(file, ["action", "train"])
            action, train = _text(fields, "action", file), _matrix(fields, "train", file, 1)[0, 0]
            if action not in ACTIONS or train not in (1, -1):
                raise DataError(f"{file}: action {short(action)} or train {train:g} is not one that Penn Action has")
        except DataError as error:
            left_out.append((file.name, str(error).removeprefix(f"{file}: ")))
            continue
        (trained if train == 1 else tested).append(Clip(file, file.stem, ACTIONS.index(action)))
    return tuple(trained), tuple(tested), tuple(left_out)


def _field(fields: dict, key: str, path: Path) -> np.ndarray:
    if key not in fields:
        raise DataError(f"{path}: not a Penn Action file, or cut off: {short(key)} is missing")
    return np.asarray(fields[key])


def _matrix(fields: dict, key: str, path: Path, columns: int = NUM_JOINT) -> np.ndarray:
    value = _field(fields, key, path)
    if value.ndim != 2 or value.shape[1] != columns or not len(value) or value.dtype.kind not in "iufb":
        raise DataError(f"{path}: {key} has shape {value.shape}, numbers (frames, {columns}) are needed")
    return value.astype(np.float64)


def _size(fields: dict, path: Path) -> tuple[int, int]:
    """Height and width in pixels."""
    size = _field(fields, "dimensions", path).ravel()
    if len(size) < 2 or size.dtype.kind not in "iuf" or not (size[:2] > 0).all() or not np.isfinite(size[:2]).all():
        raise DataError(f"{path}: dimensions are {size.tolist()}, [height, width, frames] is needed")
    return int(size[0]), int(size[1])


def _text(fields: dict, key: str, path: Path) -> str:
    value = _field(fields, key, path).ravel()
    if len(value) != 1:
        raise DataError(f"{path}: {key} is not one word")
    return str(value[0])
