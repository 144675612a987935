"""PYSKL and MMAction2: one pickle for a whole data set, with any number of splits.

    {"split": {"xsub_train": [frame_dir, ...], "xsub_val": [...], ...},
     "annotations": [{"frame_dir": name, "label": 3, "img_shape": (height, width),
                      "keypoint": (M, T, V, 2 or 3), "keypoint_score": (M, T, V)}, ...]}

3-D keypoints are metres. 2-D ones are pixels; they become centred fractions of the frame (x / width - 0.5), and a joint
with score 0 is missing. The pickle may hold nothing but plain containers and arrays. It is read whole, so the clips are
read by one process; the path of clip i is <pickle>/<i>.
"""

from __future__ import annotations

import re
from argparse import Namespace
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from feeder.pickles import load_pickle
from feeder.readers.clip import RESOURCE, Clip, Listing, Parts, read_lines
from feeder.sequence import SkeletonSequence
from feeder.skeleton import load_skeleton, remap
from torchlight.errors import DataError, short

NUM_PERSON = 2
OPTIONS = {"--layout": {"help": "joints to make of those in the file, a name or a YAML file (default: as they are)"}}
LAYOUTS = {(25, 3): "ntu-rgb+d", (17, 2): "coco", (18, 2): "openpose", (20, 3): "nw-ucla"}  # by joints, coordinates
NTU = re.compile(r"S\d{3}C\d{3}P\d{3}R\d{3}A\d{3}")
PLAIN_NAME = re.compile(r"[\w+-][\w.+-]*")  # a split names files


def read(path: str | Path, layout: str | None = None) -> SkeletonSequence:
    """Clip i of the pickle, where path is <pickle>/<i>; 2-D ones are made into that layout."""
    path = Path(path)
    clip = _content(path.parent)[0][int(path.name)]
    keypoints = _array(clip, "keypoint", 4, path)
    M, T, V, D = keypoints.shape
    if (V, D) not in LAYOUTS:
        known = ", ".join(f"{v} in {d}-D ({name})" for (v, d), name in LAYOUTS.items())
        raise DataError(f"{path}: {V} joints in {D}-D are no layout that is known here: {known}")
    sequence = SkeletonSequence(clip["frame_dir"], _label(clip), keypoints, None, None, LAYOUTS[V, D])
    if D == 2:
        scores = np.ones((M, T, V), np.float32)
        if clip.get("keypoint_score") is not None:
            scores = _array(clip, "keypoint_score", 3, path)
        if scores.shape != (M, T, V):
            raise DataError(f"{path}: keypoint_score has shape {scores.shape}, keypoint {keypoints.shape}")
        width, height = sequence.frame_size = _frame_size(clip, path)
        missing = (scores <= 0) | ~keypoints.any(-1)
        sequence.keypoints = keypoints / np.array([width, height], np.float32) - np.float32(0.5)
        sequence.keypoints[missing], scores[missing] = 0, 0
        sequence.scores = scores
    return sequence if layout in (None, sequence.layout) else _remapped(sequence, layout, path)


def splits(data_path: str | Path) -> list[str]:
    """The names of the splits, as the file has them."""
    return list(_content(Path(data_path))[1])


def list_clips(data_path: str | Path, split: str) -> Listing:
    """The clips of a split."""
    annotations, members = _content(Path(data_path))
    number = {clip["frame_dir"]: i for i, clip in enumerate(annotations)}
    clips, left_out = [], []
    for name in sorted(set(members[split])):
        if name not in number:
            left_out.append((name, f"is in the split {split} but has no annotation"))
        elif _label(annotations[number[name]]) < 0:
            left_out.append((name, "has no label that is a class number"))
        else:
            clips.append(Clip(Path(data_path) / str(number[name]), name, _label(annotations[number[name]])))
    return Listing(clips, left_out)


def places(data_path: str | Path) -> list[tuple[str, str, str]]:
    """For every split its name, the family it belongs to, and which part of that it is.

    xsub_val is val of xsub, test2 is val of split2, train is train of "". Where there is a val too, test is test.
    """
    names, found = splits(data_path), []
    for name in names:
        family, part = name, "val"
        if match := re.fullmatch(r"(?:(.+)_)?(train|val|test)_?(\d*)", name):
            family = "_".join(word for word in (match[1], match[3] and f"split{match[3]}") if word)
            part = match[2]
            if part == "test" and "val".join(name.rsplit("test", 1)) not in names:
                part = "val"
        found.append((name, family, part))
    return found


