"""Whole runs of `main.py recognition` on a small data set: what they write, that they repeat, that they can be resumed."""

import csv
import errno
import io
import json
import os
import pickle
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from scipy.special import softmax

from feeder.dataset import DatasetInfo, write_info
from main import main
from torchlight.lock import exclusive

ROOT = Path(__file__).resolve().parents[2]


def run(small, work_dir, *argv):
    return main(["recognition", "-c", str(small / "config.yaml"), "-w", str(work_dir), *map(str, argv)])


def weights(path):
    return torch.load(path, weights_only=True)


def same(a, b):
    return all(torch.equal(a[key], b[key]) for key in a) and a.keys() == b.keys()


@pytest.fixture(scope="module")
def trained(small, tmp_path_factory):
    work_dir = tmp_path_factory.mktemp("trained")
    assert run(small, work_dir) == 0
    return work_dir


def test_training_writes_the_files_of_the_original_and_learns(trained, small):
    files = {path.name for path in trained.iterdir()}
    assert files == {
        "report.html",
        "manifest.json",
        "clips.csv",
        "per_class.csv",
        "confusion_matrix.csv",
        "confusion_matrix.png",
        "config.yaml",
        "log.txt",
        "metrics.csv",
        "epoch3_model.pt",
        "epoch3_model.yaml",
        "epoch6_model.pt",
        "epoch6_model.yaml",
        "best_model.pt",
        "best_model.yaml",
        "checkpoint.pt",
        "checkpoint_previous.pt",
    }
    first, blank, *rest = (trained / "config.yaml").read_text().splitlines()
    assert first.startswith("# command line: recognition -c ") and blank == ""
    config = yaml.safe_load("\n".join(rest))
    assert config["base_lr"] == 0.1 and config["model_args"]["blocks"] == [[8, 1], [16, 2]] and config["device"] == [0]
    assert all(t.device.type == "cpu" for t in weights(trained / "epoch6_model.pt").values())
    rows = list(csv.DictReader((trained / "metrics.csv").open()))
    assert [row["epoch"] for row in rows] == list("123456")
    assert [bool(row["top1"]) for row in rows] == [False, True, False, True, False, True]
    assert float(rows[-1]["top1"]) > 60 and float(rows[0]["loss"]) > float(rows[-1]["loss"])
    assert [round(float(row["lr"]), 4) for row in rows] == [0.1] * 4 + [0.01] * 2


def test_log_has_the_original_s_lines(trained):
    log = (trained / "log.txt").read_text()
    stamp = r"\[\d\d\.\d\d\.\d\d\|\d\d:\d\d:\d\d\] "
    for line in [
        "Parameters:\n{",
        "Training epoch: 0\n",
        r"\tIter 0 Done\. \| loss: \d\.\d{4} \| lr: 0\.100000\n",
        r"\tIter 34 Done\. \| loss: \d\.\d{4} \| lr: 0\.010000\n",
        r"\tmean_loss: \d\.\d+\n",
        "Time consumption:\n",
        r"Done\.\n",
        "Eval epoch: 1\n",
        r"\tTop1: \d+\.\d\d%\n",
        rf"The model has been saved as {re.escape(str(trained))}/epoch6_model\.pt\.\n",
    ]:
        assert re.search(stamp + line, log), line
    assert "Top5 left out: of 4 classes it is always 100%" in log and "Top5: 100" not in log


def test_equal_seeds_equal_curves(small, trained, tmp_path):
    assert run(small, tmp_path / "again") == 0
    assert run(small, tmp_path / "other", "--seed", 1) == 0
    assert same(weights(trained / "epoch6_model.pt"), weights(tmp_path / "again/epoch6_model.pt"))
    assert not same(weights(trained / "epoch6_model.pt"), weights(tmp_path / "other/epoch6_model.pt"))


def command(small, work_dir, *argv):
    config = str(small / "config.yaml")
    return [sys.executable, str(ROOT / "main.py"), "recognition", "-c", config, "-w", str(work_dir), *argv]


def wait_for(condition, seconds=60):
    for _ in range(int(seconds / 0.02)):
        if condition():
            return
        time.sleep(0.02)
    raise TimeoutError


