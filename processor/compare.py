"""Compare trainings: is B better than A, or is it the spread?

    python main.py compare work_dir/joint work_dir/bone
    python main.py compare work_dir/joint work_dir/bone work_dir/motion --baseline 2 --html work_dir/streams.html

A run is a work folder with the results of a test, or a folder with seed0, seed1, ... or fold1, fold2, ... in it, as --repeat
and --fold of recognition write them. Every run is held against the first one, clip by clip. docs/compare.md says what the
figures mean. torch is not needed, except to show clips moving in the page.
"""

from __future__ import annotations

import json
import math
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from processor.comparison.findings import (
    Accuracy,
    Comparison,
    accuracies,
    compare,
    curves,
    notes,
    sentence,
    settings,
)
from processor.comparison.runs import Run, read_runs
from torchlight.errors import UsageError, for_terminal
from torchlight.files import atomic_write

HEADS = {"top1": "Top1", "top5": "Top5", "mean_class_accuracy": "Mean class"}
MOST = 5  # classes of each direction on the terminal
MOST_SETTINGS = 20


def run(arg: Namespace, argv: list[str]) -> None:
    """The processor `compare`; see options.compare for arg."""
    check(arg)
    runs = read_runs(arg.runs, arg.labels, arg.label_names)
    num_class = max(each.num_class for run in runs for each in run.answers)
    figures = [accuracies(run, num_class, arg.seed) for run in runs]
    comparisons = compare(runs, arg.baseline - 1, arg.seed)
    differ = settings(runs)
    for line in [*table(runs, figures), "", *answers(comparisons), *setting_lines(runs, differ)]:
        print(for_terminal(line))
    if arg.json:
        write_json(Path(arg.json), report(runs, figures, comparisons, differ))
        print(f"All of it as JSON: {arg.json}")
    if arg.html:
        from processor.comparison.page import make_page

        page = make_page(runs, figures, comparisons, differ)
        Path(arg.html).parent.mkdir(parents=True, exist_ok=True)
        page.write(arg.html)
        print(f"The page: {arg.html}")


def check(arg: Namespace) -> None:
    """The options go together, before anything is read."""
    if len(arg.runs) < 2:
        raise UsageError(f"{len(arg.runs)} run to compare; two at least are needed (is one of them taken by --html?)")
    seen: dict[Path, str] = {}
    for path in arg.runs:
        other = seen.setdefault(Path(path).resolve(), path)
        if other is not path:
            raise UsageError(f"{path} is given twice; a run cannot be compared with itself")
    if arg.baseline > len(arg.runs):
        raise UsageError(f"--baseline {arg.baseline}: there are {len(arg.runs)} runs")
    for option in ("html", "json"):
        path = getattr(arg, option)
        if path and Path(path).is_dir():
            raise UsageError(f"--{option}: {path} is a folder; name a file, or put --{option} after the runs")


# ---- the terminal


def table(runs: Sequence[Run], figures: Sequence[dict[str, Accuracy]]) -> list[str]:
    """A line a run: accuracies, ± standard deviation over seeds, 95 % interval."""
    width = max(len(run.name) for run in runs)
    cells = [[accuracy_text(value) for value in each.values()] for each in figures]
    heads = [HEADS[key] for key in figures[0]]
    widths = [max(len(text) for text in column) for column in zip(heads, *cells)]
    lines = [f"{'run':<{width}}  seeds  " + "  ".join(f"{head:<{w}}" for head, w in zip(heads, widths)).rstrip()]
    for run, row in zip(runs, cells):
        figures_text = "  ".join(f"{cell:<{w}}" for cell, w in zip(row, widths)).rstrip()
        lines.append(f"{run.name:<{width}}  {len(run.answers):>5}  {figures_text}")
    return [*lines, f"In brackets: 95 % intervals. {len(runs[0].clips):,} clips."]


def accuracy_text(value: Accuracy) -> str:
    spread = "" if value.std is None else f" ± {value.std:.2f}"
    return f"{value.value:.2f}%{spread} ({value.low:.2f} to {value.high:.2f})"


def answers(comparisons: Sequence[Comparison]) -> list[str]:
    """Every sentence, and under it the classes and the number of clips that changed."""
    lines = []
    for each in comparisons:
        lines += [sentence(each, len(comparisons)), *class_lines(each), clip_line(each), ""]
    return [*lines, *([*notes(comparisons), ""] if notes(comparisons) else [])]


def class_lines(each: Comparison) -> list[str]:
    """The classes that gain most, then those that lose most."""
    gained = [c for c in each.classes if c.gain > 0][:MOST]
    chosen = [*gained, *[c for c in each.classes if c.gain < 0][:MOST]]
    width = max((len(c.name) for c in chosen), default=0)
    digits = 0 if each.test == "mcnemar" else 1  # means over seeds
    return [
        f"  {c.name:<{width}}  {c.before:.{digits}f} -> {c.after:.{digits}f} of {c.clips} right  ({c.gain:+.1f})"
        for c in chosen
    ]


def clip_line(each: Comparison) -> str:
    up, down = (sum(sign * (c.after - c.before) > 0 for c in each.clips) for sign in (1, -1))
    if each.test == "mcnemar":
        return f"  {up} clips are right only in {each.b.name}, {down} only in {each.a.name}"
    return f"  {up} clips are right in a larger share of the seeds of {each.b.name}, {down} in a smaller one"


def setting_lines(runs: Sequence[Run], differ: dict[str, list[str]]) -> list[str]:
    if not differ:
        return []
    lines = [f"Settings that differ ({', '.join(run.name for run in runs)}):"]
    lines += [f"  {key}: {' | '.join(cut(value) for value in values)}" for key, values in differ.items()]
    more = len(differ) - MOST_SETTINGS
    return [*lines[: MOST_SETTINGS + 1], *([f"  and {more} more, in --json and --html"] if more > 0 else []), ""]


def cut(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:59]}…"


# ---- JSON


def report(
    runs: Sequence[Run],
    figures: Sequence[dict[str, Accuracy]],
    comparisons: Sequence[Comparison],
    differ: dict[str, list[str]],
) -> dict[str, Any]:
    """All that was found, as plain values: accuracies in per cent, differences in points."""
    return {
        "clips": len(runs[0].clips),
        "runs": [
            {
                "name": run.name,
                "path": str(run.path),
                "seeds": run.seeds,
                "accuracy": {key: vars(value) for key, value in each.items()},
                "curves": {key: {"epoch": x, "value": y} for key, (x, y) in curves(run).items()},
            }
            for run, each in zip(runs, figures)
        ],
        "comparisons": [
            {
                **{key: value for key, value in vars(each).items() if key not in ("a", "b", "classes", "clips")},
                **{"a": each.a.name, "b": each.b.name, "verdict": each.verdict},
                "sentence": sentence(each, len(comparisons)),
                "classes": [{**vars(change), "gain": change.gain} for change in each.classes],
                "clips": [vars(change) for change in each.clips],
            }
            for each in comparisons
        ],
        "notes": notes(comparisons),
        "settings": {key: dict(zip([run.name for run in runs], values)) for key, values in differ.items()},
    }


def write_json(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path, "w") as file:
        json.dump(finite(content), file, indent=1, allow_nan=False)
        file.write("\n")


def finite(value: Any) -> Any:
    """JSON has no NaN and no infinity: null."""
    if isinstance(value, dict):
        return {key: finite(each) for key, each in value.items()}
    if isinstance(value, list):
        return [finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
