"""A long recording of one person who does one thing after the other, made of clips, and how well it was cut up again.

Clips of known and of unknown actions follow one another at random. All bodies have one size and one place, and the last
frames of a clip fade into the first ones of the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

FADE = 10  # frames
SIZE = 0.18  # root mean square distance of the joints from their centre, in heights of the frame
LEAST_OVERLAP = 0.5  # intersection over union, for a segment to be found


@dataclass
class Part:
    """One thing done from `first` to `last`, frames; label None: an unknown one."""

    label: str | None
    first: int
    last: int


def make_stream(
    known: Sequence[tuple[np.ndarray, str]], unknown: Sequence[np.ndarray], count: int, seed: int, fade: int = FADE
) -> tuple[np.ndarray, list[Part]]:
    """`count` clips one after the other, each known or unknown with equal chance.

    Args:
        known: clips and their labels; unknown: clips. A clip is (T, V, 3): x, y in one unit, score; 0 where missing.

    Returns:
        (T, V, 3), centred on 0 in heights of a frame, and its parts; neighbours of one label are one part.
    """
    rng = np.random.default_rng(seed)
    stream, parts = np.zeros((0, *(known or [(unknown[0], "")])[0][0].shape[1:])), []
    for _ in range(count):
        if rng.random() < 0.5:
            clip, label = known[rng.integers(len(known))]
        else:
            clip, label = unknown[rng.integers(len(unknown))], None
        clip = one_place(clip)
        over = min(fade, len(clip) // 2, len(stream) // 2)
        first = len(stream) - over // 2  # half-way through the fade
        stream = cross_fade(stream, clip, over)
        if parts:
            parts[-1].last = first - 1
        if parts and parts[-1].label == label:
            parts[-1].last = len(stream) - 1
        else:
            parts.append(Part(label, max(0, first), len(stream) - 1))
    return stream, parts


def one_place(clip: np.ndarray) -> np.ndarray:
    """The clip with its mean joint at 0 and its body of the usual size, over all its frames together."""
    seen = clip[..., 2:] > 0
    places = clip[..., :2] - (clip[..., :2] * seen).sum((0, 1)) / max(seen.sum(), 1)
    middle = (places * seen).sum(1, keepdims=True) / np.maximum(seen.sum(1, keepdims=True), 1)
    size = np.sqrt((((places - middle) * seen) ** 2).sum() / max(seen.sum(), 1)) or 1.0
    return np.concatenate([places / size * SIZE, clip[..., 2:]], -1) * seen


def cross_fade(a: np.ndarray, b: np.ndarray, frames: int) -> np.ndarray:
    """a (T, V, 3) and b one after the other; over so many frames they lie on one another, and a becomes b."""
    if not frames:
        return np.concatenate([a, b])
    share = ((np.arange(frames) + 1) / (frames + 1))[:, None, None]
    end, begin = a[-frames:], b[:frames]
    both = (end[..., 2:] > 0) & (begin[..., 2:] > 0)
    mixed = np.where(both, end + share * (begin - end), np.where(share < 0.5, end, begin))
    return np.concatenate([a[:-frames], mixed, b[frames:]])


@dataclass
class Score:
    """What was found of the known parts.

    Attributes:
        found: known parts with a segment of their label that overlaps by LEAST_OVERLAP.
        known, segments: known parts, and labelled segments.
        labelled: share of the frames of unknown parts that lie in a labelled segment.
    """

    found: int
    known: int
    segments: int
    labelled: float

    @property
    def f1(self) -> float:
        return 2 * self.found / max(self.known + self.segments, 1)


def score(parts: Sequence[Part], segments: Sequence[Part]) -> Score:
    """Labelled segments against the truth; each part is found by one segment at most."""
    known = [part for part in parts if part.label is not None]
    segments = [segment for segment in segments if segment.label is not None]
    free = set(range(len(known)))
    for segment in segments:
        hit = next(
            (
                k
                for k in sorted(free)
                if known[k].label == segment.label and overlap(known[k], segment) >= LEAST_OVERLAP
            ),
            None,
        )
        free -= {hit}
    unknown = np.zeros(max((part.last for part in parts), default=-1) + 1, bool)
    for part in parts:
        unknown[part.first : part.last + 1] = part.label is None
    labelled = np.zeros_like(unknown)
    for segment in segments:
        labelled[segment.first : segment.last + 1] = True
    share = float(labelled[unknown].mean()) if unknown.any() else 0.0
    return Score(len(known) - len(free), len(known), len(segments), share)


def overlap(a: Part, b: Part) -> float:
    """Intersection over union, in frames."""
    both = min(a.last, b.last) - max(a.first, b.first) + 1
    return max(both, 0) / (max(a.last, b.last) - min(a.first, b.first) + 1)