def reader(arg: Namespace) -> Callable[[Path], SkeletonSequence]:
    if arg.layout is not None:
        load_skeleton(arg.layout)  # raises a LayoutError if it is unknown
    return partial(read, layout=arg.layout)


def list_parts(arg: Namespace, out_folder: Path) -> Parts:
    if arg.holdout:
        raise DataError("--holdout is not for pyskl; the file has its own splits, to which others can be added")
    return [
        (out_folder / family, part, list_clips(arg.data_path, split)) for split, family, part in places(arg.data_path)
    ]


def all_clips(arg: Namespace) -> list[Clip]:
    clips = (clip for split in splits(arg.data_path) for clip in list_clips(arg.data_path, split).clips)
    return list(dict.fromkeys(clips))


def label_names(data_path: str | Path) -> list[str]:
    """Class names by label where they are known, that is for NTU; the file has none itself."""
    annotations = _content(Path(data_path))[0]
    if not all(NTU.match(clip["frame_dir"]) for clip in annotations):
        return []
    more = "" if max(_label(clip) for clip in annotations) < 60 else "_120"
    return read_lines(RESOURCE / "NTU-RGB-D" / f"label_name{more}.txt")


@lru_cache(maxsize=1)
def _content(path: Path) -> tuple[list[dict], dict[str, list[str]]]:
    """Annotations and splits; a file that is nothing but a list of annotations is one split, train."""
    content = load_pickle(path, "see the data sets of PYSKL")
    content = {"annotations": content} if isinstance(content, list) else content
    annotations = content.get("annotations") if isinstance(content, dict) else None
    if not isinstance(annotations, list) or not annotations:
        raise DataError(f"{path}: not a file of PYSKL: a list 'annotations' is needed")
    seen = set()
    for i, clip in enumerate(annotations):
        if not isinstance(clip, dict) or not isinstance(clip.get("frame_dir"), str):
            raise DataError(f"{path}: annotation {i} has no frame_dir")
        if clip["frame_dir"] in seen:
            raise DataError(f"{path}: the frame_dir {short(clip['frame_dir'])} is there twice")
        seen.add(clip["frame_dir"])
    split = content.get("split", {"train": list(seen)})
    if not isinstance(split, dict) or not split:
        raise DataError(f"{path}: 'split' is not a mapping of names to lists of frame_dir")
    for name, members in split.items():
        if not isinstance(name, str) or not PLAIN_NAME.fullmatch(name):
            raise DataError(f"{path}: the name of a split is {short(name)}; letters, digits, -, _, + and . are allowed")
        if not isinstance(members, (list, tuple, set)) or not all(isinstance(member, str) for member in members):
            raise DataError(f"{path}: the split {name} is not a list of frame_dir")
    return annotations, split


def _array(clip: dict, key: str, dimensions: int, path: Path) -> np.ndarray:
    value = _as_array(clip.get(key))
    if value.ndim != dimensions or value.dtype.kind not in "iuf":
        raise DataError(f"{path}: {key} has shape {value.shape}; numbers in {dimensions} dimensions are needed")
    value = value.astype(np.float32)
    if not np.isfinite(value).all():
        raise DataError(f"{path}: {key} holds a number that is not finite")
    return value


def _label(clip: dict) -> int:
    """-1: it is no class number."""
    label = clip.get("label")
    is_class = isinstance(label, (int, np.integer)) and not isinstance(label, bool) and 0 <= label < 2**31
    return int(label) if is_class else -1


def _as_array(value: object) -> np.ndarray:
    try:
        return np.asarray([] if value is None else value)
    except ValueError:  # lists of several lengths
        return np.empty(0, object)


def _frame_size(clip: dict, path: Path) -> tuple[int, int]:
    """(width, height)."""
    given = clip.get("img_shape", clip.get("original_shape"))
    size = _as_array(given)
    if size.shape != (2,) or size.dtype.kind not in "iuf" or not ((size >= 1) & (size < 2**31)).all():
        raise DataError(f"{path}: img_shape is {short(given)}, (height, width) is needed")
    return int(size[1]), int(size[0])


def _remapped(sequence: SkeletonSequence, layout: str, path: Path) -> SkeletonSequence:
    if sequence.scores is None:
        raise DataError(f"{path}: 3-D keypoints of {sequence.layout} stay what they are; leave out --layout")
    points = np.concatenate([sequence.keypoints, sequence.scores[..., None]], -1)
    points = remap(points, load_skeleton(sequence.layout), load_skeleton(layout))
    sequence.keypoints, sequence.scores, sequence.layout = points[..., :2], points[..., 2], layout
    return sequence
