"""`--tune`: mirror, rotation, window and epochs by k folds of the training clips, before the training itself.

    python main.py recognition -c mine.yaml --tune

From the settings of the config on, one thing is changed at a time, and kept where it is better by more than chance. Folds keep
together what the test will not share with the training: persons, or views, where the names of the clips tell them. Each try is
a short training for each fold; work_dir/tune/tune.csv and tune.md have all of them. The test clips are not looked at, only
their names.
"""

from __future__ import annotations

import copy
import csv
import re
from argparse import Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from feeder import automatic
from feeder.inspection.names import WHERE, WHO, groups_of, read_names, shared
from feeder.packed import read_packed
from processor.training.automatic import survey_of
from processor.training.cross_validation import out_of_sample
from torchlight.distributed import World
from torchlight.errors import UsageError
from torchlight.files import atomic_write

FOLDS, UPDATES = 3, 800  # of every try
PERSON = re.compile(r"(?:^|[^a-z])(?:s|p|subject|person)[_-]?(\d+)", re.I)  # in a name of no known data set: a_s03_e01


def tune(arg: Namespace, argv: list[str], world: World) -> list[str]:
    """Try settings and put the best ones into arg; lines for the log.

    Raises:
        UsageError: there are no packed training clips, or too few.
    """
    args, arg.tune = arg.train_feeder_args, False  # what is written down is tuned already
    if world.size > 1:
        raise UsageError("--tune is for one process; its config.yaml then has what was found, for torchrun")
    if args.get("pipeline") is not None:
        raise UsageError("--tune changes flat keys, such as mirror; a config with pipeline: is tuned by hand")
    found, begin = survey_of(arg, "--tune"), perf_counter()
    packed = read_packed(args["data_path"], args.get("label_path"))
    groups = groups_for(packed.sample_name, test_names(arg))
    folds = min(FOLDS, len(set(groups))) if groups else FOLDS
    short = copy.deepcopy(arg)
    updates = max(1, round(len(packed.label) * (folds - 1) / folds) // arg.batch_size)
    short.num_epoch = max(1, round(UPDATES / updates))
    short.warm_up_epoch = min(short.warm_up_epoch, short.num_epoch / 10)
    tries: list[dict[str, Any]] = []

    def judge(arg: Namespace, setting: str) -> np.ndarray:
        arg = copy.deepcopy(arg)
        arg.work_dir = str(Path(arg.work_dir, "tune", f"{len(tries)}_{re.sub('[^a-z0-9.]+', '_', setting.lower())}"))
        probability = out_of_sample(arg, argv, packed.sample_name, packed.label, groups, folds)
        right = probability.argmax(1) == np.asarray(packed.label)
        tries.append({"setting": setting, "top1": 100 * float(right.mean()), "kept": not tries})
        return right

    best = judge(short, "as in the config")
    for setting, change in changes(short, found):
        other = copy.deepcopy(short)
        change(other)
        right = judge(other, setting)
        if is_better(right, best):
            best, short, tries[-1]["kept"] = right, other, True
            change(arg)
        write_table(Path(arg.work_dir, "tune"), tries)
    kept = [row["setting"] for row in tries[1:] if row["kept"]]
    who = "groups by name" if groups else "clips by chance"
    minutes = (perf_counter() - begin) / 60
    return [
        f"tune: {folds} folds of {who}, {short.num_epoch} epochs a try, {minutes:.1f} minutes",
        *(f"tune: {row['top1']:5.1f} % {row['setting']}{' (kept)' * row['kept']}" for row in tries),
        f"tune: {', '.join(kept) if kept else 'nothing is better than what the config says'}",
    ]


def changes(arg: Namespace, found: automatic.Survey) -> Iterator[tuple[str, Any]]:
    """What is tried: its name, and what puts it into a config."""
    args = arg.train_feeder_args
    if len(found.pairs):
        mirror = not args.get("mirror")
        yield f"mirror: {mirror}", lambda arg: arg.train_feeder_args.update(mirror=mirror)
    if args.get("random_rotate") and found.dimension == 3:
        up, angles = automatic.vertical(found), args["random_rotate"]
        angles = list(angles) if isinstance(angles, Sequence) else [angles] * 3
        angles[up] = automatic.TILT if angles[up] > (automatic.TILT + automatic.MOST_TURN) / 2 else automatic.MOST_TURN
        yield f"random_rotate: {angles}", lambda arg: arg.train_feeder_args.update(random_rotate=angles)
    elif args.get("random_rotate"):
        yield "random_rotate: 0.1", lambda arg: arg.train_feeder_args.update(random_rotate=0.1)
    size = (
        automatic.LONG_WINDOW if args.get("window_size", 0) < automatic.LONG_WINDOW else min(automatic.WINDOWS.values())
    )

    def window(arg: Namespace) -> None:
        for part in (arg.train_feeder_args, arg.test_feeder_args):
            part.update(window_size=size)

    yield f"window_size: {size}", window

    def longer(arg: Namespace) -> None:
        arg.num_epoch *= 2

    yield "twice the epochs", longer


def is_better(right: np.ndarray, than: np.ndarray) -> bool:
    """More right answers, by more than one standard deviation of the clips that only one of the two gets right."""
    won, lost = int((right & ~than).sum()), int((~right & than).sum())
    return bool(won - lost > np.sqrt(won + lost))


def test_names(arg: Namespace) -> list[str] | None:
    args = arg.test_feeder_args
    return read_packed(args["data_path"], args.get("label_path")).sample_name if args.get("data_path") else None


def groups_for(names: Sequence[str], test: Sequence[str] | None) -> list[str] | None:
    """For every training clip the person, or the view, that it is of; None where the names do not tell."""
    one, two = read_names(names), read_names(test) if test else None
    if one:
        kinds = [kind for kind in (*WHO, *WHERE) if len(one.counts.get(kind, ())) > 1]
        both = shared(one, two) if two else {}
        kinds = [kind for kind in kinds if kind not in both] or kinds
        return groups_of(names, kinds[0]) if kinds else None
    found = [PERSON.search(name) for name in names]
    people = [match[1].lstrip("0") or "0" for match in found if match]
    return people if len(people) == len(names) and len(set(people)) > 1 else None


def write_table(folder: Path, tries: Sequence[dict[str, Any]]) -> None:
    """tune.csv and tune.md: every try and its top-1 on the clips that were held out."""
    with atomic_write(folder / "tune.csv", "w") as file:
        writer = csv.DictWriter(file, ["setting", "top1", "kept"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(tries)
    lines = [f"| {row['setting']} | {row['top1']:.1f} | {'yes' * row['kept']} |" for row in tries]
    with atomic_write(folder / "tune.md", "w") as file:
        file.write("\n".join(["| setting | held-out top-1 | kept |", "|---|---|---|", *lines]) + "\n")
