"""Mutated files for every reader: each is accepted with finite numbers, or refused in one line.

    python -m tests.fuzz 10000          # so many inputs, another seed each time; --seed 3 repeats one
    make fuzz N=100000

The originals are real recordings where they are at hand ($STGCN_DATA, or ../shared/data), and files of the project.
"""

from __future__ import annotations

import argparse
import os
import pickle
import random
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import torch
import yaml

from feeder import skeleton
from feeder.dataset import read_info
from feeder.packed import read_label, read_packed
from feeder.packed_writer import write_packed
from feeder.readers import kinetics, ntu, nw_ucla, openpose, penn_action, pyskl, sbu, utd_mhad
from feeder.sequence import SkeletonSequence
from processor.ensemble import read_result
from processor.sidecar import read_sidecar
from torchlight.checkpoint import read_weights
from torchlight.config import load_config
from torchlight.errors import DataError, UsageError
from torchlight.machine import peak_memory

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("STGCN_DATA", ROOT.parent / "shared" / "data"))
SECONDS, MEMORY = 5, 2048  # that one input may take: seconds, MiB
TOKENS = [b"[", b"{" * 50, b"[" * 3000, b"nan", b"inf", b"1e999", b"-1", b"9" * 30, b"\0", b"null", b'""', b": ", b"- "]
TOKENS += [
    b"\xff\xfe",
    b"&a [*a]",
    b"!!int x",
    b"!!bool maybe",
    b"!!python/object:os.system ",
    b"2020-13-45",
    b"%",
    b"\t",
]
NUMBERS = [b"nan", b"1e400", b"-9", b"9" * 11, b"0.5", b"null", b'"a"', b"[]", b"9" * 400]


class Case(NamedTuple):
    """A format: one file of it, and its reader."""

    name: str
    path: Path
    read: Callable[[Path], object]


def cases(folder: Path) -> Iterator[Case]:
    """The formats, each with an original; made files go to `folder`."""
    real = [
        ("penn_action/labels/*.mat", penn_action.read),
        ("nw_ucla/all_sqe/*.json", nw_ucla.read),
        ("sbu_interaction/*/*/*/skeleton_pos.txt", sbu.read),
        ("utd_mhad/*.mat", utd_mhad.read),
        ("ntu_rgbd/*.skeleton", ntu.read),
        ("kinetics_skeleton/kinetics_train/*.json", kinetics.read),
    ]
    for pattern, read in real:
        if path := next(iter(sorted(DATA.glob(pattern))), None):
            yield Case(read.__module__, path, read)
    yield Case("layout", ROOT / "resource/skeleton/penn-action.yaml", read_layout)
    yield Case("config", ROOT / "config/quickstart/train.yaml", load_config)
    yield Case("side-car", ROOT / "resource/models/starter.yaml", lambda path: read_sidecar(path.with_suffix(".pt")))

    (folder / "info").mkdir()
    info = folder / "info/dataset.yaml"
    info.write_text(yaml.safe_dump({"layout": "coco", "dimension": 2, "fps": 30.0, "label_names": ["run", "sit"]}))
    yield Case("dataset.yaml", info, read_info)
    poses = folder / "v_000000000000_keypoints.json"
    poses.write_text('{"people": [{"pose_keypoints_2d": [' + ", ".join(["0.5", "0.25", "0.9"] * 18) + "]}]}")
    yield Case("openpose", poses, read_openpose)
    annotations = [
        {"frame_dir": name, "label": i, "img_shape": (10, 20), "keypoint": np.ones((1, 4, 17, 2), np.float32)}
        for i, name in enumerate("ab")
    ]
    yield made(folder / "pyskl.pkl", {"split": {"train": ["a", "b"]}, "annotations": annotations}, read_pyskl)
    np.save(folder / "x_data.npy", np.zeros((2, 3, 4, 18, 1), np.float32))
    label = made(folder / "x_label.pkl", (["a", "b"], [0, 1]), read_label)
    yield label
    yield Case("packed", folder / "x_data.npy", lambda path: read_packed(path, label.path).data.sum())
    few = [SkeletonSequence(name, i, np.ones((1, 5 + i, 18, 2), np.float32)) for i, name in enumerate("ab")]
    write_packed(folder, "x", few, 2, 9, 2, "h5", ["run", "sit"])
    yield Case("h5", folder / "x.h5", read_h5)
    scores = {name: np.array([0.1, 0.9], np.float32) for name in "abc"}
    yield made(folder / "test_result.pkl", scores, lambda path: read_result(str(path)))
    torch.save({"fcn.weight": torch.ones(3, 2), "fcn.bias": torch.zeros(3)}, folder / "weights.pt")
    yield Case("weights", folder / "weights.pt", read_weights)


