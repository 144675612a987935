"""--tune: what is tried, by which folds, and what is kept."""

import csv

import numpy as np
import pytest
import yaml

from main import main
from processor.training import tuning
from processor.training.tuning import groups_for, is_better


@pytest.mark.parametrize(
    ("won", "lost", "better"),
    [(0, 0, False), (1, 0, False), (2, 0, True), (10, 6, False), (10, 5, True), (5, 10, False)],
)
def test_better_is_more_than_chance(won, lost, better):
    right = np.repeat([True, False, True], [won, lost, 50])
    than = np.repeat([False, True, True], [won, lost, 50])
    assert is_better(right, than) is better


def test_folds_keep_together_what_the_test_does_not_share():
    train = [f"a01_s{s:02}_e00_v{v:02}" for s in (1, 2, 3) for v in (1, 2)]
    other_view = [f"a01_s{s:02}_e00_v03" for s in (1, 2, 3)]
    assert groups_for(train, other_view) == ["1", "2"] * 3
    other_person = [f"a01_s{s:02}_e00_v{v:02}" for s in (4, 5) for v in (1, 2)]
    assert groups_for(train, other_person) == groups_for(train, None) == ["1", "1", "2", "2", "3", "3"]


@pytest.mark.parametrize(
    ("names", "people"),
    [
        (["joints_s01_e01", "joints_s02_e02"], ["1", "2"]),
        (["subject3_wave", "Subject12_wave"], ["3", "12"]),
        (["wave_p001_x", "wave_p002_x"], ["1", "2"]),
        (["clip1", "clip2"], None),
        (["s1_a", "s1_b"], None),
        (["s1_a", "clip"], None),
    ],
)
def test_people_are_told_from_the_names_of_any_data_set(names, people):
    assert groups_for(names, None) == people


def test_settings_are_tried_and_written_down(small, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(tuning, "UPDATES", 4)
    argv = ["recognition", "-c", str(small / "config.yaml"), "-w", str(tmp_path / "out"), "--num_epoch", "2", "--tune"]
    uniform = "uniform_sample=True,window_size=16,layout='openpose',dimension=2"
    argv += ["--train_feeder_args", uniform, "--test_feeder_args", uniform]
    assert main([*argv, "--repeat", "2"]) == 2
    assert "--tune is for the beginning of one training" in capsys.readouterr().err
    assert main(argv) == 0
    with (tmp_path / "out/tune/tune.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["setting"] for row in rows] == [
        "as in the config",
        "mirror: True",
        "window_size: 64",
        "twice the epochs",
    ]
    assert rows[0]["kept"] == "True" and all(0 <= float(row["top1"]) <= 100 for row in rows)
    kept = {row["setting"]: row["kept"] == "True" for row in rows}
    config = yaml.safe_load((tmp_path / "out/config.yaml").read_text())
    assert config["train_feeder_args"].get("mirror", False) is kept["mirror: True"]
    assert config["test_feeder_args"]["window_size"] == (64 if kept["window_size: 64"] else 16)
    assert config["num_epoch"] == (4 if kept["twice the epochs"] else 2) and not config["tune"]
    assert "tune: 3 folds of clips by chance" in (tmp_path / "out/log.txt").read_text()
