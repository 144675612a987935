"""The runs that are compared: what each answered to every clip, out of its work folder, or out of those of its seeds and folds.

work_dir/x                              a run, with clips.csv or test_result.pkl
work_dir/x/seed0, seed1, ...            a group of seeds
work_dir/x/fold1, fold2, ...            one run whose clips are those of all folds
work_dir/x/fold1/seed0, seed1, ...      a group of such
"""

from __future__ import annotations

import csv
import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy.special import softmax

from feeder.dataset import read_info
from processor.ensemble import label_names_beside, labels_beside, listed, read_labels, read_result, same_names
from torchlight import metrics
from torchlight.errors import DataError, UsageError, one_line, short

FILES = ("clips.csv", "test_result.pkl")
COLUMNS = ("name", "label", "class", "predicted", "predicted_class", "score", "rank")
MOST = 2**31  # above all numbers of classes
REMEDY = "make it again with: python main.py recognition -c <config> --phase test"


@dataclass(eq=False)
class Answers:
    """What one network answered to N clips, sorted by name.

    Attributes:
        names: of the clips.
        label, predicted: (N,) classes.
        score: (N,) 0..1, the probability of the prediction.
        rank: (N,) of the true class among the scores, from 1.
        classes: names of classes, those that are known.
        num_class: how many there are, at least.
    """

    names: list[str]
    label: np.ndarray
    predicted: np.ndarray
    score: np.ndarray
    rank: np.ndarray
    classes: dict[int, str]
    num_class: int


@dataclass(eq=False)
class Run:
    """A run, or a group of runs that differ in their seed: `answers` has one of each of S seeds, all to the same N clips.

    Attributes:
        name: how it is called in the report.
        path: as it was given.
        seeds: names of the folders of the seeds, or [""].
        folders: of each seed the work folders of its folds, or its only one.
    """

    path: Path
    seeds: list[str]
    folders: list[list[Path]]
    answers: list[Answers]
    name: str = field(default="")

    @property
    def right(self) -> np.ndarray:
        """(S, N) bool."""
        return self.rank == 1

    @property
    def rank(self) -> np.ndarray:
        """(S, N)."""
        return np.stack([each.rank for each in self.answers])

    @property
    def clips(self) -> list[str]:
        return self.answers[0].names

    @property
    def label(self) -> np.ndarray:
        """(N,)."""
        return self.answers[0].label


def read_runs(paths: Sequence[str], labels: str | None = None, label_names: str | None = None) -> list[Run]:
    """All runs, on the same clips with the same labels, under names that tell them apart.

    Args:
        labels, label_names: for folders without clips.csv; None: as the configs in them say.

    Raises:
        UsageError: a folder is not there or has no results. DataError: damaged files, other clips, other labels.
    """
    runs = [read_run(Path(path), labels, label_names) for path in paths]
    for run, name in zip(runs, short_names([run.path for run in runs])):
        same_clips(run.answers[0], run.path, runs[0].answers[0], runs[0].path)
        run.name = name
    return runs


def read_run(path: Path, labels: str | None, label_names: str | None) -> Run:
    seeds = find(path)
    answers = []
    for folders in seeds.values():
        parts = [read_folder(folder, labels, label_names) for folder in folders]
        for i, part in enumerate(parts):
            for j, other in enumerate(parts[:i]):
                if both := sorted(set(part.names) & set(other.names)):
                    raise DataError(f"{folders[i]} and {folders[j]} share {listed(both)}; folds are of different clips")
        answers.append(pooled(parts))
    folders = list(seeds.values())
    for i, each in enumerate(answers[1:], 1):
        same_clips(each, folders[i][0], answers[0], folders[0][0])
    return Run(path, list(seeds), folders, answers)


def same_clips(here: Answers, path: Path, there: Answers, other: Path) -> None:
    """DataError with the names of clips that one of them lacks or has another label for."""
    same_names(str(path), here.names, str(other), there.names)
    if (differ := np.flatnonzero(here.label != there.label)).size:
        raise DataError(
            f"{path} and {other} have different labels for {listed([here.names[i] for i in differ])}; "
            "test both with the same label file"
        )


def short_names(paths: Sequence[Path]) -> list[str]:
    """The paths without the folders that all of them begin with."""
    parts = [Path(os.path.abspath(path)).parts for path in paths]  # not resolve(), which follows links
    shared = 0
    while all(len(each) > shared + 1 and each[shared] == parts[0][shared] for each in parts):
        shared += 1
    return [str(Path(*each[shared:])) for each in parts]


# ---- folders


def find(path: Path) -> dict[str, list[Path]]:
    """{name of a seed, "" for a single run: the folder of each of its folds, or its only one}."""
    if not path.is_dir():
        raise UsageError(f"{path} {'is not a folder' if path.exists() else 'does not exist'}; give a work folder")
    folds, seeds, own = below(path, "fold"), below(path, "seed"), has_results(path)
    if sum(map(bool, (folds, seeds, own))) > 1:
        inside = [*(["results of its own"] if own else []), *[each[0].name for each in (folds, seeds) if each]]
        raise UsageError(f"{path} has both {' and '.join(inside)}; only one of them is to be compared: move the others")
    if not folds:
        return {folder.name: [folder] for folder in seeds} or {"": [path]}
    by_fold = {fold: [] if has_results(fold) else [each.name for each in below(fold, "seed")] for fold in folds}
    names = dict.fromkeys(name for seeds in by_fold.values() for name in seeds)
    return {name: [fold / name for fold in folds] for name in sorted(names, key=number)} or {"": folds}


