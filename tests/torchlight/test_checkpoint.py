import pickle
import random
from collections import OrderedDict
from contextlib import suppress

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from torchlight.checkpoint import (
    load_checkpoint,
    load_weights,
    random_state,
    read_weights,
    save_checkpoint,
    save_weights,
    set_random_state,
    unwrap,
)
from torchlight.errors import UsageError


class Net(nn.Module):
    """Has a part whose own name holds `module.`: the original mangled such keys."""

    def __init__(self, num_class: int = 3):
        super().__init__()
        self.bn = nn.BatchNorm1d(4)
        self.submodule = nn.Linear(4, 4)
        self.fcn = nn.Linear(4, num_class)
        self.register_buffer("A", torch.rand(2, 2))


KEYS = list(Net().state_dict())


def same(a: nn.Module, b: nn.Module) -> bool:
    a, b = a.state_dict(), b.state_dict()
    return list(a) == list(b) and all(torch.equal(a[key], b[key]) for key in a)


def quiet(line: str) -> None: ...


# ---- weights


def test_file_is_an_ordered_dict_of_cpu_tensors_as_the_originals(tmp_path):
    save_weights(Net(), tmp_path / "x.pt")
    weights = torch.load(tmp_path / "x.pt", weights_only=True)
    assert type(weights) is OrderedDict
    assert list(weights) == KEYS
    assert all(value.device.type == "cpu" for value in weights.values())


def test_wrappers_leave_no_trace(tmp_path):
    net = Net()
    compiled = nn.Module()  # stands in for torch.compile, which takes seconds to import
    compiled._orig_mod = nn.DataParallel(net)
    save_weights(compiled, tmp_path / "x.pt")
    assert list(torch.load(tmp_path / "x.pt")) == KEYS
    assert unwrap(nn.DataParallel(net)) is net


def test_half_is_saved_as_float_and_views_alone(tmp_path):
    net = Net().half()
    net.A = torch.rand(1000, 1000)[:2, :2]
    save_weights(net, tmp_path / "x.pt")
    weights = torch.load(tmp_path / "x.pt")
    assert weights["fcn.weight"].dtype == torch.float32
    assert weights["bn.num_batches_tracked"].dtype == torch.int64
    assert (tmp_path / "x.pt").stat().st_size < 20_000


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 1000),
    num_class=st.integers(1, 9),
    prefix=st.sampled_from(["", "module.", "model.", "_orig_mod.module."]),
)
def test_weights_come_back_exactly(tmp_path_factory, seed, num_class, prefix):
    path = tmp_path_factory.mktemp("weights") / "x.pt"
    torch.manual_seed(seed)
    one, other = Net(num_class), Net(num_class)
    torch.save(OrderedDict((prefix + key, value) for key, value in one.state_dict().items()), path)
    load_weights(other, path, log=quiet)
    assert same(one, other)


@pytest.mark.parametrize("nest", ["state_dict", "model_state_dict", "model", "net", "weights"])
def test_weights_inside_a_training_checkpoint(tmp_path, nest):
    one, other = Net(), Net()
    weights = {f"module.{key}": value for key, value in one.state_dict().items()}
    torch.save({"epoch": 3, nest: weights, "optimizer": {"state": {}}}, tmp_path / "x.pt")
    load_weights(other, tmp_path / "x.pt", log=quiet)
    assert same(one, other)


def test_files_of_old_torch(tmp_path):
    one, other = Net(), Net()
    weights = one.state_dict()
    del weights["bn.num_batches_tracked"]  # torch < 0.4.1
    torch.save(OrderedDict(weights), tmp_path / "x.pt", _use_new_zipfile_serialization=False)
    load_weights(other, tmp_path / "x.pt", log=quiet)
    assert same(one, other)


def test_parts_named_like_a_wrapper_keep_their_names(tmp_path):
    one, other = nn.ModuleDict({"module": nn.Linear(2, 2)}), nn.ModuleDict({"module": nn.Linear(2, 2)})
    save_weights(one, tmp_path / "x.pt")
    load_weights(other, tmp_path / "x.pt", log=quiet)
    assert same(one, other)


def test_wrapped_model_is_loaded_inside(tmp_path):
    one, other = Net(), Net()
    save_weights(one, tmp_path / "x.pt")
    load_weights(nn.DataParallel(other), tmp_path / "x.pt", log=quiet)
    assert same(one, other)


