"""NTU RGB+D and NTU RGB+D 120: one .skeleton text file a clip, Kinect v2's 25 joints in metres.

    number of frames, then per frame: number of bodies, then per body:
        ten values: body ID (64 bits), clipped edges, hands, restricted, lean, tracking state
        25, then per joint twelve values: x y z, depth x y, colour x y, orientation w x y z, tracking state

Bodies are tracked by their ID. Frames run at 30 a second. The file name SsssCcccPpppRrrrAaaa says setup, camera,
performer, repetition and action; the label is the action less one.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson

from feeder.readers.clip import RESOURCE, Clip, Listing, read_lines
from feeder.sequence import SkeletonSequence
from torchlight.errors import DataError, short

NUM_JOINT = 25
VALUES = 12  # of a joint
FPS = 30.0
NAME = re.compile(r"S(\d{3})C(\d{3})P(\d{3})R(\d{3})A(\d{3})\.skeleton")

_TRAIN_PERFORMERS_60 = {1, 2, 4, 5, 8, 9, *range(13, 20), 25, 27, 28, 31, 34, 35, 38}
TRAIN_PERFORMERS = {
    "ntu60": _TRAIN_PERFORMERS_60,
    "ntu120": {*_TRAIN_PERFORMERS_60, 45, 46, 47, 49, 50, *range(52, 60), 70, 74, 78, *range(80, 87), 89, *range(91, 96),
               97, 98, 100, 103},
}  # fmt: skip
TRAIN_CAMERAS = {2, 3}
BENCHMARKS = {"ntu60": ("xsub", "xview"), "ntu120": ("xsub", "xset")}
NUM_CLASS = {"ntu60": 60, "ntu120": 120}
MISSING = {
    "ntu60": RESOURCE / "NTU-RGB-D" / "samples_with_missing_skeletons.txt",
    "ntu120": RESOURCE / "NTU-RGB-D" / "samples_with_missing_skeletons_120.txt",
}
NAMES = {
    "ntu60": RESOURCE / "NTU-RGB-D" / "label_name.txt",
    "ntu120": RESOURCE / "NTU-RGB-D" / "label_name_120.txt",
}


@dataclass
class Body:
    """One body: the frames it is in, rising, (F,) and where its joints are there (F, V, 3)."""

    frames: np.ndarray
    joints: np.ndarray

    @property
    def motion(self) -> float:
        """Variance of all joint positions, summed over x, y and z: who acts moves most."""
        return motion(self.joints)


def motion(joints: np.ndarray) -> float:
    """Variance over all frames and joints of (F, V, 3), summed over x, y and z."""
    return float(joints.reshape(-1, 3).astype(np.float64).var(0).sum()) if joints.size else 0.0


def read(path: str | Path, num_person: int = 2, denoised: bool = False) -> SkeletonSequence:
    """One clip: the num_person bodies that move most, the first the one that moves most, each in its own row.

    denoised: choose, join and cut the bodies as denoise() does (always two rows).
    """
    path = Path(path)
    num_frame, bodies = read_bodies(path)
    if denoised:
        keypoints = denoise(bodies)
    else:
        keypoints = np.zeros((num_person, num_frame, NUM_JOINT, 3), np.float32)
        if len(bodies) > 1:
            bodies.sort(key=lambda body: -body.motion)
        for row, body in zip(keypoints, bodies):
            row[body.frames] = body.joints
    named = NAME.fullmatch(path.name)
    label = int(named[5]) - 1 if named else -1
    return SkeletonSequence(path.name, label, keypoints, None, None, "ntu-rgb+d", FPS)


def read_bodies(path: str | Path) -> tuple[int, list[Body]]:
    """Number of frames, and every body of a .skeleton file in the order in which they appear.

    An ID that two bodies of one frame share stands for two bodies. Where words begin is computed for the whole text at
    once, and only x, y and z are turned into numbers.
    """
    path = Path(path)
    raw = path.read_bytes().lstrip()
    space = np.frombuffer(raw, np.uint8) <= 32
    begin = np.flatnonzero(space[:-1] > space[1:])  # the space right before every word, but for the first
    num_frame, frame_of, key_of, place_of = _find_bodies(raw, begin.data, path)
    joint = (np.array(place_of)[:, None] + VALUES * np.arange(NUM_JOINT)).ravel()  # the word that is a joint's x
    joints = _numbers(raw, begin[joint], begin[joint + 3], path).reshape(-1, NUM_JOINT, 3)
    members: dict[tuple[int, int], list[int]] = {}
    for i, key in enumerate(key_of):
        members.setdefault(key, []).append(i)
    frame = np.array(frame_of)
    return num_frame, [Body(frame[rows], joints[rows]) for rows in members.values()]


def denoise(bodies: list[Body]) -> np.ndarray:
    """Choose, join and cut bodies as published with SGN and CTR-GCN: (2, T, V, 3).

    Of several bodies, those seen in 11 frames or fewer are dropped, then those wider than 0.8 of their height in
    69.754 % of their frames or more; the motion of the others is taken over their plausible frames if that is less. The
    last body is never dropped. The body that moves most is person 1; every other joins person 1 or else person 2 if
    their frames do not overlap. Frames before and after both are cut; person 2 becomes person 1 if he alone comes first.
    """
    motions = [body.motion for body in bodies] if len(bodies) > 1 else [0.0]
    keep = list(range(len(bodies)))
    for i in list(keep):
        if len(keep) > 1 and len(bodies[i].frames) <= 11:
            keep.remove(i)
    for i in list(keep):
        if len(keep) == 1:
            break
        joints = bodies[i].joints
        extent = joints.max(1) - joints.min(1)  # (F, 3)
        plausible = extent[:, 0] <= 0.8 * extent[:, 1]
        if 1 - plausible.mean() >= 0.69754:
            keep.remove(i)
        elif not plausible.all():
            motions[i] = min(motions[i], motion(joints[plausible]))
    keep.sort(key=lambda i: -motions[i])
    first, last = min(bodies[i].frames[0] for i in keep), max(bodies[i].frames[-1] for i in keep)
    out = np.zeros((2, last - first + 1, NUM_JOINT, 3), np.float32)
    free = np.ones(out.shape[:2], bool)
    for i in keep:
        frames = bodies[i].frames - first
        for row in range(2):
            if free[row, frames].all():
                out[row, frames], free[row, frames] = bodies[i].joints, False
                break
    used = np.flatnonzero(~free.all(0))
    out, free = out[:, used[0] : used[-1] + 1], free[:, used[0] : used[-1] + 1]
    return out[::-1].copy() if free[0, 0] and not free[1, 0] else out


def list_clips(
    data_path: str | Path, part: str, benchmark: str = "xsub", dataset: str = "ntu60", ignored: Collection[str] = ()
) -> Listing:
    """The clips of a benchmark's part ("train" or "val") in data_path and the folders in it."""
    ignored = {name.removesuffix(".skeleton") for name in ignored}
    clips: dict[str, Clip] = {}
    left_out = []
    for file in sorted(Path(data_path).rglob("*"), key=lambda file: (file.name, file)):
        named = NAME.fullmatch(file.name)
        if not named:
            if not file.is_dir():
                left_out.append((file.name, "is not named like a clip (S001C001P001R001A001.skeleton)"))
            continue
        setup, camera, performer, _, action = map(int, named.groups())
        train = {"xsub": performer in TRAIN_PERFORMERS[dataset], "xview": camera in TRAIN_CAMERAS,
                 "xset": setup % 2 == 0}[benchmark]  # fmt: skip
        if not 1 <= action <= NUM_CLASS[dataset]:
            left_out.append((file.name, f"is of an action that {dataset} does not have"))
        elif file.stem in ignored:
            left_out.append((file.name, "is in the list of samples with missing skeletons"))
        elif file.name in clips:
            left_out.append((str(file), "is there twice"))
        elif train == (part == "train"):
            clips[file.name] = Clip(file, file.name, action - 1)
    return Listing(list(clips.values()), left_out)


