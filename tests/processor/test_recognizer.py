"""Weights with a side-car: the same scores as a test gives, answers, and refusals in one line."""

import numpy as np
import pytest
import torch
import yaml

from feeder.feeder import Feeder
from feeder.pipeline import IgnoreScore, NormalizeBody, UniformSample
from feeder.preprocess import Preprocess
from feeder.skeleton import load_skeleton
from main import main
from net.st_gcn import Model
from processor.recognizer import UNKNOWN, Recognizer
from processor.sidecar import describe, read_sidecar, write_sidecar
from torchlight.errors import UsageError

GRAPH = {"layout": "openpose", "strategy": "spatial"}
ARGS = {"in_channels": 3, "num_class": 4, "blocks": [[8, 1], [16, 2]], "graph_args": GRAPH}
FEEDER = Preprocess.from_config({"window_size": 20}, load_skeleton("openpose"))


@pytest.fixture
def weights(tmp_path):
    """A small untrained network, its weights and its side-car."""
    torch.manual_seed(0)
    path = tmp_path / "w.pt"
    torch.save(Model(**ARGS).state_dict(), path)
    write_sidecar(path, describe("net.st_gcn.Model", ARGS, FEEDER, ["run", "jump", "sit", "other"], 2))
    return path


def change(weights, **keys):
    write_sidecar(weights, read_sidecar(weights) | keys)


def test_a_trained_network_answers_as_its_test_did(small, tmp_path):
    assert main(["recognition", "-c", str(small / "config.yaml"), "-w", str(tmp_path / "out"), "--num_epoch", "2"]) == 0
    config = yaml.safe_load((small / "config.yaml").read_text())
    feeder = Feeder(**config["test_feeder_args"])
    network = Model(**config["model_args"])
    network.load_state_dict(torch.load(tmp_path / "out/epoch2_model.pt"))
    with torch.no_grad():
        logits = network.eval()(torch.from_numpy(np.stack([sample for sample, _ in feeder])))
    recognizer = Recognizer.from_checkpoint(tmp_path / "out/epoch2_model.pt", use_gpu=False)
    answer = recognizer([sample for sample, _ in feeder], np.ones(len(feeder)))
    np.testing.assert_allclose(answer.probability, logits.softmax(1).numpy(), atol=1e-5)
    assert recognizer.label_names == ["up", "down", "left", "right"] and recognizer.num_person == 2
    assert answer.attention.shape == (len(feeder), 10, 18) and answer.attention.max() == 1


def test_a_run_without_test_feeder_args_keeps_no_augmentation_in_its_side_car(small, tmp_path):
    config = yaml.safe_load((small / "config.yaml").read_text())
    del config["test_feeder_args"]
    augmented = {"mirror": True, "swap_sides": True, "joint_dropout": 0.5, "random_rotate": 1.0, "random_jitter": 0.1}
    config["train_feeder_args"] |= {
        **augmented,
        "random_choose": True,
        "window_size": 12,
        "layout": "openpose",
        "dimension": 2,
    }
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config))
    assert main(["recognition", "-c", str(tmp_path / "c.yaml"), "-w", str(tmp_path / "out"), "--num_epoch", "1"]) == 0
    saved = read_sidecar(tmp_path / "out/epoch1_model.pt")
    assert saved["feeder_args"] == {"dimension": 2, "pipeline": [{"Window": {"window_size": 12}}]}
    assert saved["window"] == 12
    recognizer = Recognizer.from_checkpoint(tmp_path / "out/epoch1_model.pt", use_gpu=False)
    clip = np.random.default_rng(0).uniform(0.1, 0.4, (3, 12, 18, 2)).astype(np.float32)
    np.testing.assert_array_equal(recognizer.preprocess([clip], np.ones(1), None)[0], clip)


def test_the_window_of_a_training_on_crops_of_so_many_frames_is_the_window_of_the_network():
    """The crops are augmentation; that the network is made for windows of about that length is not."""
    for crop, window in (([10, 40], 24), ([30, 120], 60), (0.5, None)):
        keys = {"uniform_sample": True, "window_size": 24, "random_choose": True, "random_crop": crop}
        preprocess = Preprocess.from_config(keys, load_skeleton("openpose"))
        assert describe("net.st_gcn.Model", {}, preprocess, ["a"], 1).get("window") == window


def test_a_side_car_of_flat_keys_under_their_former_names_is_read(weights):
    """As written before a side-car had a pipeline; arguments of a training are left out of it."""
    former = {"dimension": 2, "uniform_sample": True, "window_size": 16, "centre": True, "ignore_score": True}
    change(weights, feeder_args=former | {"random_lose": 0.5, "mirror": True, "random_choose": True})
    recognizer = Recognizer.from_checkpoint(weights, use_gpu=False)
    assert recognizer.preprocess.transforms == [UniformSample(16), NormalizeBody(), IgnoreScore()]