def test_lines_of_the_original(tmp_path):
    save_weights(Net(), tmp_path / "x.pt")
    lines, details = [], []
    load_weights(Net(5), tmp_path / "x.pt", ["fcn"], lines.append, details.append)
    assert lines == [
        f"Load weights from {tmp_path / 'x.pt'}.",
        "Filter [fcn] remove weights [fcn.weight].",
        "Filter [fcn] remove weights [fcn.bias].",
        "Can not find weights [fcn.weight].",
        "Can not find weights [fcn.bias].",
    ]
    assert details == [f"Load weights [{key}]." for key in KEYS if not key.startswith("fcn")]


def test_ignored_weights_stay_as_they_were(tmp_path):
    one, other = Net(), Net(5)
    before = other.fcn.weight.clone()
    save_weights(one, tmp_path / "x.pt")
    load_weights(other, tmp_path / "x.pt", ["fcn"], quiet)
    assert torch.equal(other.fcn.weight, before)
    assert torch.equal(other.submodule.weight, one.submodule.weight)


def test_ignored_beginning_that_nothing_has(tmp_path):
    save_weights(Net(), tmp_path / "x.pt")
    with pytest.raises(UsageError, match=r"no weight of .* begins with 'fnc'; did you mean 'fcn'"):
        load_weights(Net(), tmp_path / "x.pt", ["fnc"], quiet)


def test_ignored_weights_need_not_be_in_the_file(tmp_path):
    weights = Net().state_dict()
    del weights["A"]
    torch.save(weights, tmp_path / "x.pt")
    load_weights(Net(), tmp_path / "x.pt", ["A"], quiet)


def refused(net, path) -> list[str]:
    before = {key: value.clone() for key, value in net.state_dict().items()}
    with pytest.raises(UsageError) as caught:
        load_weights(net, path, log=quiet)
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items()), "some were loaded"
    return str(caught.value).splitlines()


def test_another_number_of_classes_is_told_with_the_remedy(tmp_path):
    save_weights(Net(3), tmp_path / "x.pt")
    lines = refused(Net(5), tmp_path / "x.pt")
    assert lines[0].startswith(f"{tmp_path / 'x.pt'} does not fit ")
    assert lines[0].endswith("Net: 8 of its 10 weights can be loaded")
    assert [line.strip() for line in lines[1:]] == [
        "another shape: fcn.weight: (3, 4) in the file, (5, 4) in the model",
        "fcn.bias: (3,) in the file, (5,) in the model",
        "to load all the rest: --ignore_weights fcn",
    ]


def test_missing_and_unexpected_weights_are_told(tmp_path):
    weights = Net(5).state_dict()
    for name in ["a", "b", "c", "d"]:
        weights[f"extra.{name}"] = torch.zeros(1)
    for key in ["A", "bn.weight", "bn.bias", "submodule.weight"]:
        del weights[key]
    torch.save(weights, tmp_path / "x.pt")
    lines = [line.strip() for line in refused(Net(3), tmp_path / "x.pt")]
    assert len(lines) <= 12
    assert "not in the file: A" in lines
    assert "not in the model: extra.a" in lines
    assert "and 2 more" in lines
    assert not any("--ignore_weights" in line for line in lines)


def test_file_of_another_network(tmp_path):
    save_weights(nn.Conv1d(1, 1, 1), tmp_path / "x.pt")
    lines = refused(Net(), tmp_path / "x.pt")
    assert "0 of its 10" in lines[0]
    assert lines[-1].strip() == "is it a file of another network?"


class Evil:
    def __reduce__(self):
        return print, ("this must never be printed",)


def write_evil(path):
    torch.save({"state_dict": Evil()}, path)


def write_evil_pickle(path):
    path.write_bytes(pickle.dumps(Evil()))


def write_whole_model(path):
    torch.save(nn.Linear(2, 2), path)


def write_short(path):
    save_weights(Net(), path)
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize(
    ("write", "line"),
    [
        (write_evil, "it asks for print when loaded; only tensors"),
        (write_evil_pickle, "not a file of torch.save, or cut short"),
        (write_whole_model, "it asks for torch.nn.modules.linear.Linear when loaded"),
        (write_short, "not a file of torch.save, or cut short"),
        (lambda path: path.write_bytes(b""), "not a file of torch.save, or cut short"),
        (lambda path: path.write_text("<html>404</html>"), "not a file of torch.save, or cut short"),
        (lambda path: path.mkdir(), "cannot be read: Is a directory"),
        (lambda path: torch.save({}, path), "no weights in it (found a dict of"),
        (lambda path: torch.save([1, 2], path), "no weights in it (found list)"),
        (lambda path: torch.save({"epoch": 3}, path), "no weights in it (found a dict of 'epoch')"),
        (lambda path: torch.save(torch.zeros(3), path), "no weights in it (found Tensor)"),
    ],
)
def test_what_is_not_a_checkpoint_is_one_line(tmp_path, capsys, write, line):
    write(tmp_path / "x.pt")
    with pytest.raises(UsageError) as caught:
        read_weights(tmp_path / "x.pt")
    assert line in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert "never" not in capsys.readouterr().out


