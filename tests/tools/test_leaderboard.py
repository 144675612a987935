"""tools/leaderboard.py on made-up finished runs, whose figures are counted by hand, and on one real run that was cut off."""

import csv
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from feeder.streams import STREAMS
from main import main as stgcn
from tools import finished, leaderboard
from tools.leaderboard_table import results_of

LABEL = {"v0": 0, "v1": 1, "v2": 0, "v3": 1}
GRAPH = {"layout": "openpose", "strategy": "spatial"}
MODEL = {"in_channels": 3, "num_class": 2, "blocks": [[8, 1]], "graph_args": GRAPH}


@pytest.fixture
def board(tmp_path, monkeypatch):
    """A folder with networks a and b on the set toy, where clip v1 of the test is clip t0 of the training with more zeros."""
    rng = np.random.default_rng(0)
    train, val = rng.normal(0, 1, (8, 3, 6, 18, 1)), rng.normal(0, 1, (4, 3, 8, 18, 1))
    val[1] = 0
    val[1, :, :6] = train[0]
    for part, data, names, label in (
        ("train", train, [f"t{i}" for i in range(8)], [i % 2 for i in range(8)]),
        ("val", val, list(LABEL), list(LABEL.values())),
    ):
        np.save(tmp_path / f"{part}_data.npy", data.astype(np.float32))
        (tmp_path / f"{part}_label.pkl").write_bytes(pickle.dumps((names, label)))
    for network in ("a", "b"):
        config(tmp_path, network)
    networks = {
        "a": {"name": "Net A", "config": "cfg/a", "published": {"toy": "99.0 (somebody, best epoch)"}},
        "a-4s": {"name": "Net A, four streams", "fuse": {"a": list(STREAMS)}, "stream_weights": {"toy": [3, 0, 0, 0]}},
        "b": {"name": "Net B", "config": "cfg/b"},
        "a+b": {"name": "Net A and Net B", "fuse": {"a": ["joint"], "b": ["joint"]}},
    }
    table = {"data_sets": {"toy": "Toy, official"}, "networks": networks, "results": ["a"]}
    (tmp_path / "leaderboard.yaml").write_text(yaml.safe_dump(table, sort_keys=False))
    for module in (leaderboard, finished):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(leaderboard, "TABLE", tmp_path / "leaderboard.yaml")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def config(root, network, **more):
    def feeder(part):
        paths = {"data_path": f"./{part}_data.npy", "label_path": f"./{part}_label.pkl"}
        return paths | {"layout": "openpose", "dimension": 2}

    content = {
        "feeder_args": {"window_size": 6, "uniform_sample": True},
        "train_feeder_args": feeder("train"),
        "num_epoch": 2,
        "batch_size": 4,
    }
    content |= {"test_feeder_args": feeder("val") | {"num_clips": 10}, "model": "net.st_gcn.Model", "model_args": MODEL}
    path = root / f"cfg/{network}/toy/train.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(content | more))


def finish(folder, seed, wrong, curve, **more):
    """A finished run that answers these test clips wrongly, with this top-1 at its evaluations."""
    folder.mkdir(parents=True)
    content = yaml.safe_load(Path("cfg/a/toy/train.yaml").read_text())
    for part in finished.PARTS:
        content[part] = {**content["feeder_args"], **content[part], **more.get("feeder", {})}
    (folder / "config.yaml").write_text(
        yaml.safe_dump(content | {"feeder_args": {}, "seed": seed, "debug": False} | more)
    )
    scores = {name: np.float32([k == c for c in (0, 1)]) for name, k in LABEL.items()}
    scores |= {name: 1 - scores[name] for name in wrong}
    (folder / "test_result.pkl").write_bytes(pickle.dumps(scores))
    rows = [f"{epoch + 1},{30},{top1}" for epoch, top1 in enumerate(curve)]
    (folder / "metrics.csv").write_text("\n".join(["epoch,seconds,top1", *rows]) + "\n")
    (folder / "manifest.json").write_text("{}")


