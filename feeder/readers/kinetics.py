"""Kinetics-skeleton: one JSON file a clip, OpenPose's 18 joints, any number of persons a frame.

    kinetics_train/{id}.json          {"data": [{"frame_index": 1, "skeleton": [{"pose": [x0, y0, ...], "score": [...]}]}],
                                       "label": "...", "label_index": 129}
    kinetics_train_label.json         {id: {"has_skeleton": true, "label": "...", "label_index": 129}}

Coordinates are fractions of the frame; they are centred here (x - 0.5). A joint with score 0 is missing; in a file
without any score above 0, as converters write them, a joint at (0, 0) is missing and the others have score 1. Frames are
placed by their index, counted from the first frame of the file, so those that the file leaves out stay empty.
Persons keep their row as long as they can be tracked, see feeder/tracking/link.py.
"""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
import orjson

from feeder.readers.clip import RESOURCE, Clip, Listing, read_lines
from feeder.sequence import SkeletonSequence
from feeder.tracking.link import link_persons
from torchlight.errors import DataError, short

NUM_JOINT = 18
MAX_FRAME = 100_000  # an hour of video; beyond it a frame index is a mistake
FPS = 30.0


def read(path: str | Path, num_person: int = 2, num_person_in: int = 5) -> SkeletonSequence:
    """One clip; the num_person_in highest-scoring persons of a frame are used, num_person rows are kept."""
    path = Path(path)
    detections = read_detections(path)
    placed = place(detections.pose, detections.score, detections.frame, detections.num_frame, num_person_in)
    keypoints, scores = link_persons(*placed, num_person)
    return SkeletonSequence(path.stem, detections.label, keypoints, scores, layout="openpose", fps=FPS)


class Detections(NamedTuple):
    """The N persons that a file has in all its frames together, in any order.

    pose (N, V, 2) fractions of the frame, score (N, V), frame (N,) counted from the first of num_frame frames.
    """

    pose: np.ndarray
    score: np.ndarray
    frame: np.ndarray
    num_frame: int
    label: int = -1


def read_detections(path: Path) -> Detections:
    """All persons of a Kinetics-skeleton file, as they stand there."""
    content = _load(path)
    try:
        frames = content["data"]
        index = [frame["frame_index"] for frame in frames]
        persons = [frame["skeleton"] for frame in frames]
        pose = _numbers([person["pose"] for person in chain.from_iterable(persons)], 2 * NUM_JOINT, path, "pose")
        score = _numbers([person["score"] for person in chain.from_iterable(persons)], NUM_JOINT, path, "score")
        count = [len(person) for person in persons]
    except (KeyError, TypeError) as error:
        what = f"key {error} is missing" if isinstance(error, KeyError) else str(error)
        raise DataError(f"{path}: not a Kinetics-skeleton file ({what})") from None
    if pose.size and np.abs(pose).mean() > 2:
        raise DataError(f"{path}: coordinates must be fractions of the frame; divide pixels by its width and height")
    pose = pose.reshape(-1, NUM_JOINT, 2)
    if not score.any():  # written without scores: every joint that is somewhere was seen
        score = (pose != 0).any(2).astype(np.float32)
    label = content.get("label_index", -1)
    frame = np.repeat(_from_first(index, path), count) if index else np.zeros(0, int)
    num_frame = max(index) - min(index) + 1 if index else 0
    return Detections(pose, score, frame, num_frame, label if isinstance(label, int) else -1)


def list_clips(data_path: str | Path, part: str) -> Listing:
    """The clips of kinetics_{part}/ that kinetics_{part}_label.json says have a skeleton."""
    return list_folder(Path(data_path) / f"kinetics_{part}", _label_path(data_path, part))


def list_folder(folder: str | Path, label_path: str | Path, ignore_empty_sample: bool = True) -> Listing:
    """The clips of a folder that a label file lists; with ignore_empty_sample those that have a skeleton."""
    folder, label_path = Path(folder), Path(label_path)
    info = _load(label_path)
    on_disk = {file.name for file in folder.iterdir()}
    clips, left_out = [], []
    for name in sorted(info):
        label = _label_of(info, name, label_path)
        if ignore_empty_sample and not info[name].get("has_skeleton", True):
            left_out.append((name, "has no skeleton"))
        elif f"{name}.json" not in on_disk:
            left_out.append((name, f"is in {label_path.name} but not in {folder.name}/"))
        else:
            clips.append(Clip(folder / f"{name}.json", name, label))
    known = {f"{name}.json" for name in info}
    left_out += [(file, f"is in {folder.name}/ but not in {label_path.name}") for file in sorted(on_disk - known)]
    return Listing(clips, left_out)


