"""The moving skeletons of a page, small: a byte for each coordinate, a base64 text for each clip, in one JSON document.

A clip is turned upright, cut after its last frame with anybody, thinned out to at most 60 frames, and put on a grid of 254
steps over its box. The grid is the same on every axis, so that a page draws bytes as they are:

    2-D   x right, y down
    3-D   x right, y down, z away from who looks, as the camera saw it (right-handed)

A byte 0 is a missing joint. Joints that are far off the rest (more than the size of the clip) are on the edge of the box:
one lost joint does not shrink the body to a dot.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from feeder.skeleton import Skeleton

if TYPE_CHECKING:
    from processor.page.page import Clip

MOST_FRAMES = 60
STEPS = 254  # of the grid: bytes 1 to 255
MOST_MARKS = 20  # frames of marks that thinning out keeps for sure
CORE = (1, 99)  # percentiles of the coordinates between which the body surely is
HEADS = (("head", "nose"), ("neck",), ("shoulder",), ("spine", "chest"))
FEET = (("ankle", "foot", "toe"), ("knee",), ("hip",))
TURN = {  # (axis, sign) that is up -> the rotation to x right, y down, z away; never a mirror
    (0, 1): [[0, 1, 0], [-1, 0, 0], [0, 0, 1]],
    (0, -1): [[0, -1, 0], [1, 0, 0], [0, 0, 1]],
    (1, 1): [[-1, 0, 0], [0, -1, 0], [0, 0, 1]],
    (1, -1): [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    (2, 1): [[1, 0, 0], [0, 0, -1], [0, 1, 0]],
    (2, -1): [[1, 0, 0], [0, 0, 1], [0, -1, 0]],
}


@dataclass(eq=False)
class Motion:
    """What is drawn of a clip.

    Attributes:
        points: (K, M, V, D) uint8, 0 where missing; byte b is at low + (b - 1) * step.
        frames: (K,) which frames of the clip they are.
        length: frames of the clip up to the last one with anybody.
        low: (D,), step: the grid, in units of the clip.
        attention: (K, V) uint8, or None.
    """

    points: np.ndarray
    frames: np.ndarray
    length: int
    low: np.ndarray
    step: float
    attention: np.ndarray | None = None


class Motions:
    """The clips of a page: each object once, in the order in which they come, until their JSON is as long as the budget.

    Args:
        budget: bytes of JSON. The first clip that does not fit ends it: it and all later ones are only named.
    """

    def __init__(self, skeleton: Skeleton | None, dimension: int, budget: int, clips: Iterable[Clip]):
        clips = list({id(clip): clip for clip in clips}.values())
        self._skeleton, self._index, self._entries = skeleton, {}, []
        up = up_axis(skeleton, [clip.keypoints for clip in clips[:100]]) if dimension == 3 else (1, 1)
        for clip in clips:
            entry = _json(_entry(clip, encode(clip, dimension, up)))
            budget -= len(entry) + 1
            if budget < 0:
                break
            self._index[id(clip)] = len(self._entries)
            self._entries.append(entry)

    def index(self, clip: Clip) -> int | None:
        """The place of a clip in the JSON; None for one that is only named."""
        return self._index.get(id(clip))

    def json(self, **more: object) -> str:
        """The JSON document with the skeleton, the clips and what else a page's script needs, safe within <script>."""
        skeleton = "null" if self._skeleton is None else _json(describe(self._skeleton))
        rest = "".join(f",{_json(key)}:{_json(value)}" for key, value in more.items())
        return f'{{"skeleton":{skeleton},"clips":[{",".join(self._entries)}]{rest}}}'


