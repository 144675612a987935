"""A trained network as one file that runs without this project: ONNX, or a program of torch.export.

    python main.py export --weights resource/models/starter.pt                  # work_dir/export/starter.onnx
    python main.py export --weights W --dtype int8 --data_path train_data.npy   # calibrated on clips of the training
    python main.py export --weights W --test_path val_data.npy                  # and measure the file, beside our network

It is the network that the demo runs, folded (net/fused.py), for any number of clips, frames and persons. What its
side-car says is in the file: labels, skeleton, preparation, temperature, threshold. The file is written only when its
outputs are those of our network, on recorded clips where some are given, else on synthetic ones. docs/deploy.md shows
how to use it.
"""

from __future__ import annotations

import re
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch

from feeder.dataset import is_h5, read_info
from feeder.feeder import Feeder, spread_over_classes
from feeder.rng import ClipRNG
from processor.deployment.int8 import quantise
from processor.deployment.program import (
    Program,
    Run,
    load_onnx,
    load_torch_export,
    takes_any_number_of_persons,
    to_onnx,
    to_torch_export,
)
from processor.recognizer import Recognizer, load_network
from processor.sidecar import read_sidecar, sidecar_path
from processor.timing import alternate
from torchlight.errors import UsageError, short
from torchlight.files import write_bytes
from torchlight.manifest import git_state, versions
from torchlight.project import located

FORMATS = {"onnx": (".onnx", to_onnx, load_onnx), "torch_export": (".pt2", to_torch_export, load_torch_export)}
TOLERANCE = {"float32": 1e-4, "float16": 1e-2, "bfloat16": 1e-1}  # of the largest output, or of 1 if that is smaller
AGREEMENT = 0.99  # share of the calibration clips whose best label int8 must leave as it was
REFUSED = {
    ("onnx", "bfloat16"): "onnxruntime has no convolution in bfloat16; take float16, or --format torch_export",
    ("torch_export", "int8"): "int8 is made by onnxruntime; take --format onnx",
}
CALIBRATION, BATCH = 256, 16  # clips; clips at once
FRAMES = 5  # the fewest that a program of torch.export may take


def run(arg: Namespace, argv: list[str]) -> None:
    """The processor `export`: see options.export for arg."""
    if (reason := REFUSED.get((arg.format, arg.dtype))) is not None:
        raise UsageError(f"--format {arg.format} --dtype {arg.dtype}: {reason}")
    if arg.dtype == "int8" and not arg.data_path:
        raise UsageError("--dtype int8 needs --data_path, clips of the training: their activations give the ranges")
    weights = located(arg.weights)
    if not weights.is_file():
        raise UsageError(f"{weights} does not exist")
    if not sidecar_path(weights).is_file():
        raise UsageError(f"{weights}: {sidecar_path(weights)}, which says what network it is, is not there")
    recognizer = Recognizer.from_checkpoint(weights, use_gpu=False)
    data, test = (packed_clips(path, recognizer) if path else None for path in (arg.data_path, arg.test_path))
    if data is not None:
        data.keep(spread_over_classes(data.label, CALIBRATION))

    suffix, write, load = FORMATS[arg.format]
    description = describe(recognizer)
    program = program_of(recognizer, torch.float32 if arg.dtype == "int8" else getattr(torch, arg.dtype))
    content = write(program, example(recognizer), description)
    if arg.dtype == "int8":
        content = quantise(content, (clips for clips, _ in batches(data)), description)
        told = check_labels(load(content), recognizer, data)
    else:
        told = check_outputs(load(content), recognizer, test if data is None else data, TOLERANCE[arg.dtype])

    dtype = "" if arg.dtype == "float32" else f".{arg.dtype}"
    output = Path(arg.output or Path("work_dir", "export", f"{weights.stem}{dtype}{suffix}"))
    output.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(output, content)
    print(f"{output}: {len(content) / 2**20:.2f} MiB; {told}")
    if test is not None:
        print(measure(recognizer, load, output, test))


def describe(recognizer: Recognizer) -> dict[str, Any]:
    """What goes into the file: the side-car, with what it leaves out, and what made the file."""
    said = {key: value for key, value in read_sidecar(recognizer.weights).items() if value is not None}
    try:
        version = metadata.version("stgcn")
    except metadata.PackageNotFoundError:  # a checkout
        version = None
    return said | {
        "feeder_args": recognizer.preprocess.to_config(),
        "skeleton": recognizer.skeleton.description,
        "num_person": recognizer.num_person,
        "fps": recognizer.fps,
        "label_names": recognizer.label_names,
        "temperature": recognizer.temperature,
        "threshold": recognizer.threshold,
        "toolkit": {"stgcn": version, "git": git_state(), "versions": versions()},
    }


def program_of(recognizer: Recognizer, dtype: torch.dtype = torch.float32) -> Program:
    """What is exported, with the open-set statistics if the recognizer uses them."""
    network, _ = load_network(recognizer.weights, read_sidecar(recognizer.weights))
    return Program(network.eval().fuse(dtype), recognizer.open_set if recognizer.curve else None).eval()


def example(recognizer: Recognizer) -> torch.Tensor:
    """A clip (1, C, T, V, M) of zeros."""
    return torch.zeros(1, 3, 32, recognizer.skeleton.num_joint, recognizer.num_person)


# ---- the clips: packed ones, or synthetic ones where there are none


