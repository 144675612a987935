"""Processes ended at random moments: what was begun goes on, and ends with the same files as if nothing had happened.

    python -m tests.kills 100           # so many kills, of all kinds in turn; --seed 3 repeats one

SIGKILL, or SIGTERM or SIGINT to the whole group; the last two must leave one line and nobody running.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import torch

from feeder.packed_writer import write_label_names, write_packed
from feeder.synthetic.clips import LABEL_NAMES, clips
from feeder.video.encode import VideoWriter
from torchlight.checkpoint import load_checkpoint, previous_of, save_checkpoint

ROOT = Path(__file__).resolve().parent.parent
SIGNALS = [signal.SIGKILL] * 4 + [signal.SIGTERM, signal.SIGINT]
TIMED = "seconds", "samples_per_second"  # columns of metrics.csv that no two runs share

OPENPOSE = f"""#!{sys.executable}
import json, pathlib, sys, time
option = dict(zip(sys.argv[1::2], sys.argv[2::2]))
out, name = pathlib.Path(option["--write_json"]), pathlib.Path(option["--video"]).stem
time.sleep(0.2)
for i in range(12):
    points = [20.0 + len(name) + i, 30.0, 0.5] * 18
    (out / f"{{name}}_{{i:012}}_keypoints.json").write_text(json.dumps({{"people": [{{"pose_keypoints_2d": points}}]}}))
"""
OVERWRITE = """
import sys, torch
from torchlight.checkpoint import save_checkpoint
for epoch in range(10**6):
    save_checkpoint(sys.argv[1] + "/checkpoint.pt", epoch=epoch, weight=torch.full((300_000,), epoch))
