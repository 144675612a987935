"""python main.py inspect: the page, the JSON and the lines; any config; what is not there is one line."""

import json
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from feeder.dataset import DatasetInfo, write_info
from feeder.synthetic.clips import LABEL_NAMES, clips
from main import main
from processor import options
from torchlight.arguments import parse

ROOT = Path(__file__).resolve().parents[2]


def write(folder, part, data, names, label, **info):
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / f"{part}_data.npy", data)
    (folder / f"{part}_label.pkl").write_bytes(pickle.dumps((names, label)))
    write_info(folder, DatasetInfo(**{"layout": "openpose", "dimension": 2, "fps": 30.0, **info}))


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A folder data/own with two parts: a test clip that is trained on, an empty one, a frozen one; and a config."""
    monkeypatch.chdir(tmp_path)
    sets = {part: list(clips(part, 20)) for part in ("train", "val")}
    arrays = {part: np.stack([each.array(150, 1) for each in sequences]) for part, sequences in sets.items()}
    arrays["val"][3] = arrays["train"][5]
    arrays["val"][7] = 0
    arrays["train"][2] = arrays["train"][2, :, 30:31]
    for part, sequences in sets.items():
        names, label = [sequence.name for sequence in sequences], [sequence.label for sequence in sequences]
        write(tmp_path / "data" / "own", part, arrays[part], names, label, label_names=LABEL_NAMES)
    (tmp_path / "config.yaml").write_text("""
