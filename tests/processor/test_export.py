"""An exported network: the same outputs as ours in any shape, its side-car inside, and the script of docs/deploy.md."""

import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import yaml
from torch import nn

from feeder.dataset import DatasetInfo
from feeder.readers import penn_action
from feeder.skeleton import load_skeleton
from main import main
from net import ctr_gcn, st_gcn, st_gcn_pp, st_gcn_twostream, tcn
from processor import export
from processor.open_set import OpenSet
from processor.options import STARTER
from processor.recognizer import Recognizer
from processor.sidecar import preprocess_of, read_sidecar, write_sidecar
from torchlight.errors import UsageError

ROOT = Path(__file__).resolve().parents[2]
GRAPH = {"layout": "penn-action", "strategy": "spatial"}
ARGS = {"in_channels": 3, "num_class": 4, "graph_args": GRAPH, "blocks": [[8, 1], [12, 2]]}
NETWORKS = {
    "st_gcn": (st_gcn.Model, ARGS),
    "st_gcn_twostream": (st_gcn_twostream.Model, ARGS | {"blocks": [[8, 2]]}),
    "st_gcn_pp": (st_gcn_pp.Model, ARGS | {"blocks": [[12, 2]], "masked_pool": True}),
    "ctr_gcn": (ctr_gcn.Model, ARGS | {"blocks": [[16, 2]], "num_person": 2}),
    "tcn": (tcn.Model, {"channel": 2 * 13 * 3, "num_class": 4, "use_data_bn": True}),
}
SAMPLE = {"UniformSample": {"window_size": 20}}
SIDE_CAR = {
    "feeder_args": {"dimension": 2, "pipeline": [SAMPLE, "NormalizeBody", "IgnoreScore"]},
    "skeleton": "penn-action",
    "num_person": 2,
    "window": 20,
    "fps": 25.0,
    "label_names": ["run", "jump", "sit", "other"],
}
EXAMPLES = re.findall(r"```python\n(.*?)```", (ROOT / "docs/deploy.md").read_text(encoding="utf-8"), re.S)


def random_keypoints(seed, length=45, empty=5):
    """Joints that wander, some of them missing, and empty frames at the end: (T, 13, 3) in pixels."""
    rng = np.random.default_rng(seed)
    points = np.full((length, 13, 3), 0.8)
    points[..., :2] = rng.uniform(200, 700, (13, 2)) + rng.normal(0, 12, (length, 13, 2)).cumsum(0)
    points[rng.random((length, 13)) < 0.1] = 0
    points[length - empty :] = 0
    return points.astype(np.float32)


def raw_clip(keypoints, width, height, num_person):
    """Joints (T, V, 3) in pixels as the demo makes a clip of them, (3, T, V, M)."""
    seen = keypoints[..., 2:] > 0
    points = np.concatenate([(keypoints[..., :2] / (width, height) - 0.5) * seen, keypoints[..., 2:]], 2)
    clip = np.zeros((3, *points.shape[:2], num_person), np.float32)
    clip[..., 0] = points.transpose(2, 0, 1)
    return clip


