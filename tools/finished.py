"""Finished runs of recognition, and what they say: the last epoch, the best one, the test clips that are no training clips."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from feeder.inspection.body import cut
from feeder.packed import read_label, read_packed
from feeder.pickles import load_pickle
from torchlight.config import load_config, merge
from torchlight.errors import DataError
from torchlight.project import ROOT

PARTS = ("train_feeder_args", "test_feeder_args")
ELSE = ("work_dir", "fold", "repeat", "feeder_args", "eval_interval", "save_interval", "log_interval", "test_batch_size",
        "save_result", "device", "label_names")  # what the weights do not depend on  # fmt: skip


@dataclass(frozen=True)
class Figures:
    """Of one seed, the mean over its folds, in per cent.

    Attributes:
        top1: of the last epoch.
        fresh: the same on the test clips that are no copies of training clips; None where none is.
        best: the highest top-1 of an evaluation, fold by fold: chosen on the test set; None where there was one alone.
        seconds: of a fold's training; None where there is no metrics.csv.
    """

    top1: float
    fresh: float | None
    best: float | None
    seconds: float | None


def folds(folder: Path, config: Mapping[str, Any]) -> list[tuple[Path, str]]:
    """(folder, fold) of each run of one seed; of a config without folds it is one, whose fold is empty."""
    return [(folder / f"fold{k}", str(k)) for k in config.get("fold") or ()] or [(folder, "")]


def results(folder: Path, config: Mapping[str, Any]) -> list[Path]:
    """The scores of the last epoch of each run of one seed, or of a fusion."""
    return [run / "test_result.pkl" for run, _ in folds(folder, config)]


def is_done(folder: Path, config: Mapping[str, Any]) -> bool:
    """Whether the training of one seed has ended; manifest.json is its last file."""
    return all(path.is_file() and path.with_name("manifest.json").is_file() for path in results(folder, config))


def check(folder: Path, config: Mapping[str, Any], seed: int, stream: str | None = None) -> None:
    """DataError where the runs of a seed are not of this config, or were a --debug."""
    want = {key: value for key, value in config.items() if key not in ELSE} | {"seed": seed, "debug": False}
    for part in PARTS:
        want[part] = merge({"_": config.get("feeder_args", {})}, {"_": config[part]})["_"]
        want[part] |= {"stream": stream} if stream else {}
    for run, _ in folds(folder, config):
        have = load_config(run / "config.yaml")
        if other := [key for key in want if not _agrees(have.get(key), want[key], key)]:
            raise DataError(f"{run} is not a run of this config: it has another {other[0]}; move it away")


def _agrees(have: Any, want: Any, key: str) -> bool:
    """Whether a run has what a config says; it may have more, and its own values for `auto`."""
    if isinstance(want, dict):
        return isinstance(have, dict) and all(_agrees(have.get(k), want[k], k) for k in want)
    return have == want or want is None or want == "auto" or key.endswith("_path")


def figures(folder: Path, config: Mapping[str, Any]) -> Figures:
    """Of the finished runs of one seed."""
    found = [_figures(run, config, fold) for run, fold in folds(folder, config)]
    return Figures(*(_mean([getattr(each, name) for each in found]) for name in ("top1", "fresh", "best", "seconds")))


def _mean(values: list[float | None]) -> float | None:
    return None if None in values else float(np.mean(values))


def _figures(run: Path, config: Mapping[str, Any], fold: str) -> Figures:
    train, test = (data_paths(config, part, fold) for part in PARTS)
    label = dict(zip(*read_label(test[1] or test[0])))
    scores = load_pickle(run / "test_result.pkl", "remove it and run this again")
    if missing := [name for name in scores if name not in label]:
        raise DataError(f"{run / 'test_result.pkl'}: {missing[0]} is not in {test[1] or test[0]}; move the run away")
    right = {name: scores[name].argmax() == label[name] for name in scores}
    known = copies(*train, *test)
    rows = list(csv.DictReader((run / "metrics.csv").open(encoding="utf-8"))) if (run / "metrics.csv").is_file() else []
    top1 = [float(row["top1"]) for row in rows if row.get("top1")]
    return Figures(
        top1=100 * float(np.mean(list(right.values()))),
        fresh=100 * float(np.mean([right[name] for name in right if name not in known])) if known else None,
        best=max(top1) if len(top1) > 1 else None,
        seconds=sum(float(row["seconds"]) for row in rows) if rows else None,
    )


def data_paths(config: Mapping[str, Any], part: str, fold: str) -> tuple[Path, Path | None]:
    """The clips and the labels (None: of an .h5) of one part of a fold."""
    data, label = (config[part].get(key) for key in ("data_path", "label_path"))
    return ROOT / data.replace("{fold}", fold), ROOT / label.replace("{fold}", fold) if label else None


@lru_cache
def copies(train: Path, train_label: Path | None, test: Path, test_label: Path | None) -> frozenset[str]:
    """The names of the test clips that are training clips too, to the last bit of their frames."""
    known = set(map(_digest, read_packed(train, train_label).data)) - {None}
    packed = read_packed(test, test_label)
    return frozenset(name for name, clip in zip(packed.sample_name, packed.data) if _digest(clip) in known)


def _digest(clip: np.ndarray) -> bytes | None:
    """Of the frames from the first to the last that is not empty, however many were appended; None: all are empty."""
    real = np.ascontiguousarray(cut(clip)[0])
    return hashlib.blake2b(real.tobytes(), digest_size=16).digest() if real.shape[1] else None
