"""Whether the data fit the config that is to be trained with: classes, sides, units, windows, rotation, split."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from feeder import pipeline
from feeder.inspection.findings import Finding, Place
from feeder.inspection.names import separated
from feeder.pipeline import Transform
from feeder.preprocess import from_entry, from_flat_keys
from torchlight.errors import DataError, short

if TYPE_CHECKING:
    from feeder.inspection.inspection import Part

OF_FEEDER = ("data_path", "label_path", "debug", "mmap", "layout", "dimension", "seed")  # not about preparation
SIDES = {"left", "right", "clockwise", "counterclockwise", "anticlockwise"}
UNEQUAL = 10  # times
MISSING, ABSENT = 0.5, 0.99  # share of the frames
TOO_LONG, REPEATED, CUT_OFF = 3.0, 2.0, 0.1


def steps_of(args: Mapping[str, Any]) -> list[Transform]:
    """The transforms that feeder arguments stand for. Raises DataError."""
    args = {key: value for key, value in args.items() if key not in OF_FEEDER}
    if args.get("pipeline") is None:
        return from_flat_keys({key: value for key, value in args.items() if key != "pipeline"})
    if not isinstance(args["pipeline"], list):
        raise DataError(f"pipeline: {short(args['pipeline'])} where a list of transforms belongs")
    return [from_entry(entry, f"pipeline[{i}]") for i, entry in enumerate(args["pipeline"])]


# ---- classes


def check_classes(parts: Sequence[Part], names: Sequence[str] | None) -> list[Finding]:
    """Labels without a name, classes that are missing somewhere, classes of very different sizes."""
    counts = {part.name: Counter(part.label) for part in parts}
    findings = []
    if names:
        beyond = [
            Place(part.name, i, part.names[i], label, detail=f"label {label}")
            for part in parts
            for i, label in enumerate(part.label)
            if label >= len(names)
        ]
        findings += [Finding("label_range", beyond, f"there are {len(names)} class names")] * bool(beyond)
        missing = [k for k in range(len(names)) if not any(count[k] for count in counts.values())]
        findings += _of_classes("absent", missing, names)
    if "train" in counts and "test" in counts:
        train, test = counts["train"], counts["test"]
        findings += _of_classes("untrained", sorted(k for k in test if not train[k]), names)
        findings += _of_classes("untested", sorted(k for k in train if not test[k]), names)
    trained = counts.get("train") or next(iter(counts.values()))
    (most, largest), (least, smallest) = trained.most_common(1)[0], min(trained.items(), key=lambda item: item[1])
    if largest > UNEQUAL * smallest:
        line = f"{largest} clips of {class_name(most, names)}, {smallest} of {class_name(least, names)}"
        findings.append(Finding("unequal", detail=line))
    return findings


def class_name(label: int, names: Sequence[str] | None) -> str:
    """The name of a class, or its number."""
    return names[label] if names and label < len(names) else f"class {label}"


def _of_classes(kind: str, classes: Sequence[int], names: Sequence[str] | None) -> list[Finding]:
    if not classes:
        return []
    shown = ", ".join(class_name(k, names) for k in classes[:8]) + (", ..." if len(classes) > 8 else "")
    return [Finding(kind, detail=f"{len(classes)} {'class' if len(classes) == 1 else 'classes'}: {shown}")]


def check_action_numbers(parts: Sequence[Part]) -> list[Finding]:
    """Clips whose name has an action number that goes with another class in most of the clips."""
    labels: dict[str, Counter] = defaultdict(Counter)
    for part in parts:
        for action, label in zip(part.told.action if part.told else (), part.label):
            labels[action][label] += 1
    usual = {action: count.most_common(1)[0][0] for action, count in labels.items() if action is not None}
    if len(set(usual.values())) < len(usual):  # the numbers are not of classes
        return []
    places = [
        Place(part.name, i, part.names[i], label, detail=f"the name says action {action}")
        for part in parts
        for i, (action, label) in enumerate(zip(part.told.action if part.told else (), part.label))
        if action is not None and usual[action] != label
    ]
    return [Finding("named_otherwise", places)] if places else []


def check_split(parts: Sequence[Part]) -> list[Finding]:
    """Training and test that are divided neither by who nor by where."""
    if len(parts) < 2 or not all(part.told and part.told.counts for part in parts):
        return []
    return [] if separated(parts[0].told, parts[1].told) else [Finding("same_people")]


# ---- config


def check_sides(steps: Sequence[Transform], names: Sequence[str] | None) -> list[Finding]:
    """A flip in the training where class names have a side or a sense of rotation."""
    flips = [step for step in steps if isinstance(step, pipeline.Mirror | pipeline.SwapSides)]
    sided = [name for name in names or () if has_side(name)]
    if not flips or not sided:
        return []
    by_name = {" ".join(_words(name)): name for name in names}
    become = [(name, by_name[other]) for name in sided if (other := _other_side(name)) in by_name]
    keys = " and ".join(step.key for step in flips)
    line = f"{keys}: {len(sided)} classes: {', '.join(sided[:4])}{', ...' if len(sided) > 4 else ''}"
    if become:
        line += f"; a flip makes {become[0][0]!r} look like {become[0][1]!r}"
    return [Finding("left_right", detail=line)]


def has_side(name: str) -> bool:
    """Whether the name of a class says left, right or a sense of rotation."""
    return bool(SIDES & set(_words(name)))


def _words(name: str) -> list[str]:
    joined = re.sub(r"(counter|anti)[\s_-]+(clockwise)", r"\1\2", name.lower())
    return re.findall(r"[a-z0-9]+", joined)


def _other_side(name: str) -> str:
    """The words of a name with every side exchanged."""
    other = {"left": "right", "right": "left", "clockwise": "counterclockwise"}
    other |= {"counterclockwise": "clockwise", "anticlockwise": "clockwise"}
    return " ".join(other.get(word, word) for word in _words(name))


def check_steps(part: Part) -> list[Finding]:
    """Rotation, window and normalisation of a part against what its clips are."""
    findings, length = [], part.measures.length[part.measures.length > 0]
    usual = float(np.median(length)) if len(length) else 0.0
    for step in part.steps:
        if isinstance(step, pipeline.RandomRotate) and _tilt(step.angle, part) > 1:
            findings.append(Finding("rotate", detail=f"{part.name}: random_rotate {step.angle} rad"))
        size = getattr(step, "window_size", None)
        if not isinstance(step, pipeline.Sampler) or not isinstance(size, int) or not len(length):
            continue
        line = f"{part.name}: window_size {size}, clips have {usual:.0f} frames (median)"
        longer = float((length > size).mean())
        if isinstance(step, pipeline.UniformSample):
            if size > REPEATED * usual:
                findings.append(Finding("window", detail=f"{line}: frames are repeated"))
        elif isinstance(step, pipeline.Window) and longer > CUT_OFF:
            findings.append(Finding("window", detail=f"{line}: {100 * longer:.0f} % of the clips are cut off"))
        elif size > TOO_LONG * float(np.quantile(length, 0.95)):
            findings.append(Finding("window", detail=f"{line}: most of it is padding"))
    return findings + _check_units(part) + _check_missing(part)


def _tilt(angle: float | Sequence[float], part: Part) -> float:
    """The largest angle of a rotation about an axis that is not the vertical one: y, and z after pre_normalize_3d."""
    angles = angle if isinstance(angle, list | tuple) else [angle] * 3
    if part.dimension == 3 and len(angles) == 3:
        upright = any(isinstance(step, pipeline.PreNormalize3D) for step in part.steps)
        angles = angles[:2] if upright else angles[::2]
    return max((float(a) for a in angles if isinstance(a, int | float)), default=0.0)


def _check_units(part: Part) -> list[Finding]:
    body = any(isinstance(step, pipeline.NormalizeBody | pipeline.Standardize) for step in part.steps)
    box = any(isinstance(step, pipeline.PreNormalize2D) and step.over == "box" for step in part.steps)
    wanted = ("centred", "normalised") if part.dimension == 2 else ("metres", "normalised", "unknown")
    if body or box or part.coordinates.name in wanted or part.coordinates.evidence == "no joint was seen":
        return []
    return [Finding("units", detail=f"{part.name}: {part.coordinates.words} ({part.coordinates.evidence})")]


def _check_missing(part: Part) -> list[Finding]:
    missing = part.missing
    findings = []
    absent = [part.body.names[v] for v in np.flatnonzero(missing > ABSENT)]
    if absent and part.measures.there.any():
        findings.append(Finding("joint_absent", detail=f"{part.name}: {', '.join(absent[:8])}"))
    if part.skeleton is None:
        return findings
    needed = {part.skeleton.centre: "the centre of the layout"}
    for step in part.steps:
        if isinstance(step, pipeline.PreNormalize3D):
            for names in pipeline.VIEW_JOINTS:
                needed |= {
                    part.skeleton.joints.index(n): "pre_normalize_3d" for n in names if n in part.skeleton.joints
                }
    for joint, why in needed.items():
        if missing[joint] > MISSING:
            line = f"{part.name}: {part.skeleton.joints[joint]} ({why}) is missing in {100 * missing[joint]:.0f} %"
            findings.append(Finding("centre_missing", detail=f"{line} of the frames"))
    return findings