def call_of(calls):
    """In place of tools.command.call: a benchmark of made-up figures; everything else is noted, and not run."""

    def call(folder, processor, *options, **environment):
        calls.append((processor, *options))
        if processor == "benchmark":
            assert environment == {"OMP_NUM_THREADS": "1"}
            names = options[options.index("--beside") + 1 : options.index("--use_gpu")]
            figures = {"parameters": 500_000, "flop_per_clip": 2e9, "samples_per_second": {"fp32": 40.0}}
            Path(options[options.index("--output") + 1]).write_text(
                json.dumps({"networks": [{"name": name, **figures} for name in names]})
            )

    return call


def fusing(calls):
    """call_of, but for the ensembles, which are made."""
    fake = call_of(calls)

    def call(folder, processor, *options, **environment):
        if processor != "ensemble":
            return fake(folder, processor, *options, **environment)
        calls.append((processor, *options))
        stgcn(["ensemble", *options, "-w", str(folder)])

    return call


def run(monkeypatch, *options):
    monkeypatch.setattr(sys, "argv", ["leaderboard.py", "--work_dir", "out", *options])
    leaderboard.main()


def test_the_table_is_that_of_the_runs_and_leaves_out_what_was_not_run(board, monkeypatch):
    monkeypatch.setattr(leaderboard, "call", call_of(calls := []))
    for seed, wrong, curve in ((0, ["v0"], ["", 100, 75]), (1, [], [50, "", 100]), (2, ["v1"], [75, 25, 75])):
        finish(board / f"out/toy/a/seed{seed}", seed, wrong, curve)
    (board / "a.md").write_text(
        "before\n<!-- leaderboard -->\n<!-- end -->\n<!-- results -->\nold\n<!-- end -->\nafter\n"
    )
    run(monkeypatch, "--only_table", "--readme", "a.md", "--results", "a.md")
    assert [each[0] for each in calls] == ["benchmark"]
    row = "| Toy, official | Net A | 0.50 M | 2.00 | 40.0 |  | 10 | 83.3 ± 14.4 | 88.9 ± 19.2 | 91.7 ± 14.4 "
    row += "| 99.0 (somebody, best epoch) | 3 |"
    lines = (board / "a.md").read_text().splitlines()
    assert lines[:2] == ["before", "<!-- leaderboard -->"] and lines[-1] == "after" and "old" not in lines
    assert lines[4] == f"{row} `python tools/leaderboard.py --data_set toy --rows a` |" and lines[5] == "<!-- end -->"
    assert lines[9].startswith("| Toy, official | Net A | **83.3 ± 14.4** | 3 | 2 min |")  # three epochs of 30 s
    assert lines[10].startswith("|  | Net A, test clips that are no training clips | 88.9 ± 19.2 | 3 |")
    (stored,) = csv.DictReader((board / "out/table.csv").open())
    assert stored["network"] == "a" and float(stored["top1_std"]) == pytest.approx(14.434, abs=1e-3)
    assert (board / "out/table.md").read_text().splitlines() == lines[2:5]
    run(monkeypatch, "--only_table", "--seeds", "0", "1", "5")
    assert "| 2 of 3 |" in (board / "out/table.md").read_text() and len(calls) == 1  # the speed is kept
    run(monkeypatch, "--only_table", "--speed")
    assert len(calls) == 2