@pytest.mark.parametrize("sig", [signal.SIGKILL, signal.SIGINT])
def test_a_run_stopped_in_the_middle_and_resumed_ends_with_the_same_weights(small, trained, tmp_path, sig):
    long = ["--num_epoch", "40", "--log_interval", "1"]  # long enough to be caught in the middle
    whole, work_dir = tmp_path / "whole", tmp_path / "stopped"
    assert run(small, whole, *long) == 0
    process = subprocess.Popen(
        command(small, work_dir, *long), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    log = work_dir / "log.txt"
    wait_for(
        lambda: log.exists() and "Training epoch: 3\n" in log.read_text() and (work_dir / "checkpoint.pt").exists()
    )
    process.send_signal(sig)
    stderr = process.communicate(timeout=60)[1]
    assert not (work_dir / "epoch40_model.pt").exists()
    if sig == signal.SIGINT:
        assert process.returncode == 130 and stderr.strip().splitlines()[-1] == "interrupted"
        assert "Stopping after this iteration; go on later with --resume" in log.read_text()
    assert run(small, work_dir, *long, "--resume") == 0
    assert same(weights(whole / "epoch40_model.pt"), weights(work_dir / "epoch40_model.pt"))
    rows = [list(csv.DictReader((folder / "metrics.csv").open())) for folder in (whole, work_dir)]
    for a, b in zip(*rows, strict=True):
        assert [a[k] for k in ("epoch", "loss", "lr", "top1")] == [b[k] for k in ("epoch", "loss", "lr", "top1")]


def damaged(state):
    """A checkpoint made wrong in many ways: {what: state}."""
    wrong = {f"without {key}": {k: v for k, v in state.items() if k != key} for key in state}
    for key, value in [("epoch", -1), ("epoch", "2"), ("epoch", True), ("batch", 999), ("batch", 1.5), ("best", None),
                       ("loss_sum", float("nan")), ("seconds", [1]), ("model", 3), ("optimizer", []), ("scaler", None),
                       ("random", {}), ("model", {}), ("optimizer", {"state": {}}), ("random", {"python": 1})]:  # fmt: skip
        wrong[f"{key} {value}"] = {**state, key: value}
    shape = {key: value[:1] if value.dim() else value for key, value in state["model"].items()}
    return wrong | {"other shapes": {**state, "model": shape}, "a list": [1, 2], "weights": state["model"]}


@pytest.fixture(scope="module")
def begun(small, tmp_path_factory):
    """A run of two epochs, whose checkpoint and the one before it are there."""
    folder = tmp_path_factory.mktemp("begun")
    assert run(small, folder, "--num_epoch", 2) == 0
    assert (folder / "checkpoint.pt").exists() and (folder / "checkpoint_previous.pt").exists()
    return folder


def test_a_damaged_checkpoint_falls_back_to_the_one_before_it_and_says_so(small, begun, tmp_path, capsys):
    whole = weights(begun / "epoch2_model.pt")
    state = torch.load(begun / "checkpoint.pt", weights_only=True)
    for i, (what, wrong) in enumerate(damaged(state).items()):
        folder = tmp_path / str(i)
        folder.mkdir()
        shutil.copy(begun / "checkpoint_previous.pt", folder)
        torch.save(wrong, folder / "checkpoint.pt")
        capsys.readouterr()
        assert run(small, folder, "--num_epoch", 2, "--resume") == 0, what
        assert "checkpoint_previous.pt: epoch 1, batch 0." in capsys.readouterr().out, what
        assert same(whole, weights(folder / "epoch2_model.pt")), what


def test_where_both_checkpoints_are_damaged_it_is_one_line(small, begun, tmp_path, capsys):
    content = (begun / "checkpoint.pt").read_bytes()
    for i, cut in enumerate([b"", content[:1000], content[:-1000], b"no checkpoint"]):
        folder = tmp_path / str(i)
        folder.mkdir()
        for name in ("checkpoint.pt", "checkpoint_previous.pt"):
            (folder / name).write_bytes(cut)
        assert run(small, folder, "--resume") == 2
        error = capsys.readouterr().err
        assert error.startswith(f"error: {folder}/checkpoint.pt: ") and error.count("\n") == 1
        assert (folder / "checkpoint.pt").read_bytes() == cut


def test_a_run_that_has_saved_nothing_yet_is_resumed_from_the_beginning(small, trained, tmp_path, capsys):
    assert run(small, tmp_path, "--resume") == 0
    assert "nothing was saved yet: starting from the beginning" in capsys.readouterr().out
    assert same(weights(trained / "epoch6_model.pt"), weights(tmp_path / "epoch6_model.pt"))


@pytest.mark.parametrize("content", [b"epoch,loss\n1,x\n", b"epoch,loss\n\xff\xfe,1\n", b"loss\n1\n", b"epoch\n1,2\n"])
def test_a_damaged_metrics_csv_is_one_line(small, begun, tmp_path, capsys, content):
    shutil.copy(begun / "checkpoint.pt", tmp_path)
    (tmp_path / "metrics.csv").write_bytes(content)
    assert run(small, tmp_path, "--num_epoch", 2, "--resume") == 2
    error = capsys.readouterr().err
    assert f"{tmp_path}/metrics.csv: " in error and error.count("\n") == 1
    assert (tmp_path / "metrics.csv").read_bytes() == content


def test_the_test_phase_writes_tables_pictures_and_scores(small, trained, tmp_path):
    assert run(small, tmp_path, "--phase", "test", "--weights", trained / "epoch6_model.pt", "--save_result", True) == 0
    assert {path.name for path in tmp_path.iterdir()} == {
        "config_test.yaml",
        "log.txt",
        "report.html",
        "manifest.json",
        "clips.csv",
        "per_class.csv",
        "confusion_matrix.csv",
        "confusion_matrix.png",
        "test_result.pkl",
    }
    result = pickle.loads((tmp_path / "test_result.pkl").read_bytes())
    assert list(result) == [f"val{i}" for i in range(21)]
    assert all(score.shape == (4,) and score.dtype == np.float32 for score in result.values())
    accuracy = np.mean([score.argmax() == i % 4 for i, score in enumerate(result.values())])
    assert f"Top1: {100 * accuracy:.2f}%" in (tmp_path / "log.txt").read_text()
    rows = list(csv.DictReader((tmp_path / "clips.csv").open()))
    for row, (name, score) in zip(rows, result.items(), strict=True):
        label, order = int(name[3:]) % 4, np.argsort(-score)
        assert (row["name"], int(row["label"]), int(row["predicted"])) == (name, label, order[0])
        assert row["class"] == ("up", "down", "left", "right")[label] and order[int(row["rank"]) - 1] == label
        assert float(row["score"]) == pytest.approx(np.exp(score[order[0]]) / np.exp(score).sum(), abs=1e-5)
    rows = list(csv.reader((tmp_path / "confusion_matrix.csv").open()))
    assert rows[0][1:] == ["up", "down", "left", "right"] and sum(int(x) for row in rows[1:] for x in row[1:]) == 21
    assert (tmp_path / "confusion_matrix.png").read_bytes()[:4] == b"\x89PNG"


def test_a_test_without_weights_takes_the_last_epoch_of_the_work_folder(small, trained, tmp_path, capsys):
    assert run(small, tmp_path, "--phase", "test") == 2
    assert "no weights to test" in capsys.readouterr().err
    for name in ("epoch3_model.pt", "epoch6_model.pt"):
        shutil.copy(trained / name, tmp_path / name)
    (tmp_path / "epoch12_model.pt.tmp").write_text("")
    begun = ["--weights", trained / "epoch3_model.pt", "--ignore_weights", "fcn"]  # with which a training would begin
    for options in ([], begun):
        assert run(small, tmp_path, "--phase", "test", *options) == 0
        assert f"Weights: {tmp_path}/epoch6_model.pt." in capsys.readouterr().out


def test_feeder_args_are_those_of_both_parts_and_a_part_s_own_win(small, tmp_path):
    config = yaml.safe_load((small / "config.yaml").read_text())
    config["feeder_args"] = {"window_size": 8, "layout": "openpose", "mirror": True}
    config["test_feeder_args"] |= {"window_size": 12, "mirror": None}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config))
    assert main(["-c", str(tmp_path / "c.yaml"), "-w", str(tmp_path / "out"), "--num_epoch", "1"]) == 0
    saved = yaml.safe_load((tmp_path / "out/config.yaml").read_text())
    assert saved["feeder_args"] == {}
    assert saved["train_feeder_args"]["window_size"] == 8 and saved["train_feeder_args"]["mirror"] is True
    assert saved["test_feeder_args"]["window_size"] == 12 and "mirror" not in saved["test_feeder_args"]
    assert main(["--config", str(tmp_path / "out/config.yaml"), "-w", str(tmp_path / "again")]) == 0
    assert same(*(weights(tmp_path / name / "epoch1_model.pt") for name in ("out", "again")))