def made(path: Path, content: object, read: Callable) -> Case:
    path.write_bytes(pickle.dumps(content, protocol=2))
    return Case(path.stem, path, read)


def read_h5(path: Path) -> object:
    return read_info(path), [np.isfinite(clip).all() for clip in read_packed(path).data]


def read_layout(path: Path) -> object:
    skeleton._read.cache_clear()
    return skeleton.load_skeleton(str(path))


def read_openpose(path: Path) -> object:
    return openpose.read(path.parent, frame_size=(640, 480))


def read_pyskl(path: Path) -> object:
    pyskl._content.cache_clear()
    clips = [clip for split in pyskl.splits(path) for clip in pyskl.list_clips(path, split).clips]
    return pyskl.read(clips[0].path) if clips else None


def mutate(content: bytes, rng: random.Random) -> bytes:
    """Flipped bits, cuts, repetitions, strange tokens, other numbers."""
    out = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 4, 16])):
        at = rng.randrange(len(out) + 1)
        match rng.randrange(7):
            case 0 if at < len(out):
                out[at] ^= 1 << rng.randrange(8)
            case 1:
                del out[at : at + rng.choice([1, 8, 200])]
            case 2:
                out[at:at] = rng.choice(TOKENS)
            case 3:
                del out[at:]
            case 4:
                start = rng.randrange(len(out) + 1)
                out[at:at] = out[start : start + rng.choice([10, 300])]
            case 5 if at < len(out):
                out[at] = rng.randrange(256)
            case _:
                digits = [i for i in range(max(0, at - 200), min(len(out), at + 200)) if 48 <= out[i] <= 57]
                if digits:
                    i = rng.choice(digits)
                    out[i : i + 1] = rng.choice(NUMBERS)
    return bytes(out)


def attempt(case: Case, path: Path) -> str | None:
    """Read a file; what is wrong with how that ended, or None."""
    begin, memory = time.process_time(), peak_memory()  # not the time that other processes took
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = case.read(path)
    except (DataError, UsageError, OSError) as error:
        lines = str(error).splitlines()
        if any(not line.startswith("       ") for line in lines[1:]):
            return f"{len(lines)} lines: {lines[0]}"
    except BaseException:
        return traceback.format_exc(limit=-2)
    else:
        if isinstance(found, SkeletonSequence) and not np.isfinite(found.keypoints).all():
            return "accepted, though not finite"
    seconds, memory = time.process_time() - begin, peak_memory() - memory
    if seconds > SECONDS or memory > MEMORY:
        return f"{seconds:.1f} seconds, {memory} MiB"
    return None


def fuzz(count: int, seed: int) -> list[str]:
    """Try `count` inputs; a line or more for each that did not end well. What was read is kept in fuzz_<n> of the folder."""
    rng, problems = random.Random(seed), []
    with tempfile.TemporaryDirectory() as folder:
        every = list(cases(Path(folder)))
        originals = [case.path.read_bytes() for case in every]
        for case in every:
            problem = attempt(case, case.path)
            problems += [f"{case.name}, the original: {problem}"] if problem else []
        for i in range(count):
            case, original = every[i % len(every)], originals[i % len(every)]
            place = Path(folder, "mutated", case.name.replace(".", "_"))
            place.mkdir(parents=True, exist_ok=True)
            path = place / case.path.name
            path.write_bytes(mutate(original, rng))
            if problem := attempt(case, path):
                problems.append(f"{case.name}, input {i} of seed {seed}: {problem}")
    return problems


def main() -> None:
    parser = argparse.ArgumentParser(description="Mutated files for every reader.")
    parser.add_argument("count", type=int, nargs="?", default=10_000, help="inputs (default: 10000)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="(default: another one each time)")
    arg = parser.parse_args()
    problems = fuzz(arg.count, arg.seed)
    print("\n".join(problems[:20]))
    print(f"seed {arg.seed}: {arg.count - len(problems)} of {arg.count} inputs were accepted or refused in one line")
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
