"""Sizes and speeds of a data set in both formats, and what is no .npy in one line; packed data to another format."""

import subprocess
import sys
from pathlib import Path

import pytest

from feeder.dataset import read_info
from feeder.packed import read_packed
from feeder.packed_writer import write_label_names, write_packed
from feeder.synthetic.clips import LABEL_NAMES, clips

ROOT = Path(__file__).resolve().parent.parent.parent


def tool(name, cwd, *args):
    command = [sys.executable, str(ROOT / "tools" / name), *map(str, args)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120)


@pytest.fixture
def data(tmp_path):
    """tmp_path/data with a part val as .npy."""
    write_packed(tmp_path / "data", "val", clips("val", 10), 10, 200, 1)
    write_label_names(tmp_path / "data", list(LABEL_NAMES))
    return tmp_path / "data"


def test_the_benchmark_prints_the_sizes_and_the_rates(data):
    paths = f"data_path: {data}/val_data.npy, label_path: {data}/val_label.pkl"
    (data / "c.yaml").write_text(f"feeder_args: {{window_size: 20}}\ntest_feeder_args: {{{paths}}}\n")
    done = tool("data_benchmark.py", data, "-c", "c.yaml", "--part", "test", "--rounds", 1)
    assert (done.returncode, done.stderr) == (0, "")
    sizes, *rates = done.stdout.splitlines()
    assert " times smaller" in sizes and [line.split("  ")[0] for line in rates] == [".npy", ".h5", "in memory"]
    done = tool("data_benchmark.py", data, "-c", "c.yaml")
    assert done.returncode == 2 and "train_feeder_args: data_path: '' is no ..._data.npy" in done.stderr


def test_packed_data_become_h5_and_npy_again_from_the_command_line(data):
    before = {file.name: file.read_bytes() for file in data.iterdir()}
    done = tool("gendata.py", data.parent, "--format", "packed", "--data_path", "data", "--out_format", "h5")
    assert done.returncode == 0 and done.stdout.startswith("data/val.h5: 10 clips, ")
    assert read_packed(data / "val.h5").data.shape == (10, 3, 200, 18, 1)
    assert read_info(data / "val.h5").label_names == LABEL_NAMES
    args = ["--format", "packed", "--data_path", "data/val.h5", "--out_folder", "back"]
    assert tool("gendata.py", data.parent, *args).returncode == 0
    assert {file.name: file.read_bytes() for file in (data.parent / "back").iterdir()} == before


@pytest.mark.parametrize(
    "args, message",
    [
        (["--data_path", "data"], "data: no *.h5 is here"),
        (["--data_path", "data/val_data.npy"], "data/val_data.npy is npy already"),
        (["--data_path", "nowhere"], "nowhere does not exist"),
        (["--data_path", "data", "--num_frame", "20"], "--num_frame is not for packed data"),
        (["--data_path", "data", "--fold", "1"], "--fold is for sbu, not for packed"),
    ],
)
def test_what_cannot_be_converted_is_one_line(data, args, message):
    done = tool("gendata.py", data.parent, "--format", "packed", *args)
    assert done.returncode == 2 and message in done.stderr and done.stderr.count("\n") == 1