def below(path: Path, kind: str) -> list[Path]:
    """The folders seed0, seed1, ... in a folder (or fold...), by number."""
    found = [each for each in path.iterdir() if re.fullmatch(rf"{kind}-?\d+", each.name) and each.is_dir()]
    return sorted(found, key=lambda folder: number(folder.name))


def number(name: str) -> int:
    return int(re.sub(r"^\D*?(?=-?\d)", "", name))


def has_results(folder: Path) -> bool:
    return any((folder / name).is_file() for name in FILES)


# ---- files


def read_folder(folder: Path, labels: str | None, label_names: str | None) -> Answers:
    """Of clips.csv, or else of test_result.pkl."""
    if (folder / FILES[0]).is_file():
        return read_clips(folder / FILES[0])
    if (folder / FILES[1]).is_file():
        return read_scores(str(folder / FILES[1]), labels, label_names)
    remedy = "test it with: python main.py recognition -c <config> --phase test"
    raise UsageError(f"{folder} has neither {FILES[0]} nor {FILES[1]}; {remedy}")


def read_clips(path: Path) -> Answers:
    """A clips.csv, checked."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            missing = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
            if missing:
                raise DataError(f"{path} has no column {missing[0]!r}; {REMEDY}")
            rows = {}
            for row in reader:
                place = f"{path}:{reader.line_num}"
                if None in row or None in row.values():
                    raise DataError(f"{place}: {len(reader.fieldnames)} fields belong in a row; {REMEDY}")
                if row["name"] in rows:
                    raise DataError(f"{place}: {short(row['name'])} is there twice; {REMEDY}")
                label, predicted = (whole(row, key, 0, place) for key in ("label", "predicted"))
                rows[row["name"]] = label, predicted, share(row, place), whole(row, "rank", 1, place), row
    except UnicodeDecodeError:
        raise DataError(f"{path} is not a text file; {REMEDY}") from None
    except csv.Error as error:
        raise DataError(f"{path} is not a CSV file ({one_line(error)}); {REMEDY}") from None
    if not rows:
        raise DataError(f"{path} has no clips; {REMEDY}")
    names = sorted(rows)
    label, predicted, score, rank, _ = (np.array(each) for each in zip(*(rows[name] for name in names)))
    classes = {rows[name][1]: rows[name][4]["predicted_class"] for name in reversed(names)}
    classes |= {rows[name][0]: rows[name][4]["class"] for name in reversed(names)}
    placed = rank[~np.isnan(score)]  # without a score the rank is one more than there are classes
    num_class = max(label.max() + 1, predicted.max() + 1, placed.max(initial=0))
    return Answers(names, label, predicted, score, rank, classes, int(num_class))


def whole(row: dict[str, str], key: str, low: int, place: str) -> int:
    if not re.fullmatch(r"[0-9]{1,10}", row[key]) or not low <= int(row[key]) < MOST:
        raise DataError(f"{place}: {key}: {short(row[key])} where a whole number from {low} on belongs; {REMEDY}")
    return int(row[key])


def share(row: dict[str, str], place: str) -> float:
    try:
        value = float(row["score"])
    except ValueError:
        value = -1.0
    if not (0 <= value <= 1 + 1e-6 or math.isnan(value)):  # NaN: that network went astray, and is wrong there
        raise DataError(f"{place}: score: {short(row['score'])} where a number from 0 to 1 belongs; {REMEDY}")
    return value


def read_scores(path: str, label_path: str | None, label_names: str | None) -> Answers:
    """A test_result.pkl; labels and class names as the config beside it says, as in processor/ensemble.py."""
    content = read_result(path)
    names = sorted(content)
    scores = np.stack([content[name] for name in names]).astype(np.float64)  # (N, num_class)
    label_path = label_path or labels_beside(path, "--labels")
    label = read_labels(label_path, names, path, scores.shape[1])
    label_names, info = label_names or label_names_beside(path), read_info(label_path)
    classes = metrics.read_names(label_names, scores.shape[1])
    if label_names is None and info and len(info.label_names or ()) == scores.shape[1]:
        classes = list(info.label_names)
    rank, answers = 1 + metrics.rank(scores, label), scores.argmax(1)
    return Answers(names, label, answers, softmax(scores, 1).max(1), rank, dict(enumerate(classes)), scores.shape[1])


def pooled(parts: Sequence[Answers]) -> Answers:
    """The clips of several folds as those of one."""
    names = [name for part in parts for name in part.names]
    order = sorted(range(len(names)), key=names.__getitem__)
    arrays = [
        np.concatenate([getattr(part, key) for part in parts])[order] for key in ("label", "predicted", "score", "rank")
    ]
    classes = {c: name for part in reversed(parts) for c, name in part.classes.items()}
    return Answers([names[i] for i in order], *arrays, classes, max(part.num_class for part in parts))
