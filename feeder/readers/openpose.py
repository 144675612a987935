"""What OpenPose writes: a folder with one JSON file a frame, <clip>_<number>_keypoints.json, of COCO-18 or BODY_25.

    {"people": [{"pose_keypoints_2d": [x0, y0, score0, x1, ...]}, ...]}

Coordinates are pixels (OpenPose's own default) or fractions of the frame (--keypoint_scale 3). Frames are placed by
their number, counted from the first one; those without a file, and those without a person, stay empty. A folder may hold
several clips: `vid` is the files vid_*, never those of vid2_*. A Kinetics-skeleton file may stand in for a folder.
"""

from __future__ import annotations

import re
from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import chain, pairwise
from pathlib import Path

import numpy as np
import orjson

from feeder.readers import labelled
from feeder.readers.clip import Clip, Listing, Parts
from feeder.readers.kinetics import place, read_detections
from feeder.sequence import SkeletonSequence
from feeder.skeleton import load_skeleton, remap
from feeder.tracking.link import link_persons
from torchlight.errors import DataError, short

FILE = re.compile(r"(?P<clip>.*?)_?(?P<number>[0-9]+)_keypoints\.json")
LAYOUTS = {18 * 3: "openpose", 25 * 3: "body_25"}  # by the numbers of a person
NUM_PERSON = 2
OPTIONS = {
    "--frame_size": {"metavar": "WIDTHxHEIGHT", "help": "of the videos, where coordinates are pixels, e.g. 1920x1080"},
    "--layout": {"help": "joints to make of those in the files, a name or a YAML file (default: openpose)"},
}
MAX_FRAME = 100_000_000  # a month of video; a larger number is not that of a frame
MAX_GAP = 10_000  # frames without a file; more of them are a mistake in the numbers


@dataclass
class Keypoints:
    """The persons of a clip, frame by frame.

    Attributes:
        persons: for every frame (P, V, 3) float32: x, y, score, zeros where missing; P = 0 where there is no person.
        layout: "openpose" or "body_25".
        fractions: whether x and y are fractions of the frame, from 0 to 1; else they are pixels.
        first: the number that the first frame has in the file names; 0 for what OpenPose writes.
    """

    persons: list[np.ndarray]
    layout: str
    fractions: bool
    first: int = 0


@dataclass
class _Crowd:
    """The N persons of all frames together: points (N, V, 3), frame (N,) ascending, counted from the first."""

    points: np.ndarray
    frame: np.ndarray
    num_frame: int
    first: int = 0
    label: int = -1

    @property
    def layout(self) -> str:
        return LAYOUTS[3 * self.points.shape[1]]

    @property
    def fractions(self) -> bool:
        return bool(len(self.points)) and float(self.points[..., :2].max()) <= 2


def read_frames(path: str | Path, frame_size: tuple[int, int] | None = None, name: str | None = None) -> Keypoints:
    """The persons of every frame; with frame_size (width, height) always in pixels.

    Args:
        path: a folder of OpenPose's JSON, or one Kinetics-skeleton file.
        name: which clip, where the folder has several.
    """
    crowd = _read(Path(path), name)
    points, fractions = crowd.points, crowd.fractions
    if fractions and frame_size is not None:
        points, fractions = points * np.array([*frame_size, 1], np.float32), False
    ends = np.searchsorted(crowd.frame, np.arange(1, crowd.num_frame))
    persons = np.split(points, ends) if crowd.num_frame else []
    return Keypoints(persons, crowd.layout, fractions, crowd.first)


def read(
    path: str | Path,
    frame_size: tuple[int, int] | None = None,
    layout: str = "openpose",
    num_person: int = 2,
    num_person_in: int = 5,
) -> SkeletonSequence:
    """One clip; the num_person_in highest-scoring persons of a frame are used, num_person rows are kept.

    Args:
        frame_size: (width, height); needed where coordinates are pixels, for OpenPose does not write it.
        layout: what BODY_25 or COCO-18 is made into.
    """
    path = Path(path)
    crowd = _read(path, None)
    points = remap(crowd.points, load_skeleton(crowd.layout), load_skeleton(layout))
    if len(points) and not crowd.fractions:
        if frame_size is None:
            raise DataError(f"{path}: coordinates are pixels, so the size of the frame must be given (--frame_size)")
        points = points / np.array([*frame_size, 1], np.float32)
    placed = place(points[..., :2], points[..., 2].copy(), crowd.frame, crowd.num_frame, num_person_in)
    keypoints, scores = link_persons(*placed, num_person)
    return SkeletonSequence(path.name.removesuffix(".json"), crowd.label, keypoints, scores, frame_size, layout)


def list_clips(data_path: str | Path, part: str, holdout: bool = False) -> Listing:
    """The clips data_path/<label>/<folder of JSON or Kinetics-skeleton file>, see labelled.py."""
    return labelled.list_clips(data_path, part, holdout, _is_clip)


label_names = labelled.label_names


