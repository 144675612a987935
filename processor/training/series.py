"""Several runs that differ in their fold, their seed or their stream: the arguments and the folder of each, and their mean."""

from __future__ import annotations

import copy
import csv
from argparse import Namespace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from torchlight.errors import UsageError
from torchlight.files import atomic_write


def expand_runs(arg: Namespace) -> list[Namespace]:
    """The arguments of every run: for each of --fold, of --repeat seeds and of --stream, in a work folder of its own.

    `{fold}` and `{seed}` are filled in wherever they stand. Of a series that was cut off and is resumed, the runs that
    had not begun begin now.

    Raises:
        UsageError: several runs would be one and the same, or `{fold}` stands somewhere and no --fold fills it.
    """
    _check(arg)
    streams, runs = streams_of(arg), []
    seeds = range(arg.seed, arg.seed + arg.repeat)
    for fold, seed, stream in product(arg.fold or [""], seeds, streams or [None]):
        each = Namespace(**{key: _filled(value, fold, seed) for key, value in vars(arg).items()})
        each.seed, each.fold, each.repeat = seed, [], 1  # filled in: its config.yaml is that of this run alone
        folders = [f"fold{fold}"] * bool(arg.fold) + [f"seed{seed}"] * (arg.repeat > 1)
        if hasattr(arg, "stream"):
            each.stream = stream
        folders += [stream] * (len(streams) > 1)
        each.work_dir = str(Path(arg.work_dir, *folders))
        runs.append(each)
    if len(runs) > 1 and getattr(arg, "resume", False):
        for each in runs:
            each.resume = Path(each.work_dir, "checkpoint.pt").exists()
    return runs


def first_run(arg: Namespace) -> Namespace:
    """Of the first fold, seed and stream; `auto` is none of these."""
    stream = [name for name in streams_of(arg)[:1] if name != "auto"]
    return expand_runs(Namespace(**{**vars(arg), "fold": arg.fold[:1], "repeat": 1, "stream": stream}))[0]


def streams_of(arg: Namespace) -> list[str]:
    """The names of --stream; empty where a run has none."""
    stream = getattr(arg, "stream", None) or []
    return [stream] if isinstance(stream, str) else stream


def _check(arg: Namespace) -> None:
    streams = streams_of(arg)
    if twice := [stream for stream in streams if streams.count(stream) > 1]:
        raise UsageError(f"--stream: {twice[0]} is given twice")
    by_fold, by_seed = (any(mark in repr(value) for value in vars(arg).values()) for mark in ("{fold}", "{seed}"))
    if arg.fold and not by_fold:
        raise UsageError("--fold: {fold} stands in no path, so all runs would be the same; write it where they differ")
    if by_fold and not arg.fold:
        raise UsageError("a path has {fold} in it, and nothing to fill it with; give --fold, e.g. --fold 1 2 3 4 5")
    training = getattr(arg, "phase", "test") == "train"  # from a seed of its own; a test draws nothing
    if arg.repeat > 1 and not training and not by_seed:
        raise UsageError(
            "--repeat: {seed} stands in no path, so all tests would be the same; write it where they differ"
        )


def _filled(value: Any, fold: object, seed: int) -> Any:
    if isinstance(value, str):
        return value.replace("{fold}", str(fold)).replace("{seed}", str(seed))
    if isinstance(value, dict):
        return {key: _filled(each, fold, seed) for key, each in value.items()}
    if isinstance(value, list):
        return [_filled(each, fold, seed) for each in value]
    return copy.deepcopy(value)


def summarise(arg: Namespace, runs: list[Namespace], results: list[dict[str, float]]) -> None:
    """Print the mean over folds, and its mean and standard deviation (n - 1) over seeds; of several runs summary.csv, too."""
    for key, title in [("top1", "Top1"), ("mean_class_accuracy", "Mean class accuracy")]:
        by_seed: dict[int, list[float]] = {}
        for each, result in zip(runs, results):
            by_seed.setdefault(each.seed, []).append(result.get(key, np.nan))
        means = [np.mean(values) for values in by_seed.values()]
        spread = f" ± {np.std(means, ddof=1):.2f} over {len(means)} seeds" if len(means) > 1 else ""
        folds = f", mean of {len(arg.fold)} folds" if len(arg.fold) > 1 else ""
        print(f"{title}: {np.mean(means):.2f}%{spread}{folds}")
    if len(runs) == 1:  # the streams of one network
        return
    path = Path(arg.work_dir, "summary.csv")
    with atomic_write(path, "w") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["work_dir", "seed", "top1", "mean_class_accuracy"])
        for each, result in zip(runs, results):
            writer.writerow([each.work_dir, each.seed, result.get("top1"), result.get("mean_class_accuracy")])
    print(f"Every run is in {path}")
