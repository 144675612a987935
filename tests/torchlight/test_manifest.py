"""torchlight/manifest.py: what a run is made of, and what differs between two."""

import hashlib
import json
import subprocess
from pathlib import Path

import numpy
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from torchlight.errors import UsageError
from torchlight.manifest import Manifest, described, differences, git_state, read_manifest, write_manifest

ROOT = Path(__file__).resolve().parents[2]


def manifest(files=None, results=None, **config):
    return Manifest("test", ["recognition", "-c", "a b.yaml"], config, files or {}, "cpu, fp32").content(results or {})


def test_it_says_how_the_run_was_made(tmp_path):
    (tmp_path / "a.npy").write_bytes(b"abc")
    content = manifest({"data": tmp_path / "a.npy"}, {"top1": 50.0}, seed=3)
    assert content["command"] == ["python", "main.py", "recognition", "-c", "a b.yaml"]
    assert content["config"] == {"seed": 3} and content["results"] == {"top1": 50.0}
    assert content["versions"]["numpy"] == numpy.__version__
    facts = {"path": str(tmp_path / "a.npy"), "bytes": 3, "sha256": hashlib.sha256(b"abc").hexdigest()}
    assert content["files"] == {"data": facts}
    write_manifest(tmp_path / "manifest.json", content)
    assert read_manifest(tmp_path / "manifest.json") == content


def test_settings_that_change_later_are_not_in_it():
    config = {"model_args": {"num_class": 3}}
    made = Manifest("train", [], config, {}, "cpu")
    config["model_args"]["num_class"] = 4
    assert made.content({})["config"] == {"model_args": {"num_class": 3}}


def test_the_commit_is_that_of_the_checkout():
    run = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    state = git_state()
    assert state is None if run.returncode else state["commit"] == run.stdout.strip()


def test_a_file_that_is_not_there_has_no_hash(tmp_path):
    assert described(tmp_path / "a") == {"path": str(tmp_path / "a")}
    assert described(tmp_path) == {"path": str(tmp_path)}


def test_equal_runs_differ_in_nothing(tmp_path):
    content = manifest(results={"top1": 50.0})
    assert list(differences(content, content)) == [
        "machine, versions, code and files are the same",
        "Top1: 50.00% then, 50.00% now",
    ]


def test_what_differs_is_told(tmp_path):
    (tmp_path / "a.npy").write_bytes(b"abc")
    then = json.loads(json.dumps(manifest({"data": tmp_path / "a.npy"}, {"top1": 50.0})))
    then["versions"]["torch"], then["machine"]["device"] = "2.6.0", "NVIDIA H100 x 4, bf16"
    (tmp_path / "a.npy").write_bytes(b"abd")
    now = manifest({"data": tmp_path / "a.npy"}, {"top1": 51.0})
    lines = "\n".join(differences(then, now))
    assert f"torch: 2.6.0 then, {now['versions']['torch']} now" in lines
    assert "device: NVIDIA H100 x 4, bf16 then, cpu, fp32 now" in lines
    assert f"data: {tmp_path}/a.npy has another content than then" in lines
    assert lines.endswith("Top1: 50.00% then, 51.00% now")


def test_the_manifest_of_the_training_is_inside_that_of_a_test(tmp_path):
    training = manifest() | {"phase": "train"}
    write_manifest(tmp_path / "a.json", manifest() | {"training": training})
    assert read_manifest(tmp_path / "a.json")["phase"] == "test"
    assert read_manifest(tmp_path / "a.json", "train") == training


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "not JSON"),
        (b"[1, 2", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[1]", "it has no phase"),
        (b'{"phase": "test"}', "it has no began"),
    ],
)
def test_what_is_no_manifest_is_one_line(tmp_path, content, word):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(UsageError, match=word) as error:
        read_manifest(tmp_path / "a.json")
    assert "\n" not in str(error.value)
    with pytest.raises(UsageError, match="does not exist"):
        read_manifest(tmp_path / "b.json")


JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=5), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
)


@given(st.sampled_from(["git", "machine", "versions", "files", "results", "config", "began"]), JSON)
@example("machine", {"\n": 0})
@example("versions", {"numpy": "1\n2"})
@settings(max_examples=200, deadline=None)
def test_a_damaged_manifest_is_refused_or_compared(tmp_path_factory, key, value):
    path, now = tmp_path_factory.getbasetemp() / "damaged.json", manifest()
    write_manifest(path, now | {key: value})
    try:
        then = read_manifest(path)
    except UsageError:
        return
    assert all("\n" not in line for line in differences(then, now))
