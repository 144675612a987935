"""Inspection of a packed data set: its parts measured, what is in them, and what is wrong with them.

    found = inspect([Source("train", "data/own/train_data.npy", "data/own/train_label.pkl")])
    for finding in found.findings: ...

The clips are read once for the measures (scan.py); pairs that may be duplicates are read again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial

import numpy as np

from feeder.dataset import DatasetInfo, read_info
from feeder.feeder import agreed, aspect_ratio
from feeder.inspection import coordinates, duplicates, fit
from feeder.inspection.body import Body, cut
from feeder.inspection.findings import Finding, Place, worst_first
from feeder.inspection.measure import Measures, Setting, mirrored, motion
from feeder.inspection.names import Told, read_names
from feeder.inspection.scan import read_chunk, scan
from feeder.packed import read_packed
from feeder.pipeline import Transform
from feeder.skeleton import Skeleton, load_skeleton
from torchlight.errors import DataError

SAMPLED = 32  # clips that the third channel is told from
DETAILS = 4  # joints, bones or persons of a clip that are named
COMPARED = 64  # moments of a motion that is looked at again
Bar = Callable[[str, int], Callable[[int], None]]


@dataclass(frozen=True)
class Source:
    """A part as a person names it.

    Attributes:
        name: "train" or "test", or what a part that is alone is called.
        data_path, label_path: the packed files; label_path is None for an .h5.
        layout, dimension: of the config; None: those of dataset.yaml.
        steps: the transforms that it is prepared with.
    """

    name: str
    data_path: str
    label_path: str | None = None
    layout: str | None = None
    dimension: int | None = None
    steps: Sequence[Transform] = ()


@dataclass(eq=False)
class Part:
    """A part that was opened and measured.

    Attributes:
        names, label: of every clip.
        data: (N, C, T, V, M), a memory map; clip() reads without keeping pages of it.
        aspect: (N,) width over height of the frames.
        info: what dataset.yaml says.
        skeleton: None where it is not known or does not fit.
        dimension: what the channels are: as given, or told from the data.
        told: what the names tell, or None.
    """

    source: Source
    names: list[str]
    label: list[int]
    data: np.ndarray
    aspect: np.ndarray
    info: DatasetInfo
    skeleton: Skeleton | None
    dimension: int
    body: Body
    told: Told | None
    problems: list[Finding] = field(default_factory=list)
    measures: Measures | None = None

    @property
    def name(self) -> str:
        return self.source.name

    @property
    def steps(self) -> Sequence[Transform]:
        return self.source.steps

    @property
    def setting(self) -> Setting:
        return Setting(self.body, self.dimension)

    @property
    def missing(self) -> np.ndarray:
        """(V,): the share of the frames in which each joint is not seen, of those in which its person is."""
        there = self.measures.there.sum()
        return 1 - self.measures.seen.sum(0) / there if there else np.zeros(self.data.shape[3])

    @property
    def coordinates(self) -> coordinates.Kind:
        m = self.measures
        return coordinates.recognise(m.low, m.high, m.size, self.dimension)

    def clip(self, i: int) -> np.ndarray:
        """Clip i up to its last real frame, (C, T, V, M), in memory."""
        return read_chunk(self.source.data_path, i, 1)[0, :, : max(1, self.measures.length[i])]


@dataclass(eq=False)
class Inspection:
    """What was found: the parts, the problems, the worst first, and the class names, None where nothing tells them."""

    parts: list[Part]
    findings: list[Finding]
    label_names: Sequence[str] | None


def inspect(
    sources: Sequence[Source],
    label_names: Sequence[str] | None = None,
    workers: int = 1,
    bar: Bar = lambda what, total: lambda done: None,
) -> Inspection:
    """Measure all parts and look for what is wrong.

    Args:
        label_names: class names in the order of the labels; default: those of dataset.yaml.
        workers: processes that read and measure.
        bar: (what is counted, how many there are) -> what is called with how many more are done.

    Raises:
        DataError: files that are not what they should be.
    """
    parts = [open_part(source) for source in sources]  # all of them, before anything slow begins
    label_names = label_names or next((part.info.label_names for part in parts if part.info.label_names), None)
    for part in parts:
        done = bar(part.name, len(part.names))
        part.measures = scan(part.source.data_path, part.aspect, part.setting, workers, done)
    findings = [finding for part in parts for finding in part.problems]
    findings += in_clips(parts) + find_duplicates(parts, bar)
    findings += fit.check_classes(parts, label_names) + fit.check_action_numbers(parts) + fit.check_split(parts)
    findings += fit.check_sides(parts[0].steps, label_names)
    findings += [finding for part in parts for finding in fit.check_steps(part)]
    return Inspection(parts, worst_first(merged(findings)), label_names)


def open_part(source: Source) -> Part:
    """Open the files of a part and find out what its channels are; what contradicts the config becomes a problem."""
    packed = read_packed(source.data_path, source.label_path)
    info, problems = read_info(source.data_path) or DatasetInfo(), []
    if source.layout:
        load_skeleton(source.layout)  # one that does not exist is a mistake, not a problem of the data
    try:
        skeleton, given = agreed(info, source.layout, source.dimension, source.data_path)
    except DataError as error:
        problems.append(Finding("facts_differ", detail=f"{source.name}: {error}"))
        skeleton, given = info.skeleton, info.dimension
    N, _, _, V, _ = packed.data.shape
    if skeleton is not None and skeleton.num_joint != V:
        line = f"{source.name}: {V} joints in the data, {skeleton.num_joint} in the layout {skeleton.name}"
        problems.append(Finding("joints", detail=line))
        skeleton = None
    dimension, wrong = _dimension(packed.data, given, Body.of(skeleton, V))
    if wrong:
        problems.append(Finding(wrong, detail=source.name))
    told = read_names(packed.sample_name)
    return Part(
        source, packed.sample_name, packed.label, packed.data, aspect_ratio(packed.frame_size, N), info, skeleton,
        dimension, Body.of(skeleton, V), told, problems,
    )  # fmt: skip


def _dimension(data: np.ndarray, given: int | None, body: Body) -> tuple[int, str]:
    """2 or 3, and the kind of problem where the data are not as given, or ""."""
    if data.shape[1] < 3:
        return 2, ""
    chosen = np.unique(np.linspace(0, len(data) - 1, SAMPLED).astype(int))
    clips = [np.array(data[i]) for i in chosen]
    clips = [clip for clip in clips if np.isfinite(clip).all() and clip.any()]
    if given == 2 and clips:
        third = np.concatenate([clip[2].ravel() for clip in clips])
        return (3, "depth_as_scores") if third.min() < 0 or third.max() > 1.001 else (2, "")
    if given == 2:
        return 2, ""
    scored = coordinates.has_scores(clips, body)
    return (2, "scores_as_depth" if given == 3 else "") if scored else (3, "")


def in_clips(parts: Sequence[Part]) -> list[Finding]:
    """What the measuring of the clips has found, by kind."""
    findings: dict[str, Finding] = {}
    for part in parts:
        places: dict[tuple[str, int], Place] = {}
        for i, spot in part.measures.spots:
            place = places.get((spot.kind, i))
            if place is None:
                place = places[spot.kind, i] = Place(part.name, i, part.names[i], part.label[i])
                findings.setdefault(spot.kind, Finding(spot.kind)).places.append(place)
            place.frames.append((spot.first, spot.last))
            place.amount = max(place.amount, spot.amount)
            told = place.detail.split(", ") if place.detail else []
            who = spot.detail == "person 1" and part.measures.persons[i] == 1  # needs no saying
            if not who and spot.detail not in told and "..." not in told:
                place.detail = ", ".join([*told, spot.detail if len(told) < DETAILS else "..."])
    return list(findings.values())


def merged(findings: Sequence[Finding]) -> list[Finding]:
    """One finding for each kind."""
    by_kind: dict[str, Finding] = {}
    for finding in findings:
        known = by_kind.setdefault(finding.kind, Finding(finding.kind))
        known.places += finding.places
        known.detail = "; ".join(filter(None, (known.detail, finding.detail)))
    return list(by_kind.values())


# ---- duplicates


def find_duplicates(parts: Sequence[Part], bar: Bar) -> list[Finding]:
    """Pairs of clips that are one, within a part and across."""
    where = [(part, i) for part in parts for i in range(len(part.names))]
    same = duplicates.exact(np.concatenate([part.measures.digest for part in parts]))
    pairs, cut_short = list(same), False
    if len({(part.data.shape[3:], part.dimension) for part in parts}) == 1:  # else there is nothing to compare
        sketches = np.concatenate([part.measures.sketch for part in parts])
        sketches[[pair.two for pair in same]] = 0  # its twin stands for it
        body = parts[0].setting
        near, cut_short = duplicates.verified(
            duplicates.candidates(sketches, bar("duplicates", int(sketches[:, 0].any(1).sum()))),
            lru_cache(4096)(lambda i: _motion(*where[i])),
            partial(mirrored, flip=body.flip),
        )
        pairs += near
    findings = {kind: Finding(kind) for kind in ("leakage", "contradiction", "duplicate", "near_duplicate")}
    for pair in pairs:
        (one, a), (two, b) = where[pair.one], where[pair.two]
        another = one.label[a] != two.label[b]
        detail = {"exact": "the same", "near": "nearly the same", "mirrored": "in a mirror"}[pair.how]
        detail += f" (differs by {pair.distance:.3f})" if pair.how != "exact" else ""
        detail += f" as {two.name if one is two else one.name} clip {one.names[a]}" + ", another class" * another
        frames = [(0, int(two.measures.length[b]) - 1)]
        place = Place(
            two.name, b, two.names[b], two.label[b], frames, detail, -pair.distance, (one.name, a, one.names[a])
        )
        kind = "leakage" if one is not two else "duplicate" if pair.how == "exact" else "near_duplicate"
        findings[kind].places.append(place)
        if another:
            findings["contradiction"].places.append(place)
    found = [finding for finding in findings.values() if finding.places]
    if cut_short:
        for finding in found:
            finding.detail = "there may be more: too many clips look alike to compare them all"
    return found


def _motion(part: Part, i: int) -> np.ndarray:
    """The motion of a clip at COMPARED moments."""
    clip, seen = cut(part.clip(i))
    aspect = float(part.aspect[i]) if part.dimension == 2 else 1.0
    return motion(clip[: part.dimension], seen, COMPARED, aspect)
