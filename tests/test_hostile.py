"""What a stranger may hand over: refused in one line, at once, and without the memory that it asks for. See docs/trust.md."""

import pickle
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from scipy.io import savemat

from feeder.packed import read_label
from feeder.pickles import load_pickle
from feeder.readers import labelled, penn_action, pyskl
from feeder.skeleton import load_skeleton
from main import main
from processor.ensemble import read_result
from processor.recognizer import Recognizer
from torchlight.checkpoint import read_weights
from torchlight.config import load_config
from torchlight.errors import DataError, UsageError, for_terminal, short
from torchlight.nesting import check_unfolded

STARTER = Path(__file__).resolve().parent.parent / "resource" / "models" / "starter.pt"
ALIASES = "a0: &a0 [1, 2, 3, 4, 5, 6, 7, 8, 9, 0]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 31)
)
MERGES = "a0: &a0 {x: 1, y: 2}\n" + "".join(
    f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 10)}], x{i}: 1}}\n" for i in range(1, 31)
)


def shared_lists(depth=30):
    """Ten times the same list, in a list ten times, ...: a few hundred objects, 10 ** 30 values."""
    value = [1] * 10
    for _ in range(depth):
        value = [value] * 10
    return value


def circle():
    value = []
    value.append(value)
    return value


def kind(value):
    """For the names of tests, which would be as large as the values."""
    return type(value).__name__


def refused(call, *words):
    """call() raises an error of one line with these words, within five seconds."""
    began = time.monotonic()
    with pytest.raises((UsageError, DataError)) as error:
        call()
    line = str(error.value)
    assert time.monotonic() - began < 5 and "\n" not in line and len(line) < 600, line
    for word in words:
        assert word in line


# ---- YAML


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (ALIASES, "more than 100,000 values"),
        (MERGES, "more than 100,000 values"),
        ("a: &a [*a]", "contains itself"),
        ("a: " + "[" * 2000, "nested too deeply"),
        ("a: " + "[" * 2000 + "]" * 2000, "nested too deeply"),
        ("a: 0x" + "f" * 5000, "hundreds of digits"),
        ("a: " + "9" * 5000, "digits"),
        ("a: !!int x", "not a YAML text file"),
        ("a: !!bool maybe", "not a YAML text file"),
        ("a: !!timestamp x", "not a YAML text file"),
        ("a: !!python/object/apply:os.system [true]", "could not determine a constructor"),
        ("? [a, b]\n: 3", "unhashable"),
    ],
)
def test_yaml(tmp_path, text, word):
    path = tmp_path / "a.yaml"
    path.write_text(text)
    refused(lambda: load_config(path), str(path), word)


def test_yaml_that_names_things_twice_is_read_as_before(tmp_path):
    (tmp_path / "a.yaml").write_text("a: &a {x: 1}\nb: [*a, *a]\nc: {<<: *a, y: 2}\n")
    assert load_config(tmp_path / "a.yaml") == {"a": {"x": 1}, "b": [{"x": 1}, {"x": 1}], "c": {"x": 1, "y": 2}}


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"name": "!!int x"}, "not a YAML text file"),
        ({"name": "!!bool maybe"}, "not a YAML text file"),
        ({"name": "{a: b}"}, "expected a name"),
        ({"joints": f"[{', '.join(f'j{i}' for i in range(600))}]"}, "600; 500 are the most"),
        ({"bones": f"[{', '.join(['[a, b]'] * 1001)}]"}, "1001 pairs"),
    ],
)
def test_layouts(tmp_path, change, word):
    content = {"name": "x", "joints": "[a, b]", "bones": "[[a, b]]", "centre": "b"} | change
    path = tmp_path / "a.yaml"
    path.write_text("".join(f"{key}: {value}\n" for key, value in content.items()))
    refused(lambda: load_skeleton(str(path)), str(path), word)


def test_a_layout_that_is_called_like_a_date_is_no_date(tmp_path):
    (tmp_path / "a.yaml").write_text("name: 2020-13-45\njoints: [a, b]\nbones: [[a, b]]\ncentre: b\n")
    assert load_skeleton(str(tmp_path / "a.yaml")).name == "2020-13-45"


# ---- pickles


@pytest.mark.parametrize("content", [shared_lists(), {"a": shared_lists()}, (shared_lists(), 1)])
def test_pickles_that_unfold_into_more_than_any_memory(tmp_path, content):
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(content))
    refused(lambda: load_pickle(tmp_path / "a.pkl"), "a.pkl", "more than 5,000,000 values")


def test_a_pickle_that_contains_itself(tmp_path):
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(circle()))
    refused(lambda: load_pickle(tmp_path / "a.pkl"), "contains itself")


def test_unfolded_values_are_counted_as_often_as_they_occur():
    def children(value):
        return value if isinstance(value, list) else []

    a = [1, 2]
    check_unfolded([a, a, a], children, 10)  # the list, three times a and what is in it
    with pytest.raises(ValueError, match="more than 9 values"):
        check_unfolded([a, a, a], children, 9)


class Forged:
    """Pickled as the call of a function, and a state."""

    def __init__(self, *parts):
        self.parts = parts

    def __reduce__(self):
        return self.parts


