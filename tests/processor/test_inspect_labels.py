"""inspect --labels: labels that are wrong on purpose are found, by results that are there or by trained networks."""

import json
import pickle
import shutil

import numpy as np
import pytest
import yaml

from feeder.inspection.names import sessions
from main import main


@pytest.fixture
def folder(small, tmp_path):
    """The small data set with the labels of clips 3 and 8 wrong, and probabilities that know better."""
    for path in small.glob("*_*"):
        shutil.copy(path, tmp_path)
    config = (small / "config.yaml").read_text().replace(str(small), str(tmp_path))
    (tmp_path / "config.yaml").write_text(config.replace(f"label_names: {tmp_path}", f"label_names: {small}"))
    names, labels = pickle.loads((tmp_path / "train_label.pkl").read_bytes())
    rng = np.random.default_rng(0)
    scores = {name: (rng.normal(0, 0.1, 4) + 5 * np.eye(4)[label]).astype("f4") for name, label in zip(names, labels)}
    for i in (3, 8):
        labels[i] = (labels[i] + 1) % 4
    (tmp_path / "train_label.pkl").write_bytes(pickle.dumps((names, labels)))
    (tmp_path / "test_result.pkl").write_bytes(pickle.dumps(scores))
    return tmp_path


def inspect(folder, *argv):
    out = folder / "out"
    status = main(["inspect", "-c", str(folder / "config.yaml"), "--work_dir", str(out), *map(str, argv)])
    found = json.loads((out / "inspect.json").read_text())["findings"] if status == 0 else []
    return status, next((each for each in found if each["kind"] == "label"), None)


def test_results_that_are_there_are_taken(folder, capsys):
    status, found = inspect(folder, "--results", folder / "test_result.pkl")
    assert status == 0 and {clip["name"] for clip in found["clips"]} == {"train3", "train8"}
    assert all(clip["part"] == "train" for clip in found["clips"])
    assert "Suspicious labels: 2" in capsys.readouterr().out
    assert "Suspicious labels" in (folder / "out" / "inspect.html").read_text()


def test_of_several_results_the_mean_counts(folder):
    scores = pickle.loads((folder / "test_result.pkl").read_bytes())
    scores["train3"] = np.array([9, 9, 9, 9], "f4")
    scores["train3"][0] = 30  # another network is sure of the label that is given
    (folder / "other.pkl").write_bytes(pickle.dumps(scores))
    _, found = inspect(folder, "--results", folder / "test_result.pkl", folder / "other.pkl")
    assert found["clips"][0]["name"] == "train8" and found["clips"][0]["amount"] > 0.9
    assert all(clip["amount"] < 0.1 for clip in found["clips"][1:])


def test_networks_are_trained_where_there_are_no_results(folder, capsys):
    status, found = inspect(folder, "--labels", "--folds", 3, "--num_epoch", 30)
    out = capsys.readouterr().out
    assert status == 0 and out.count("16 clips held out") == 3
    kept = pickle.loads((folder / "out" / "out_of_sample.pkl").read_bytes())
    assert len(kept) == 48 and all(scores.shape == (4,) for scores in kept.values())
    _, again = inspect(folder, "--results", folder / "out" / "out_of_sample.pkl")
    assert [clip["name"] for clip in again["clips"]] == [clip["name"] for clip in found["clips"]]


def test_mistakes_are_one_line(folder, capsys):
    paths = ["--data_path", str(folder / "train_data.npy"), "--label_path", str(folder / "train_label.pkl")]
    assert main(["inspect", *paths, "--labels", "--work_dir", str(folder / "out")]) == 2
    assert "--labels trains networks with a config" in capsys.readouterr().err
    (folder / "strange.pkl").write_bytes(pickle.dumps({"nobody": np.ones(4, "f4")}))
    assert inspect(folder, "--results", folder / "strange.pkl")[0] == 2
    assert "--results: 1 clip ('nobody') are not in these data" in capsys.readouterr().err
    assert inspect(folder, "--labels", "--folds", 100)[0] == 2
    error = capsys.readouterr().err
    assert "--folds 100: from 2 to 48, the number of clips" in error and error.count("\n") == 1


def test_sessions_are_persons_seen_from_one_place():
    assert sessions(["a01_s02_e00_v01", "a05_s02_e03_v01", "a01_s02_e00_v02"]) == [
        "subject 2, view 1",
        "subject 2, view 1",
        "subject 2, view 2",
    ]
    assert sessions(["S001C002P003R001A001", "S001C002P003R002A060"]) == ["subject 3, camera 2, setup 1"] * 2
    assert sessions(["a1_s1_t1", "a27_s8_t4"]) == ["subject 1", "subject 8"]
    assert sessions(["0001", "0002"]) is None


def test_there_are_no_more_folds_than_sessions(folder, capsys):
    names, labels = pickle.loads((folder / "train_label.pkl").read_bytes())
    names = [f"a{label + 1}_s{1 + i % 3}_t{i}" for i, label in enumerate(labels)]  # three persons
    (folder / "train_label.pkl").write_bytes(pickle.dumps((names, labels)))
    assert inspect(folder, "--labels", "--num_epoch", 1)[0] == 0
    assert capsys.readouterr().out.count("16 clips held out") == 3


def test_the_first_fold_of_a_config_with_folds_is_searched(folder, capsys):
    (folder / "fold1").mkdir()
    for path in folder.glob("*_*.*"):
        shutil.copy(path, folder / "fold1")
    config = yaml.safe_load((folder / "config.yaml").read_text()) | {"fold": [1, 2]}
    for args in (config["train_feeder_args"], config["test_feeder_args"]):
        for key in ("data_path", "label_path"):
            args[key] = args[key].replace(str(folder), f"{folder}/fold{{fold}}")
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    assert inspect(folder, "--labels", "--folds", 2, "--num_epoch", 1)[0] == 0
    assert capsys.readouterr().out.count("24 clips held out") == 2
