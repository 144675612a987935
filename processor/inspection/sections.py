"""The sections of inspect.html: what is there, what is wrong, the classes. Every problem shows some of its clips, moving."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from feeder.inspection.facts import part_facts, pose, shared_names
from feeder.inspection.findings import KINDS, Finding, Place
from feeder.inspection.fit import class_name
from feeder.inspection.inspection import Inspection, Part
from processor.page import plots
from processor.page.page import Clip, Clips, Facts, Group, Plots, Section, Table

SHOWN, LABELS_SHOWN = 12, 40  # moving clips of a problem; of suspicious labels
PER_CLASS, MANY_CLASSES, MOST_CLASSES = 3, 60, 400  # thumbnails of a class; with more classes one each
THUMBNAIL = 30  # frames of a thumbnail where there are many
MARKS = 20  # places in a clip that are marked
LEAST_MISSING = 0.001  # share of the frames that is worth a picture
LISTED = 12  # values of a fact that are spelt out


def sections(found: Inspection) -> list[Section]:
    """All sections, in the order of the page."""
    return [*what_is_there(found), *what_is_wrong(found), *classes(found)]


def same_joints(found: Inspection) -> bool:
    """Do all parts have the number of joints of the first, which the page draws?"""
    return len({part.data.shape[3] for part in found.parts}) == 1


# ---- what is there


def what_is_there(found: Inspection) -> list[Section]:
    """Figures, then a folded group of facts and plots for each part."""
    clips = sum(len(part.names) for part in found.parts)
    first = found.parts[0]
    labels = {label for part in found.parts for label in part.label}
    levels = [finding.level for finding in found.findings]
    tiles = [("clips", f"{clips:,}", ", ".join(f"{part.name} {len(part.names):,}" for part in found.parts))]
    tiles += [("classes", f"{len(found.label_names or labels)}")]
    tiles += [("joints", f"{first.data.shape[3]}", first.skeleton.name if first.skeleton else "layout unknown")]
    tiles += [("coordinates", "x, y, score" if first.dimension == 2 else "x, y, z", first.coordinates.words)]
    tiles += [("errors", str(levels.count("error"))), ("warnings", str(levels.count("warning")))]
    tiles += [("notes", str(levels.count("note")))]
    out: list[Section] = [Facts("What is there", tiles, tiles=True)]
    for part in found.parts:
        out.append(Group(f"Part {part.name}", [_facts(part, found), *_plots(part, found)]))
    return out


def _facts(part: Part, found: Inspection) -> Facts:
    facts = part_facts(part, found.label_names)
    frames = ", ".join(f"{name} {value:g}" for name, value in facts["frames"].items())
    persons = ", ".join(f"{n:,} {'clip' if n == 1 else 'clips'} with {k}" for k, n in facts["persons"].items())
    rows = [("data", facts["data_path"]), ("labels", facts["label_path"])]
    rows += [("shape (C, T, V, M)", " × ".join(map(str, facts["shape"])))]
    rows += [("frames", frames), ("persons", persons)]
    rows += [("frames per second", f"{facts['fps']:g}" if facts["fps"] else "not known")]
    rows += [("coordinates", facts["coordinates"]["words"], facts["coordinates"]["evidence"])]
    common = shared_names(found.parts) or {}
    for kind, counts in facts["names"]["clips"].items() if facts["names"] else ():
        listed = [f"{key} ({n:,})" for key, n in counts.items()][:LISTED]
        more = ", ..." if len(counts) > LISTED else ""
        both = f"{len(common[kind])} of them in both parts" if kind in common else ""
        rows.append((f"{kind}s", f"{len(counts)}: {', '.join(listed)}{more}", both))
    return Facts("", rows)


def _plots(part: Part, found: Inspection) -> list[Section]:
    facts = part_facts(part, found.label_names)
    names, counts = [each["name"] for each in facts["classes"]], [each["clips"] for each in facts["classes"]]
    drawn = [
        ("Clips of each class", plots.bars(names, counts, "clips")),
        ("Lengths", plots.histogram(part.measures.length, facts["frame_histogram"]["edges"], "frames")),
    ]
    if max(map(int, facts["persons"])) > 1:
        drawn.append(
            ("Persons in a clip", plots.bars(list(facts["persons"]), list(facts["persons"].values()), "clips"))
        )
    if facts["scores"]:
        drawn.append(("Scores of the joints that were seen", _scores(np.array(facts["scores"]))))
    place = pose(part)
    if place is not None and part.missing.max() > LEAST_MISSING:
        drawn.append(
            ("Share of the frames in which a joint is missing", plots.body(part.skeleton, part.missing, place))
        )
    return [Plots("", drawn)]


def _scores(counts: np.ndarray) -> str:
    """A histogram of the scores, (SCORE_BINS,) counts over 0..1, as shares of ten thousand."""
    edges = np.linspace(0, 1, len(counts) + 1)
    shares = np.rint(10_000 * counts / max(counts.sum(), 1)).astype(int)
    return plots.histogram(np.repeat((edges[1:] + edges[:-1]) / 2, shares), edges, "score", "of 10,000 joints")


# ---- what is wrong


def what_is_wrong(found: Inspection) -> list[Section]:
    """A table of the problems, then some clips of each that has any."""
    if not found.findings:
        return [Facts("What is wrong", [("problems", "none was found")], level="ok")]
    worst = _level(found.findings[0].level)
    rows = [
        (each.level, each.title, len(each.places) or None, each.detail or ", ".join(p.name for p in each.places[:3]))
        for each in found.findings
    ]
    table = Table("What is wrong", ["level", "problem", "clips", "where"], rows, ("", "", ",d", ""), level=worst)
    return [table, *(_finding(found, each) for each in found.findings)]


def _finding(found: Inspection, finding: Finding) -> Section:
    kind = KINDS[finding.kind]
    text = f"{kind.what} {kind.remedy}"
    if not finding.places:
        return Facts(kind.title, [("where", finding.detail)], text=text, level=_level(kind.level))
    parts, shown = {part.name: part for part in found.parts}, []
    most = LABELS_SHOWN if finding.kind == "label" else SHOWN
    for place in finding.places[: most // 2 if finding.places[0].twin else most]:
        shown.append(_clip(parts[place.part], place, found, _level(kind.level)))
        if place.twin:
            part, i, name = place.twin
            twin = Place(part, i, name, parts[part].label[i], detail="its twin")
            shown.append(_clip(parts[part], twin, found, ""))
    text += f" {finding.detail[0].upper()}{finding.detail[1:]}." if finding.detail else ""
    total = len(finding.places)
    if finding.places[0].twin:
        text += f" {min(total, SHOWN // 2)} of {total:,} pairs:"
        total = None
    return Clips(kind.title, shown, total, text=text, level=_level(kind.level))


def _clip(part: Part, place: Place, found: Inspection, level: str) -> Clip:
    label = class_name(place.label, found.label_names)
    frames = [f"{a}" if a == b else f"{a} to {b}" for a, b in place.frames[:MARKS]]
    details = [("part", part.name), ("class", label), ("number in the file", str(place.clip))]
    details += [("frames", ", ".join(frames))] * bool(frames) + [("what", place.detail)] * bool(place.detail)
    caption = f"{label}: {place.detail}" if place.detail else label
    return moving(part, place.clip, caption, details, place.frames[:MARKS], level)


def moving(
    part: Part, i: int, caption: str = "", details=(), marks=(), level: str = "", frames: int | None = None
) -> Clip:
    """Clip i of a part as a moving skeleton; with at most so many frames, evenly spaced."""
    x, fps = part.clip(i), part.info.fps or 30.0
    whole = [(0, x.shape[1] - 1)]
    if frames and x.shape[1] > frames:
        chosen = np.linspace(0, x.shape[1] - 1, frames).astype(int)
        fps *= frames / x.shape[1]
        x = x[:, chosen]
    marks = () if list(marks) == whole else marks  # all of it is not worth a mark
    aspect = float(part.aspect[i]) if part.dimension == 2 else 1.0
    return Clip(part.names[i], x, caption, details, aspect=aspect, fps=fps, marks=marks, level=level)


def _level(level: str) -> str:
    return "" if level == "note" else level


# ---- classes


def classes(found: Inspection) -> list[Section]:
    """A table of the classes, and some clips of each: of the first part in which it has any."""
    members = [_by_class(part) for part in found.parts]
    labels = sorted(set().union(*members) | set(range(len(found.label_names or ()))))
    few = len(labels) <= MANY_CLASSES
    shown = []
    for label in labels[:MOST_CLASSES]:
        for part, of in zip(found.parts, members):
            if label in of:
                name = class_name(label, found.label_names)
                chosen = _spread(of[label], PER_CLASS if few else 1)
                shown += [moving(part, i, name, [("class", name)], frames=None if few else THUMBNAIL) for i in chosen]
                break
    head = ["class", "name", *(part.name for part in found.parts)]
    rows = [(k, class_name(k, found.label_names), *(len(of.get(k, ())) for of in members)) for k in labels]
    return [Table("Classes", head, rows), Clips("A look at each class", shown)]


def _by_class(part: Part) -> dict[int, list[int]]:
    members = defaultdict(list)
    for i, label in enumerate(part.label):
        if part.measures.length[i] > 1:
            members[label].append(i)
    return members


def _spread(clips: Sequence[int], count: int) -> list[int]:
    """At most so many of them, from the beginning to the end of the list."""
    return [clips[i] for i in np.unique(np.linspace(0, len(clips) - 1, count).astype(int))]