@pytest.fixture
def described(small, tmp_path):
    """The small data set with a dataset.yaml, and a config that repeats nothing of it."""
    for file in small.glob("*_*"):
        shutil.copy(file, tmp_path)
    write_info(tmp_path, DatasetInfo("openpose", 2, 30.0, ("up", "down", "left", "right")))
    config = yaml.safe_load((small / "config.yaml").read_text())
    paths = {key: str(tmp_path / Path(path).name) for key, path in config["test_feeder_args"].items()}
    config["test_feeder_args"] = paths
    config["train_feeder_args"] = {key: path.replace("val_", "train_") for key, path in paths.items()}
    config["feeder_args"] = {"normalize_body": True, "stream": "bone"}
    del config["label_names"], config["model_args"]
    config["model_args"] = {"blocks": [[8, 1], [16, 2]]}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config))
    return tmp_path


def test_what_dataset_yaml_says_no_config_repeats(described):
    out = described / "out"
    assert main(["-c", str(described / "c.yaml"), "-w", str(out), "--num_epoch", "1"]) == 0
    assert main(["-c", str(described / "c.yaml"), "-w", str(out), "--phase", "test"]) == 0
    assert (out / "confusion_matrix.csv").read_text().splitlines()[0].endswith("up,down,left,right")
    sidecar = yaml.safe_load((out / "epoch1_model.yaml").read_text())
    assert sidecar["model_args"]["num_class"] == 4 and sidecar["model_args"]["graph_args"]["layout"] == "openpose"
    assert sidecar["fps"] == 30.0 and sidecar["label_names"] == ["up", "down", "left", "right"]
    assert sidecar["feeder_args"]["dimension"] == 2 and sidecar["skeleton"]["name"] == "openpose"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--model_args", "num_class=5"], "num_class: 5 in model_args, but dataset.yaml beside the data has 4"),
        (["--model_args", "graph_args=dict(layout='coco')"], "dataset.yaml beside the data says openpose"),
        (["--feeder_args", "layout='coco'"], "says openpose"),
        (["--feeder_args", "dimension=3"], "says 2"),
        (["--label_names", "{}/other.txt"], "has 'south' as class 1, dataset.yaml beside the data has 'down'"),
    ],
)
def test_a_config_that_contradicts_dataset_yaml_is_one_line(described, capsys, options, words):
    (described / "other.txt").write_text("up\nsouth\nleft\nright\n")
    options = [option.format(described) for option in options]
    assert main(["-c", str(described / "c.yaml"), "-w", str(described / "out"), *options]) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1 and not (described / "out").exists()


