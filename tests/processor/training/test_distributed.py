"""Two processes on one machine, joined by gloo, against one process: the same losses, weights and scores."""

import csv
import os
import pickle
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

ROOT = Path(__file__).resolve().parents[3]

NETWORK = """
import os
import pathlib

import torch

class Model(torch.nn.Module):
    '''Without batch norm, whose statistics would be those of half a batch.'''
    def __init__(self, num_class):
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Linear(54, 16), torch.nn.Tanh(), torch.nn.Linear(16, num_class))
    def forward(self, x):  # (N, C, T, V, M)
        return self.layers(x[..., 0].permute(0, 2, 1, 3).flatten(2).std(1))

class Mortal(Model):
    '''Its process dies once, in the second epoch of training, and leaves a mark.'''
    def __init__(self, num_class, mark):
        super().__init__(num_class)
        self.mark, self.steps = pathlib.Path(mark), 0
    def forward(self, x):
        self.steps += self.training
        if self.steps == 9 and os.environ["RANK"] == "1" and not self.mark.exists():
            self.mark.touch()
            os._exit(1)
        return super().forward(x)
"""


def launch(folder, work_dir, processes, *argv, restarts=0, launcher="torch.distributed.run"):
    """`main.py recognition` alone or under torchrun; all processes see the network in folder."""
    torchrun = [
        "-m",
        launcher,
        "--standalone",
        f"--nproc_per_node={processes}",
        f"--max_restarts={restarts}",
    ]
    torchrun = torchrun if processes > 1 else []
    command = [sys.executable, *torchrun, str(ROOT / "main.py"), "recognition", "-c", str(folder / "config.yaml")]
    environment = os.environ | {"PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*command, "-w", str(work_dir), *map(str, argv)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture(scope="module")
def folder(small, tmp_path_factory):
    folder = tmp_path_factory.mktemp("distributed")
    (folder / "mine.py").write_text(NETWORK)
    config = yaml.safe_load((small / "config.yaml").read_text())
    config |= {"model": "mine.Model", "model_args": {"num_class": 4}, "num_epoch": 3}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder


@pytest.fixture(scope="module")
def runs(folder, tmp_path_factory):
    """Work folders of one process, of two, and of one that accumulates two half batches."""
    out = tmp_path_factory.mktemp("runs")
    for name, processes, argv in [("one", 1, []), ("two", 2, []), ("half", 1, ["--batch_size", 4, "--accumulate", 2])]:
        done = launch(folder, out / name, processes, *argv)
        assert done.returncode == 0, done.stderr
    return out


def test_two_processes_train_as_one(runs):
    one, two = (list(csv.DictReader((runs / name / "metrics.csv").open())) for name in ("one", "two"))
    for a, b in zip(one, two, strict=True):
        assert float(a["loss"]) == pytest.approx(float(b["loss"]), rel=1e-5)
        assert a["lr"] == b["lr"] and a["top1"] == b["top1"]
    a, b = (torch.load(runs / name / "epoch3_model.pt", weights_only=True) for name in ("one", "two"))
    for key in a:
        torch.testing.assert_close(a[key], b[key], rtol=1e-4, atol=1e-6)


def test_one_process_writes(runs):
    assert {p.name for p in (runs / "two").iterdir()} == {p.name for p in (runs / "one").iterdir()}
    log = (runs / "two" / "log.txt").read_text()
    assert log.count("Training epoch: 0\n") == 1 and "2 processes share each batch" in log


def test_a_test_counts_every_clip_once(folder, runs, tmp_path):
    argv = ["--phase", "test", "--weights", runs / "one/epoch3_model.pt", "--save_result", True]
    scores = []
    for name, processes, size in [("one", 1, 8), ("two", 2, 5)]:  # 21 clips: the last batch of 5 holds one clip
        done = launch(folder, tmp_path / name, processes, *argv, "--test_batch_size", size)
        assert done.returncode == 0, done.stderr
        scores.append(pickle.loads((tmp_path / name / "test_result.pkl").read_bytes()))
    assert list(scores[0]) == list(scores[1]) == [f"val{i}" for i in range(21)]
    np.testing.assert_allclose(list(scores[0].values()), list(scores[1].values()), rtol=1e-5, atol=1e-6)


def test_accumulated_batches_make_the_updates_of_whole_batches(runs):
    a, b = (torch.load(runs / name / "epoch3_model.pt", weights_only=True) for name in ("one", "half"))
    for key in a:
        torch.testing.assert_close(a[key], b[key], rtol=1e-4, atol=1e-6)


def test_a_batch_that_cannot_be_shared_is_refused(folder, tmp_path):
    done = launch(folder, tmp_path, 2, "--batch_size", 7)
    line = "batch_size 7 cannot be shared equally by 2 processes"
    assert done.returncode != 0 and done.stderr.startswith(f"error: {line}")
    done = launch(folder, tmp_path, 2, "--batch_size", 7, launcher="torchlight.launch")
    assert done.returncode == 2 and done.stderr.startswith(f"error: {line}") and done.stderr.count("\n") == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_all_processes_with_one_line(folder, tmp_path, number):
    command = [sys.executable, "-m", "torchlight.launch", "--standalone", "--nproc_per_node=2", "main.py"]
    command += ["recognition", "-c", str(folder / "config.yaml"), "-w", str(tmp_path), "--num_epoch", "100000"]
    environment = os.environ | {"PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    for line in process.stdout:  # until it trains
        if "mean_loss" in line:
            break
    os.killpg(process.pid, number)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert error == {signal.SIGINT: "interrupted\n", signal.SIGTERM: "terminated\n"}[number]
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


def test_what_one_process_alone_ran_into_is_told(folder, tmp_path):
    (tmp_path / "lonely.py").write_text("""
import os
from torchlight.errors import UsageError
from mine import Model as Whole

class Model(Whole):
    def __init__(self, num_class):
        super().__init__(num_class)
        if os.environ["RANK"] == "1":
            raise UsageError("this one alone")
""")
    shutil.copy(folder / "mine.py", tmp_path)
    shutil.copy(folder / "config.yaml", tmp_path)
    done = launch(tmp_path, tmp_path / "out", 2, "--model", "lonely.Model", launcher="torchlight.launch")
    assert done.returncode == 2 and done.stderr == "process 1: error: this one alone\n"


def test_processes_that_torchrun_restarts_go_on_from_the_last_checkpoint(folder, runs, tmp_path):
    mark = ["--model", "mine.Mortal", "--model_args", f"mark='{tmp_path}/mark'"]
    done = launch(folder, tmp_path / "out", 2, *mark, restarts=1)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "mark").exists() and "Resumed from" in (tmp_path / "out/log.txt").read_text()
    a, b = (torch.load(path / "epoch3_model.pt", weights_only=True) for path in (runs / "two", tmp_path / "out"))
    for key in a:
        torch.testing.assert_close(a[key], b[key], rtol=1e-5, atol=1e-7)