def test_two_networks_are_averaged_and_both_are_counted(board, monkeypatch):
    monkeypatch.setattr(leaderboard, "call", fusing([]))
    finish(board / "out/toy/a/seed0", 0, ["v0"], [75])
    run(monkeypatch, "--only_table", "--seeds", "0")
    assert [row["network"] for row in csv.DictReader((board / "out/table.csv").open())] == ["a"]
    finish(board / "out/toy/b/seed0", 0, [], [100])
    surer = pickle.loads((board / "out/toy/b/seed0/test_result.pkl").read_bytes())
    (board / "out/toy/b/seed0/test_result.pkl").write_bytes(pickle.dumps({key: 2 * s for key, s in surer.items()}))
    run(monkeypatch, "--only_table", "--seeds", "0")
    a, b, both = csv.DictReader((board / "out/table.csv").open())
    assert [float(row["top1"]) for row in (a, b, both)] == [75, 100, 100]
    assert [float(row["parameters"]) for row in (a, b, both)] == [5e5, 5e5, 1e6]
    assert [float(row["fp32"]) for row in (a, b, both)] == [40, 40, 20] and both["passes"] == "20"


def test_only_what_is_missing_is_trained_and_a_run_that_was_cut_off_goes_on(board, monkeypatch):
    monkeypatch.setattr(leaderboard, "call", call_of(calls := []))
    finish(board / "mine/seed0", 0, [], [100])
    finish(board / "out/toy/a/seed1", 1, [], [100])
    (board / "out/toy/a/seed1/manifest.json").unlink()
    run(monkeypatch, "--rows", "a", "--seeds", "0", "1", "--from", "toy/a=mine")
    (training, *_), (benchmark, *_) = calls
    assert training == "recognition" and benchmark == "benchmark"
    options = " ".join(calls[0])
    assert "--seed 1 " in options and "--resume" in options and "--save_result True" in options
    assert "--eval_interval 5" in options and "| 1 of 2 |" in (board / "out/table.md").read_text()


def test_four_streams_share_the_joints_and_are_four_networks(board, monkeypatch):
    monkeypatch.setattr(leaderboard, "call", fusing(calls := []))
    finish(board / "out/toy/a/seed0", 0, ["v0"], [75])
    for stream in ("bone", "joint_motion", "bone_motion"):
        finish(board / f"out/toy/a/{stream}/seed0", 0, ["v0", "v1", "v2"], [25], feeder={"stream": stream})
    run(monkeypatch, "--rows", "a-4s", "--seeds", "0")
    assert [each[0] for each in calls] == ["ensemble", "benchmark"]
    joint, four = csv.DictReader((board / "out/table.csv").open())
    assert float(joint["top1"]) == float(four["top1"]) == 75  # the weights are 3 0 0 0
    assert four["best"] == "" and float(four["seconds"]) == 120
    assert float(four["parameters"]) == 2e6 and float(four["gflop"]) == 8 and float(four["fp32"]) == 10
    assert four["passes"] == "40"
    run(monkeypatch, "--rows", "a-4s", "--seeds", "0")
    assert len(calls) == 2  # all is there
    result = board / "out/toy/a/seed0/test_result.pkl"
    os.utime(result, (result.stat().st_mtime + 100,) * 2)
    run(monkeypatch, "--rows", "a-4s", "--seeds", "0")
    assert calls[2][0] == "ensemble"  # of the newer joints


def test_folds_are_averaged_before_the_seeds(board, monkeypatch):
    monkeypatch.setattr(leaderboard, "call", call_of([]))
    config(board, "a", fold=[1, 2])
    for seed, wrong in ((0, ["v0"]), (1, ["v0", "v2", "v3"])):
        finish(board / f"out/toy/a/seed{seed}/fold1", seed, wrong, [100 - 25 * len(wrong)])
        finish(board / f"out/toy/a/seed{seed}/fold2", seed, [], [100])
    finish(board / "out/toy/a/seed2/fold1", 2, [], [100])  # fold 2 is still being trained
    run(monkeypatch, "--only_table")
    (row,) = csv.DictReader((board / "out/table.csv").open())
    assert (float(row["top1"]), row["seeds"]) == (75, "2")  # 87.5 and 62.5
    assert float(row["top1_std"]) == pytest.approx(17.678, abs=1e-3)


