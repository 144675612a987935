"""One's own videos in three commands, video_gendata, recognition, demo: with a toy estimator, and with MoveNet where it is."""

import json
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import yaml

import main as program
from feeder.packed import read_packed
from feeder.pose import blazepose, fetch, movenet
from feeder.readers import video
from feeder.video.encode import VideoWriter
from tools import video_gendata
from tools.render_sample import FPS, SIZE, draw_frame, draw_room, perform

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "models" / "movenet.tflite"
CONFIG = ROOT / "config" / "st_gcn" / "custom"


# ---- a toy: a ball in a small picture, and an estimator that sees somebody who holds it

BODY = np.random.default_rng(0).uniform(8, 40, (18, 2))
PATHS = {  # label: where the ball is, t in radians
    "above": lambda t: (32 + 12 * np.sin(t), 5 + 0 * t),
    "below": lambda t: (32 + 12 * np.sin(t), 43 + 0 * t),
    "around": lambda t: (32 + 26 * np.cos(t), 24 + 18 * np.sin(t)),
}


class Juggler:
    layout = "openpose"

    def __init__(self, **options):
        pass

    def __call__(self, image):
        y, x = np.nonzero(image.mean(2) > 128)
        points = np.concatenate([BODY, np.full((18, 1), 0.8)], 1)
        points[[3, 4, 6, 7], :2] = np.mean([x, y], 1) if len(x) else 0  # both forearms
        return points[None].astype(np.float32) if len(x) else np.zeros((0, 18, 3), np.float32)