"""


class Kind(NamedTuple):
    """What is killed.

    Attributes:
        prepare: makes in a folder what the command reads.
        command: of (that folder, the folder to write to, whether this is the first start).
        content: of a finished folder: what must not depend on kills.
    """

    prepare: Callable[[Path], None]
    command: Callable[[Path, Path, bool], list[str]]
    content: Callable[[Path], dict]


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


# ---- training


def prepare_training(folder: Path) -> None:
    for part, number in (("train", 40), ("val", 10)):
        write_packed(folder, part, clips(part, number), number, 32, 1)
    write_label_names(folder, list(LABEL_NAMES))


def train(folder: Path, out: Path, first: bool) -> list[str]:
    paths = {
        part: f"data_path='{folder}/{part}_data.npy',label_path='{folder}/{part}_label.pkl'"
        for part in ("train", "val")
    }
    options = ["-c", "config/quickstart/train.yaml", "-w", str(out), "--device", "-1", "--batch_size", "8"]
    options += [
        "--num_worker",
        "2",
        "--num_epoch",
        "12",
        "--save_interval",
        "6",
        "--model_args",
        "blocks=[[8,1],[16,2]]",
    ]
    options += ["--train_feeder_args", paths["train"], "--test_feeder_args", paths["val"]]
    return ["main.py", "recognition", *options, *["--resume"] * (not first)]


def trained(out: Path) -> dict:
    content = {path.name: None for path in out.iterdir()}
    for path in out.glob("*_model.pt"):
        weights = torch.load(path, weights_only=True)
        content[path.name] = {key: value.tolist() for key, value in weights.items()}
    with (out / "metrics.csv").open(newline="") as file:
        content["metrics.csv"] = [{k: v for k, v in row.items() if k not in TIMED} for row in csv.DictReader(file)]
    return content


# ---- packing


def prepare_packing(folder: Path) -> None:
    rng = np.random.default_rng(0)
    for i in range(600):  # so many that several processes read them
        person = {"pose": rng.random(36).round(3).tolist(), "score": rng.random(18).round(3).tolist()}
        path = folder / "clips" / "abc"[i % 3] / f"{i:03}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"data": [{"frame_index": k, "skeleton": [person]} for k in range(1, 40)]}))


def pack(folder: Path, out: Path, first: bool) -> list[str]:
    given = ["--data_path", str(folder / "clips"), "--out_folder", str(out), "--num_worker", "2"]
    return ["tools/gendata.py", "--format", "openpose", *given]


def pack_h5(folder: Path, out: Path, first: bool) -> list[str]:
    return [*pack(folder, out, first), "--out_format", "h5"]


# ---- videos


def prepare_videos(folder: Path) -> None:
    for label in ("jump", "sit"):
        for i in range(3):
            path = folder / "videos" / label / f"{label}{i}.mp4"
            with VideoWriter(path, 64, 48, 30) as out:
                for k in range(12):
                    out.write(np.full((48, 64, 3), 10 * k, np.uint8), k / 30)
    program = folder / "openpose" / "examples" / "openpose" / "openpose.bin"
    program.parent.mkdir(parents=True)
    program.write_text(OPENPOSE)
    program.chmod(0o755)
    (folder / "openpose" / "models").mkdir()


def pack_videos(folder: Path, out: Path, first: bool) -> list[str]:
    given = ["--data_path", str(folder / "videos"), "--out_folder", str(out), "--num_worker", "2"]
    return ["tools/video_gendata.py", *given, "--openpose", str(folder / "openpose")]


KINDS = {
    "training": Kind(prepare_training, train, trained),
    "packing": Kind(prepare_packing, pack, files),
    "packing to h5": Kind(prepare_packing, pack_h5, files),
    "video_gendata": Kind(prepare_videos, pack_videos, files),
}


# ---- killing


class Killed(NamedTuple):
    status: int
    lines: list[str]
    survivors: list[int]


def start(command: list[str], stderr) -> subprocess.Popen:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, *command],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=stderr,
        start_new_session=True,
    )


def kill(command: list[str], number: int, moment: float) -> Killed:
    """Start a command, and send its group a signal after so many seconds (SIGKILL: to its main process alone)."""
    with tempfile.TemporaryFile() as stderr:
        process = start(command, stderr)
        time.sleep(moment)
        if process.poll() is None:
            (os.kill if number == signal.SIGKILL else os.killpg)(process.pid, number)
        status = process.wait(60)
        until = time.monotonic() + 10
        while (left := group(process.pid)) and time.monotonic() < until:
            time.sleep(0.05)
        stderr.seek(0)
        lines = [line for line in stderr.read().decode().splitlines() if line.strip() and "%|" not in line]
    return Killed(status, lines, left)


def group(leader: int) -> list[int]:
    """The processes of a group that are still there."""
    found = subprocess.run(["ps", "-eo", "pid=,pgid=,stat="], capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in found.splitlines()]
    return [int(pid) for pid, pgid, state in rows if int(pgid) == leader and not state.startswith("Z")]


def check_end(killed: Killed, number: int) -> str | None:
    """What is wrong with how a process ended."""
    if killed.survivors:
        return f"processes {killed.survivors} are still there"
    if number == signal.SIGKILL or killed.status in (0, -number):
        return None
    if killed.status != 128 + number or len(killed.lines) != 1:
        return f"status {killed.status}, {len(killed.lines)} lines: {killed.lines[-3:]}"
    return None


class Tries:
    """Kills of one kind against the files of a run that nothing has disturbed."""

    def __init__(self, kind: Kind, folder: Path) -> None:
        self.kind, self.folder = kind, folder
        folder.mkdir()
        kind.prepare(folder)
        began = time.monotonic()
        self.finish(folder / "whole", first=True)
        self.seconds = time.monotonic() - began
        self.expected = kind.content(folder / "whole")

    def finish(self, out: Path, first: bool) -> None:
        process = start(self.kind.command(self.folder, out, first), subprocess.PIPE)
        error = process.communicate()[1].decode()
        if process.returncode:
            raise RuntimeError(f"status {process.returncode}: {error[-1000:]}")

    def once(self, rng: random.Random) -> str | None:
        """Kill one run, let it go on to its end, and compare; what is wrong, if anything is."""
        out, number, moment = self.folder / "killed", rng.choice(SIGNALS), rng.uniform(0, self.seconds)
        shutil.rmtree(out, ignore_errors=True)
        problem = check_end(kill(self.kind.command(self.folder, out, True), number, moment), number)
        try:
            self.finish(out, first=False)
        except RuntimeError as error:
            problem = problem or f"does not go on, {error}"
        if problem is None and self.kind.content(out) != self.expected:
            problem = "the files differ from those of an undisturbed run"
        return problem and f"{signal.Signals(number).name} after {moment:.2f} s: {problem}"


class Overwriting:
    """Kills of a process that does nothing but write checkpoint.pt again and again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()

    def once(self, rng: random.Random) -> str | None:
        """After a kill the last two checkpoints are whole; the next one removes what was left half-written."""
        path, moment = self.folder / "checkpoint.pt", rng.uniform(0, 0.3)
        before = load_checkpoint(path)["epoch"] if path.exists() else -1
        process = start(["-c", OVERWRITE, str(self.folder)], subprocess.DEVNULL)
        while not path.exists() or load_checkpoint(path)["epoch"] == before:
            time.sleep(0.01)
        time.sleep(moment)
        process.kill()
        process.wait()
        for file in filter(Path.exists, (path, previous_of(path))):
            state = load_checkpoint(file)
            if not (state["weight"] == state["epoch"]).all():
                return f"{file.name} is mixed"
        save_checkpoint(path, epoch=-2, weight=torch.tensor(-2))
        left = {file.name for file in self.folder.iterdir()} - {path.name, previous_of(path).name}
        return f"{left} were left" if left else None


def run(count: int, seed: int) -> list[str]:
    """So many kills; a line for each that did not end as it should."""
    rng, problems = random.Random(seed), []
    with tempfile.TemporaryDirectory() as folder:
        kinds = {name: Tries(kind, Path(folder, name)) for name, kind in list(KINDS.items())[:count]}
        kinds["checkpoint overwriting"] = Overwriting(Path(folder, "overwriting"))
        for i in range(count):
            name = list(kinds)[i % len(kinds)]
            problem = kinds[name].once(rng)
            print(f"{i + 1} of {count}, {name}: {problem or 'the same end'}", flush=True)
            if problem:
                problems.append(f"{name}, kill {i} of seed {seed}: {problem}")
    return problems


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("count", type=int, nargs="?", default=100, help="kills (default: 100)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="(default: another one each time)")
    arg = parser.parse_args()
    problems = run(arg.count, arg.seed)
    print("\n".join(problems) or f"{arg.count} kills, {arg.count} identical ends (seed {arg.seed})")
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