def forged_array(
    dtype=("f4", False, True), dtype_state=(3, "<", None, None, None, -1, -1, 0), shape=(1,), content=b"abcd"
):
    dtype = Forged(np.dtype, dtype, dtype_state)
    return Forged(np._core.multiarray._reconstruct, (np.ndarray, (0,), b"b"), (1, shape, dtype, False, content))


POINTERS = forged_array(("O8", False, True), (3, "|", None, None, None, 8, 8, 0), content=b"A" * 8)
FLAGS = forged_array(("f8", False, True), (3, "<", None, None, None, 8, 8, 63), content=[object.__doc__])


@pytest.mark.parametrize(
    "value",
    [
        POINTERS,  # numpy takes these bytes for the addresses of objects
        FLAGS,
        forged_array(shape=(10**9,)),
        forged_array(shape=(-1,)),
        forged_array(shape=(2**62, 4)),
        forged_array(content="\u0100bcd"),
        forged_array(("V4", False, True)),
        forged_array(("f4,f4", False, True), content=b"abcdefgh"),
        forged_array(("M8", False, True), content=b"abcdefgh"),
        forged_array(dtype_state=(3, "x")),
        forged_array(("U1", False, True), content=b"\xff" * 4),
        Forged(np.ndarray, ((10**12,),)),
        Forged(np._core.multiarray.scalar, (Forged(np.dtype, ("O8", False, True)), b"A" * 8)),
        Forged(np._core.numeric._frombuffer, (bytearray(4), np.dtype("f4"), (10**9,), "C")),
        Forged(np._core.numeric._frombuffer, (np.zeros(4), np.dtype("f4"), (4,), "C")),
        Forged(bytearray, (10**12,)),
    ],
)
def test_pickles_with_forged_arrays(tmp_path, value):
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"a": value}, protocol=2))
    refused(lambda: load_pickle(tmp_path / "a.pkl"), "a.pkl cannot be read as plain data")


def test_an_array_is_not_filled_twice(tmp_path):
    content = pickle.dumps(np.arange(3.0), protocol=2)
    state = pickle.dumps((1, (9,), np.dtype("f8"), False, b"A" * 72), protocol=2)[2:-1]
    (tmp_path / "a.pkl").write_bytes(content[:-1] + state + b"b.")
    refused(lambda: load_pickle(tmp_path / "a.pkl"), "strange state")


@pytest.mark.parametrize("label", [10**30, 10**6000, -1, 1.0, float("inf"), True, None, [1]], ids=kind)
def test_labels_that_are_no_class_numbers(tmp_path, label):
    (tmp_path / "l.pkl").write_bytes(pickle.dumps((["a", "b"], [0, label])))
    refused(lambda: read_label(tmp_path / "l.pkl"), "l.pkl", "the label of 'b'")


@pytest.mark.parametrize(
    "scores",
    [
        np.ones(4),
        np.array([1, [2]], object),
        [1, 2, 3],
        "x" * 10**6,
        np.array(1.0),
        np.array([1, np.nan, 2]),
        np.array([10**30, 1, 2], object),
        shared_lists(2),
    ],
)
def test_results_that_are_not_rows_of_scores(tmp_path, scores):
    (tmp_path / "r.pkl").write_bytes(pickle.dumps({"a": np.ones(3), "b": scores}))
    refused(lambda: read_result(str(tmp_path / "r.pkl")), "r.pkl", "'b'")


# ---- data sets


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"keypoint": [[[1, 2], [3]], [1]]}, "keypoint"),
        ({"keypoint": np.full((1, 5, 17, 2), np.inf)}, "not finite"),
        ({"keypoint": shared_lists(3)}, "10 joints in 10-D"),
        ({"keypoint_score": [[1], [1, 2]]}, "keypoint_score"),
        ({"img_shape": [[1], [2, 3]]}, "img_shape"),
        ({"img_shape": (np.inf, np.inf)}, "img_shape"),
        ({"img_shape": (1e-9, 1e-9)}, "img_shape"),
        ({"img_shape": (10**30, 10**30)}, "img_shape"),
        ({"img_shape": "ab"}, "img_shape"),
    ],
)
def test_annotations_of_pyskl(tmp_path, change, word):
    clip = {"frame_dir": "a", "label": 0, "img_shape": (1080, 1920), "keypoint": np.zeros((1, 5, 17, 2), np.float16)}
    (tmp_path / "a.pkl").write_bytes(pickle.dumps([clip | change]))
    refused(lambda: pyskl.read(tmp_path / "a.pkl" / "0"), word)


@pytest.mark.parametrize("label", [10**30, float("nan"), 1.5, None, "a"])
def test_annotations_without_a_class_number_are_left_out_by_name(tmp_path, label):
    clips = [{"frame_dir": name, "label": label if name == "b" else 0} for name in "ab"]
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(clips))
    listing = pyskl.list_clips(tmp_path / "a.pkl", "train")
    assert [clip.name for clip in listing.clips] == ["a"]
    assert listing.left_out == [("b", "has no label that is a class number")]