def label_names(dataset: str = "ntu60") -> list[str]:
    """Class names by label."""
    return read_lines(NAMES[dataset])


class _Words:
    """The words of a file, read one by one or skipped; `at` is the current one, -1 the first, of `count` after the first."""

    def __init__(self, raw: bytes, begin: memoryview, path: Path):
        self.raw, self.begin, self.path, self.at, self.count = raw, begin, path, -1, len(begin)

    def number(self, what: str, skip: int = 1) -> int:
        """The current word, a whole number, after which `skip` words are skipped, itself among them."""
        at, begin = self.at, self.begin
        if at >= self.count or not self.raw:
            raise DataError(f"{self.path}: cut off: {what} is missing; get the file anew")
        end = begin[at + 1] if at + 1 < self.count else None
        word = self.raw[begin[at] if at >= 0 else 0 : end].strip()
        if not word.isdigit():
            found = word[:20].decode("latin1")
            raise DataError(f"{self.path}: {what} should be a whole number, found {short(found)}")
        self.at += skip
        return int(word[:40])


def _find_bodies(raw: bytes, begin: memoryview, path: Path) -> tuple[int, list[int], list[tuple], list[int]]:
    """Number of frames and, for every body of every frame: its frame, (ID, which one of this ID), its first joint's word."""
    words, frame_of, key_of, place_of = _Words(raw, begin, path), [], [], []
    num_frame = words.number("the number of frames")
    for frame in range(num_frame):
        for key in _bodies_of_frame(words, frame, num_frame):
            frame_of.append(frame)
            key_of.append(key)
            place_of.append(words.at - NUM_JOINT * VALUES)
    if words.at < words.count:
        raise DataError(f"{path}: goes on after its last frame ({num_frame}); get the file anew")
    if not place_of:
        raise DataError(f"{path}: no body in any of its {num_frame} frames")
    return num_frame, frame_of, key_of, place_of