def test_file_that_is_not_there(tmp_path):
    (tmp_path / "epoch80_model.pt").touch()
    with pytest.raises(UsageError, match=r"epoch8_model.pt does not exist; did you mean 'epoch80_model.pt'"):
        load_weights(Net(), tmp_path / "epoch8_model.pt", log=quiet)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_damaged_file_never_breaks_the_reader(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("damaged") / "x.pt"
    zipped = data.draw(st.booleans())
    torch.save(nn.Linear(1, 1).state_dict(), path, _use_new_zipfile_serialization=zipped)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    with suppress(UsageError):
        read_weights(path)


# ---- resuming


def draw() -> list:
    return [random.random(), random.gauss(0, 1), np.random.rand(), np.random.randn(), torch.rand(2).tolist()]  # noqa: NPY002


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), used=st.integers(0, 3))
def test_random_numbers_go_on_where_they_were(tmp_path_factory, seed, used):
    path = tmp_path_factory.mktemp("random") / "checkpoint.pt"
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    torch.manual_seed(seed)
    for _ in range(used):
        draw()
    save_checkpoint(path, epoch=0, random=random_state())
    expected = [draw(), draw()]
    draw()
    set_random_state(load_checkpoint(path)["random"])
    assert [draw(), draw()] == expected


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.AdamW])
def test_resumed_training_equals_the_uninterrupted(tmp_path, kind):
    def make():
        torch.manual_seed(0)
        net = nn.Linear(3, 2)
        return net, kind(net.parameters(), lr=0.1, **({"momentum": 0.9} if kind is torch.optim.SGD else {}))

    def train(net, optimizer, steps):
        for _ in range(steps):
            optimizer.zero_grad()
            net(torch.rand(4, 3)).square().sum().backward()
            optimizer.step()

    net, optimizer = make()
    train(net, optimizer, 3)
    save_checkpoint(
        tmp_path / "checkpoint.pt",
        model=net.state_dict(),
        optimizer=optimizer.state_dict(),
        scaler=None,
        epoch=1,
        iteration=3,
        best=0.5,
        random=random_state(),
    )
    train(net, optimizer, 3)

    again, optimizer = make()
    state = load_checkpoint(tmp_path / "checkpoint.pt")
    assert (state["epoch"], state["iteration"], state["best"], state["scaler"]) == (1, 3, 0.5, None)
    again.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    set_random_state(state["random"])
    train(again, optimizer, 3)
    assert same(net, again)


def test_weights_can_be_taken_from_a_checkpoint(tmp_path):
    one, other = Net(), Net()
    save_checkpoint(tmp_path / "checkpoint.pt", epoch=1, model=one.state_dict(), random=random_state())
    load_weights(other, tmp_path / "checkpoint.pt", log=quiet)
    assert same(one, other)


def test_weights_are_no_checkpoint(tmp_path):
    save_weights(Net(), tmp_path / "x.pt")
    with pytest.raises(UsageError, match="nothing to resume from"):
        load_checkpoint(tmp_path / "x.pt")


def test_numpy_numbers_come_back_as_pythons(tmp_path):
    save_checkpoint(tmp_path / "checkpoint.pt", epoch=np.int64(3), best={"top1": [np.float32(0.5)]})
    assert load_checkpoint(tmp_path / "checkpoint.pt") == {"epoch": 3, "best": {"top1": [0.5]}}


def test_failed_save_leaves_the_old_file(tmp_path):
    save_checkpoint(tmp_path / "checkpoint.pt", epoch=1)
    with pytest.raises((pickle.PicklingError, AttributeError)):
        save_checkpoint(tmp_path / "checkpoint.pt", epoch=2, bad=lambda: 0)
    assert load_checkpoint(tmp_path / "checkpoint.pt") == {"epoch": 1}
    assert [each.name for each in tmp_path.iterdir()] == ["checkpoint.pt"]
