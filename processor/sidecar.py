"""The side-car: `weights.yaml` beside `weights.pt` says what the weights are. Training and converters write it; demo and
calibrate read it. It travels with weights, so it is data, never code: only networks of net/ are built from it.

    model: net.st_gcn.Model
    model_args: {in_channels: 3, num_class: 16, graph_args: {layout: penn-action, strategy: spatial}}
    feeder_args: {dimension: 2, pipeline: [UniformSample: {window_size: 64}, NormalizeBody]}    # without augmentation
    skeleton: {...}         # the whole layout, so that its file need not be there
    num_person: 1           # M of a sample
    window: 64              # frames of a window, where the training says so
    fps: 30.0               # frames per second of the training data, where known
    label_names: [...]
    temperature: 1.067      # of `main.py calibrate`, as is the score below which the prediction is "unknown"
    threshold: 0.567
    open_set: {centre: 2.5, scale: 0.6}      # of calibrate too; with the tensors in weights.open_set.pt, see open_set.py
    open_set_streaming: {centre: 4, scale: 0.9}  # the same for --streaming, where features are of more than a window
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from feeder.preprocess import Preprocess
from feeder.skeleton import Skeleton
from torchlight.config import dump_yaml, load_yaml
from torchlight.errors import UsageError, did_you_mean, is_plain_name, short
from torchlight.files import atomic_write


def _is_within(value: object, least: float, most: float, kind: type | tuple = (int, float)) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool) and least <= value <= most


def _is_class_name(value: object) -> bool:
    return is_plain_name(value) or _is_within(value, 0, 1e9, int)


def _is_curve(value: object) -> bool:
    numbers = isinstance(value, dict) and set(value) == {"centre", "scale"}
    return numbers and _is_within(value["centre"], -1e9, 1e9) and _is_within(value["scale"], 1e-6, 1e9)


CHECKS = {  # key: (is the value valid?, what belongs there)
    "model": (lambda v: isinstance(v, str), "the dotted name of a network"),
    "model_args": (lambda v: isinstance(v, dict), "a mapping of arguments"),
    "feeder_args": (lambda v: isinstance(v, dict), "a mapping of arguments"),
    "skeleton": (lambda v: isinstance(v, dict | str), "a skeleton layout"),
    "num_person": (lambda v: _is_within(v, 1, 100, int), "a number of persons, 1 to 100"),
    "window": (lambda v: _is_within(v, 1, 10_000, int), "a number of frames, 1 to 10,000"),
    "fps": (lambda v: _is_within(v, 0.01, 10_000), "frames per second"),
    "label_names": (lambda v: isinstance(v, list) and all(map(_is_class_name, v)), "a list of class names"),
    "temperature": (lambda v: _is_within(v, 1e-3, 1e3), "a number from 0.001 to 1,000"),
    "threshold": (lambda v: _is_within(v, 0, 1), "a number from 0 to 1"),
    "open_set": (_is_curve, "centre and scale, two numbers"),
    "open_set_streaming": (_is_curve, "centre and scale, two numbers"),
}
OPTIONAL = (
    "feeder_args",
    "skeleton",
    "num_person",
    "window",
    "fps",
    "temperature",
    "threshold",
    "open_set",
    "open_set_streaming",
)  # may be null
PATHS = (
    "data_path",
    "label_path",
    "debug",
    "mmap",
    "seed",
    "layout",
)  # arguments of a feeder that are not preprocessing


def describe(
    model: str,
    model_args: Mapping[str, Any],
    preprocess: Preprocess | None,
    label_names: Sequence[str],
    num_person: int,
    fps: float | None = None,
    skeleton: Skeleton | None = None,
) -> dict[str, Any]:
    """What the side-car of such a network's weights says.

    Args:
        preprocess: of the feeder; its evaluation form is kept. None: the clips as they are.
        num_person: M of a sample.
        fps: frame rate of the data.
        skeleton: layout of the joints; default: that of preprocess.
    """
    window = preprocess.window if preprocess else None  # of the training: crops of so many frames are augmentation
    preprocess = preprocess.evaluation() if preprocess else None
    skeleton = skeleton or (preprocess.skeleton if preprocess else None)
    facts = {
        "skeleton": skeleton.description if skeleton else None,
        "num_person": num_person,
        "window": window,
        "fps": fps,
        "label_names": list(label_names),
    }
    feeder_args = preprocess.to_config() if preprocess else {}
    description = {"model": model, "model_args": dict(model_args), "feeder_args": feeder_args}
    return description | {key: value for key, value in facts.items() if value is not None}


def preprocess_of(feeder_args: Mapping[str, Any], skeleton: Skeleton) -> Preprocess:
    """The Preprocess of a side-car's feeder_args, or of a config's: the evaluation form, whatever was stored."""
    args = {key: value for key, value in feeder_args.items() if key not in PATHS and key != "dimension"}
    return Preprocess.from_config(args, skeleton, feeder_args.get("dimension"), own=False).evaluation()


def sidecar_path(weights: str | Path) -> Path:
    return Path(weights).with_suffix(".yaml")


def write_sidecar(weights: str | Path, description: Mapping[str, Any]) -> None:
    with atomic_write(sidecar_path(weights), "w") as file:
        dump_yaml(dict(description), file, sort_keys=False, default_flow_style=None, width=120)


def read_sidecar(weights: str | Path) -> dict[str, Any]:
    """The description beside the weights; empty if there is none. Nothing of it is imported or called.

    Raises:
        UsageError: not YAML, an unknown key, a value of the wrong type, or a network that is not one of net/.
    """
    path = sidecar_path(weights)
    if not path.is_file():
        return {}
    description = load_yaml(path)
    if not isinstance(description, dict):
        raise UsageError(f"{path}: {short(description)} where `key: value` lines belong")
    for key, value in description.items():
        if key not in CHECKS:
            raise UsageError(f"{path}: unknown key {short(key)}{did_you_mean(key, CHECKS)}")
        is_valid, expected = CHECKS[key]
        if not is_valid(value) and not (value is None and key in OPTIONAL):
            raise UsageError(f"{path}: {key}: {short(value)} where {expected} belongs")
    model = description.get("model")
    if model is not None and not re.fullmatch(r"net(\.[A-Za-z_]\w*){2}", model):
        raise UsageError(f"{path}: model: {short(model)} is not a network of net/; name one of your own with --model")
    return description