OWN = """
import sys, torch
class NotANetwork:
    def __init__(self, **args): open({touched!r}, "w")
class NotAFeeder:
    def __init__(self, **args): open({touched!r}, "w")
class Raises(torch.nn.Module):
    def __init__(self): raise KeyError("mine")
class Exits(torch.nn.Module):
    def __init__(self): sys.exit("bye")
"""


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--model", "own.NotANetwork"], "own.NotANetwork is not a network"),
        (["--feeder", "own.NotAFeeder"], "own.NotAFeeder has no __len__"),
        (["--model", "subprocess.Popen", "--model_args", "args='touch x',shell=True"], "is not a network"),
        (["--model", "own.Raises"], "KeyError: 'mine'"),
        (["--model", "own.Exits"], "SystemExit: bye"),
        (["--model", "broken.Model"], "broken cannot be imported: ZeroDivisionError"),
    ],
)
def test_classes_of_one_s_own_are_checked_before_they_are_called(small, tmp_path, monkeypatch, capsys, options, words):
    (tmp_path / "own.py").write_text(OWN.format(touched=str(tmp_path / "touched")))
    (tmp_path / "broken.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(tmp_path)
    config = yaml.safe_load((small / "config.yaml").read_text())
    config["model_args"] = {}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config))
    assert main(["-c", str(tmp_path / "c.yaml"), "-w", str(tmp_path / "out"), *options]) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1 and not (tmp_path / "touched").exists()
    assert main(["-c", str(tmp_path / "c.yaml"), "-w", str(tmp_path / "out"), *options, "--traceback"]) == 2
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_random_numbers_of_python_and_numpy_are_seeded_too(small, tmp_path):
    for name in "ab":
        assert run(small, tmp_path / name, "--num_epoch", 1, "--seed", 5) == 0
        drawn = random.random(), np.random.random()  # noqa: NPY002
        if name == "a":
            first = drawn
    assert first == drawn


def test_several_clips_of_a_sample_are_averaged_after_softmax(small, trained, tmp_path):
    base = ["--phase", "test", "--weights", trained / "epoch6_model.pt", "--save_result", True]
    scores = {}
    uniform = "window_size=5,uniform_sample=True"
    for name, args in {"two": f"{uniform},num_clips=2", "one": uniform}.items():
        assert run(small, tmp_path / name, *base, "--test_feeder_args", args) == 0
        scores[name] = pickle.loads((tmp_path / name / "test_result.pkl").read_bytes())["val3"]
    assert np.exp(scores["two"]).sum() == pytest.approx(1, abs=1e-5)
    assert (scores["two"] != scores["one"]).any()

    from feeder.feeder import Feeder
    from net.st_gcn import Model

    args = yaml.safe_load((small / "config.yaml").read_text())
    network = Model(**args["model_args"]).eval()
    network.load_state_dict(weights(trained / "epoch6_model.pt"))
    clips = Feeder(**args["test_feeder_args"], window_size=5, uniform_sample=True, num_clips=2)[3][0]
    with torch.no_grad():
        plain = torch.stack([network(torch.from_numpy(clip)[None])[0].softmax(0) for clip in clips]).mean(0)
    np.testing.assert_allclose(np.exp(scores["two"]), plain, rtol=1e-3, atol=1e-5)


def test_fine_tuning_with_other_classes(small, trained, tmp_path, capsys):
    other = ["--weights", trained / "epoch6_model.pt", "--model_args", "num_class=7", "--num_epoch", 1]
    names = tmp_path / "seven.txt"
    names.write_text("\n".join("abcdefg"))
    assert run(small, tmp_path / "a", *other, "--label_names", names) == 2
    error = capsys.readouterr().err
    assert "fcn.weight" in error and "--ignore_weights fcn" in error
    assert run(small, tmp_path / "b", *other, "--label_names", names, "--ignore_weights", "fcn") == 0


def test_a_feeder_and_a_network_of_one_s_own_just_work(small, tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text("""
import numpy as np, torch

class Feeder:  # written for the original: no seed, no debug, one sample at a time
    def __init__(self, data_path, label_path):
        self.data = np.load(data_path)
        self.sample_name, self.label = np.load(label_path, allow_pickle=True)
    def __len__(self):
        return len(self.label)
    def __getitem__(self, index):
        return self.data[index], self.label[index]

class Model(torch.nn.Module):
    def __init__(self, num_class, **kwargs):
        super().__init__()
        self.fcn = torch.nn.Linear(3, num_class)
    def forward(self, x):
        return self.fcn(x.mean((2, 3, 4)))
""")
    monkeypatch.syspath_prepend(tmp_path)
    config = yaml.safe_load((small / "config.yaml").read_text())
    config |= {"feeder": "mine.Feeder", "model": "mine.Model", "debug": True, "num_epoch": 1}
    del config["train_feeder_args"]["random_move"]
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(config))
    assert main(["recognition", "-c", str(tmp_path / "own.yaml"), "-w", str(tmp_path / "out")]) == 0