def packed_clips(data_path: str, recognizer: Recognizer) -> Feeder:
    """Packed clips, prepared as the side-car says."""
    layout, info = recognizer.skeleton, read_info(data_path)
    if info and info.skeleton and info.skeleton.joints != layout.joints:
        names = short(info.skeleton.name), short(layout.name)
        raise UsageError(f"{data_path}: joints of layout {names[0]}, the network has those of {names[1]}")
    label_path = None if is_h5(data_path) else re.sub(r"(_data)?\.npy$", "_label.pkl", data_path)
    return Feeder(data_path, label_path, layout=layout.description, **recognizer.preprocess.to_config())


def batches(feeder: Feeder) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """All clips (N, C, T, V, M) and labels (N,), a few at a time."""
    for begin in range(0, len(feeder), BATCH):
        yield feeder.get_batch(range(begin, min(begin + BATCH, len(feeder))))


def synthetic_clips(recognizer: Recognizer) -> np.ndarray:
    """Clips (4, C, T, V, M) of joints anywhere, prepared as the side-car says."""
    rng = np.random.default_rng(0)
    clips = rng.uniform(-0.5, 0.5, (4, 3, 50, recognizer.skeleton.num_joint, recognizer.num_person))
    if recognizer.dimension == 2:
        clips[:, 2] = rng.uniform(0.3, 1, clips[:, 2].shape)  # scores
    return recognizer.preprocess(list(clips.astype(np.float32)), np.ones(4), ClipRNG(0, np.zeros(4), np.zeros(4)))


# ---- is the file right, and how fast is it?


@torch.no_grad()
def check_outputs(run: Run, recognizer: Recognizer, feeder: Feeder | None, tolerance: float) -> str:
    """How near the outputs of the file are to those of our network in float32, as a line.

    Several shapes are tried: one clip and more, numbers of frames that the strides do not divide, one more person.

    Raises:
        UsageError: they are too far away.
    """
    ours = program_of(recognizer)
    some = synthetic_clips(recognizer) if feeder is None else feeder.get_batch(range(min(len(feeder), 64)))[0]
    several = [some, some[:1], some[:, :, : max(FRAMES, some.shape[2] // 2 | 1)]]
    if takes_any_number_of_persons(ours.network, torch.from_numpy(some[:1])):
        several.append(np.concatenate([some, some[..., :1]], 4))
    largest = 0.0
    for clips in several:
        clips = np.ascontiguousarray(clips)
        for got, want in zip(run(clips), ours(torch.from_numpy(clips)), strict=True):
            want = want.numpy()
            largest = max(largest, float(np.abs(got - want).max() / max(1.0, np.abs(want).max())))
    kind = "synthetic" if feeder is None else "recorded"
    told = f"largest difference from our network {largest:.1e} (allowed: {tolerance:.0e}), on {len(some)} {kind} clips"
    if not largest <= tolerance:
        raise UsageError(f"{told}: not written")
    return told


@torch.no_grad()
def check_labels(run: Run, recognizer: Recognizer, feeder: Feeder) -> str:
    """How many clips have the same best label as in float32, as a line. Raises UsageError where it is too few."""
    ours = program_of(recognizer)
    same = [
        run(clips)[0].argmax(1) == ours(torch.from_numpy(clips))[0].numpy().argmax(1) for clips, _ in batches(feeder)
    ]
    same = np.concatenate(same)
    told = f"{same.sum()} of {len(same)} calibration clips have the label that they have in float32"
    if (~same).sum() > max(1, (1 - AGREEMENT) * len(same)):
        raise UsageError(f"int8: only {told}: not written; take float16")
    return told


def measure(recognizer: Recognizer, load: Callable[[bytes], Run], path: Path, feeder: Feeder) -> str:
    """Accuracy, size and time of the file and of our network, on one thread, as a table."""
    label = numbered_as(recognizer.label_names, feeder)
    with one_thread(), torch.no_grad():
        run = load(path.read_bytes())
        forms = {
            "our network, float32": lambda clips: recognizer.network(torch.from_numpy(clips)).numpy(),
            path.name: lambda clips: run(clips)[0],
        }
        right = dict.fromkeys(forms, 0)
        for begin, (clips, _) in zip(range(0, len(feeder), BATCH), batches(feeder)):
            for form, logits in forms.items():
                best = np.where(recognizer.is_answer, logits(clips), -np.inf).argmax(1)
                right[form] += (best == label[begin : begin + BATCH]).sum()
        some, _ = feeder.get_batch(range(min(BATCH, len(feeder))))
        contestants = {}
        for clips in (some[:1], some):
            contestants |= {(form, len(clips)): lambda f=logits, x=clips: f(x) for form, logits in forms.items()}
        seconds = alternate(contestants, 20, torch.device("cpu"), "speed")
    lines = [
        f"{'':<24}{'top-1':>9}{'MiB':>8}{'1 clip':>10}{f'{len(some)} clips':>10}  (milliseconds a clip, one thread)"
    ]
    for form, file in zip(forms, (recognizer.weights, path)):
        one, several = (1e3 * seconds[form, n] / n for n in (1, len(some)))
        size = Path(file).stat().st_size / 2**20
        lines.append(f"{form:<24}{100 * right[form] / len(feeder):>7.2f} %{size:>8.2f}{one:>10.2f}{several:>10.2f}")
    return "\n".join(lines)


def numbered_as(names: list[str], feeder: Feeder) -> np.ndarray:
    """The labels of the clips as numbers of the network's classes: by name where dataset.yaml has names."""
    own = feeder.info.label_names if feeder.info else None
    if own and set(own) <= set(names):
        return np.array([names.index(own[k]) for k in feeder.label])
    if max(feeder.label) >= len(names):
        raise UsageError(f"{feeder.data_path}: label {max(feeder.label)}, the network has {len(names)} classes")
    return np.array(feeder.label)


@contextmanager
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
