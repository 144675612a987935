"""Every processor takes an .h5 in place of a .npy and its companions, and says the same of it."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from feeder.packed_writer import write_label_names, write_packed
from feeder.synthetic.clips import LABEL_NAMES, clips
from main import main
from processor import benchmark, options
from processor.comparison.runs import read_scores
from processor.ensemble import labels_beside
from processor.training.cross_validation import fold_options
from torchlight.arguments import parse

CONFIG = """
feeder_args: {{window_size: 16, uniform_sample: True}}
train_feeder_args: {{data_path: '{train}', random_choose: True, mirror: True}}
test_feeder_args: {{data_path: '{test}'}}
model: net.st_gcn.Model
model_args: {{blocks: [[8, 1], [16, 2]]}}
device: [-1]
num_epoch: 1
batch_size: 8
num_worker: {workers}
save_result: True
report: False
"""
NPY = "data/{part}_data.npy', label_path: 'data/{part}_label.pkl"


@pytest.fixture
def both(tmp_path, monkeypatch):
    """data/{train,val}_data.npy and their companions, and data/{train,val}.h5; a config for each."""
    monkeypatch.chdir(tmp_path)
    for part, number in (("train", 24), ("val", 12)):
        for out_format in ("npy", "h5"):
            write_packed("data", part, clips(part, number), number, 150, 1, out_format, LABEL_NAMES)
    write_label_names("data", list(LABEL_NAMES))
    paths = {part: NPY.format(part=part) for part in ("train", "val")}
    Path("npy.yaml").write_text(CONFIG.format(train=paths["train"], test=paths["val"], workers=0))
    Path("h5.yaml").write_text(CONFIG.format(train="data/train.h5", test="data/val.h5", workers=2))


def test_a_training_ends_with_the_same_weights_and_its_scores_find_their_labels(both):
    for name in ("npy", "h5"):
        assert main(["recognition", "-c", f"{name}.yaml", "-w", name]) == 0
    one, other = (torch.load(f"{name}/epoch1_model.pt", weights_only=True) for name in ("npy", "h5"))
    assert all(torch.equal(one[key], other[key]) for key in one)
    assert Path("npy/epoch1_model.yaml").read_text() == Path("h5/epoch1_model.yaml").read_text()
    assert labels_beside("h5/test_result.pkl", "--labels") == "data/val.h5"
    found, expected = (read_scores(f"{name}/test_result.pkl", None, None) for name in ("h5", "npy"))
    assert (found.names, found.classes) == (expected.names, expected.classes)
    np.testing.assert_array_equal(found.label, expected.label)
    assert main(["recognition", "-c", "h5.yaml", "-w", "h5", "--phase", "test"]) == 0
    assert main(["ensemble", "--results", "h5/test_result.pkl", "npy/test_result.pkl", "--work_dir", "both"]) == 0


def test_it_is_inspected_as_the_npy_is(both, capsys):
    told = {}
    for name in ("npy", "h5"):
        assert main(["inspect", "-c", f"{name}.yaml", "--work_dir", name]) == 0
        told[name] = json.loads(Path(name, "inspect.json").read_text())
        for part in told[name]["parts"].values():
            del part["data_path"], part["label_path"]
    assert told["h5"] == told["npy"]
    capsys.readouterr()
    assert main(["inspect", "--data_path", "data/val.h5"]) == 0
    assert capsys.readouterr().out.startswith("test: 12 clips of 10 classes")
    assert main(["inspect", "--data_path", "data/val.h5", "--label_path", "data/val_label.pkl"]) == 2
    assert "has its labels inside" in capsys.readouterr().err


def test_a_fold_of_its_training_clips_is_read_from_it(both):
    arg = parse(options.recognition(), ["-c", "h5.yaml"])
    arg.test_feeder_args["label_path"] = "data/val_label.pkl"  # of a .npy
    args = fold_options(arg, 0).test_feeder_args
    assert args["data_path"] == "data/train.h5" and "label_path" not in args


def test_the_benchmark_finds_the_shape_of_its_clips(both):
    arg = parse(options.benchmark(), ["-c", "h5.yaml", "--frames", "7"])
    assert benchmark.clip_shape(arg) == (3, 7, 18, 1)


def test_a_npy_of_calibrate_without_labels_is_one_line(both, capsys):
    argv = ["calibrate", "--weights", str(options.STARTER), "--data_path", "data/val_data.npy"]
    assert main(argv) == 2
    assert "--data_path and --label_path belong together; of an .h5 --data_path is enough" in capsys.readouterr().err
    assert main([*argv[:-1], "data/val.h5"]) == 2
    assert "wants x, y and score of 13 joints" in capsys.readouterr().err
