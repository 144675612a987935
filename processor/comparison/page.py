"""The comparison as a page: figures, answers, curves, and the clips that changed, moving where their data are still there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from processor.comparison.findings import Accuracy, ClipChange, Comparison, config_of, curves, notes, sentence
from processor.comparison.runs import Run
from processor.page import plots
from processor.page.page import Clip, Clips, Facts, Group, Page, Plots, Section, Table
from torchlight.config import load_config
from torchlight.errors import DataError, UsageError

HEADS = {"top1": "Top-1", "top5": "Top-5", "mean_class_accuracy": "Mean class accuracy"}
CURVES = {
    "top1": ("Top-1 on the test clips", "per cent"),
    "loss": ("Loss in training", "loss"),
    "test_loss": ("Loss on the test clips", "loss"),
    "mean_class_accuracy": ("Mean class accuracy", "per cent"),
}
MOST_CLIPS = 60  # of a direction of a comparison that are shown moving
MOST_NAMES = 1000  # of one that are listed
LEVEL = {"better": "ok", "worse": "warning", "cannot be told apart": ""}


def make_page(
    runs: Sequence[Run],
    figures: Sequence[dict[str, Accuracy]],
    comparisons: Sequence[Comparison],
    settings: dict[str, list[str]],
) -> Page:
    shown = [change.name for each in comparisons for side in sides(each) for change in side[1][:MOST_CLIPS]]
    recorded = Recorded(runs, shown)
    clips, names = len(runs[0].clips), ", ".join(run.name for run in runs)
    page = Page(
        names, "compare", recorded.skeleton, recorded.dimension, f"{len(runs)} runs on the same {clips:,} clips"
    )
    tiles = [
        (run.name, f"{each['top1'].value:.1f} %", f"95 % interval {interval(each['top1'])}{spread(each['top1'])}")
        for run, each in zip(runs, figures)
    ]
    page.add(Facts("Top-1", tiles, tiles=True))
    page.add(Group("Is it better, or is it the spread?", [answer(each, len(comparisons)) for each in comparisons],
                   text=" ".join(notes(comparisons))))  # fmt: skip
    page.add(table_of(runs, figures))
    page.add(Plots("Accuracies and learning curves", drawn(runs, figures),
                   text="Means over the seeds; the lines on the bars are 95 % intervals."))  # fmt: skip
    for each in comparisons:
        page.add(Group(f"{each.b.name} against {each.a.name}: what changed", changes(each, recorded)))
    if settings:
        rows = [[key, *values] for key, values in settings.items()]
        page.add(Table("Settings that differ", ["setting", *[run.name for run in runs]], rows))
    return page


def answer(each: Comparison, tests: int) -> Section:
    return Section(f"{each.b.name}: {each.verdict}", text=f"{sentence(each, tests)}.", level=LEVEL[each.verdict])


def table_of(runs: Sequence[Run], figures: Sequence[dict[str, Accuracy]]) -> Table:
    head, rows, formats = ["run", "seeds"], [], ["", ""]
    for key in figures[0]:
        head += [f"{HEADS[key]}, %", "±", "from", "to"]
        formats += [".2f"] * 4
    for run, each in zip(runs, figures):
        cells = [(value.value, value.std, value.low, value.high) for value in each.values()]
        rows.append([run.name, len(run.answers), *[cell for four in cells for cell in four]])
    text = "± is the standard deviation over the seeds; from and to are the ends of the 95 % interval."
    return Table("Accuracies", head, rows, formats, text=text)


def drawn(runs: Sequence[Run], figures: Sequence[dict[str, Accuracy]]) -> list[tuple[str, str]]:
    top1 = [each["top1"] for each in figures]
    errors = np.array([[each.value - each.low for each in top1], [each.high - each.value for each in top1]])
    made = [("Top-1", plots.bars([run.name for run in runs], [each.value for each in top1], "per cent", errors))]
    found = [curves(run) for run in runs]
    for column, (caption, unit) in CURVES.items():
        lines = {run.name: each[column] for run, each in zip(runs, found) if column in each}
        if lines:
            made.append((caption, plots.curves(lines, "epoch", unit)))
    return made


def changes(each: Comparison, recorded: Recorded) -> list[Section]:
    """The classes, and the clips of either direction."""
    single, count = each.test == "mcnemar", ".0f" if each.test == "mcnemar" else ".1f"
    head = ["class", "clips", f"right in {each.a.name}", f"right in {each.b.name}", "change, points"]
    rows = [[c.name, c.clips, c.before, c.after, c.gain] for c in each.classes]
    text = "" if single else "Right answers are means over the seeds."
    sections: list[Section] = [Table("Classes", head, rows, ["", "", count, count, "+.1f"], text=text)] if rows else []
    for title, side in sides(each):
        if side:
            clips = [recorded.clip(change, each) for change in side[:MOST_NAMES]]
            text = "" if single else "By the share of the seeds that have it right, the largest change first."
            sections.append(Clips(f"{title}: {len(side)}", clips, len(side), text=text))
    return sections or [Section("", text="Nothing: both have the same clips right.")]


def sides(each: Comparison) -> list[tuple[str, list[ClipChange]]]:
    """The clips that b has right more often, and those that a has."""
    word = "Right only in" if each.test == "mcnemar" else "Better in"
    titles = [f"{word} {each.b.name}", f"{word} {each.a.name}"]
    gained = [change for change in each.clips if change.after > change.before]
    return list(zip(titles, [gained, [change for change in each.clips if change.after < change.before]]))


def interval(value: Accuracy) -> str:
    return f"{value.low:.1f} to {value.high:.1f}"


def spread(value: Accuracy) -> str:
    return "" if value.std is None else f"; ± {value.std:.1f} over {len(value.seeds)} seeds"


class Recorded:
    """The keypoints of clips, as far as one of the runs' configs still leads to them; nothing is said where none does.

    Attributes:
        skeleton, dimension: of the data that were found.
    """

    def __init__(self, runs: Sequence[Run], names: Sequence[str]):
        self.skeleton, self.dimension = None, 2
        self._clips: dict[str, tuple[np.ndarray, float]] = {}  # keypoints (C, T, V, M) and aspect ratio
        for folder in dict.fromkeys(folder for run in runs for folder in run.folders[0]):
            if lacking := [name for name in dict.fromkeys(names) if name not in self._clips]:
                try:
                    self._read(folder, lacking)
                except (UsageError, DataError, OSError, ModuleNotFoundError):
                    continue  # names are shown in place of moving skeletons

    def _read(self, folder: Path, names: Sequence[str]) -> None:
        from processor.protocols import build_feeder, can_be_shown, preprocess_of, unique_names

        path = config_of(folder)
        config = load_config(path) if path else {}
        dotted, args = config.get("feeder"), config.get("test_feeder_args")
        if not isinstance(dotted, str) or not dotted.startswith("feeder.") or not isinstance(args, dict) or not args:
            return  # what a work folder names is only imported where it is ours
        feeder = build_feeder(dotted, args, f"{path}: test_feeder_args")
        prepared, places = preprocess_of(feeder), {name: i for i, name in enumerate(unique_names(feeder) or ())}
        chosen = [name for name in names if name in places]
        if not chosen or prepared is None or not can_be_shown(feeder):
            return
        if self._clips and prepared.skeleton != self.skeleton:
            return  # another skeleton cannot be on the same page
        index = [places[name] for name in chosen]
        for name, i, keypoints in zip(chosen, index, feeder.recorded(index)):
            self._clips[name] = keypoints, float(feeder.aspect[i])
        self.skeleton, self.dimension = prepared.skeleton, prepared.dimension or 2

    def clip(self, change: ClipChange, each: Comparison) -> Clip:
        """A clip that moves where its keypoints were found; under it what has changed, the answers in its large view."""
        keypoints, aspect = self._clips.get(change.name, (np.zeros((2, 0, 1, 1), np.float32), 1.0))
        if each.test == "mcnemar":
            caption = f"{change.label}: {change.answer_before} → {change.answer_after}"
        else:
            sides = ((change.before, each.a), (change.after, each.b))
            caption = f"{change.label}: {' → '.join(share_text(share, run) for share, run in sides)} right"
        details = [("class", change.label), (each.a.name, change.answer_before), (each.b.name, change.answer_after)]
        return Clip(change.name, keypoints, caption, details, aspect=aspect if math.isfinite(aspect) else 1.0)


def share_text(share: float, run: Run) -> str:
    return f"{round(share * len(run.answers))} of {len(run.answers)}"
