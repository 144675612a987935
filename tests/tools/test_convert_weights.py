"""Checkpoints by PYSKL's names: built from the plain networks, converted, loaded strictly, the same logits; and back."""

import subprocess
import sys
import types
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from torch import nn

from net import st_gcn, st_gcn_pp
from net.graph import Graph
from tests.net.plain import BLOCKS, PlainSTGCN
from tests.net.plain_pp import PlainSTGCNPP
from tests.net.test_st_gcn import assert_close, clip, shake
from tools.command import run
from tools.convert_weights import main

TOOL = Path(__file__).resolve().parents[2] / "tools" / "convert_weights.py"
THREE = [[14, 1], [14, 1], [20, 2]]  # blocks; with 2 input channels and 17 joints


@pytest.fixture
def converted(monkeypatch, capsys):
    """Run the tool in this process; what it said."""

    def call(*arguments) -> str:
        monkeypatch.setattr(sys, "argv", ["convert_weights.py", *map(str, arguments)])
        run(main)
        return capsys.readouterr().out

    return call


@pytest.fixture
def refused(monkeypatch, capsys):
    """Run the tool in this process; the one line that it says instead of working."""

    def call(*arguments) -> str:
        monkeypatch.setattr(sys, "argv", ["convert_weights.py", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            run(main)
        said = capsys.readouterr()
        assert stop.value.code == 2 and said.err.startswith("error: ") and said.err.count("\n") == 1 and not said.out
        return said.err

    return call


def st_gcn_pp_of_pyskl(layout="coco", in_channels=2, num_class=7, blocks=THREE) -> tuple[nn.Module, OrderedDict]:
    torch.manual_seed(0)
    network = shake(PlainSTGCNPP(in_channels, num_class, torch.tensor(Graph(layout, "spatial").A), blocks=blocks))
    with torch.no_grad():
        for block in network.backbone.gcn:
            block.gcn.A += 0.1 * torch.randn(block.gcn.A.shape)
    return network.eval(), network.state_dict()


def st_gcn_of_pyskl(layout="coco", in_channels=2, num_class=7, blocks=THREE) -> tuple[nn.Module, OrderedDict]:
    """A random graph, so that taking it from the layout shows; the names written out by hand."""
    torch.manual_seed(0)
    V = Graph(layout).A.shape[1]
    network = shake(PlainSTGCN(in_channels, num_class, torch.rand(3, V, V) / V, blocks=blocks)).eval()
    names = {"gcn.conv": "gcn.conv", "tcn.0": "gcn.bn", "tcn.2": "tcn.conv", "tcn.3": "tcn.bn"}
    names |= {"residual.0": "residual.conv", "residual.1": "residual.bn"}
    weights = OrderedDict()
    for key, value in network.state_dict().items():
        part, *rest = key.split(".")
        if part == "data_bn":
            weights[f"backbone.{key}"] = value
        elif part == "edge_importance":
            weights[f"backbone.gcn.{rest[0]}.gcn.A"] = network.A.clone()
            weights[f"backbone.gcn.{rest[0]}.gcn.PA"] = value
        elif part == "fcn":
            weights[f"cls_head.fc_cls.{rest[0]}"] = value.flatten(1) if rest[0] == "weight" else value
        elif part == "st_gcn_networks":
            weights[f"backbone.gcn.{rest[0]}.{names['.'.join(rest[1:3])]}.{rest[3]}"] = value
    return network, weights


def load(folder: Path) -> nn.Module:
    """The network that OUT.yaml describes with the weights of OUT.pt, strictly."""
    settings = yaml.safe_load((folder / "out.yaml").read_text(encoding="utf-8"))
    assert {"model", "model_args"} <= set(settings) <= {"model", "model_args", "skeleton"}
    module = {"net.st_gcn.Model": st_gcn, "net.st_gcn_pp.Model": st_gcn_pp}[settings["model"]]
    model = module.Model(**settings["model_args"])
    model.load_state_dict(torch.load(folder / "out.pt", weights_only=True), strict=True)
    return model.eval()


def assert_same(actual, expected):
    assert set(actual) == set(expected)
    assert all(torch.equal(actual[key], expected[key]) for key in expected)


@pytest.fixture(params=["st_gcn", "st_gcn_pp"])
def checkpoint(request, tmp_path):
    """The plain network, a function from clip to its logits, and its weights in a file as PYSKL trains it."""
    build = st_gcn_of_pyskl if request.param == "st_gcn" else st_gcn_pp_of_pyskl
    network, weights = build()
    torch.save({"meta": {"epoch": 16}, "state_dict": weights, "optimizer": {"state": {}}}, tmp_path / "in.pth")
    plus = request.param == "st_gcn_pp"
    return lambda x: network(x.permute(0, 4, 2, 3, 1) if plus else x), weights, tmp_path


def test_there_and_back(checkpoint, converted):
    logits, weights, folder = checkpoint
    said = converted(folder / "in.pth", folder / "out.pt")
    model = load(folder)
    x = clip(C=2, V=17)
    with torch.no_grad():
        assert_close(model(x), logits(x), 1e-4)
        assert_close(model.fuse()(x), logits(x), 1e-4)
    args = yaml.safe_load((folder / "out.yaml").read_text(encoding="utf-8"))["model_args"]
    assert (args["in_channels"], args["num_class"], args["blocks"]) == (2, 7, THREE)
    assert args["graph_args"] == {"layout": "coco", "strategy": "spatial"}
    assert "layout: coco" in said and "out.yaml" in said

    converted("--to", "pyskl", folder / "out.pt", folder / "back.pth")
    assert_same(torch.load(folder / "back.pth", weights_only=True)["state_dict"], weights)
    assert not (folder / "back.yaml").exists()
    assert not list(folder.glob(".*"))  # nothing half-written


def test_names_of_mmaction2(checkpoint, converted):
    logits, weights, folder = checkpoint
    theirs = OrderedDict((key.replace("fc_cls", "fc"), value) for key, value in weights.items())
    torch.save(theirs, folder / "in.pth")  # not wrapped
    converted(folder / "in.pth", folder / "out.pt")
    with torch.no_grad():
        assert_close(load(folder)(clip(C=2, V=17)), logits(clip(C=2, V=17)), 1e-4)
    converted("--to", "mmaction2", folder / "out.pt", folder / "back.pth")
    assert_same(torch.load(folder / "back.pth", weights_only=True)["state_dict"], theirs)


@pytest.mark.parametrize("build", [st_gcn_of_pyskl, st_gcn_pp_of_pyskl])
def test_the_published_sizes_need_no_blocks(build, tmp_path, converted):
    _, weights = build("ntu-rgb+d", 3, 60, BLOCKS)
    torch.save(weights, tmp_path / "in.pth")
    said = converted(tmp_path / "in.pth", tmp_path / "new" / "out.pt")
    args = yaml.safe_load((tmp_path / "new" / "out.yaml").read_text(encoding="utf-8"))["model_args"]
    expected = {"in_channels": 3, "num_class": 60, "graph_args": {"layout": "ntu-rgb+d", "strategy": "spatial"}}
    if build is st_gcn_of_pyskl:
        expected["edge_importance_weighting"] = True
    assert args == expected
    assert "ntu-rgb+d" in said
    load(tmp_path / "new")


def test_st_gcn_without_edge_importance(tmp_path, converted):
    network, weights = st_gcn_of_pyskl()
    for parameter in network.edge_importance:
        parameter.data.fill_(1)
    torch.save({key: weights[key] for key in weights if not key.endswith(".PA")}, tmp_path / "in.pth")
    converted(tmp_path / "in.pth", tmp_path / "out.pt")
    with torch.no_grad():
        assert_close(load(tmp_path)(clip(C=2, V=17)), network(clip(C=2, V=17)), 1e-4)


def test_unknown_number_of_joints_is_to_be_filled_in(tmp_path, converted):
    layout = tmp_path / "pair.yaml"
    layout.write_text("name: pair\njoints: [a, b]\nbones: [[a, b]]\ncentre: b\n")
    network, weights = st_gcn_pp_of_pyskl(str(layout))
    torch.save(weights, tmp_path / "in.pth")
    said = converted(tmp_path / "in.pth", tmp_path / "out.pt")
    assert "no layout is known for 2 joints: give it with --layout, or fill it in" in said
    settings = yaml.safe_load((tmp_path / "out.yaml").read_text(encoding="utf-8"))
    assert settings["model_args"]["graph_args"] == {"strategy": "spatial"}
    settings["model_args"]["graph_args"]["layout"] = str(layout)
    (tmp_path / "out.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    x = clip(C=2, V=2)
    with torch.no_grad():
        assert_close(load(tmp_path)(x), network(x.permute(0, 4, 2, 3, 1)), 1e-4)


def test_a_layout_can_be_said_and_must_fit(tmp_path, converted, refused):
    _, weights = st_gcn_pp_of_pyskl("mediapipe-hand")
    torch.save(weights, tmp_path / "in.pth")
    assert "layout: mediapipe-hand" in converted(tmp_path / "in.pth", tmp_path / "out.pt")  # the only one of 21 joints
    own = tmp_path / "own.yaml"
    own.write_text(
        (TOOL.parents[1] / "resource/skeleton/mediapipe-hand.yaml").read_text().replace("name: ", "name: my-")
    )
    assert f"layout: {own}" in converted("--layout", own, tmp_path / "in.pth", tmp_path / "out.pt")
    line = refused("--layout", "coco", tmp_path / "in.pth", tmp_path / "other.pt")
    assert "--layout coco has 17 joints, the network has 21" in line


def test_st_gcn_whose_blocks_have_different_graphs_is_refused(tmp_path, refused):
    _, weights = st_gcn_of_pyskl()
    weights["backbone.gcn.2.gcn.A"] += 0.1
    torch.save(weights, tmp_path / "in.pth")
    assert "A of block 2 differs from that of block 0" in refused(tmp_path / "in.pth", tmp_path / "out.pt")
    assert not (tmp_path / "out.pt").exists() and not (tmp_path / "out.yaml").exists()


@pytest.mark.parametrize(
    "key, value, message",
    [
        ("cls_head.fc_cls.weight", None, "lacks fcn.weight"),
        ("backbone.gcn.1.gcn.bn.weight", None, "lacks "),
        ("backbone.gcn.1.gcn.conv.weight", None, "lacks "),
        ("backbone.gcn.0.gcn.A", None, "not the whole of net.st_gcn"),
        ("backbone.gcn.0.gcn.attention.weight", torch.ones(1), "weight backbone.gcn.0.gcn.attention.weight belongs"),
        ("backbone.data_bn.weight", torch.ones(68), "shape of data_bn.weight (its name here) is (68,), expected (34,)"),
        ("backbone.gcn.0.gcn.conv.weight", torch.ones(()), "another shape"),
        ("cls_head.fc_cls.weight", torch.ones(()), "another shape"),
    ],
)
def test_incomplete_and_foreign_weights_are_refused_in_one_line(checkpoint, key, value, message, refused):
    _, weights, folder = checkpoint
    weights = {**weights, key: value} if value is not None else {k: v for k, v in weights.items() if k != key}
    torch.save(weights, folder / "in.pth")
    assert message in refused(folder / "in.pth", folder / "out.pt")
    assert not (folder / "out.pt").exists()


def test_other_mistakes_are_one_line(tmp_path, refused):
    source = tmp_path / "in.pth"
    assert "does not exist" in refused(source, tmp_path / "out.pt")
    source.write_bytes(b"not a checkpoint")
    assert "cannot be loaded" in refused(source, tmp_path / "out.pt")
    assert "neither IN's" in refused(source, source)
    assert "neither IN's" in refused(source, tmp_path / "out.yaml")
    torch.save({"weight": torch.ones(1)}, source)
    assert "no weight begins with backbone.gcn." in refused(source, tmp_path / "out.pt")
    assert "no weight begins with st_gcn_networks. or blocks." in refused("--to", "pyskl", source, tmp_path / "out.pt")


def test_what_mmcv_and_mmengine_keep_beside_the_weights_is_passed_over(tmp_path, converted, refused, monkeypatch):
    """The score of the best epoch is a number of numpy, the history of the losses an object of MMEngine, which is not here."""

    class HistoryBuffer:
        def __init__(self):
            self._log_history, self._max_length = np.arange(3.0), 1_000_000

    module = types.ModuleType("mmengine.logging.history_buffer")
    HistoryBuffer.__module__, HistoryBuffer.__qualname__, module.HistoryBuffer = (
        module.__name__,
        "HistoryBuffer",
        HistoryBuffer,
    )
    monkeypatch.setitem(sys.modules, module.__name__, module)
    for parent in ("mmengine", "mmengine.logging"):
        monkeypatch.setitem(sys.modules, parent, types.ModuleType(parent))
    network, weights = st_gcn_pp_of_pyskl()
    beside = {
        "meta": {"hook_msgs": {"best_score": np.float64(0.9), "best": np.int64(3)}},
        "message_hub": HistoryBuffer(),
    }
    torch.save({**beside, "state_dict": weights}, tmp_path / "new.pth")
    torch.save({**beside, "state_dict": weights}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    torch.save({"other": Path("x"), "state_dict": weights}, tmp_path / "strange.pth")
    for name in ("mmengine", "mmengine.logging", module.__name__):
        monkeypatch.delitem(sys.modules, name)
    x = clip(C=2, V=17)
    for name in ("new.pth", "old.pth"):
        converted(tmp_path / name, tmp_path / "out.pt")
        with torch.no_grad():
            assert_close(load(tmp_path)(x), network(x.permute(0, 4, 2, 3, 1)), 1e-4)
    assert "only tensors and plain containers are taken" in refused(tmp_path / "strange.pth", tmp_path / "other.pt")


def test_weights_that_are_arrays_of_numpy_are_refused(tmp_path, refused):
    """They are let in beside the weights, where nothing of them is kept, and not in their place."""
    weights = {"state_dict": {"backbone.gcn.0.gcn.A": np.ones((3, 17, 17), np.float32)}}
    torch.save(weights, tmp_path / "in.pth")
    assert "no weights in it" in refused(tmp_path / "in.pth", tmp_path / "out.pt")


def test_from_the_command_line(tmp_path):
    _, weights = st_gcn_pp_of_pyskl()
    torch.save(weights, tmp_path / "in.pth")
    for source, status, line in (
        ("in.pth", 0, "model: net.st_gcn_pp.Model\n"),
        ("inn.pth", 2, "error: inn.pth does not"),
    ):
        command = [sys.executable, str(TOOL), source, "out.pt"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert done.returncode == status and (done.stdout + done.stderr).startswith(line)
    load(tmp_path)