def test_the_layout_travels_with_the_weights(tmp_path, weights):
    """A layout file of one's own need not be there when the network is used."""
    own = tmp_path / "own.yaml"
    own.write_text("name: own\njoints: [a, b, c]\nbones: [[b, a], [c, b]]\ncentre: a\n")
    args = ARGS | {"graph_args": {"layout": str(own), "strategy": "spatial"}}
    torch.save(Model(**args).state_dict(), weights)
    write_sidecar(weights, describe("net.st_gcn.Model", args, None, list("wxyz"), 1, skeleton=load_skeleton(own)))
    own.unlink()
    recognizer = Recognizer.from_checkpoint(weights, use_gpu=False)
    assert recognizer.skeleton.joints == ("a", "b", "c")
    assert recognizer([np.ones((3, 9, 3, 1), np.float32)], [1.0]).probability.shape == (1, 4)


def test_other_and_a_low_score_are_unknown(weights):
    change(weights, threshold=0.6)
    recognizer = Recognizer.from_checkpoint(weights, use_gpu=False)
    assert recognizer.decide(np.array([0.7, 0.1, 0.1, 0.1])) == ("run", 0.7)
    assert recognizer.decide(np.array([0.5, 0.1, 0.1, 0.3])) == (UNKNOWN, 0.5)
    assert recognizer.decide(np.array([0.4, 0.0, 0.0, 0.6])) == (UNKNOWN, 0.6)
    assert recognizer.top(np.array([0.2, 0.1, 0.3, 0.4]), 2) == [("other", 0.4), ("sit", 0.3)]


def test_a_network_for_3d_joints_takes_clips_but_no_video(weights):
    change(weights, feeder_args={"dimension": 3})
    recognizer = Recognizer.from_checkpoint(weights, use_gpu=False)
    assert recognizer([np.ones((3, 20, 18, 2), np.float32)], [1.0]).probability.shape == (1, 4)
    with pytest.raises(UsageError, match="wants joints in 3-D"):
        recognizer.require_2d()
    assert main(["demo", "--weights", str(weights)]) == 2


def test_the_temperature_softens_and_keeps_the_order(weights):
    clip = [np.random.default_rng(0).normal(size=(3, 20, 18, 2)).astype(np.float32)]
    sharp = Recognizer.from_checkpoint(weights, use_gpu=False)(clip, [1.0]).probability[0]
    soft = Recognizer.from_checkpoint(weights, use_gpu=False, temperature=3.0)(clip, [1.0]).probability[0]
    assert soft.max() < sharp.max() and (soft.argsort() == sharp.argsort()).all()
    want = np.exp(np.log(sharp) / 3)
    np.testing.assert_allclose(soft, want / want.sum(), rtol=1e-4)


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ({"label_names": ["a", "b"]}, "2 label_names for a network of 4 classes"),
        ({"feeder_args": {"windov_size": 3}}, "did you mean 'window_size'"),
        ({"treshold": 0.5}, "did you mean 'threshold'"),
        ({"model": "net.st_gcn.Modell"}, "net.st_gcn"),
        ({"model": "subprocess.Popen", "model_args": {"args": "touch ran", "shell": True}}, "not a network of net/"),
        ({"model": "tests.processor.test_recognizer.Trap"}, "not a network of net/"),
        ({"model": "net.st_gcn.os.system"}, "not a network of net/"),
        ({"model": "net.graph.Graph", "model_args": GRAPH}, "not a network"),
        ({"feeder_args": {"pipeline": ["WholeClip", "tests.processor.test_recognizer.Trap"]}}, "no transform"),
        ({"model": 3}, "model: 3 where"),
        ({"model_args": [1, 2]}, "model_args: .1, 2. where a mapping"),
        ({"label_names": {"a": 1}}, "label_names: {'a': 1} where a list"),
        ({"threshold": "high"}, "threshold: 'high' where a number"),
        ({"window": "long"}, "window: 'long' where a number of frames"),
        ({"num_person": True}, "num_person: True where"),
        ({"skeleton": None, "model_args": {**ARGS, "graph_args": {}}}, "no skeleton layout"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(weights, keys, line):
    change(weights, **keys)
    with pytest.raises(ValueError, match=line) as error:
        Recognizer.from_checkpoint(weights, use_gpu=False)
    assert "\n" not in str(error.value).strip().replace("\n       ", " ")


def test_weights_without_a_side_car_say_what_is_missing(weights):
    weights.with_suffix(".yaml").unlink()
    with pytest.raises(UsageError, match="which network is it"):
        Recognizer.from_checkpoint(weights, use_gpu=False)


def test_calibrate_reports_and_writes_temperature_and_threshold(small, tmp_path, capsys):
    config = yaml.safe_load((small / "config.yaml").read_text())
    config["test_feeder_args"] |= {"dimension": 2}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config))
    assert main(["recognition", "-c", str(tmp_path / "c.yaml"), "-w", str(tmp_path / "out")]) == 0
    weights = tmp_path / "out/epoch6_model.pt"
    data = ["--data_path", str(small / "val_data.npy"), "--label_path", str(small / "val_label.pkl")]
    assert main(["calibrate", "--weights", str(weights), *data, "--save"]) == 0
    out = capsys.readouterr().out
    assert "annotated joints: 21 clips" in out and "detected joints, simulated: 21 clips" in out
    saved = read_sidecar(weights)
    assert 0.2 <= saved["temperature"] <= 5 and 0 < saved["threshold"] < 1
    assert main(["calibrate", "--weights", str(weights), "--data_path", str(small / "val_data.npy"),
                 "--label_path", str(tmp_path / "none.pkl")]) == 2  # fmt: skip