@pytest.mark.parametrize(
    "more, key", [({"num_epoch": 1}, "num_epoch"), ({"debug": True}, "debug"), ({"batch_size": 8}, "batch_size"),
                  ({"feeder": {"window_size": 9}}, "test_feeder_args"), ({"model_args": {}}, "model_args")]
)  # fmt: skip
def test_runs_of_another_config_are_refused(board, monkeypatch, more, key):
    monkeypatch.setattr(leaderboard, "call", call_of([]))
    finish(board / "out/toy/a/seed0", 0, [], [100], **more)
    with pytest.raises(ValueError, match=f"is not a run of this config: it has another {key};"):
        run(monkeypatch, "--only_table")


def test_a_real_run_that_was_cut_off_has_every_epoch_once(board, monkeypatch):
    process = subprocess.run

    def in_this_process(command, **options):
        if command[0] != sys.executable:  # git, for the manifest
            return process(command, **options)
        return subprocess.CompletedProcess(command, stgcn(command[2:]))

    monkeypatch.setattr(subprocess, "run", in_this_process)
    folder = board / "out/toy/a/seed0"
    assert stgcn(["recognition", "-c", "cfg/a/toy/train.yaml", "--num_epoch", "1", "-w", str(folder)]) == 0
    (folder / "manifest.json").unlink()
    first = (folder / "metrics.csv").read_text().splitlines()[1]
    run(monkeypatch, "--rows", "a", "--seeds", "0")
    rows = (folder / "metrics.csv").read_text().splitlines()[1:]
    assert len(rows) == 2 and rows[0] == first
    scores = pickle.loads((folder / "test_result.pkl").read_bytes())
    (row,) = csv.DictReader((board / "out/table.csv").open())
    assert float(row["top1"]) == 25 * sum(scores[name].argmax() == k for name, k in LABEL.items())
    assert float(row["fp32"]) > 0 and float(row["gflop"]) > 0


def test_a_run_of_another_seed_is_refused(board, monkeypatch):
    monkeypatch.setattr(leaderboard, "call", call_of([]))
    finish(board / "out/toy/a/seed0", 4, [], [100])
    with pytest.raises(ValueError, match="another seed"):
        run(monkeypatch, "--only_table")


@pytest.mark.parametrize(
    "argv, words",
    [
        (["--rows", "stgcn"], "--rows: stgcn is not one of"),
        (["--data_set", "nwucla"], "did you mean 'nw-ucla'?"),
        (["--from", "sbu/tcn/foot=."], "foot is not one of joint, bone"),
        (["--from", "sbu/tcn=nowhere"], "nowhere has no seed0"),
        (["--from", "sbu/nothing=."], "--from sbu/nothing=.: --rows: nothing is not one of"),
        (["--seeds", "-1"], "--seeds"),
        (["--debug", "--readme", "a.md"], "its figures mean nothing"),
        (["--readme", "nowhere.md", "--only_table"], "nowhere.md does not exist"),
    ],
)
def test_what_is_wrong_is_one_line(argv, words, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["leaderboard.py", "--work_dir", str(tmp_path / "out"), *argv])
    with pytest.raises(SystemExit) as status:
        leaderboard.run(leaderboard.main)
    error = capsys.readouterr().err
    assert status.value.code == 2 and error.startswith("error: ") and error.count("\n") == 1 and words in error


def test_the_rows_of_the_project_are_those_that_have_a_config():
    root = leaderboard.ROOT
    table = yaml.safe_load(leaderboard.TABLE.read_text())
    rows = leaderboard.read_rows(table)
    assert {row.data_set for row in rows} == {"nw-ucla", "sbu", "penn-action", "utd-mhad"}
    for row in rows:
        assert all((root / training.config_path).is_file() for training in row.trainings)
        assert len({tuple(training.config.get("fold") or ()) for training in row.trainings}) == 1
    assert set(table["results"]) <= {row.network for row in rows}
    assert results_of([], table["results"])[0].startswith("| data set | network | top-1 |")
