"""tools/ntu_gendata.py from the command line."""

import subprocess
import sys
from pathlib import Path

import numpy as np

from feeder.packed import read_packed
from feeder.readers import ntu

ROOT = Path(__file__).resolve().parent.parent.parent


def tool(cwd, *args):
    command = [sys.executable, str(ROOT / "tools/ntu_gendata.py"), *map(str, args)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=60)


def write(path, frames, seed=0):
    """One standing body for so many frames."""
    rng = np.random.default_rng(seed)
    lines = [str(frames)]
    for _ in range(frames):
        lines += ["1", "72057594037931101 0 1 1 1 1 0 0.02 0.05 2", "25"]
        lines += [" ".join(f"{c:.6f}" for c in [*row, *[1.0] * 9]) for row in rng.random((25, 3))]
    path.write_text("\n".join(lines) + "\n")


def test_benchmarks_parts_cut_ignored_and_broken(tmp_path):
    raw = tmp_path / "data/NTU-RGB-D/nturgb+d_skeletons"
    raw.mkdir(parents=True)
    write(raw / "S001C001P001R001A001.skeleton", 4)
    write(raw / "S001C002P003R001A060.skeleton", 305)
    write(raw / "S001C002P005R002A008.skeleton", 4)  # in the list of samples with missing skeletons
    write(raw / "S001C002P001R002A009.skeleton", 4)
    (raw / "S001C002P001R002A009.skeleton").write_text("7\n1\n")
    (raw / "notes.txt").touch()
    done = tool(tmp_path, "--num_worker", 1)
    assert done.returncode == 0, done.stderr
    out = tmp_path / "data/NTU-RGB-D"
    names = {}
    for benchmark in ("xsub", "xview"):
        for part in ("train", "val"):
            folder = out / benchmark
            got = read_packed(folder / f"{part}_data.npy", folder / f"{part}_label.pkl")
            assert got.data.shape == (1, 3, 300, 25, 2)
            names[benchmark, part] = dict(zip(got.sample_name, got.label))
    short, long = {"S001C001P001R001A001.skeleton": 0}, {"S001C002P003R001A060.skeleton": 59}
    assert names == {("xsub", "train"): short, ("xsub", "val"): long, ("xview", "train"): long, ("xview", "val"): short}
    for line in (
        "not used, is in the list of samples with missing skeletons: 1 (S001C002P005R002A008.skeleton)",
        "not used, is not named like a clip (S001C001P001R001A001.skeleton): 1 (notes.txt)",
        "  cut to 300 frames: 1 (S001C002P003R001A060.skeleton)",
        "    S001C002P001R002A009.skeleton: cut off: a body ID in frame 0 is missing; get the file anew",
    ):
        assert line in done.stdout.splitlines()
    assert len((out / "label_names.txt").read_text().splitlines()) == 60


def test_the_real_files(real_data, tmp_path):
    (tmp_path / "none.txt").write_text("S001C001P001R001A001\n")
    args = [
        "--data_path",
        real_data / "ntu_rgbd",
        "--ignored_sample_path",
        tmp_path / "none.txt",
        "--out_folder",
        "out",
    ]
    done = tool(tmp_path, *args, "--num_frame", 60, "--denoise")
    assert done.returncode == 0, done.stderr
    got = read_packed(tmp_path / "out/xview/val_data.npy", tmp_path / "out/xview/val_label.pkl")
    assert got.sample_name == ["S002C001P003R001A003.skeleton", "S003C001P015R001A034.skeleton"]
    for sample, name in zip(got.data, got.sample_name):
        np.testing.assert_array_equal(sample, ntu.read(real_data / "ntu_rgbd" / name).array(60, 2))


def test_ntu_120(tmp_path):
    write(tmp_path / "S018C001P045R001A061.skeleton", 4)
    done = tool(tmp_path, "--data_path", tmp_path, "--dataset", "ntu120")
    assert done.returncode == 0, done.stderr
    for benchmark in ("xsub", "xset"):
        assert (tmp_path / f"data/NTU-RGB-D-120/{benchmark}/train_data.npy").exists()
    assert len((tmp_path / "data/NTU-RGB-D-120/label_names.txt").read_text().splitlines()) == 120


def test_mistakes_are_one_line(tmp_path):
    (tmp_path / "S001C001P001R001A001.skeleton").write_text("x")
    (tmp_path / "file").touch()
    for args, message in [
        ([], "data/NTU-RGB-D/nturgb+d_skeletons is not a folder"),
        (["--data_path", tmp_path], "not one clip could be used"),
        (["--data_path", tmp_path, "--num_frame", 0], "must be 1 or more"),
        (["--data_path", tmp_path, "--ignored_sample_path", "nowhere.txt"], "nowhere.txt"),
    ]:
        done = tool(tmp_path, *args)
        assert done.returncode == 2
        assert done.stderr.startswith("error: ")
        assert message in done.stderr
        assert done.stderr.count("\n") == 1
    write(tmp_path / "S001C001P001R001A001.skeleton", 3)
    done = tool(tmp_path, "--data_path", tmp_path, "--out_folder", tmp_path / "file")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
