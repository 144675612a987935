"""What there is to say about runs: accuracies with their intervals, differences, classes and clips that changed, settings.

Accuracies, intervals and differences are in per cent (points); a p stays a share.
"""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from processor.comparison.runs import Run
from torchlight.config import load_config
from torchlight.errors import DataError
from torchlight.intervals import accuracy_interval, difference, holm, samples_needed

ALPHA = 0.05
MOST_CLIPS = 1_000_000  # of an estimate that is worth telling
UNSAID = ("work_dir",)  # settings that always differ


@dataclass
class Accuracy:
    """The mean over the seeds, its 95 % interval, the standard deviation over the seeds (n - 1; None for one), each seed's."""

    value: float
    low: float
    high: float
    std: float | None
    seeds: list[float]


@dataclass
class ClassChange:
    """A class and its right answers, of `clips` each, mean over seeds."""

    name: str
    clips: int
    before: float
    after: float

    @property
    def gain(self) -> float:
        """In points."""
        return 100 * (self.after - self.before) / self.clips


@dataclass
class ClipChange:
    """A clip and the shares of the seeds (0..1) that had it right; what they answered, as text."""

    name: str
    label: str
    before: float
    after: float
    answer_before: str
    answer_after: str


@dataclass
class Comparison:
    """Run b against run a, the baseline, on top-1.

    Attributes:
        value, low, high: b - a, its 95 % interval.
        p: of McNemar's exact test or of the bootstrap; p_corrected: by Holm, for all comparisons of the report.
        test: "mcnemar" or "bootstrap".
        clips_needed: how many clips would show such a difference, where it cannot be told and a number can be named.
        classes: those that changed, the largest change first. clips: likewise.
    """

    a: Run
    b: Run
    value: float
    low: float
    high: float
    p: float
    p_corrected: float
    test: str
    clips_needed: int | None
    classes: list[ClassChange]
    clips: list[ClipChange]

    @property
    def verdict(self) -> str:
        """better, worse, or "cannot be told apart"."""
        if self.p_corrected >= ALPHA or self.value == 0:
            return "cannot be told apart"
        return "better" if self.value > 0 else "worse"


# ---- figures


def accuracies(run: Run, num_class: int, seed: int = 0) -> dict[str, Accuracy]:
    """top1, top5 where it says something (more than five classes), mean_class_accuracy."""
    figures = {"top1": accuracy(run.right, None, seed)}
    if num_class > 5:
        figures["top5"] = accuracy(run.rank <= 5, None, seed)
    return {**figures, "mean_class_accuracy": accuracy(run.right, run.label, seed)}


def accuracy(right: np.ndarray, strata: np.ndarray | None, seed: int) -> Accuracy:
    if strata is None:
        seeds = 100 * right.mean(1)
    else:
        seeds = 100 * np.mean([right[:, strata == c].mean(1) for c in np.unique(strata)], axis=0)
    low, high = accuracy_interval(right, strata, seed)
    std = float(seeds.std(ddof=1)) if len(seeds) > 1 else None
    return Accuracy(float(seeds.mean()), 100 * low, 100 * high, std, seeds.tolist())


def compare(runs: Sequence[Run], baseline: int, seed: int = 0) -> list[Comparison]:
    """Every other run against the one of that index."""
    a, others = runs[baseline], [run for i, run in enumerate(runs) if i != baseline]
    classes = {c: name for run in reversed(runs) for each in run.answers for c, name in each.classes.items()}
    found = [difference(a.right, b.right, seed) for b in others]
    comparisons = []
    for b, each, corrected in zip(others, found, holm([each.p for each in found])):
        needed = samples_needed(a.right, b.right, len(others)) if corrected >= ALPHA else None
        comparisons.append(
            Comparison(
                *(a, b, 100 * each.value, 100 * each.low, 100 * each.high, each.p, corrected),
                test="mcnemar" if len(a.answers) == len(b.answers) == 1 else "bootstrap",
                clips_needed=needed,
                classes=class_changes(a, b, classes),
                clips=clip_changes(a, b, classes),
            )
        )
    return comparisons


def class_changes(a: Run, b: Run, classes: dict[int, str]) -> list[ClassChange]:
    changes = []
    for c in np.unique(a.label).tolist():
        inside = a.label == c
        before, after = (float(run.right[:, inside].sum(1).mean()) for run in (a, b))
        changes.append(ClassChange(classes.get(c, str(c)), int(inside.sum()), before, after))
    return sorted((each for each in changes if each.gain), key=lambda each: -abs(each.gain))


def clip_changes(a: Run, b: Run, classes: dict[int, str]) -> list[ClipChange]:
    before, after = a.right.mean(0), b.right.mean(0)  # (N,)
    changed = np.flatnonzero(before != after)
    order = changed[np.argsort(-np.abs(after - before)[changed], kind="stable")]
    label = a.label
    return [
        ClipChange(
            a.clips[i],
            classes.get(int(label[i]), str(label[i])),
            float(before[i]),
            float(after[i]),
            answers(a, i, classes),
            answers(b, i, classes),
        )
        for i in order
    ]