def save(folder, name, seed=0, **side_car):
    """A random network, with activations of about 1 and batch norms to fold; its weights and side-car are in the folder."""
    make, args = NETWORKS[name]
    torch.manual_seed(seed)
    network = make(**args).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, 0, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
        elif isinstance(module, nn.Conv1d | nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
    torch.save(network.state_dict(), folder / "w.pt")
    says = {"model": f"{make.__module__}.Model", "model_args": args}
    write_sidecar(folder / "w.pt", says | SIDE_CAR | side_car)
    return network


def save_with_statistics(folder):
    """A network whose answers use everything that a side-car may say."""
    network = save(folder, "st_gcn", temperature=0.5, threshold=0.3, open_set={"centre": 1.5, "scale": 0.5})
    clips = [raw_clip(random_keypoints(seed), 1280, 720, 2) for seed in range(100, 160)]
    preprocess = preprocess_of(SIDE_CAR["feeder_args"], load_skeleton("penn-action"))
    clips = torch.from_numpy(preprocess(clips, np.full(60, 1280 / 720), None))
    with torch.no_grad():
        feature = network.extract_feature(clips)[1].mean((2, 3, 4)).numpy()
    OpenSet.fit(feature, np.arange(60) % 3, np.array([True, True, True, False])).save(folder / "w.pt")
    return network


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A network with statistics and its folder, in which w.onnx is."""
    folder = tmp_path_factory.mktemp("exported")
    network = save_with_statistics(folder)
    assert main(["export", "--weights", str(folder / "w.pt"), "--output", str(folder / "w.onnx")]) == 0
    return network, folder


def run_onnx(path, clip):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"clip": clip})))


def clips_of_many_shapes(any_number_of_persons):
    """One clip and more, frames that a stride of 2 does not divide, other numbers of persons, a person who is not there."""
    rng = np.random.default_rng(1)
    for N, T, M in [(1, 20, 2), (3, 33, 2), *([(1, 9, 1), (2, 61, 3)] if any_number_of_persons else [])]:
        clip = rng.normal(size=(N, 3, T, 13, M)).astype(np.float32)
        if M > 1:
            clip[0, ..., -1] = 0
        yield clip


def assert_same_in_any_shape(network, path):
    for clip in clips_of_many_shapes(any_number_of_persons=not isinstance(network, tcn.Model)):
        got = run_onnx(path, clip)
        with torch.no_grad():
            np.testing.assert_allclose(got["logits"], network(torch.from_numpy(clip)).numpy(), atol=1e-4)
            if hasattr(network, "extract_feature"):
                _, feature = network.extract_feature(torch.from_numpy(clip))
                np.testing.assert_allclose(got["feature"], feature.mean((2, 3, 4)).numpy(), atol=1e-4)


def test_an_onnx_file_gives_the_logits_and_features_of_the_network_for_clips_of_any_shape(exported):
    network, folder = exported
    assert_same_in_any_shape(network, folder / "w.onnx")


@pytest.mark.parametrize(
    ("name", "side_car"),
    [
        ("st_gcn_twostream", {}),
        ("st_gcn_pp", {"feeder_args": {"dimension": 3, "pipeline": ["WholeClip", "NormalizeBody"]}}),  # joints in 3-D
        ("tcn", {"feeder_args": None}),
    ],
)
def test_so_do_those_of_the_other_networks(name, side_car, tmp_path, capsys):
    network = save(tmp_path, name, **side_car)
    assert main(["export", "--weights", str(tmp_path / "w.pt"), "--output", str(tmp_path / "w.onnx")]) == 0
    assert "largest difference from our network" in capsys.readouterr().out
    assert_same_in_any_shape(network, tmp_path / "w.onnx")


def test_a_program_of_torch_export_gives_the_logits_of_the_network(tmp_path):
    """And the example of docs/deploy.md loads it in a process that does not find this project."""
    network, path = save(tmp_path, "st_gcn_twostream"), tmp_path / "starter.pt2"
    assert main(["export", "--weights", str(tmp_path / "w.pt"), "--format", "torch_export", "--output", str(path)]) == 0
    program = torch.export.load(path).module()
    for clip in clips_of_many_shapes(any_number_of_persons=True):
        clip = torch.from_numpy(clip)
        torch.testing.assert_close(program(clip)[0], network(clip).detach(), atol=1e-4, rtol=0)
    script = EXAMPLES[1] + "print(tuple(logits.shape), tuple(feature.shape), labels)"
    done = subprocess.run([sys.executable, "-I", "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.strip() == f"(1, 4) (1, 16) {SIDE_CAR['label_names']}", done.stderr
    assert str(ROOT).encode() not in path.read_bytes()


def test_the_side_car_is_inside_and_no_folder_of_this_machine(exported):
    _, folder = exported
    session = onnxruntime.InferenceSession(folder / "w.onnx", providers=["CPUExecutionProvider"])
    metadata = session.get_modelmeta().custom_metadata_map
    assert list(metadata) == ["sidecar.json"]
    about, says = json.loads(metadata["sidecar.json"]), read_sidecar(folder / "w.pt")
    assert {key: about[key] for key in says if key != "skeleton"} == {k: v for k, v in says.items() if k != "skeleton"}
    assert about["skeleton"]["joints"][0] == "head" and ["left_elbow", "left_shoulder"] in about["skeleton"]["bones"]
    assert about["toolkit"]["versions"]["torch"] == torch.__version__
    assert str(ROOT).encode() not in (folder / "w.onnx").read_bytes()


def test_the_distance_is_that_of_the_open_set_statistics(exported):
    _, folder = exported
    got = run_onnx(folder / "w.onnx", np.random.default_rng(0).normal(size=(5, 3, 20, 13, 2)).astype(np.float32))
    want = OpenSet.load(folder / "w.pt").distance(got["feature"])
    np.testing.assert_allclose(got["distance"], want, rtol=1e-3, atol=1e-3)
    assert np.ptp(want) > 0.1


@pytest.mark.parametrize(
    ("kind", "dtype", "tolerance"), [("onnx", "float16", 1e-2), ("torch_export", "bfloat16", 5e-2)]
)
def test_a_file_in_16_bits_is_smaller_and_near(kind, dtype, tolerance, tmp_path):
    network = save(tmp_path, "tcn")  # the one with the most weights: 8 MB
    weights, path = tmp_path / "w.pt", tmp_path / "w"
    argv = ["export", "--weights", str(weights), "--format", kind, "--dtype", dtype, "--output", str(path)]
    assert main(argv) == 0
    assert 0.4 < path.stat().st_size / weights.stat().st_size < 0.6
    clip = np.random.default_rng(0).normal(size=(2, 3, 31, 13, 2)).astype(np.float32)
    want = network(torch.from_numpy(clip)).detach().numpy()
    if kind == "onnx":
        got = run_onnx(path, clip)["logits"]
    else:
        got = torch.export.load(path).module()(torch.from_numpy(clip))[0].numpy()
    assert got.dtype == np.float32 and 0 < np.abs(got - want).max() < tolerance * max(1, np.abs(want).max())


def test_int8_keeps_the_labels_and_computes_the_convolutions_in_8_bits(small, tmp_path, capsys):
    assert (
        main(["recognition", "-c", str(small / "config.yaml"), "-w", str(tmp_path / "run"), "--report", "False"]) == 0
    )
    weights, output = tmp_path / "run/epoch6_model.pt", tmp_path / "w.onnx"
    argv = ["export", "--weights", str(weights), "--dtype", "int8", "--output", str(output)]
    capsys.readouterr()
    assert main([*argv, "--data_path", f"{small}/train_data.npy", "--test_path", f"{small}/val_data.npy"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"4[78] of 48 calibration clips have the label", out)
    top1 = [float(share) for share in re.findall(r"([\d.]+) %", out)]
    assert len(top1) == 2 and abs(top1[0] - top1[1]) < 5  # of 21 clips
    model = onnx.load(output)
    assert [entry.key for entry in model.metadata_props] == ["sidecar.json"]
    made_by = {name: node for node in model.graph.node for name in node.output}
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    assert convolutions and all(made_by[node.input[1]].op_type == "DequantizeLinear" for node in convolutions)


@pytest.mark.parametrize(
    ("names", "want"), [(("sit", "run"), [2, 2, 0]), (None, [0, 0, 1]), (("sit", "fly"), [0, 0, 1])]
)
def test_labels_of_a_data_set_are_those_of_the_network_by_name_and_else_by_number(names, want):
    feeder = SimpleNamespace(info=DatasetInfo(label_names=names), label=[0, 0, 1], data_path="x_data.npy")
    assert export.numbered_as(["run", "jump", "sit", "other"], feeder).tolist() == want
    with pytest.raises(UsageError, match=r"x_data\.npy: label 1, the network has 1 classes"):
        export.numbered_as(["run"], feeder)


def test_a_file_that_is_too_far_from_the_network_is_not_written(exported, tmp_path, monkeypatch, capsys):
    """Here that of another network is in its place."""
    save(tmp_path, "st_gcn", seed=1)
    other = (exported[1] / "w.onnx").read_bytes()
    model = onnx.load_from_string(other)
    del model.graph.output[2]
    monkeypatch.setitem(export.FORMATS, "onnx", (".onnx", lambda *_: model.SerializeToString(), export.load_onnx))
    output = tmp_path / "out.onnx"
    output.write_text("older")
    assert main(["export", "--weights", str(tmp_path / "w.pt"), "--output", str(output)]) == 2
    assert "not written" in capsys.readouterr().err
    assert output.read_text() == "older" and len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (["--dtype", "bfloat16"], "onnxruntime has no convolution in bfloat16"),
        (["--dtype", "int8"], "--dtype int8 needs --data_path"),
        (["--dtype", "int8", "--format", "torch_export"], "int8 is made by onnxruntime"),
        (["--format", "onxn"], "did you mean 'onnx'"),
        (["--weights", "none.pt"], "none.pt does not exist"),
        (["--test_path", "none_data.npy"], "none_data.npy does not exist"),
        (["--test_path", "{small}/val_data.npy"], "the data have 18 joints"),
        (["--test_path", "{other}/val_data.npy"], "joints of layout 'coco', the network has those of 'penn-action'"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(argv, line, small, tmp_path, capsys):
    (tmp_path / "dataset.yaml").write_text(yaml.safe_dump({"layout": "coco", "dimension": 2}))
    argv = [each.format(small=small, other=tmp_path) for each in argv]
    assert main(["export", *argv, "--output", str(tmp_path / "w")]) == 2
    error = capsys.readouterr().err
    assert line in error and not (tmp_path / "w").exists()
    assert all(later.startswith("       ") for later in error.splitlines()[1:])


def test_weights_without_a_side_car_are_refused(tmp_path, capsys):
    save(tmp_path, "st_gcn")
    (tmp_path / "w.yaml").unlink()
    assert main(["export", "--weights", str(tmp_path / "w.pt")]) == 2
    assert "w.yaml, which says what network it is, is not there" in capsys.readouterr().err


# ---- docs/deploy.md


def run_alone(script, folder, *argv):
    """A script in a process of its own that finds neither torch nor this project; what it prints."""
    (folder / "script.py").write_text(script)
    begin = "import runpy, sys; sys.modules['torch'] = None; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0])"
    command = [sys.executable, "-I", "-c", begin, "script.py", *map(str, argv)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def answer_of_ours(recognizer, keypoints, width, height):
    """Label and score of (T, V, 3) in pixels."""
    clip = raw_clip(keypoints, width, height, recognizer.num_person)
    label, score = recognizer.decide(recognizer([clip], [width / height]).probability[0])
    return f"{label}  {score:.3f}"


def test_the_script_needs_no_more_than_60_lines_numpy_and_onnxruntime():
    assert len(EXAMPLES[0].splitlines()) <= 60
    assert set(re.findall(r"^import (\w+)", EXAMPLES[0], re.M)) == {"json", "sys", "numpy", "onnxruntime"}


def test_the_script_answers_as_the_recognizer_with_temperature_threshold_and_open_set(exported):
    _, folder = exported
    recognizer, answers = Recognizer.from_checkpoint(folder / "w.pt", use_gpu=False), []
    for seed in range(3):
        keypoints = random_keypoints(seed)
        np.save(folder / "k.npy", keypoints)
        answers.append(run_alone(EXAMPLES[0], folder, "w.onnx", "k.npy", 1280, 720))
        assert answers[-1] == answer_of_ours(recognizer, keypoints, 1280, 720)
    assert answers[0].startswith("sit") and {answer[:7] for answer in answers[1:]} == {"unknown"}


@pytest.fixture(scope="module")
def starter(tmp_path_factory):
    """The starter model, exported as the page says, and its Recognizer."""
    folder = tmp_path_factory.mktemp("starter")
    assert main(["export", "--output", str(folder / "starter.onnx")]) == 0
    return folder, Recognizer.from_checkpoint(STARTER, use_gpu=False)


def test_the_script_answers_as_the_recognizer_with_the_starter_model(starter):
    folder, recognizer = starter
    keypoints = random_keypoints(0, length=80)
    np.save(folder / "k.npy", keypoints)
    answer = run_alone(EXAMPLES[0], folder, "starter.onnx", "k.npy", 1920, 1080)
    assert answer == answer_of_ours(recognizer, keypoints, 1920, 1080)


def test_the_script_recognises_recorded_clips(starter, real_data):
    folder, recognizer = starter
    right = 0
    for name in ("0001", "1000", "2300"):
        sequence = penn_action.read(real_data / f"penn_action/labels/{name}.mat")
        width, height = sequence.frame_size
        points, scores = sequence.keypoints[0], sequence.scores[0][..., None]
        keypoints = np.concatenate([(points + 0.5) * (width, height) * scores, scores], 2).astype(np.float32)
        np.save(folder / "k.npy", keypoints)
        answer = run_alone(EXAMPLES[0], folder, "starter.onnx", "k.npy", width, height)
        assert answer == answer_of_ours(recognizer, keypoints, width, height)
        right += answer.startswith(penn_action.ACTIONS[sequence.label].replace("_", " "))
    assert right >= 2