work_dir: ./work_dir/of_the_training
feeder_args: {window_size: 64, uniform_sample: True}
train_feeder_args: {data_path: 'data/own/train_data.npy', label_path: 'data/own/train_label.pkl', mirror: True}
test_feeder_args: {data_path: 'data/own/val_data.npy', label_path: 'data/own/val_label.pkl'}
model: net.st_gcn.Model
base_lr: 0.1
""")
    return tmp_path


def test_a_config_gives_page_json_and_lines_for_both_parts(own, capsys):
    assert main(["inspect", "-c", "config.yaml"]) == 0
    out = capsys.readouterr().out.splitlines()
    folder = Path("work_dir/inspect/own")
    assert sorted(path.name for path in folder.iterdir()) == ["inspect.html", "inspect.json"]
    assert not Path("work_dir/of_the_training").exists()
    assert out[0] == "train: 20 clips of 10 classes (2 to 2 each)"
    wrong = [line for line in out if line.split(":")[0] in ("error", "warning", "note")]
    names = [clip.name for clip in clips("train", 20)], [clip.name for clip in clips("val", 20)]
    assert wrong == [
        f"error: The same clip in training and in test: 1 ({names[1][3]})",
        f"error: The same clip with two classes: 1 ({names[1][3]})",
        f"error: Empty clips: 1 ({names[1][7]})",
        f"warning: Frozen clips: 1 ({names[0][2]})",
    ]
    assert str(folder / "inspect.html") in out[-1] and len(out) - len(wrong) <= 15

    report = json.loads((folder / "inspect.json").read_text(), parse_constant=pytest.fail)
    assert report["parts"]["test"]["clips"] == 20 and report["parts"]["train"]["coordinates"]["kind"] == "centred"
    assert report["label_names"] == list(LABEL_NAMES) and report["shared"] == {}
    leak = report["findings"][0]
    assert leak["kind"] == "leakage" and leak["level"] == "error" and leak["total"] == 1
    assert leak["clips"][0]["twin"] == {"part": "train", "name": names[0][5]}
    assert sum(report["parts"]["train"]["scores"]) > 10_000 and report["parts"]["train"]["fps"] == 30

    page = (folder / "inspect.html").read_text()
    for text in ("What is there", "What is wrong", "Part train", "Part test", "Frozen clips", "A look at each class"):
        assert text in page
    assert names[1][3] in page


def test_one_part_by_its_files(own, capsys):
    argv = ["inspect", "--data_path", "data/own/val_data.npy", "--label_path", "data/own/val_label.pkl", "-w", "here"]
    assert main(argv) == 0
    out = capsys.readouterr().out
    assert "test: 20 clips" in out and "train" not in out and "Empty clips: 1" in out
    assert Path("here/inspect.html").exists() and not Path("work_dir").exists()


def test_class_names_and_layout_may_be_given(own, capsys):
    Path("data/own/dataset.yaml").unlink()
    Path("names.txt").write_text("".join(f"left {i}\n" for i in range(11)))
    argv = ["inspect", "--data_path", "data/own/val_data.npy", "--label_path", "data/own/val_label.pkl"]
    assert main([*argv, "--label_names", "names.txt", "--layout", "openpose", "--dimension", "2"]) == 0
    out = capsys.readouterr().out
    assert "18 joints (openpose)" in out and "warning: Classes without a clip: 1 class: left 10" in out


def test_flips_are_compared_with_the_class_names(own, capsys):
    Path("names.txt").write_text("".join(f"{name} left\n" for name in LABEL_NAMES))
    Path("data/own/dataset.yaml").unlink()
    assert main(["inspect", "-c", "config.yaml", "--label_names", "names.txt", "--layout", "openpose"]) == 0
    assert "warning: A flip, and classes that say left or right: mirror: 10 classes" in capsys.readouterr().out


def test_a_fold_fills_the_paths(own, capsys):
    Path("data/own").rename("data/fold2")
    config = Path("config.yaml").read_text().replace("data/own", "data/fold{fold}") + "fold: [1, 2, 3]\n"
    Path("config.yaml").write_text(config)
    assert main(["inspect", "-c", "config.yaml", "--fold", "2"]) == 0
    assert Path("work_dir/inspect/fold2/inspect.json").exists()
    capsys.readouterr()
    assert main(["inspect", "-c", "config.yaml"]) == 2
    assert "data/fold1/train_data.npy does not exist" in capsys.readouterr().err


@pytest.mark.parametrize(
    "argv, words",
    [
        (
            ["--data_path", "data/none_data.npy", "--label_path", "data/none_label.pkl"],
            "data/none_data.npy does not exist",
        ),
        (["--data_path", "data/own/val_data.npy"], "--label_path is missing"),
        (["--data_path", "data/own", "--label_path", "data/own/val_label.pkl"], "is a folder, not a .npy file"),
        (["--data_path", "data/own/val_label.pkl", "--label_path", "data/own/val_label.pkl"], "is not a .npy file"),
        (
            ["--data_path", "data/own/val_data.npy", "--label_path", "data/own/train_label.pkl", "--layout", "x"],
            "layout",
        ),
        ([], "nothing to inspect: give a config with -c, or --data_path and --label_path"),
        (["-c", "config.yaml", "--train_feeder_args", "window_sise=3"], "did you mean 'window_size'"),
        (["-c", "config.yaml", "--train_feeder_args", "label_path=None"], "train_feeder_args: label_path is missing"),
    ],
)
def test_what_cannot_be_inspected_is_one_line(argv, words, own, capsys):
    assert main(["inspect", *argv]) == 2
    error = capsys.readouterr().err
    assert words in error and error.startswith("error: ") and error.count("\n") == 1
    assert not list(Path().rglob("inspect.*"))


def test_data_sets_that_are_not_packed_are_told_how(own, capsys):
    assert main(["inspect", "-c", str(ROOT / "config/st_gcn/nw-ucla/train.yaml")]) == 2
    assert "tools/gendata.py --format nw-ucla" in capsys.readouterr().err


@pytest.mark.parametrize("config", sorted((ROOT / "config").rglob("train.yaml")), ids=lambda path: path.parts[-2])
def test_every_config_of_a_training_is_taken(config):
    arg = parse(options.inspect(), ["-c", str(config)])
    assert arg.train_feeder_args or arg.feeder_args


def test_a_page_of_400_classes_stays_small(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    N, T = 1200, 120
    way = np.cumsum(rng.normal(0, 0.01, (N, 3, T, 25, 2)), 2, np.float32)
    data = way + rng.uniform(-0.5, 0.5, (1, 3, 1, 25, 1)).astype(np.float32) + np.array([0, 0, 3.0]).reshape(3, 1, 1, 1)
    data[..., 1] += 0.7
    for i in range(0, N, 3):
        data[i, :, 30:50, 3:6] *= 2  # many problems, too
    names = [f"class {k} <b>&" for k in range(400)]
    write(tmp_path / "d", "train", data.astype(np.float32), [f"c{i}" for i in range(N)], [i % 400 for i in range(N)],
          layout="ntu-rgb+d", dimension=3, label_names=tuple(names))  # fmt: skip
    assert main(["inspect", "--data_path", "d/train_data.npy", "--label_path", "d/train_label.pkl"]) == 0
    page = Path("work_dir/inspect/d/inspect.html")
    assert 1e6 < page.stat().st_size < 10e6
    assert "class 399 &lt;b&gt;&amp;" in page.read_text()


def test_other_sets_than_clean_ones_are_inspected_to_the_end(tmp_path, monkeypatch, capsys):
    """All empty, no motion, two channels, no layout, one clip: whatever there is, there is a page."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for i, data in enumerate(
        [
            np.zeros((5, 3, 10, 18, 2)),
            np.ones((5, 3, 10, 18, 1)),
            rng.normal(size=(1, 2, 30, 18, 1)),
            np.full((3, 3, 4, 18, 1), np.nan),
            rng.normal(size=(4, 3, 1, 7, 3)),
            1e30 * rng.normal(size=(4, 3, 9, 18, 1)),
        ]
    ):
        folder = tmp_path / f"d{i}"
        folder.mkdir()
        np.save(folder / "x_data.npy", data.astype(np.float32))
        (folder / "x_label.pkl").write_bytes(pickle.dumps(([f"c{k}" for k in range(len(data))], [0] * len(data))))
        argv = ["inspect", "--data_path", f"d{i}/x_data.npy", "--label_path", f"d{i}/x_label.pkl"]
        assert main(argv) == 0, capsys.readouterr().err
        json.loads(Path(f"work_dir/inspect/d{i}/inspect.json").read_text(), parse_constant=pytest.fail)


def test_neither_torch_nor_opencv_is_needed(own):
    script = (
        "import sys, main\nassert main.main(sys.argv[1:]) == 0\nassert not {'torch', 'cv2'} & set(sys.modules), 'heavy'"
    )
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{script}",
            "inspect",
            "-c",
            "config.yaml",
        ],
        cwd=own,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