def juggle(path, label, seed, num_frame=45, fps=30):
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    t = np.arange(num_frame) / fps * rng.uniform(6, 8) + rng.uniform(0, 6)
    y, x = np.mgrid[:48, :64]
    with VideoWriter(path, 64, 48, fps) as out:
        for k, (u, v) in enumerate(zip(*PATHS[label](t))):
            ball = (x - u) ** 2 + (y - v) ** 2 < 16
            out.write(np.repeat(np.where(ball, 255, 20).astype(np.uint8)[..., None], 3, 2), k / fps)


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """A folder of videos to work in, and an estimator without a model."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(movenet, "MoveNet", Juggler)
    monkeypatch.setattr(fetch, "fetch_model", lambda name: None)
    video.estimator.cache_clear()
    for label in PATHS:
        for i in range(5):
            juggle(tmp_path / "videos" / label / f"{i}.mp4", label, i, fps=30 if i % 2 else 25)
    yield tmp_path
    video.estimator.cache_clear()


def gendata(monkeypatch, *argv):
    monkeypatch.setattr(sys, "argv", ["video_gendata.py", *map(str, argv)])
    video_gendata.main()


def train(config, *argv):
    return program.main(["recognition", "-c", str(CONFIG / config), "--precision", "fp32", *map(str, argv)])


def answer(weights, path, folder):
    done = program.main(
        ["demo", "--video", str(path), "--weights", str(weights), "--output_dir", str(folder), "--height", "96"]
    )
    assert done == 0
    return json.loads((folder / f"{path.stem}.json").read_text())["label"]


def test_three_commands(toy, monkeypatch, capsys):
    (toy / "videos/around/notes.txt").write_text("not a video")
    (toy / "videos/around/0.mp4").write_bytes(b"broken" * 99)
    with VideoWriter(toy / "videos/below/0.mp4", 64, 48, 30) as out:
        for k in range(20):
            out.write(np.zeros((48, 64, 3), np.uint8), k / 30)
    gendata(monkeypatch, "--data_path", "videos", "--num_worker", 1)
    said = capsys.readouterr().out
    assert "not used, is not a clip: 1 (around/notes.txt)" in said
    left_out = dict(line.strip().split(": ", 1) for line in said.splitlines() if line.startswith("    "))
    assert left_out.keys() == {"around/0.mp4", "below/0.mp4"}
    assert "is not a video" in left_out["around/0.mp4"] and "no person is seen in it" in left_out["below/0.mp4"]
    assert (toy / "data/custom/label_names.txt").read_text().split("\n") == [*sorted(PATHS), ""]
    clips = read_packed("data/custom/train_data.npy", "data/custom/train_label.pkl")
    assert len(clips.data) == 10 and clips.data.shape[1] == 3 and clips.data.shape[3:] == (18, 1)
    assert abs(clips.data.shape[2] - 45 * 30 / 25) <= 1
    assert clips.frame_size.tolist() == [[64, 48]] * 10

    settings = ["--num_epoch", 60, "--model_args", "blocks=[[16,2],[32,2]]"]
    assert train("train.yaml", *settings) == 0
    work_dir = toy / "work_dir/recognition/custom/ST_GCN"
    side_car = yaml.safe_load((work_dir / "epoch60_model.yaml").read_text())
    assert side_car["label_names"] == sorted(PATHS) and side_car["num_person"] == 1
    assert side_car["model_args"]["num_class"] == 3 and len(side_car["skeleton"]["joints"]) == 18
    for label in PATHS:
        juggle(toy / "new" / f"{label}.mp4", label, 99)
        assert answer(work_dir / "epoch60_model.pt", toy / "new" / f"{label}.mp4", toy / "out") == label


def test_fine_tuning_from_the_starter(toy, monkeypatch):
    starter = ROOT / "resource/models/starter.pt"
    if not starter.is_file():
        pytest.skip("resource/models/starter.pt is not there")
    gendata(
        monkeypatch, "--data_path", *sorted(toy.glob("videos/*/*.mp4")), "--layout", "penn-action", "--num_worker", 1
    )
    assert train("finetune.yaml", "--weights", starter, "--num_epoch", 1) == 0
    assert "fcn" in (toy / "work_dir/recognition/custom/finetune/log.txt").read_text()


def test_a_new_video_and_another_layout_cost_only_what_is_new(toy, monkeypatch):
    gendata(monkeypatch, "--data_path", "videos", "--num_worker", 1)
    first = (toy / "data/custom/train_data.npy").read_bytes()
    looked = []
    estimate = video.estimate_poses
    monkeypatch.setattr(video, "estimate_poses", lambda path, *pose: looked.append(path.name) or estimate(path, *pose))
    gendata(monkeypatch, "--data_path", "videos", "--num_worker", 1)
    assert (toy / "data/custom/train_data.npy").read_bytes() == first and looked == []
    juggle(toy / "videos/around/9.mp4", "around", 9)
    gendata(monkeypatch, "--data_path", "videos", "--num_worker", 1, "--layout", "penn-action", "--num_person", 2)
    assert looked == ["9.mp4"]
    data = read_packed("data/custom/train_data.npy", "data/custom/train_label.pkl").data
    assert data.shape[3:] == (13, 2)


def test_another_pose_estimator_looks_at_all_videos_again(toy, monkeypatch):
    gendata(monkeypatch, "--data_path", "videos", "--num_worker", 1)
    made, kept = [], {path: path.read_bytes() for path in toy.glob("data/custom/pose/*/*.npz")}
    monkeypatch.setattr(blazepose, "BlazePose", lambda **options: made.append(options) or Juggler())
    gendata(monkeypatch, "--data_path", "videos", "--num_worker", 1, "--pose", "blazepose")
    assert made == [{"long_side": 320, "num_thread": 1}]  # one, with one thread
    assert len(kept) == 15 and all(path.read_bytes() != content for path, content in kept.items())


@pytest.mark.parametrize(
    "argv, line",
    [
        (["--data_path", "nowhere"], "nowhere does not exist"),
        (["--data_path", "videos/around"], "there are no folders <label>/<clip> in it"),
        (["--data_path", "videos/around/1.mp4"], "all is 'around'"),
        (["--data_path", "videos", "--layout", "penn-acton"], "did you mean 'penn-action'"),
        (["--data_path", "videos", "--shard", "0/4"], "--shard '0/4' where a part of all belongs"),
        (["--data_path", "videos", "--num_person", "0"], "must be 1 or more"),
    ],
)
def test_what_a_person_can_get_wrong_is_one_line(toy, argv, line):
    tool = [sys.executable, ROOT / "tools" / "video_gendata.py", *argv]
    done = subprocess.run(tool, capture_output=True, text=True, cwd=toy)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: ") and line in done.stderr
    assert not (toy / "data").exists()


# ---- MoveNet and a figure that it sees as a person

ACTIONS = ("waving", "squatting", "kicking")
needs_movenet = pytest.mark.skipif(
    not MODEL.is_file(), reason="needs models/movenet.tflite: python tools/get_models.py movenet"
)


def draw(path, action, seed, seconds=1.2):
    path.parent.mkdir(parents=True, exist_ok=True)
    room = draw_room()
    with VideoWriter(path, *SIZE, FPS) as out:
        for t, body in enumerate(perform(action, round(seconds * FPS), seed)):
            out.write(draw_frame(room, body), t / FPS)


@needs_movenet
def test_drawn_actions_are_learned_and_a_killed_run_goes_on(tmp_path, monkeypatch):
    films = [(tmp_path / "videos" / action / f"{i}.mp4", action, i) for action in ACTIONS for i in range(4)]
    films += [(tmp_path / "new" / f"{action}.mp4", action, 77) for action in ACTIONS]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda film: draw(*film), films))
    tool = [
        sys.executable,
        ROOT / "tools" / "video_gendata.py",
        "--data_path",
        *sorted(tmp_path.glob("videos/*/*.mp4")),
    ]
    first = subprocess.Popen(
        [*tool, "--num_worker", "2"], cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    until = time.monotonic() + 60
    while len(list(tmp_path.glob("data/custom/pose/*/*.npz"))) < 2 and time.monotonic() < until:
        time.sleep(0.05)
    first.send_signal(signal.SIGKILL)
    first.wait()
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.glob("data/custom/pose/*/*.npz")}
    assert 2 <= len(kept) < 12
    done = subprocess.run([*tool, "--num_worker", "2"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert all(path.stat().st_mtime_ns == moment for path, moment in kept.items())
    data = read_packed(tmp_path / "data/custom/train_data.npy", tmp_path / "data/custom/train_label.pkl").data
    assert data.shape == (9, 3, 36, 18, 1) and (data[:, 2] > 0).mean() > 0.9

    monkeypatch.chdir(tmp_path)
    assert train("train.yaml", "--num_epoch", 60, "--model_args", "blocks=[[16,2],[32,2]]") == 0
    weights = tmp_path / "work_dir/recognition/custom/ST_GCN/epoch60_model.pt"
    assert [answer(weights, tmp_path / "new" / f"{action}.mp4", tmp_path / "out") for action in ACTIONS] == [*ACTIONS]