def _bodies_of_frame(words: _Words, frame: int, num_frame: int) -> Iterator[tuple[int, int]]:
    """(ID, which one of this ID) of each body; `words` is then behind the last value of its joints."""
    seen: list[int] = []
    for _ in range(words.number(f"the number of bodies in frame {frame}")):
        body = words.number(f"a body ID in frame {frame}", skip=10)  # and nine values about the body
        num_joint = words.number(f"the number of joints in frame {frame}", skip=1 + NUM_JOINT * VALUES)
        if num_joint != NUM_JOINT:
            raise DataError(f"{words.path}: a body in frame {frame} has {num_joint} joints instead of {NUM_JOINT}")
        if words.at > words.count:
            raise DataError(f"{words.path}: cut off in frame {frame} of {num_frame}; get the file anew")
        yield body, seen.count(body)
        seen.append(body)


def _numbers(raw: bytes, begin: np.ndarray, end: np.ndarray, path: Path) -> np.ndarray:
    """The numbers in the stretches [begin, end) of a text, in order, as float32."""
    text = b"".join([raw[a:b] for a, b in zip(begin.tolist(), end.tolist())]).strip()
    try:
        try:
            values = orjson.loads(b"[" + text.translate(_COMMAS) + b"]")  # the fastest reader of decimals
        except orjson.JSONDecodeError:  # more than one space between two, or nan, inf, +1, .5
            values = [float(word) for word in text.split()]
        if len(values) != 3 * len(begin):
            raise ValueError("found a comma")
        with np.errstate(over="ignore"):
            numbers = np.fromiter(values, np.float32, len(values))
    except (ValueError, TypeError, OverflowError) as error:
        raise DataError(f"{path}: a coordinate is not a number ({error})") from None
    if not np.isfinite(numbers).all():
        raise DataError(f"{path}: a coordinate is not finite")
    return numbers


_COMMAS = bytes.maketrans(b" \n\r\t", b",,,,")
