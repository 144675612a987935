"""The side-car: `weights.yaml` beside `weights.pt` says what the weights are. It is data, never code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from feeder.skeleton import load_skeleton
from torchlight.config import load_config
from torchlight.errors import UsageError, did_you_mean
from torchlight.files import atomic_write

KEYS = ("model", "model_args", "feeder_args", "skeleton", "label_names", "num_person", "temperature", "threshold")
OF_TRAINING = (
    "data_path",
    "label_path",
    "debug",
    "mmap",
    "num_clips",
    "seed",
)  # arguments of a feeder that say nothing here


def describe(
    model: str, model_args: Mapping, feeder_args: Mapping, label_names: Sequence[str], num_person: int
) -> dict:
    """What the side-car of such a network's weights says; num_person: M of its clips."""
    graph_args = model_args.get("graph_args") or {}
    layout = graph_args.get("layout") or feeder_args.get("layout")
    feeder_args = {key: value for key, value in feeder_args.items() if key not in (*OF_TRAINING, "layout")}
    description = {"model": model, "model_args": dict(model_args), "feeder_args": feeder_args}
    if layout:
        description["skeleton"] = load_skeleton(layout).description
    return description | {"num_person": num_person, "label_names": list(label_names)}


def sidecar_path(weights: str | Path) -> Path:
    return Path(weights).with_suffix(".yaml")


def write_sidecar(weights: str | Path, description: Mapping) -> None:
    with atomic_write(sidecar_path(weights), "w") as file:
        yaml.safe_dump(dict(description), file, sort_keys=False, default_flow_style=None, width=120, allow_unicode=True)


def read_sidecar(weights: str | Path) -> dict:
    """The description beside the weights; empty if there is none. Raises UsageError."""
    path = sidecar_path(weights)
    description = load_config(path) if path.is_file() else {}
    for key in description:
        if key not in KEYS:
            raise UsageError(f"{path}: unknown key {key!r}{did_you_mean(key, KEYS)}")
    return description
