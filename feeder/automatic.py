"""`auto` in a config: settings that depend on the data, chosen from the training clips, each with its reason.

    found = survey("data/mine/train_data.npy", "data/mine/train_label.pkl")
    mirror(found)           # Choice(value=False, why="6 of 10 classes are done with one side of the body")

Nothing is trained: clips are looked at in 16 frames each, around their own mean and in units of their own size
(NormalizeBody), so that metres, millimetres and pixels are alike. processor/training/automatic.py puts the choices into a
config.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from feeder import transforms
from feeder.feeder import Feeder, spread_over_classes
from feeder.inspection.fit import has_side
from feeder.sampling import real_frames
from feeder.skeleton import Skeleton
from feeder.transforms import present

FRAMES, MOST = 16, 2000  # of a clip, and clips that are looked at
WINDOWS = {75: 32}  # up to so many frames (median): window_size
LONG_WINDOW = 64
ONE_SIDED, MANY = 0.4, 0.25  # a class whose sides differ so much; share of such classes, or of clips of two persons
TILT, MOST_TURN = 0.3, 1.0  # rad
UPDATES, FEWEST_EPOCHS, MOST_EPOCHS = 3000, 40, 1000
SMALL = 600  # clips: batches of 16 below, of 32 from here on
VERTICAL = 1  # y, where bodies are not clearly longer in another direction
SLENDER = 6.0  # times as long as wide: no body is; 2.7 to 3.4 in UTD-MHAD, NW-UCLA and SBU


@dataclass(frozen=True)
class Choice:
    value: Any
    why: str


@dataclass(frozen=True)
class Survey:
    """Training clips, looked at.

    Attributes:
        num_clip: of the whole part.
        length: (n,) real frames of the clips that are looked at.
        pose: (n, C, 16, V, M) float32, normalised; each axis by itself where their units differ.
        units_differ: one axis is in another unit than the others, as a depth in millimetres beside x and y in pixels.
        label: (n,) int.
        skeleton: None where no layout is known.
        dimension: 2 or 3.
        label_names: None where they are not known.
    """

    num_clip: int
    length: np.ndarray
    pose: np.ndarray
    label: np.ndarray
    skeleton: Skeleton | None
    dimension: int
    label_names: Sequence[str] | None
    units_differ: bool = False

    @property
    def pairs(self) -> np.ndarray:
        """(P, 2): joints of the left and of the right side."""
        return np.array(self.skeleton.mirror if self.skeleton else (), int).reshape(-1, 2)

    @property
    def places(self) -> np.ndarray:
        """(n, D, 16, V, M): coordinates without a score."""
        return self.pose[:, : self.dimension]


def survey(
    data_path: str, label_path: str | None = None, layout: str | None = None, dimension: int | None = None
) -> Survey:
    """Look at the clips of a packed part; DataError where it cannot be read, or where its dimension is not known."""
    looks = {"uniform_sample": True, "window_size": FRAMES, "normalize_body": True}
    feeder = Feeder(data_path, label_path, layout=layout, dimension=dimension, **looks)
    preprocess, info, num_clip = feeder.preprocess, feeder.info, len(feeder)
    feeder.keep(spread_over_classes(feeder.label, MOST))
    pose, label = feeder.get_batch(range(len(feeder)))
    length = np.concatenate([real_frames(feeder.stored([i])) for i in range(len(feeder))])
    names = info.label_names if info else None
    found = Survey(num_clip, length, pose, label, preprocess.skeleton, preprocess.dimension, names)
    longest = sorted(extents(found), reverse=True)
    if longest[0] > SLENDER * longest[1]:
        return replace(found, pose=transforms.normalize_axes(pose, found.dimension), units_differ=True)
    return found


def extents(found: Survey) -> list[float]:
    """How long bodies are along each axis, the median over all frames; 0 where nobody is seen."""
    seen = present(found.pose)  # (n, 1, T, V, M)
    high, low = np.where(seen, found.places, -np.inf).max(3), np.where(seen, found.places, np.inf).min(3)
    there = seen.any(3)[:, 0]  # (n, T, M)
    return [float(np.median((high - low)[:, axis][there])) if there.any() else 0.0 for axis in range(found.dimension)]


def normalize_axes(found: Survey) -> Choice:
    """Whether each axis of a clip is put to -1..1 by itself: where one has another unit than the others."""
    if not found.units_differ:
        return Choice(False, "the axes have one unit")
    return Choice(
        True, f"along one axis bodies are over {SLENDER:g} times as long as along the others: it has another unit"
    )


def stream(found: Survey) -> Choice:
    """Which streams have a network: joints and bones; joints alone where two persons act together, since where they stand to
    each other is in no bone (SBU: joints 97, bones 91; of one person both together are better by half a point to two).
    """
    together = float((present(found.pose).any((1, 2, 3)).sum(1) > 1).mean())  # of the clips
    if together > MANY:
        return Choice(["joint"], f"{100 * together:.0f} % of the clips have two persons or more")
    if found.skeleton is None:
        return Choice(["joint"], "bones are not known without a layout")
    return Choice(["joint", "bone"], "a network for each, and the mean of their scores")


def window_size(found: Survey) -> Choice:
    """Frames of a sample, by the median length of the clips."""
    median = float(np.median(found.length))
    size = next((size for most, size in WINDOWS.items() if median <= most), LONG_WINDOW)
    return Choice(size, f"clips have {median:.0f} frames (median)")


def mirror(found: Survey) -> Choice:
    """Whether clips may be flipped: not where class names have a side, nor where the clips have one.

    Where most persons do an action with their right hand, those who are tested do so too: mirrored clips only make it
    harder to tell from others (UTD-MHAD, held-out training subjects: 81.0 with them, 87.5 without).
    """
    if not len(found.pairs):
        return Choice(False, "the layout has no mirror pairs")
    if found.dimension == 3 and vertical(found) == 0:
        return Choice(False, "bodies stand along x, which a flip would turn upside down")
    sided = [name for name in found.label_names or () if has_side(name)]
    if sided:
        return Choice(False, f"class names have a side: {sided[0]!r}{', ...' if len(sided) > 1 else ''}")
    sides = one_sidedness(found)
    count = int((np.abs(sides) > ONE_SIDED).sum())
    many = count > MANY * len(sides)
    return Choice(not many, f"{count} of {len(sides)} classes are done with one side of the body")


def one_sidedness(found: Survey) -> np.ndarray:
    """(classes,): how much more the right side moves than the left, -1 to 1; the mean over the clips of each class."""
    seen = present(found.pose)
    both = seen[:, :, 1:] & seen[:, :, :-1]
    way = np.square(np.diff(found.places, axis=2) * both).sum((1, 2, 4))  # (n, V)
    left, right = (way[:, joints].sum(1) for joints in found.pairs.T)
    side = (right - left) / np.maximum(right + left, 1e-12)
    return np.array([side[found.label == k].mean() for k in np.unique(found.label)])


def random_rotate(found: Survey) -> Choice:
    """The largest angles of rotation, [x, y, z] in 3-D: about the vertical axis as far as the bodies of the training face
    different ways, since those of a test will, too.
    """
    if found.units_differ:
        return Choice(0, "the axes have different units")
    if found.dimension == 2:
        return Choice(TILT, "in the plane")
    if not len(found.pairs):
        return Choice([TILT] * 3, "the layout has no mirror pairs, which tell where bodies face")
    up, spread = vertical(found), facing(found)
    angles = [TILT] * 3
    angles[up] = round(min(max(spread, TILT), MOST_TURN), 2)
    return Choice(
        angles, f"bodies face ways {spread:.2f} rad apart (standard deviation) about {'xyz'[up]}, their vertical"
    )


def vertical(found: Survey) -> int:
    """The axis along which bodies are longest."""
    extent = extents(found)
    longest = int(np.argmax(extent))
    return longest if extent[longest] > 1.2 * extent[VERTICAL] else VERTICAL


def facing(found: Survey) -> float:
    """The circular standard deviation, in rad, of the line from left to right joints about the vertical axis; at the
    beginnings of the clips. Front and back are the same: 0 to about 1.
    """
    across = [axis for axis in range(3) if axis != vertical(found)]
    begin = found.pose[:, :, 0]  # (n, C, V, M)
    seen = present(found.pose)[:, 0, 0]  # (n, V, M)
    left, right = found.pairs.T
    line = (begin[:, across][:, :, right] - begin[:, across][:, :, left]) * (seen[:, right] & seen[:, left])[:, None]
    twice = ((line[:, 0] + 1j * line[:, 1]) ** 2).sum((1, 2))  # (n,): a line has no direction, twice its angle has
    twice = twice[np.abs(twice) > 0]
    if not len(twice):
        return 0.0
    together = np.abs((twice / np.abs(twice)).mean())
    return float(0.5 * np.sqrt(-2 * np.log(max(together, 1e-6))))


def batch_size(found: Survey) -> Choice:
    """Clips of an update."""
    return Choice(
        max(1, min(16 if found.num_clip < SMALL else 32, found.num_clip // 2)), f"{found.num_clip:,} training clips"
    )


def num_epoch(found: Survey, batch: int) -> Choice:
    """Epochs for as many updates as small data sets need, however few clips there are."""
    updates = max(1, found.num_clip // batch)
    epochs = min(max(round(UPDATES / updates), FEWEST_EPOCHS), MOST_EPOCHS)
    return Choice(epochs, f"{updates:,} updates in each")