@pytest.mark.parametrize("train", [np.nan, np.inf, 3.0, "x"])
def test_a_file_of_penn_action_that_is_of_no_part_is_left_out_by_name(tmp_path, train):
    (tmp_path / "labels").mkdir()
    for i, part in enumerate((1, -1, train)):
        savemat(tmp_path / "labels" / f"{i}.mat", {"action": "bowl", "train": part})
    listing = penn_action.list_clips(tmp_path, "train")
    assert [clip.name for clip in listing.clips] == ["0"] and [name for name, _ in listing.left_out] == ["2.mat"]


@pytest.mark.parametrize("name", ["a\nb", "a\rb", "a\x1b[31mb", " a", "a\u2028b"])
def test_label_folders_whose_names_are_no_names(tmp_path, name):
    for label in ("c", name):
        (tmp_path / label).mkdir()
    refused(lambda: labelled.label_names(tmp_path), "rename it", short(name)[1:-1][:2])


# ---- weights and their side-cars


def odd_weights():
    eye = torch.eye(3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield "sparse", eye.to_sparse()
        yield "sparse", eye.to_sparse_csr()
        yield "nested", torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])
        yield "without values", torch.empty(3, device="meta")
        yield "complex64", eye.to(torch.complex64)
        yield "qint8", torch.quantize_per_tensor(eye, 0.1, 0, torch.qint8)
        yield "not finite", eye * float("nan")


@pytest.mark.parametrize(("word", "weight"), list(odd_weights()))
def test_weights_that_are_no_plain_tensors(tmp_path, word, weight):
    torch.save({"a": torch.zeros(2), "b": weight}, tmp_path / "w.pt")
    refused(lambda: read_weights(tmp_path / "w.pt"), "w.pt: 'b' is", word)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"model": "subprocess.Popen", "model_args": {"args": "touch hurt", "shell": True}}, "not a network of net/"),
        ({"base": "/etc/passwd"}, "unknown key 'base'"),
        ({"window": 10**9}, "window"),
        ({"fps": float("nan")}, "fps"),
        ({"num_person": 10**8}, "num_person"),
        ({"temperature": 0}, "temperature"),
        ({"threshold": "0.5"}, "threshold"),
        ({"label_names": ["\x1b[31mred"] * 16}, "label_names"),
        ({"label_names": ["a\nb"] * 16}, "label_names"),
        ({"label_names": [[1]] * 16}, "label_names"),
        ({"feeder_args": {"dimension": 2, "pipeline": [{"UniformSample": {"window_size": 10**12}}]}}, "window_size"),
        ({"feeder_args": {"dimension": 2, "pipeline": ["os.system"]}}, "no transform"),
        ({"feeder_args": {"window_size": 10**7}}, "window_size"),
        ({"graph_args": {"strategy": "distance", "max_hop": 10**9}}, "max_hop"),
        ({"blocks": [[[[[[1]]]]]]}, "blocks"),
    ],
)
def test_side_cars(tmp_path, monkeypatch, change, word):
    monkeypatch.chdir(tmp_path)
    content = yaml.safe_load(STARTER.with_suffix(".yaml").read_text())
    inside = {key: value for key, value in change.items() if key in ("blocks", "graph_args")}
    content |= {"model_args": content["model_args"] | inside} if inside else change
    (tmp_path / "w.pt").write_bytes(STARTER.read_bytes())
    (tmp_path / "w.yaml").write_text(yaml.safe_dump(content))
    refused(lambda: Recognizer.from_checkpoint(tmp_path / "w.pt", use_gpu=False), word)
    assert not (tmp_path / "hurt").exists()


@pytest.mark.parametrize("change", [{"num_class": 10**11}, {"blocks": [[10**6, 1]] * 10}])
def test_a_side_car_s_network_is_measured_before_it_takes_memory(tmp_path, change):
    content = yaml.safe_load(STARTER.with_suffix(".yaml").read_text())
    content["model_args"] |= change  # of 16 TiB and more
    (tmp_path / "w.pt").write_bytes(STARTER.read_bytes())
    (tmp_path / "w.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(UsageError, match="does not fit"):
        Recognizer.from_checkpoint(tmp_path / "w.pt", use_gpu=False)


# ---- what is printed


def test_errors_cannot_steer_the_terminal_or_fill_it(tmp_path, capsys):
    assert main(["recognition", "-c", str(tmp_path / "a\x1b[2J\nb.yaml")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "\x1b" not in error and r"\x1b[2J b.yaml" in error
    assert for_terminal("a\nb\n       c") == "a b\n       c" and len(for_terminal("x" * 10**6)) == 2000
    assert for_terminal("\u202eexe") == r"\u202eexe" and for_terminal("übung 拳") == "übung 拳"


@pytest.mark.parametrize(
    "value", [shared_lists(), circle(), np.zeros((100, 100)), "x" * 10**7, 10**6000, {1: "\n" * 99}], ids=kind
)
def test_quoted_values_are_short(value):
    began = time.monotonic()
    text = short(value)
    assert len(text) <= 80 and "\n" not in text and time.monotonic() - began < 1