def answers(run: Run, clip: int, classes: dict[int, str]) -> str:
    """`jump 93%`, or over several seeds `jump 2 of 3, run 1 of 3`."""
    given = [int(each.predicted[clip]) for each in run.answers]
    if len(given) == 1:
        score = run.answers[0].score[clip]
        return f"{classes.get(given[0], str(given[0]))}{'' if math.isnan(score) else f' {score:.0%}'}"
    counts = Counter(given).most_common()
    return ", ".join(f"{classes.get(c, str(c))} {count} of {len(given)}" for c, count in counts)


# ---- the answer in words


def sentence(each: Comparison, tests: int = 1) -> str:
    """`B is better than A by 1.2 points (95 % interval 0.3 to 2.1, p = 0.01)`."""
    corrected = f" after Holm's correction for {tests} comparisons" if tests > 1 else ""
    a, b, p = each.a.name, each.b.name, f"{p_text(each.p_corrected)}{corrected}"
    if each.verdict != "cannot be told apart":
        low, high = sorted((abs(each.low), abs(each.high))) if each.low * each.high > 0 else (each.low, each.high)
        interval = f"95 % interval {low:.1f} to {high:.1f}"
        return f"{b} is {each.verdict} than {a} by {abs(each.value):.1f} points ({interval}, {p})"
    if not each.clips:
        return f"{b} and {a} have the same clips right"
    text = f"{b} and {a} cannot be told apart: {each.value:+.1f} points"
    text += f" (95 % interval {each.low:.1f} to {each.high:.1f}, {p})"
    if each.clips_needed and each.clips_needed <= MOST_CLIPS:
        text += f"; were it really that large, about {rounded(each.clips_needed):,} clips would be needed to show it"
    elif each.value and not each.clips_needed and each.test == "bootstrap":
        text += "; more clips alone would not tell, more seeds might"
    return text


def notes(comparisons: Sequence[Comparison]) -> list[str]:
    """What the sentences cannot say, and to whom it matters."""
    single = [
        run for run in dict.fromkeys(r for each in comparisons for r in (each.a, each.b)) if len(run.answers) == 1
    ]
    if not single:
        return []
    if all(each.test == "mcnemar" for each in comparisons):
        return [
            "These are single trainings: this is about these networks, not about their settings. Another seed could turn it; "
            "train several (--repeat 3) and compare the groups."
        ]
    names = ", ".join(run.name for run in single)
    return [f"Of one seed only: {names}. Against groups its spread from seed to seed is taken to be theirs."]


def p_text(p: float) -> str:
    """`p < 0.001`, `p = 0.012`, `p = 0.4`."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}" if p < 0.1 else f"p = {p:.2f}"


def rounded(count: int) -> int:
    """To two digits: it is an estimate."""
    step = 10 ** max(0, len(str(count)) - 2)
    return round(count / step) * step


# ---- what beside the answers differs


def settings(runs: Sequence[Run]) -> dict[str, list[str]]:
    """{key: its value in each run, one for all seeds and folds or all of them}, where the configs of the runs differ."""
    configs = [[flattened(load_config(path)) for path in map(config_of, members(run)) if path] for run in runs]
    keys = dict.fromkeys(key for run in configs for config in run for key in config)
    values = {
        key: [", ".join(dict.fromkeys(config.get(key, "-") for config in run)) if run else "?" for run in configs]
        for key in sorted(keys)
        if key not in UNSAID
    }
    return {key: each for key, each in values.items() if len({value for value in each if value != "?"}) > 1}


def members(run: Run) -> list[Path]:
    return [folder for folders in run.folders for folder in folders]


def config_of(folder: Path) -> Path | None:
    """The config of a training, else that of a test."""
    return next((path for name in ("config.yaml", "config_test.yaml") if (path := folder / name).is_file()), None)


def flattened(value: Any, key: str = "") -> dict[str, str]:
    """{"model_args.dropout": "0.1"}; a list is one value."""
    if isinstance(value, dict) and value:
        inner = (flattened(each, f"{key}.{name}" if key else str(name)) for name, each in value.items())
        return {name: text for each in inner for name, text in each.items()}
    return {key: str(value)}


def curves(run: Run) -> dict[str, tuple[list[int], list[float]]]:
    """{column of metrics.csv: (epochs, its mean over the seeds and folds that have the epoch)}."""
    found: dict[str, dict[int, list[float]]] = {}
    for folder in members(run):
        for row in read_metrics(folder / "metrics.csv"):
            for column, value in row.items():
                found.setdefault(column, {}).setdefault(int(row["epoch"]), []).append(value)
    return {
        column: (sorted(by_epoch), [float(np.mean(by_epoch[epoch])) for epoch in sorted(by_epoch)])
        for column, by_epoch in found.items()
        if column != "epoch"
    }


def read_metrics(path: Path) -> list[dict[str, float]]:
    """The rows of a metrics.csv, what is empty left out; [] where there is no such file."""
    if not path.is_file():
        return []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = [{key: float(value) for key, value in row.items() if value} for row in csv.DictReader(file)]
        if any(not 0 <= row["epoch"] < 2**31 for row in rows):
            raise ValueError
    except (KeyError, TypeError, ValueError, csv.Error):
        raise DataError(f"{path} is not the metrics of a training; move it away") from None
    return rows