def encode(clip: Clip, dimension: int = 2, up: tuple[int, int] = (1, 1)) -> Motion:
    """The clip as it is drawn; see the head of this file.

    Args:
        dimension: 2 or 3, how many of its channels are coordinates.
        up: axis and sign that is up in 3-D, see up_axis.

    Raises:
        ValueError: keypoints are not (C, T, V, M), attention is not (T', V).
    """
    keypoints = np.asarray(clip.keypoints, np.float32)
    if keypoints.ndim != 4 or len(keypoints) < 2:
        raise ValueError(f"clip {clip.name}: keypoints of shape {keypoints.shape}, not (C, T, V, M)")
    x = keypoints[:dimension].transpose(1, 3, 2, 0)  # (T, M, V, D)
    there = keypoints.any(0).transpose(0, 2, 1) & np.isfinite(x).all(-1)  # (T, M, V)
    seen = np.flatnonzero(there.any((1, 2)))
    length = int(seen[-1]) + 1 if len(seen) else 0
    frames = _thinned(length, clip.marks)
    people = there[:length].any((0, 2))  # (M,)
    x, there = x[frames][:, people].astype(np.float64), there[frames][:, people]  # (K, M', V, D)
    x[~there] = 0
    if x.shape[-1] == 3:
        x = x @ np.array(TURN[up], np.float64).T
    elif np.isfinite(clip.aspect) and clip.aspect > 0:
        x[..., 0] *= clip.aspect  # a square is a square
    low, high = _box(x[there])
    step = max(float((high - low).max()) / STEPS, 1e-9)
    grid = np.rint((np.clip(x, low, high) - low) / step) + 1
    points = np.where(there[..., None], grid, 0).astype(np.uint8)
    attention = None
    if clip.attention is not None:
        attention = _attention(clip, keypoints.shape)[frames * len(clip.attention) // keypoints.shape[1]]
    return Motion(points, frames, length, low, step, attention)


def _thinned(length: int, marks: Iterable[tuple[int, int]]) -> np.ndarray:
    """Frames to show: all, or evenly spaced ones and those where marks begin and end."""
    if length <= MOST_FRAMES:
        return np.arange(length)
    marked = np.array([frame for mark in marks for frame in mark if 0 <= frame < length][:MOST_MARKS], np.int64)
    evenly = np.rint(np.linspace(0, length - 1, MOST_FRAMES - len(set(marked.tolist())))).astype(np.int64)
    return np.unique(np.concatenate([evenly, marked]))


def _box(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Low and high (D,) of points (P, D); what is further off their core than its own size is out of the box."""
    if len(points) == 0:
        return np.zeros(points.shape[1]), np.zeros(points.shape[1])
    first, last = np.percentile(points, CORE, axis=0)
    size = (last - first).max()
    if size == 0:
        return points.min(0), points.max(0)
    return np.maximum(points.min(0), first - size), np.minimum(points.max(0), last + size)


def _attention(clip: Clip, shape: tuple[int, ...]) -> np.ndarray:
    attention = np.nan_to_num(np.asarray(clip.attention, np.float32))
    if attention.ndim != 2 or attention.shape[1] != shape[2] or not len(attention):
        raise ValueError(f"clip {clip.name}: attention of shape {attention.shape}, not (T', {shape[2]})")
    return np.rint(np.clip(attention, 0, 1) * 255).astype(np.uint8)


def up_axis(skeleton: Skeleton | None, clips: Iterable[np.ndarray]) -> tuple[int, int]:
    """Axis and sign that is up in 3-D: along which most of the way from feet to head is, by the names of the joints.

    (1, 1), y up, where names or data do not tell.

    Shape:
        clips (3, T, V, M) each.
    """
    if skeleton is None:
        return 1, 1
    head, feet = _named(skeleton, HEADS), _named(skeleton, FEET)
    total = np.zeros(3)
    for clip in clips:
        if clip.shape[0] < 3 or clip.shape[2] != skeleton.num_joint or not head or not feet:
            continue
        x = np.nan_to_num(np.asarray(clip[:3], np.float64), posinf=0, neginf=0)  # (3, T, V, M)
        there = x.any(0)  # (T, V, M)
        if there[:, head].any() and there[:, feet].any():
            way = x[:, :, head][:, there[:, head]].mean(1) - x[:, :, feet][:, there[:, feet]].mean(1)  # (3,)
            total += way / max(np.linalg.norm(way), 1e-9)
    axis = int(np.abs(total).argmax())
    return (axis, 1 if total[axis] > 0 else -1) if total.any() else (1, 1)


def _named(skeleton: Skeleton, words: Iterable[tuple[str, ...]]) -> list[int]:
    """The joints whose names have one of the first words that any name has."""
    for some in words:
        if found := [i for i, name in enumerate(skeleton.joints) if any(word in name.lower() for word in some)]:
            return found
    return []


def describe(skeleton: Skeleton) -> dict:
    """What the script draws with: names, bones as pairs, and the side of each joint and bone: 0 none, 1 left, 2 right."""
    side = sides(skeleton)
    bones = [(a, b, 0 if {side[a], side[b]} == {1, 2} else max(side[a], side[b])) for a, b in skeleton.bones]
    return {"names": skeleton.joints, "sides": side, "bones": bones}


def sides(skeleton: Skeleton) -> list[int]:
    """V numbers: 0 a joint of the middle, 1 of the left, 2 of the right. A pair names the left one first if no name tells."""
    side = [0] * skeleton.num_joint
    for a, b in skeleton.mirror:
        swapped = "right" in skeleton.joints[a].lower() or "left" in skeleton.joints[b].lower()
        side[a], side[b] = (2, 1) if swapped else (1, 2)
    return side


def _entry(clip: Clip, motion: Motion) -> dict:
    """A clip as the script reads it. Frames are listed only where not all are shown."""
    K, M, V, D = motion.points.shape
    size = motion.points.reshape(-1, D).max(0).tolist() if motion.points.size else [1] * D
    entry = {"name": str(clip.name), "shape": [K, M, V, D], "size": size, "points": _base64(motion.points)}
    entry |= {"length": motion.length, "fps": float(clip.fps) if clip.fps and 0 < clip.fps < 1e4 else 30.0}
    if len(motion.frames) < motion.length:
        entry["frames"] = motion.frames.tolist()
    if motion.attention is not None:
        entry["attention"] = _base64(motion.attention)
    if clip.marks:
        entry["marks"] = [[int(first), int(last)] for first, last in clip.marks]
    if clip.details:
        entry["details"] = [[str(name), str(value)] for name, value in clip.details]
    return entry | {key: value for key in ("caption", "level") if (value := getattr(clip, key))}


def _base64(array: np.ndarray) -> str:
    return base64.b64encode(array.tobytes()).decode()


def _json(value: object) -> str:
    """JSON that no name can end: only ASCII, and no < (of </script> or <!--), within the script element of a page."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")