def has_part(data_path: str | Path, part: str) -> bool:
    """Is this part there? Raises DataError if half of it is."""
    folder, label_path = Path(data_path) / f"kinetics_{part}", _label_path(data_path, part)
    if folder.is_dir() != label_path.is_file():
        there, missing = (folder, label_path) if folder.is_dir() else (label_path, folder)
        raise DataError(f"{there} is there but {missing} is not; both are needed")
    return folder.is_dir()


def label_names(data_path: str | Path | None = None, parts: tuple[str, ...] = ("train", "val")) -> list[str]:
    """Class names by label: those of Kinetics-400, with the names that the label files give put over them."""
    names = dict(enumerate(read_lines(RESOURCE / "kinetics_skeleton" / "label_name.txt")))
    own = {}
    for part in parts if data_path is not None else ():
        label_path = _label_path(data_path, part)
        if label_path.is_file():
            info = _load(label_path)
            own.update({_label_of(info, name, label_path): str(info[name].get("label", "")) for name in info})
    names.update({label: name for label, name in own.items() if name})
    return [names.get(label, f"class {label}") for label in range(max(names) + 1)]


def _label_path(data_path: str | Path, part: str) -> Path:
    return Path(data_path) / f"kinetics_{part}_label.json"


def _label_of(info: dict, name: str, label_path: Path) -> int:
    entry = info[name]
    label = entry.get("label_index") if isinstance(entry, dict) else None
    if isinstance(label, bool) or not isinstance(label, int) or not 0 <= label < 100_000:
        raise DataError(f"{label_path}: {short(name)} has no label_index that is a class number (0, 1, 2 ...)")
    return label


def _load(path: Path) -> dict:
    try:
        content = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        raise DataError(f"{path}: not valid JSON, cut off or damaged ({error})") from None
    if not isinstance(content, dict):
        raise DataError(f"{path}: a JSON object is needed, found a {type(content).__name__}")
    return content


def _numbers(rows: list[list], length: int, path: Path, key: str) -> np.ndarray:
    """Lists of the same length as one float32 array (P, length)."""
    wrong = {len(row) for row in rows} - {length}
    if wrong:
        hint = " (BODY_25? its joints have to be mapped first)" if wrong in ({50}, {25}, {75}) else ""
        raise DataError(f"{path}: a {key} has {wrong.pop()} numbers, {NUM_JOINT} joints need {length}{hint}")
    try:
        with np.errstate(over="ignore"):
            numbers = np.fromiter(chain.from_iterable(rows), np.float32, length * len(rows))
    except (TypeError, ValueError, OverflowError):
        raise DataError(f"{path}: a {key} holds something that is not a number") from None
    if not np.isfinite(numbers).all():
        raise DataError(f"{path}: a {key} holds a number that is not finite")
    return numbers.reshape(-1, length)


def _from_first(index: list, path: Path) -> np.ndarray:
    """Frame indices counted from the first one."""
    if not all(type(i) is int for i in index):
        raise DataError(f"{path}: a frame_index is not an integer")
    first, last = min(index), max(index)
    if last - first >= MAX_FRAME:
        raise DataError(f"{path}: frame_index runs from {first} to {last}, more than {MAX_FRAME} frames")
    if len(set(index)) < len(index):
        raise DataError(f"{path}: a frame_index is there twice")
    return np.array([i - first for i in index])


def place(
    pose: np.ndarray, score: np.ndarray, frame: np.ndarray, T: int, num_person_in: int
) -> tuple[np.ndarray, np.ndarray]:
    """Persons (N, V, 2), (N, V) into frames (T, P, V, 2), (T, P, V): in each frame by score, the best num_person_in."""
    missing = score <= 0
    pose = pose - np.float32(0.5)
    pose[missing], score[missing] = 0, 0
    total = score.sum(1)
    order = np.lexsort((-total, frame))
    order = order[total[order] > 0]
    frame = frame[order]
    rank = np.arange(len(frame)) - np.searchsorted(frame, frame)  # place within the frame
    best = rank < num_person_in
    order, frame, rank = order[best], frame[best], rank[best]
    P, V = int(rank.max()) + 1 if len(rank) else 1, pose.shape[1]
    out_pose, out_score = np.zeros((T, P, V, 2), np.float32), np.zeros((T, P, V), np.float32)
    out_pose[frame, rank], out_score[frame, rank] = pose[order], score[order]
    return out_pose, out_score
