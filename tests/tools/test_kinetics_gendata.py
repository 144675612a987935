"""tools/kinetics_gendata.py from the command line."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

from feeder.packed import read_packed
from feeder.readers import kinetics

ROOT = Path(__file__).resolve().parent.parent.parent


def tool(cwd, *args):
    command = [sys.executable, str(ROOT / "tools/kinetics_gendata.py"), *map(str, args)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=60)


def part(folder, name, clips):
    """clips: {name: (label, frames, has_skeleton)}."""
    (folder / f"kinetics_{name}").mkdir(parents=True)
    info = {}
    for clip, (label, frames, has_skeleton) in clips.items():
        info[clip] = {"has_skeleton": has_skeleton, "label": f"action {label}", "label_index": label}
        person = {"pose": [0.25] * 36, "score": [0.5] * 18}
        data = [{"frame_index": i + 1, "skeleton": [person]} for i in range(frames)]
        content = {"data": data, "label": f"action {label}", "label_index": label}
        (folder / f"kinetics_{name}" / f"{clip}.json").write_text(json.dumps(content))
    (folder / f"kinetics_{name}_label.json").write_text(json.dumps(info))


def test_both_parts_where_the_original_puts_them(tmp_path):
    folder = tmp_path / "data/Kinetics/kinetics-skeleton"
    part(folder, "train", {"b": (0, 320, True), "a": (1, 5, True), "c": (2, 0, False), "d": (2, 5, True)})
    part(folder, "val", {"e": (399, 5, True)})
    (folder / "kinetics_train/d.json").write_text('{"data": [')
    done = tool(tmp_path, "--num_worker", 1)
    assert done.returncode == 0, done.stderr
    got = read_packed(folder / "train_data.npy", folder / "train_label.pkl")
    assert (got.sample_name, got.label) == (["a", "b"], [1, 0])
    assert got.data.shape == (2, 3, 300, 18, 2)
    np.testing.assert_array_equal(got.data[0, :, 2, 7, 0], np.float32([-0.25, -0.25, 0.5]))
    assert not got.data[..., 1].any()
    assert read_packed(folder / "val_data.npy", folder / "val_label.pkl").label == [399]
    assert "not used, has no skeleton: 1 (c)" in done.stdout
    assert "cut to 300 frames: 1 (b)" in done.stdout
    assert "    d: not valid JSON, cut off or damaged" in done.stdout
    names = (folder / "label_names.txt").read_text().splitlines()
    assert (len(names), names[:3]) == (400, ["action 0", "action 1", "action 2"])


def test_the_real_files(real_data, tmp_path):
    done = tool(tmp_path, "--data_path", real_data / "kinetics_skeleton", "--out_folder", "out", "--num_person", 3)
    assert done.returncode == 0, done.stderr
    assert "there is no kinetics_val/, so no val part" in done.stdout
    got = read_packed(tmp_path / "out/train_data.npy", tmp_path / "out/train_label.pkl")
    assert dict(zip(got.sample_name, got.label)) == {
        "--33Lscn6sk": 129, "S004C002P003R001A055_rgb": 55, "S004C003P003R001A007_rgb": 7,
    }  # fmt: skip
    for sample, name in zip(got.data, got.sample_name):
        path = real_data / f"kinetics_skeleton/kinetics_train/{name}.json"
        np.testing.assert_array_equal(sample, kinetics.read(path, 3).array(300, 3))
        assert sample.any()


def test_mistakes_are_one_line(tmp_path):
    part(tmp_path / "half", "train", {"a": (0, 5, True)})
    shutil.rmtree(tmp_path / "half/kinetics_train")
    part(tmp_path / "broken", "train", {"a": (0, 5, True)})
    (tmp_path / "broken/kinetics_train/a.json").write_text("")
    for args, message in [
        ([], "no kinetics_train/ and no kinetics_val/ here"),
        (["--data_path", "half"], "kinetics_train is not; both are needed"),
        (["--data_path", "broken"], "not one clip could be used"),
        (["--data_path", "broken", "--num_person", -1], "must be 1 or more"),
    ]:
        done = tool(tmp_path, *args)
        assert done.returncode == 2
        assert done.stderr.startswith("error: ")
        assert message in done.stderr
        assert done.stderr.count("\n") == 1
    assert sorted(file.name for file in (tmp_path / "broken").iterdir()) == [
        "kinetics_train",
        "kinetics_train_label.json",
    ]