def test_a_loss_that_is_not_finite_stops_with_the_names_of_the_clips(small, tmp_path, capsys):
    assert run(small, tmp_path, "--base_lr", "1e30") == 2
    error = capsys.readouterr().err
    assert "the loss is nan" in error and len(set(re.findall(r"\btrain\d+\b", error))) == 8
    assert not list(tmp_path.glob("*_model.pt"))


def test_every_optimizer_schedule_and_switch_trains(small, tmp_path):
    for i, argv in enumerate(
        [
            ["--optimizer", "Adam", "--base_lr", "0.001", "--lr_schedule", "cosine", "--warm_up_epoch", "1"],
            ["--optimizer", "AdamW", "--base_lr", "0.001", "--label_smoothing", "0.1", "--grad_clip", "1"],
            ["--precision", "bf16", "--tensorboard", "--show_topk", "2"],
            ["--precision", "auto", "--num_worker", "1", "--debug"],
        ]
    ):
        assert run(small, tmp_path / str(i), "--num_epoch", 2, *argv) == 0
        assert (tmp_path / str(i) / "epoch2_model.pt").exists()
    assert list((tmp_path / "2/tensorboard").glob("events*"))
    assert "Top2: " in (tmp_path / "2/log.txt").read_text()


def test_training_without_test_feeder_args_says_so_and_trains(small, tmp_path):
    config = yaml.safe_load((small / "config.yaml").read_text())
    del config["test_feeder_args"]
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config))
    assert main(["recognition", "-c", str(tmp_path / "c.yaml"), "-w", str(tmp_path / "out"), "--num_epoch", "1"]) == 0
    assert "trains without evaluation" in (tmp_path / "out/log.txt").read_text()


# ---- what a person can get wrong: one line, exit 2, nothing half-written