def reader(arg: Namespace) -> Callable[[Path], SkeletonSequence]:
    size = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", arg.frame_size or "1x1")
    if size is None:
        raise DataError(f"--frame_size is {short(arg.frame_size)}; WIDTHxHEIGHT in pixels is needed, like 1920x1080")
    frame_size = (int(size[1]), int(size[2])) if arg.frame_size else None
    layout = arg.layout or "openpose"
    load_skeleton(layout)  # raises a LayoutError if it is unknown
    return partial(read, frame_size=frame_size, layout=layout, num_person=arg.num_person)


def list_parts(arg: Namespace, out_folder: Path) -> Parts:
    return [(out_folder, part, list_clips(arg.data_path, part, arg.holdout)) for part in ("train", "val")]


def all_clips(arg: Namespace) -> list[Clip]:
    return [clip for part in ("train", "val") for clip in list_clips(arg.data_path, part).clips]


def _is_clip(path: Path) -> bool:
    return any(FILE.fullmatch(file.name) for file in path.iterdir()) if path.is_dir() else path.suffix == ".json"


def _read(path: Path, name: str | None) -> _Crowd:
    if not path.is_dir():
        detections = read_detections(path)
        order = np.argsort(detections.frame, kind="stable")
        points = np.concatenate([detections.pose, detections.score[..., None]], -1)[order]
        return _crowd(points, detections.frame[order], detections.num_frame, label=detections.label)
    files = _files(path, name)
    number = sorted(files)
    people = [_people(files[n]) for n in number]
    length = {len(person): files[n] for n, persons in zip(number, people) for person in persons}
    if len(length) > 1:
        one, other = sorted(length)[:2]
        raise DataError(f"{length[other]}: {other} numbers a person, but {one} in {length[one]}; one clip, one layout")
    V = next(iter(length), 18 * 3) // 3
    points = np.array(list(chain.from_iterable(people)), np.float32).reshape(-1, V, 3)
    frame = np.repeat(np.array(number) - number[0], [len(persons) for persons in people])
    crowd = _crowd(points, frame, number[-1] - number[0] + 1, number[0])
    if crowd.fractions and (crowd.points[..., :2] < -0.1).mean() > 0.1:
        raise DataError(f"{path}: coordinates run from -1 to 1; have OpenPose write --keypoint_scale 0 or 3")
    return crowd


def _crowd(points: np.ndarray, frame: np.ndarray, num_frame: int, first: int = 0, label: int = -1) -> _Crowd:
    """A joint with score 0 is missing, a person without joints is left out."""
    points = np.where(points[..., 2:] > 0, points, 0)
    present = points.any((1, 2))
    return _Crowd(points[present], frame[present], num_frame, first, label)


def _files(folder: Path, name: str | None) -> dict[int, Path]:
    """The files of one clip by their number."""
    clips: dict[str, dict[int, Path]] = {}
    for file in sorted(folder.iterdir()):
        if match := FILE.fullmatch(file.name):
            numbered = clips.setdefault(match["clip"], {})
            if int(match["number"]) in numbered:
                raise DataError(f"{file}: {numbered[int(match['number'])].name} has the same number")
            numbered[int(match["number"])] = file
    if not clips:
        raise DataError(
            f"{folder}: no file named <clip>_<number>_keypoints.json, as OpenPose's --write_json makes them"
        )
    if name is None and len(clips) > 1:
        raise DataError(f"{folder} holds {len(clips)} clips ({_some(clips)}); put each into a folder of its own")
    if name is not None and name not in clips:
        raise DataError(f"{folder}: no file named {name}_<number>_keypoints.json; the clips there are {_some(clips)}")
    files = clips[name] if name is not None else next(iter(clips.values()))
    number = sorted(files)
    if number[-1] > MAX_FRAME:
        raise DataError(f"{files[number[-1]]}: its number is too large for a frame (above {MAX_FRAME})")
    for before, after in pairwise(number):
        if after - before > MAX_GAP:
            raise DataError(f"{folder}: no files between frames {before} and {after}; two clips, or wrong numbers?")
    return files


def _some(clips: dict[str, dict]) -> str:
    return ", ".join(sorted(clips)[:5]) + (", ..." if len(clips) > 5 else "")


def _people(file: Path) -> list[list[float]]:
    """The numbers of every person in a frame, checked."""
    try:
        people = orjson.loads(file.read_bytes())["people"]
        found = [person["pose_keypoints_2d"] for person in people]
    except orjson.JSONDecodeError as error:
        raise DataError(f"{file}: not valid JSON, cut off or damaged ({error})") from None
    except (KeyError, TypeError, IndexError):
        raise DataError(
            f'{file}: not a file of OpenPose: {{"people": [{{"pose_keypoints_2d": [...]}}]}} is needed'
        ) from None
    for numbers in found:
        if not isinstance(numbers, list) or not all(type(x) in (float, int) for x in numbers):
            raise DataError(f"{file}: pose_keypoints_2d is not a list of numbers")
        if numbers and len(numbers) not in LAYOUTS:
            raise DataError(f"{file}: a person has {len(numbers)} numbers, not 54 (COCO-18) or 75 (BODY_25)")
        if not all(abs(x) < 1e6 for x in numbers):
            raise DataError(f"{file}: pose_keypoints_2d holds a number that is too large")
    return [numbers for numbers in found if numbers]
