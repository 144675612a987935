"""tools/ablate.py on a ladder of two steps of a small network: the table is that of the runs, and what is done stays done."""

import csv
import pickle
import subprocess
import sys

import numpy as np
import pytest
import yaml

from main import main
from tools import ablate

CLASSES = 3


@pytest.fixture
def ladder(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    for part, num in (("train", 24), ("val", 12)):
        label = np.arange(num) % CLASSES
        data = rng.normal(0, 0.05, (num, 3, 12, 18, 1)).astype(np.float32)
        for clip, c in zip(data, label):
            clip[0, :, 5 * c : 5 * c + 5] += 1
        np.save(tmp_path / f"{part}_data.npy", data)
        (tmp_path / f"{part}_label.pkl").write_bytes(pickle.dumps(([f"{part}{i}" for i in range(num)], label.tolist())))
    folder = tmp_path / "ladders/toy"
    folder.mkdir(parents=True)

    def feeder(part):
        paths = {"data_path": f"{tmp_path}/{part}_data.npy", "label_path": f"{tmp_path}/{part}_label.pkl"}
        return paths | {"window_size": 8, "uniform_sample": True, "layout": "openpose", "dimension": 2}

    graph = {"layout": "openpose", "strategy": "spatial"}
    model = {"in_channels": 3, "num_class": CLASSES, "blocks": [[8, 1]], "graph_args": graph}
    first = {
        "train_feeder_args": feeder("train"),
        "test_feeder_args": feeder("val"),
        "model": "net.st_gcn.Model",
        "model_args": model,
        "batch_size": 8,
        "num_epoch": 2,
        "save_result": True,
    }
    (folder / "1_first.yaml").write_text(yaml.safe_dump(first))
    (folder / "4_augmentation.yaml").write_text(yaml.safe_dump({"base": "1_first.yaml", "base_lr": 0.1}))
    ten_clips = {"base": "4_augmentation.yaml", "phase": "test", "test_feeder_args": {"num_clips": 10}}
    (folder / "5_ten_clips.yaml").write_text(yaml.safe_dump(ten_clips))
    monkeypatch.setattr(ablate, "LADDERS", tmp_path / "ladders")

    run = subprocess.run

    def in_this_process(command, **options):  # starting python for each run takes longer than the run
        if command[0] != sys.executable:  # git, for the manifest
            return run(command, **options)
        return subprocess.CompletedProcess(command, main(command[2:]))

    monkeypatch.setattr(subprocess, "run", in_this_process)
    return tmp_path


def climb(folder, monkeypatch, *options):
    monkeypatch.setattr(sys, "argv", ["ablate.py", "toy", "--work_dir", str(folder / "out"), *options])
    ablate.main()


def test_the_table_is_that_of_the_runs(ladder, monkeypatch, capsys):
    readme = ladder / "README.md"
    readme.write_text("before\n<!-- ablation: toy -->\nold\n<!-- end -->\nafter\n")
    climb(ladder, monkeypatch, "--seeds", "0", "1", "--readme", str(readme))
    rows = list(csv.DictReader((ladder / "out/toy/table.csv").open()))
    assert [row["step"] for row in rows] == ["1_first", "4_augmentation", "5_ten_clips", "7_four_streams"]
    label = dict(zip(*pickle.loads((ladder / "val_label.pkl").read_bytes())))
    for row in rows:
        top1 = []
        for seed in (0, 1):
            scores = pickle.loads((ladder / f"out/toy/{row['step']}/seed{seed}/test_result.pkl").read_bytes())
            top1.append(100 * np.mean([scores[name].argmax() == label[name] for name in label]))
        assert float(row["top1"]) == pytest.approx(np.mean(top1))
        assert float(row["std"]) == pytest.approx(np.std(top1, ddof=1))
        assert f"| {np.mean(top1):.1f} ± {np.std(top1, ddof=1):.1f} |" in readme.read_text()
    assert readme.read_text().startswith("before\n<!--") and readme.read_text().endswith("<!-- end -->\nafter\n")
    assert "old" not in readme.read_text()
    ten, four = (float(row["top1"]) for row in rows[-2:])
    assert f"| four streams of ST-GCN, against its ten clips | {four:.1f}" in readme.read_text()
    assert f"| {four - ten:+.1f} | 2 |" in readme.read_text()

    capsys.readouterr()
    monkeypatch.setattr(subprocess, "run", lambda *a, **k: pytest.fail("a step that is done was done again"))
    climb(ladder, monkeypatch, "--seeds", "0", "1")
    assert "| first |" in capsys.readouterr().out


def test_four_streams_are_compared_with_the_network_that_they_are_of():
    rows = [("5_ten_clips", 93.0), ("6_st_gcn_pp", 91.0), ("7_four_streams", 95.0)]
    table = ablate.table_of([{"step": step, "top1": top1, "std": None, "seeds": 1} for step, top1 in rows])
    assert table[3:] == [
        "| ST-GCN++ in place of ST-GCN | 91.0 | -2.0 | 1 |",
        "| four streams of ST-GCN, against its ten clips | 95.0 | +2.0 | 1 |",
    ]