BAD = {
    "misspelt option": (["--bach_size", "4"], "did you mean '--batch_size'"),
    "wrong choice": (["--phase", "tset"], "did you mean 'test'"),
    "optimizer in lower case": (["--optimizer", "adam"], "did you mean 'Adam'"),
    "no such network": (["--model", "net.st_gnc.Model"], "did you mean 'st_gcn'"),
    "wrong model argument": (["--model_args", "droput=0.5"], "did you mean 'dropout'"),
    "wrong graph argument": (["--model_args", "graph_args=dict(layuot='openpose')"], "did you mean 'layout'"),
    "wrong layout": (["--model_args", "graph_args=dict(layout='openpoze')"], "openpose"),
    "wrong feeder argument": (["--train_feeder_args", "widow_size=3"], "did you mean 'window_size'"),
    "code in a dict": (["--model_args", "dropout=__import__('os').getcwd()"], "is not a number, text, list or dict"),
    "batch larger than the data": (["--batch_size", "49"], "larger than the training set"),
    "data that are not there": (
        ["--train_feeder_args", "data_path='data/sbu/fold1/x.npy'"],
        "tools/gendata.py --format sbu",
    ),
    "weights that are not there": (["--weights", "models/none.pt"], "tools/get_models.py st_gcn"),
    "too few classes": (["--model_args", "num_class=3"], "labels 0 to 3"),
    "layout of another skeleton": (["--model_args", "graph_args=dict(layout='ntu-rgb+d')"], "the network cannot take"),
    "an empty batch": (["--batch_size", "0"], "'0' where a whole number of at least 1 belongs"),
    "no number": (["--num_epoch", "many"], "'many' where a whole number"),
    "a negative rate": (["--base_lr", "-1"], "'-1' where a number of at least 0 belongs"),
    "names of another data set": (["--label_names", "requirements.txt"], "names"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_exit_2(small, tmp_path, capsys, monkeypatch, case):
    argv, words = BAD[case]
    monkeypatch.chdir(ROOT)
    assert run(small, tmp_path / "out", *argv) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and words in error
    assert all(line.startswith("       ") for line in error.splitlines()[1:]), error
    assert not list((tmp_path / "out").glob("*.pt")) and not list(tmp_path.rglob("*.part"))


def test_a_network_is_told_the_persons_and_each_clip_is_taken_as_often_as_asked(small, tmp_path):
    argv = ["--model", "net.ctr_gcn.Model", "--repeat_clips", "2", "--num_epoch", "1", "--log_interval", "1"]
    assert run(small, tmp_path / "one", *argv) == 0
    assert yaml.safe_load((tmp_path / "one/config.yaml").read_text())["model_args"]["num_person"] == 2
    assert "Iter 11 Done" in (tmp_path / "one/log.txt").read_text()  # 12 batches of 8 from 48 clips
    assert "Iter 12 Done" not in (tmp_path / "one/log.txt").read_text()
    assert run(small, tmp_path / "two", *argv, "--batch_size", "96") == 0  # as large as the epoch, twice the clips
    assert run(small, tmp_path / "three", "--batch_size", "96") == 2


def test_num_class_0_is_the_number_of_label_names(small, tmp_path, capsys):
    assert run(small, tmp_path / "out", "--model_args", "num_class=0", "--num_epoch", 1) == 0
    assert yaml.safe_load((tmp_path / "out/config.yaml").read_text())["model_args"]["num_class"] == 4
    assert yaml.safe_load((tmp_path / "out/epoch1_model.yaml").read_text())["model_args"]["num_class"] == 4
    config = yaml.safe_load((small / "config.yaml").read_text())
    del config["label_names"], config["model_args"]["num_class"]
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    capsys.readouterr()
    del config["train_feeder_args"]
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    assert run(tmp_path, tmp_path / "out2", "--phase", "test", "--weights", tmp_path / "out/epoch1_model.pt") == 2
    assert "num_class is not given, and there are no label_names to count" in capsys.readouterr().err


def test_what_the_training_clips_tell_need_not_be_said(small, tmp_path, capsys):
    config = yaml.safe_load((small / "config.yaml").read_text())
    paths = {
        part: {key: config[part][key] for key in ("data_path", "label_path")} for part in config if "feeder" in part
    }
    own = {"base": str(ROOT / "config/recommended_2d.yaml"), "feeder_args": {"layout": "openpose"}, **paths}
    own |= {"model_args": {"blocks": [[8, 1], [16, 2]]}, "num_epoch": 1}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(own))
    assert run(tmp_path, tmp_path / "out") == 0
    for stream in ("joint", "bone"):
        assert (tmp_path / f"out/{stream}/epoch1_model.pt").exists()
    assert (tmp_path / "out/test_result.pkl").exists()
    done = yaml.safe_load((tmp_path / "out/joint/config.yaml").read_text())
    assert done["model_args"]["num_class"] == 4 and done["model_args"]["graph_args"]["layout"] == "openpose"
    assert done["train_feeder_args"]["mirror"] is False and done["batch_size"] == 16
    log = (tmp_path / "out/bone/log.txt").read_text()
    assert "auto: stream: ['joint', 'bone'] (" in log
    assert "auto: mirror: False (" in log and "auto: batch_size: 16 (48 training clips)" in log
    assert run(tmp_path, tmp_path / "out", "--phase", "test") == 0
    assert main(["inspect", "-c", str(tmp_path / "config.yaml"), "-w", str(tmp_path / "inspect")]) == 0


def test_auto_minds_the_sides_of_given_class_names(small, tmp_path):
    argv = [
        "--label_names",
        small / "names.txt",
        "--num_epoch",
        "1",
        "--train_feeder_args",
        "mirror='auto',dimension=3",
    ]
    assert run(small, tmp_path / "out", *argv, "--train_feeder_args", "layout='openpose'") == 0
    assert "auto: mirror: False (class names have a side: 'left', ...)" in (tmp_path / "out/log.txt").read_text()


def test_auto_without_training_clips_is_refused(small, tmp_path, capsys):
    line = "num_epoch: auto is chosen from packed training clips; train_feeder_args: data_path is missing"
    (tmp_path / "config.yaml").write_text("model: net.st_gcn.Model\nnum_epoch: auto\n")
    assert run(tmp_path, tmp_path / "out") == 2
    assert line in capsys.readouterr().err


class Evil:
    """A pickle of it makes a file when it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def bad_data(folder):
    """What can be wrong with the two files of a part: {case: (file, its content, words of the error)}."""
    data, label = (folder / "val_data.npy").read_bytes(), pickle.loads((folder / "val_label.pkl").read_bytes())
    names, labels = label
    return {
        "empty data": ("val_data.npy", b"", "is empty"),
        "truncated data": ("val_data.npy", data[:5000], "cut off"),
        "other data": ("val_data.npy", b"PK\3\4" + data[4:], "is not a .npy file"),
        "wrong shape": ("val_data.npy", npy(np.zeros((21, 3, 20, 18), np.float32)), "five dimensions"),
        "wrong type": ("val_data.npy", npy(np.zeros((21, 3, 20, 18, 2))), "float32 is needed"),
        "too few labels": ("val_label.pkl", pickle.dumps((names[1:], labels[1:])), "20 clips"),
        "negative label": ("val_label.pkl", pickle.dumps((names, [-1, *labels[1:]])), "the first class is 0"),
        "label out of range": ("val_label.pkl", pickle.dumps((names, [9, *labels[1:]])), "classes 0 to 3"),
        "code in a pickle": ("val_label.pkl", pickle.dumps(Evil(folder / "touched")), "val_label.pkl"),
        "truncated labels": ("val_label.pkl", pickle.dumps(label)[:40], "val_label.pkl"),
    }


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


BAD_DATA = ("empty data", "truncated data", "other data", "wrong shape", "wrong type", "too few labels", "negative label",
            "label out of range", "code in a pickle", "truncated labels")  # fmt: skip


@pytest.mark.parametrize("case", BAD_DATA)
def test_bad_data_is_one_line_and_nothing_is_written(small, tmp_path, capsys, case):
    for file in small.glob("val_*"):
        shutil.copy(file, tmp_path)
    cases = bad_data(tmp_path)
    assert set(cases) == set(BAD_DATA)
    file, content, words = cases[case]
    (tmp_path / file).write_bytes(content)
    paths = f"data_path='{tmp_path}/val_data.npy',label_path='{tmp_path}/val_label.pkl'"
    assert run(small, tmp_path / "out", "--test_feeder_args", paths) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and words in error
    assert not (tmp_path / "out").exists() and not (tmp_path / "touched").exists()


@pytest.mark.parametrize("place", ["file/out", "/proc/out"])
def test_a_work_dir_that_cannot_be_written(small, tmp_path, capsys, place):
    (tmp_path / "file").write_text("")
    assert run(small, tmp_path / place) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and place in error


def test_a_full_disk_ends_in_one_line(small, tmp_path, capsys, monkeypatch):
    def fail(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fail)
    assert run(small, tmp_path, "--num_epoch", 1) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "No space left" in error


def test_weights_of_another_network_leave_an_earlier_run_as_it_was(small, trained, tmp_path, capsys):
    torch.save({"conv.weight": torch.zeros(3)}, tmp_path / "other.pt")
    before = {path.name: path.read_bytes() for path in trained.iterdir()}
    assert run(small, trained, "--weights", tmp_path / "other.pt") == 2
    assert "does not fit net.st_gcn.Model" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in trained.iterdir()} == before


def test_folds_and_seeds_each_have_a_run_and_a_summary(small, tmp_path, capsys):
    for fold in (1, 2):
        (tmp_path / f"fold{fold}").symlink_to(small)
    paths = {"data_path": "{}_data.npy", "label_path": "{}_label.pkl"}
    config = yaml.safe_load((small / "config.yaml").read_text()) | {"num_epoch": 1, "fold": [1, 2], "repeat": 2}
    for part, file in [("train", "train"), ("test", "val")]:
        config[f"{part}_feeder_args"] = {
            key: f"{tmp_path}/fold{{fold}}/{name.format(file)}" for key, name in paths.items()
        }
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config))
    assert main(["recognition", "-c", str(tmp_path / "c.yaml"), "-w", str(tmp_path / "out")]) == 0
    rows = list(csv.DictReader((tmp_path / "out/summary.csv").open()))
    assert [(Path(row["work_dir"]).relative_to(tmp_path / "out").as_posix(), row["seed"]) for row in rows] == [
        (f"fold{fold}/seed{seed}", str(seed)) for fold in (1, 2) for seed in (0, 1)
    ]
    one = [torch.load(tmp_path / f"out/fold{k}/seed0/epoch1_model.pt", weights_only=True) for k in (1, 2)]
    assert same(*one)  # both folds are the same data here
    top1 = np.array([float(row["top1"]) for row in rows]).reshape(2, 2).mean(0)
    assert f"Top1: {top1.mean():.2f}% ± {top1.std(ddof=1):.2f} over 2 seeds, mean of 2 folds" in capsys.readouterr().out


@pytest.mark.parametrize("workers", [0, 1])
def test_a_broken_file_met_in_the_middle_is_one_line(tmp_path, capsys, workers):
    clips = tmp_path / "clips"
    clips.mkdir()
    person = {"pose": [0.2, 0.4] * 18, "score": [0.9] * 18}
    content = json.dumps({"data": [{"frame_index": 1, "skeleton": [person]}], "label": "x", "label_index": 0})
    for i in range(8):
        (clips / f"c{i}.json").write_text(content[:-30] if i == 5 else content)
    (tmp_path / "labels.json").write_text(
        json.dumps({f"c{i}": {"has_skeleton": True, "label_index": 0} for i in range(8)})
    )
    config = {
        "feeder": "feeder.feeder_kinetics.Feeder_kinetics",
        "train_feeder_args": {"data_path": str(clips), "label_path": str(tmp_path / "labels.json")},
        "model": "net.st_gcn.Model",
        "model_args": {"in_channels": 3, "num_class": 1, "graph_args": {"layout": "openpose"}, "blocks": [[4, 4]]},
        "batch_size": 8,
        "num_worker": workers,
    }
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config))
    assert main(["recognition", "-c", str(tmp_path / "c.yaml"), "-w", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {clips}/c5.json: not valid JSON") and error.count("\n") == 1


def test_a_stream_is_chosen_for_both_feeders(small, tmp_path, capsys):
    bones = ["--stream", "bone", "--num_epoch", 1, "--train_feeder_args", "dimension=2,layout='openpose'"]
    assert run(small, tmp_path / "out", *bones) == 2
    assert "needs dimension" in capsys.readouterr().err  # the test feeder was not told
    assert run(small, tmp_path / "out", *bones, "--test_feeder_args", "dimension=2,layout='openpose'") == 0
    assert yaml.safe_load((tmp_path / "out/config.yaml").read_text())["test_feeder_args"]["stream"] == "bone"


def test_several_streams_are_trained_tested_and_averaged(small, tmp_path, capsys):
    known = [
        "--train_feeder_args",
        "dimension=2,layout='openpose'",
        "--test_feeder_args",
        "dimension=2,layout='openpose'",
    ]
    streams = ["--stream", "joint", "bone", "--num_epoch", 1, *known]
    assert run(small, tmp_path / "one", "--stream", "bone", "--num_epoch", 1, *known, "--save_result", "True") == 0
    assert run(small, tmp_path / "out", *streams) == 0
    assert same(*(weights(tmp_path / folder / "epoch1_model.pt") for folder in ("one", "out/bone")))
    scores = [
        pickle.loads((tmp_path / "out" / each / "test_result.pkl").read_bytes()) for each in ("joint", "bone", ".")
    ]
    label = dict(zip(*pickle.loads((small / "val_label.pkl").read_bytes())))
    right = []
    for name, k in label.items():
        joint, bone, both = (softmax(each[name].astype(np.float64)) for each in scores)
        np.testing.assert_allclose(both, (joint + bone) / 2, atol=1e-6)
        right.append((joint + bone).argmax() == k)
    assert f"Top1: {100 * np.mean(right):.2f}%" in capsys.readouterr().out.splitlines()
    assert run(small, tmp_path / "out", *streams, "--phase", "test") == 0  # each with its own weights
    assert f"Top1: {100 * np.mean(right):.2f}%" in capsys.readouterr().out.splitlines()
    assert run(small, tmp_path / "x", *streams, "--weights", tmp_path / "out/bone/epoch1_model.pt") == 2
    assert "there are 2 streams; name its own: --stream joint" in capsys.readouterr().err
    untested = yaml.safe_load((small / "config.yaml").read_text()) | {"test_feeder_args": {}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(untested))
    assert run(tmp_path, tmp_path / "untested", *streams[:-2]) == 0
    assert (tmp_path / "untested/bone/epoch1_model.pt").exists() and not (
        tmp_path / "untested/test_result.pkl"
    ).exists()


def test_a_compiler_that_fails_costs_one_line_and_changes_nothing(small, tmp_path, monkeypatch):
    def fail(network):
        raise RuntimeError("no compiler here\nand more of its words")

    monkeypatch.setattr(torch, "compile", fail)
    assert run(small, tmp_path / "a", "--num_epoch", 1, "--compile") == 0
    assert run(small, tmp_path / "b", "--num_epoch", 1) == 0
    assert "--compile failed, going on without it: no compiler here\n" in (tmp_path / "a/log.txt").read_text()
    assert same(*(weights(tmp_path / name / "epoch1_model.pt") for name in "ab"))


def test_a_series_that_was_cut_off_is_taken_up_where_it_was(small, tmp_path, capsys):
    config = yaml.safe_load((small / "config.yaml").read_text()) | {"num_epoch": 2}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config))
    begin = ["recognition", "-c", str(tmp_path / "c.yaml"), "-w"]
    assert main([*begin, str(tmp_path / "whole"), "--repeat", "2"]) == 0
    whole = capsys.readouterr().out
    assert main([*begin, str(tmp_path / "cut/seed0"), "--seed", "0"]) == 0  # seed 0 was done, seed 1 had not begun
    assert main([*begin, str(tmp_path / "cut"), "--repeat", "2", "--resume"]) == 0
    top1 = [line for line in whole.splitlines() if line.startswith("Top1: ")][-1]
    assert top1 in capsys.readouterr().out
    for seed in (0, 1):
        one, other = (torch.load(tmp_path / f"{run}/seed{seed}/epoch2_model.pt") for run in ("whole", "cut"))
        assert same(one, other)


# ---- two runs, links, closed pipes


def test_a_second_training_in_a_work_dir_ends_in_one_line_and_a_test_does_not(small, trained, capsys):
    before = {path.name: path.read_bytes() for path in trained.iterdir()}
    with exclusive(trained, "train", ""):
        assert run(small, trained, "--num_epoch", 1) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and f"{trained} is in use (train) by process {os.getpid()} on " in error
        assert "or give another --work_dir" in error
        assert {path.name: path.read_bytes() for path in trained.iterdir() if path.suffix != ".lock"} == before
        assert run(small, trained, "--phase", "test") == 0
    (trained / "config_test.yaml").unlink()


def test_a_log_that_is_a_link_is_not_written_through(small, tmp_path, capsys):
    (tmp_path / "precious").write_text("content")
    (tmp_path / "run").mkdir()
    (tmp_path / "run/log.txt").symlink_to(tmp_path / "precious")
    (tmp_path / "run/epoch1_model.pt").symlink_to(tmp_path / "precious")
    assert run(small, tmp_path / "run", "--num_epoch", 1) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "log.txt is a symbolic link" in error
    (tmp_path / "run/log.txt").unlink()
    assert run(small, tmp_path / "run", "--num_epoch", 1) == 0  # other files take the place of the link
    assert (tmp_path / "precious").read_text() == "content" and not (tmp_path / "run/epoch1_model.pt").is_symlink()


def test_a_training_goes_on_when_nobody_reads_what_it_prints(small, tmp_path):
    process = subprocess.Popen(
        command(small, tmp_path / "run", "--num_epoch", "3"), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdout.close()
    assert process.communicate(timeout=60)[1] == b"" and process.returncode == 0
    log = (tmp_path / "run/log.txt").read_text()
    assert "stdout was closed" in log and "epoch3_model.pt" in log
