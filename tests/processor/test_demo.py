"""The demo from end to end on small videos made here; who is in them is said by an estimator made here, too."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from feeder.skeleton import load_skeleton
from feeder.video.decode import Video
from main import main
from net.st_gcn import Model
from processor import demo, options
from processor.recognizer import Recognizer
from processor.sidecar import describe, read_sidecar, write_sidecar
from processor.video import offline
from processor.video.settings import Settings
from tests.feeder.video.test_decode import make, make_with_sound, noise
from torchlight.arguments import parse
from torchlight.command import run_command
from torchlight.lock import exclusive

ROOT = Path(__file__).resolve().parents[2]
NAMES = ["run", "jump", "sit", "turn", "wave", "fall"]
GRAPH = {"layout": "openpose", "strategy": "spatial"}
STANDING = np.array(  # the 18 joints of openpose, for a picture of 64 x 48
    [[32, 8], [32, 14], [27, 14], [25, 20], [24, 26], [37, 14], [39, 20], [40, 26], [29, 27], [29, 34], [29, 42]]
    + [[35, 27], [35, 34], [35, 42], [31, 7], [33, 7], [30, 8], [34, 8]]
)


def standing(count: int, step: float = 0.0) -> np.ndarray:
    """(count, 18, 3): people side by side, waving a little."""
    persons = np.ones((count, 18, 3), np.float32)
    persons[..., :2] = STANDING
    persons[:, [4, 7], 1] += 5 * np.sin(step / 3)
    persons[..., 0] += 50 * np.arange(count)[:, None]
    return persons


class People:
    """An estimator that finds as many people in a picture as `count` says of its number."""

    layout = "openpose"

    def __init__(self, count):
        self.count, self.index = count, -1

    def __call__(self, image: np.ndarray) -> np.ndarray:
        self.index += 1
        return standing(self.count(self.index), self.index)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A small untrained network with its side-car."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("network") / "w.pt"
    args = {"in_channels": 3, "num_class": 6, "blocks": [[8, 1], [16, 2]], "graph_args": GRAPH}
    torch.save(Model(**args).state_dict(), path)
    write_sidecar(path, describe("net.st_gcn.Model", args, None, NAMES, 1, skeleton=load_skeleton("openpose")))
    return path


@pytest.fixture
def watch(weights, tmp_path):
    """watch("--video", ..., people=1) -> the exit status; the results are in tmp_path/out."""

    def run(*argv, people=1):
        count = people if callable(people) else lambda index: people
        own = ["--weights", str(weights), "--output_dir", str(tmp_path / "out"), "--height", "96"]
        argv = ["demo", *own, *map(str, argv)]
        return run_command(
            lambda: demo.run(parse(options.demo(), argv[1:]), argv, make=lambda *settings: People(count))
        )

    return run


def clip(path, num_frame=40, size=(64, 48), **options) -> Path:
    width, height = size
    return make(path, [noise(i, height, width) for i in range(num_frame)], rate=30, g="10", **options)


def result(folder: Path, name: str) -> dict:
    """<name>.json, after a look at the video and the tables beside it."""
    told = json.loads((folder / f"{name}.json").read_text())
    keys = ["video", "label", "score", "vote", "top5", "frames", "fps", "persons", "segments", "windows"]
    assert list(told) == keys and told["vote"] in ("segments", "mean")
    assert 0 <= told["score"] <= 1 and told["label"] in [*NAMES, "unknown"]
    with (folder / f"{name}.csv").open(newline="") as file:
        head, *rows = csv.reader(file)
    assert head[:6] == ["track", "first_frame", "last_frame", "first_second", "last_second", "label"]
    assert head[6:] == [f"{what}{k}" for k in range(1, 6) for what in ("label", "score")]
    assert [row[:6] for row in rows] == [[str(window[key]) for key in head[:6]] for window in told["windows"]]
    assert all(len(row) == len(head) for row in rows)
    with (folder / f"{name}_segments.csv").open(newline="") as file:
        head, *rows = csv.reader(file)
    assert head == [
        "track",
        "label",
        "first_frame",
        "last_frame",
        "first_second",
        "last_second",
        "score",
        "repetitions",
    ]
    cells = [["" if segment[key] is None else str(segment[key]) for key in head] for segment in told["segments"]]
    assert rows == cells
    for track in {segment["track"] for segment in told["segments"]}:
        of_track = [segment for segment in told["segments"] if segment["track"] == track]
        assert all(a["last_frame"] < b["first_frame"] for a, b in pairwise(of_track))
        assert all(a["last_second"] <= b["first_second"] for a, b in pairwise(of_track))
        assert all(0 <= segment["first_frame"] <= segment["last_frame"] < told["frames"] for segment in of_track)
    video = Video(folder / f"{name}.mp4")
    assert len(list(video)) == told["frames"] and video.height == 96
    assert not list(folder.glob("*.part*")) and not list(folder.glob(".*"))
    return told


# what comes out


def test_a_video_becomes_a_mosaic_a_json_and_a_table(watch, tmp_path, capsys):
    assert watch("--video", make_with_sound(tmp_path / "clip.mp4", 10), "--window", 32, "--stride", 8) == 0
    told = result(tmp_path / "out", "clip")
    assert (told["frames"], told["fps"], told["persons"]) == (100, 10.0, 1) and len(told["top5"]) == 5
    assert Video(tmp_path / "out/clip.mp4").has_audio
    windows = told["windows"]
    assert [window["track"] for window in windows] == [0] * len(windows)
    begins = np.array([window["first_second"] for window in windows])
    ends = np.array([window["last_second"] for window in windows])
    np.testing.assert_allclose((ends - begins)[:-1], 31 / 30, atol=0.11)  # 32 frames at the network's 30
    np.testing.assert_allclose(np.diff(begins)[:-1], 8 / 30, atol=0.11)
    np.testing.assert_allclose(ends, [window["last_frame"] / 10 for window in windows], atol=1e-3)
    assert (begins[0], windows[0]["first_frame"], windows[-1]["last_frame"]) == (0, 0, 99)
    for best in [told["top5"], *(window["top5"] for window in windows)]:
        assert [score for _, score in best] == sorted((score for _, score in best), reverse=True)
        assert {label for label, _ in best} <= set(NAMES)
    out = capsys.readouterr().out
    assert f"Prediction result: {told['label']}" in out and "frames/s" in out and told["top5"][4][0] in out


@pytest.mark.skipif(
    not (ROOT / "models/movenet.tflite").is_file(), reason="no models/movenet.tflite; make demo fetches it"
)
def test_somebody_does_jumping_jacks_in_the_sample(tmp_path, capsys):
    """All defaults: the sample, MoveNet, the starter model."""
    assert main(["demo", "--output_dir", str(tmp_path), "--height", "96", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["label"] == "jumping jacks" and told["score"] >= 0.8 and told["persons"] == 1 and told["frames"] == 240


def test_with_json_stdout_is_for_a_program(watch, tmp_path, capsys):
    (tmp_path / "clips").mkdir()
    for name in ("a.mp4", "b.mp4"):
        clip(tmp_path / "clips" / name, 12)
    assert watch("--video", tmp_path / "clips", "--json") == 0
    out, error = capsys.readouterr()
    lines = [json.loads(line) for line in out.splitlines()]
    assert [Path(line["video"]).name for line in lines] == ["a.mp4", "b.mp4"]
    assert lines[1] == json.loads((tmp_path / "out/b.json").read_text())
    assert "Prediction result" in error


def test_nobody_in_sight_is_an_answer(watch, tmp_path, capsys):
    assert watch("--video", clip(tmp_path / "empty.mp4"), people=0) == 0
    told = result(tmp_path / "out", "empty")
    assert (told["label"], told["score"], told["top5"], told["persons"], told["windows"]) == ("unknown", 0, [], 0, [])
    assert "no person was seen" in capsys.readouterr().out


def test_one_frame_is_a_video(watch, tmp_path):
    assert watch("--video", clip(tmp_path / "one.mp4", 1)) == 0
    assert result(tmp_path / "out", "one")["label"] == "unknown"


def test_ten_people_keep_their_numbers(watch, tmp_path):
    assert watch("--video", clip(tmp_path / "crowd.mp4", size=(520, 48)), people=10) == 0
    told = result(tmp_path / "out", "crowd")
    assert told["persons"] == 10 and sorted(window["track"] for window in told["windows"]) == list(range(10))


def test_somebody_seen_for_a_moment_has_little_say(watch, tmp_path):
    """A ghost for 12 frames, twice: two windows of little weight; one for 5 frames has none at all."""
    ghost = lambda index: 2 if index in (*range(40, 52), *range(90, 102), *range(130, 135)) else 1  # noqa: E731
    assert watch("--video", clip(tmp_path / "alone.mp4", 200), people=1) == 0
    assert watch("--video", clip(tmp_path / "ghost.mp4", 200), people=ghost) == 0
    alone, haunted = (result(tmp_path / "out", name) for name in ("alone", "ghost"))
    assert len(haunted["windows"]) - len(alone["windows"]) == 2
    assert haunted["label"] == alone["label"] and abs(haunted["score"] - alone["score"]) < 0.01


def test_people_who_come_and_go_leave_the_timeline_alone(watch, tmp_path):
    assert watch("--video", clip(tmp_path / "gap.mp4", 120), people=lambda i: int(i < 30 or i >= 70)) == 0
    windows = result(tmp_path / "out", "gap")["windows"]
    assert [(w["track"], w["first_frame"], w["last_frame"]) for w in windows] == [(0, 0, 29), (1, 70, 119)]


# segments, votes, crowds


def seconds_of(told: dict) -> dict[str, float]:
    total = {}
    for segment in told["segments"]:
        length = segment["last_second"] - segment["first_second"]
        total[segment["label"]] = total.get(segment["label"], 0) + length
    return total


def test_the_video_is_called_what_is_recognised_for_longest(watch, tmp_path, capsys):
    assert watch("--video", clip(tmp_path / "clip.mp4", 150), people=2) == 0
    told = result(tmp_path / "out", "clip")
    seconds = seconds_of(told)
    assert told["vote"] == "segments" and told["label"] == max(seconds, key=seconds.get)
    of_label = [segment for segment in told["segments"] if segment["label"] == told["label"]]
    lengths = [segment["last_second"] - segment["first_second"] for segment in of_label]
    mean = np.average([segment["score"] for segment in of_label], weights=lengths)
    assert told["score"] == pytest.approx(mean, abs=1e-3)
    assert {segment["track"] for segment in told["segments"]} == {0, 1}
    out = capsys.readouterr().out
    assert all(f"person {segment['track']}: {segment['label']}" in out for segment in of_label)
    first, last = told["segments"][0], told["segments"][-1]
    assert first["first_frame"] == 0 and last["last_frame"] == 149


def test_with_vote_mean_the_video_is_called_by_the_mean_of_its_windows(watch, tmp_path):
    assert watch("--video", clip(tmp_path / "clip.mp4", 150), "--vote", "mean") == 0
    told = result(tmp_path / "out", "clip")
    assert told["vote"] == "mean" and [told["label"], told["score"]] == told["top5"][0]
    scores = [dict(map(tuple, window["top5"]))[told["label"]] for window in told["windows"]]
    assert told["score"] == pytest.approx(np.mean(scores), abs=1e-3)  # each window of 64 frames, all seen


def test_the_windows_are_the_same_whatever_the_vote(watch, tmp_path):
    path = clip(tmp_path / "clip.mp4", 100)
    assert watch("--video", path) == 0
    by_segments = result(tmp_path / "out", "clip")
    assert watch("--video", path, "--vote", "mean") == 0
    assert result(tmp_path / "out", "clip")["windows"] == by_segments["windows"]


def test_only_the_largest_persons_of_a_frame_are_kept(watch, tmp_path):
    path = clip(tmp_path / "crowd.mp4", size=(520, 48))
    assert watch("--video", path, "--max_persons", "3", people=10) == 0
    assert result(tmp_path / "out", "crowd")["persons"] == 3


@pytest.mark.parametrize("option", ["--only_recognised", "--only-recognised"])
def test_persons_who_are_not_recognised_are_neither_drawn_nor_listed(watch, weights, tmp_path, monkeypatch, option):
    """By a network that always says something, then by one that is never sure enough."""
    drawn = []
    draw = offline.Mosaic.draw
    monkeypatch.setattr(
        offline.Mosaic,
        "draw",
        lambda self, image, persons, *more: (drawn.append(persons), draw(self, image, persons, *more))[1],
    )
    path = clip(tmp_path / "clip.mp4", 60)
    assert watch("--video", path, option) == 0
    told = result(tmp_path / "out", "clip")
    assert told["segments"] and all(segment["label"] != "unknown" for segment in told["segments"])
    assert told["persons"] == 1 and all(drawn)
    for file in (weights, weights.with_suffix(".yaml")):
        shutil.copy(file, tmp_path)
    strict = tmp_path / weights.name
    write_sidecar(strict, read_sidecar(strict) | {"threshold": 0.99})
    drawn.clear()
    assert watch("--video", path, option, "--weights", strict) == 0
    told = result(tmp_path / "out", "clip")
    assert (told["label"], told["segments"], told["windows"], told["persons"]) == ("unknown", [], [], 0)
    assert len(drawn) == 60 and not any(drawn)


def test_a_larger_picture_has_a_timeline_below_and_keeps_its_height(watch, tmp_path):
    assert watch("--video", clip(tmp_path / "clip.mp4", 60), "--height", "480") == 0
    video = Video(tmp_path / "out/clip.mp4")
    frames = [frame.image.astype(int) for frame in video]
    assert video.height == 480 and video.width % 2 == 0
    below = [frame[-12:] for frame in frames]
    cursor = [int(strip.min(0).sum(-1).argmax()) / video.width for strip in below]
    assert cursor[0] < 0.02 and cursor[-1] > 0.95
    np.testing.assert_allclose(cursor, np.linspace(0, 59 / 60, 60), atol=0.02)


def test_two_videos_whose_tables_would_have_one_name_keep_their_endings(watch, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a.mp4", "a_segments.mp4"):
        clip(folder / name, 10)
    assert watch("--video", folder) == 0
    for name in ("a.mp4", "a_segments.mp4"):
        result(tmp_path / "out", name)


# odd videos


@pytest.mark.parametrize(
    ("size", "options", "shape"),
    [
        ((48, 64), {}, (36 * 2, 96)),
        ((64, 48), {"turn": 90}, (36 * 2, 96)),
        ((64, 48), {"turn": 180}, (128, 96)),
        ((160, 16), {}, (960, 96)),
    ],
    ids=["portrait", "a quarter turn by metadata", "a half turn by metadata", "a strip"],
)
def test_any_shape(watch, tmp_path, size, options, shape):
    assert watch("--video", clip(tmp_path / "clip.mp4", 12, size, **options)) == 0
    result(tmp_path / "out", "clip")
    video = Video(tmp_path / "out/clip.mp4")
    assert (video.width, video.height) == shape


def test_frames_at_uneven_times_keep_them(watch, tmp_path):
    times = np.cumsum([0, *np.random.default_rng(0).choice([0.01, 0.03, 0.08], 99)]).round(3).tolist()
    assert watch("--video", clip(tmp_path / "uneven.mkv", 100, times=times)) == 0
    windows = result(tmp_path / "out", "uneven")["windows"]
    assert windows[0]["last_second"] == pytest.approx(63 / 30, abs=0.09)
    written = [frame.seconds for frame in Video(tmp_path / "out/uneven.mp4")]
    np.testing.assert_allclose(written, times, atol=2e-3)


def test_a_clock_that_jumps_costs_nothing(watch, tmp_path):
    times = [i / 30 + (i >= 50) * 20 * 3600 for i in range(100)]
    assert watch("--video", clip(tmp_path / "jump.mkv", 100, times=times)) == 0
    windows = result(tmp_path / "out", "jump")["windows"]
    assert [(w["first_frame"], w["last_frame"]) for w in windows] == [(0, 49), (50, 99)]


def test_few_frames_a_second_are_filled_in(watch, tmp_path):
    path = make(tmp_path / "slow.mp4", [noise(i) for i in range(30)], rate=5)
    assert watch("--video", path) == 0
    assert result(tmp_path / "out", "slow")["windows"][0]["first_second"] == 0


def test_damage_in_the_middle_is_passed_over(watch, tmp_path, capsys):
    path = clip(tmp_path / "damaged.mp4", 100)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 3000] = np.random.default_rng(0).bytes(3000)
    path.write_bytes(data)
    assert watch("--video", path) == 0
    assert 50 < result(tmp_path / "out", "damaged")["frames"] <= 100
    assert "damaged frames" in capsys.readouterr().out


# names and places


@pytest.mark.parametrize("name", ["two words.mp4", 'it\'s "so" & $HOME; *.mp4', "-clip.mp4", "a:b.mp4", "ünï 日本.mp4"])
def test_any_name(watch, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    clip(tmp_path / name, 10)
    assert watch(f"--video={name}") == 0
    result(tmp_path / "out", Path(name).stem)
    shutil.rmtree(tmp_path / "out")
    (tmp_path / "folder").mkdir()
    (tmp_path / name).rename(tmp_path / "folder" / name)
    assert watch("--video", "folder") == 0
    result(tmp_path / "out", Path(name).stem)


def test_a_name_that_is_no_text(watch, tmp_path, capsys):
    name = os.fsdecode(b"caf\xe9.mp4")
    try:
        clip(tmp_path / "x.mp4", 10).rename(tmp_path / name)
    except OSError:
        pytest.skip("this file system wants text")
    assert watch("--video", tmp_path / name, "--json") == 0
    assert json.loads(capsys.readouterr().out)["video"].endswith("caf?.mp4")


def test_one_name_twice_keeps_the_endings(watch, tmp_path):
    names = ["a.mp4", "a.mkv", "a.mkv.mp4"]
    (tmp_path / "in").mkdir()
    for name in names:
        clip(tmp_path / "in" / name, 10)
    assert watch("--video", tmp_path / "in") == 0
    for name in names:
        result(tmp_path / "out", name)


def test_a_folder_with_a_bad_video_is_done_but_for_it(watch, tmp_path, capsys):
    folder = tmp_path / "in"
    folder.mkdir()
    clip(folder / "a.mp4", 10), clip(folder / "c.mp4", 10)
    (folder / "b.mp4").write_text("no video")
    (folder / "notes.txt").write_text("no video either, and not meant to be")
    assert watch("--video", folder) == 2
    result(tmp_path / "out", "a"), result(tmp_path / "out", "c")
    error = capsys.readouterr().err
    assert "b.mp4 is not a video" in error and "1 of 3 videos failed, named in" in error
    assert not (tmp_path / "out/b.mp4").exists()


# what is refused, each in a line


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (["--video", "text.mp4"], "is not a video"),
        (["--video", "none.mp4"], "none.mp4 does not exist"),
        (["--video", "bare"], "has no video in it"),
        (["--video", "clip.mp4", "--output_dir", "."], "would be written over"),
        (["--keypoints", "nobody.json"], "has no frames"),
        (["--keypoints", "nobody.json", "--output_dir", "."], "would be written over"),
        (["--keypoints", "nobody.json", "--video", "."], "--keypoints are of one video"),
        (["--pose", "json"], "--pose json needs --keypoints"),
        (["--video", "clip.mp4", "--label_names", "two.txt"], "2 label_names for a network of 6 classes"),
        (["--video", "clip.mp4", "--label_names", "clip.mp4"], "is not a text file"),
        (["--weights", "none.pt"], "none.pt does not exist"),
        (["--weights", "clip.mp4"], "clip.mp4"),
        (["--window", "4"], "of at least 8"),
        (["--video", "clip.mp4", "--openpose", "nowhere"], "nowhere"),
    ],
)
def test_a_mistake_is_one_line(watch, tmp_path, monkeypatch, capsys, argv, line):
    monkeypatch.chdir(tmp_path)
    clip(tmp_path / "clip.mp4", 10)
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "two.txt").write_text("a\nb\n")
    (tmp_path / "nobody.json").write_text('{"data": [], "label": "x", "label_index": 0}')
    (tmp_path / "bare").mkdir()
    before = sorted(tmp_path.rglob("*"))
    assert watch(*argv) == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith("error: ") and line in error and len(error.splitlines()) <= 2
    assert [path for path in sorted(tmp_path.rglob("*")) if path.name != "out"] == before


def without(tmp_path, module: str) -> dict:
    """An environment in which a module is there and cannot be loaded, as on a bare Debian."""
    (tmp_path / f"{module}.py").write_text(
        "raise ImportError('libGL.so.1: cannot open shared object file: No such file or directory')"
    )
    return {**os.environ, "PYTHONPATH": str(tmp_path)}


def test_without_libgl_one_line_names_the_package(tmp_path):
    run = subprocess.run(
        [sys.executable, "main.py", "demo"], cwd=ROOT, env=without(tmp_path, "cv2"), capture_output=True, text=True
    )
    assert (run.returncode, run.stdout) == (2, "") and len(run.stderr.splitlines()) == 1
    assert "libGL.so.1" in run.stderr and "apt install libgl1 libglib2.0-0" in run.stderr


def test_a_missing_package_is_one_line_too(tmp_path):
    (tmp_path / "av.py").write_text("raise ModuleNotFoundError(\"No module named 'av'\", name='av')")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    run = subprocess.run([sys.executable, "main.py", "demo"], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (2, "error: No module named 'av'; pip install -r requirements.txt\n")


def test_training_never_opens_a_video_library(small, tmp_path):
    script = (
        "import sys, main\n"
        "status = main.main(sys.argv[1:])\n"
        "print(status, [name for name in ('cv2', 'av', 'ai_edge_litert') if name in sys.modules])"
    )
    argv = ["recognition", "-c", small / "config.yaml", "-w", tmp_path / "out", "--num_epoch", "1"]
    environment = without(tmp_path, "cv2")
    run = subprocess.run(
        [sys.executable, "-c", script, *map(str, argv)], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert run.stdout.splitlines()[-1] == "0 []", run.stderr


# joints found before


def body_25(folder: Path, clip: str, frames: dict[int, int]) -> Path:
    """OpenPose's files of so many people in each frame, as pixels of 64 x 48."""
    folder.mkdir()
    for index, count in frames.items():
        points = np.zeros((count, 25, 3), np.float32)
        points[:, :8], points[:, 9:15], points[:, 15:19] = (
            (persons := standing(count, index))[:, :8],
            persons[:, 8:14],
            persons[:, 14:],
        )
        people = [{"pose_keypoints_2d": person.ravel().tolist()} for person in points]
        (folder / f"{clip}_{index:012d}_keypoints.json").write_text(json.dumps({"people": people}))
    return folder


@pytest.mark.parametrize("num_frame", [10, 40, 70])
def test_joints_for_fewer_and_more_frames_than_there_are(watch, tmp_path, num_frame):
    joints = body_25(tmp_path / "joints", "clip", dict.fromkeys(range(num_frame), 1))
    assert watch("--video", clip(tmp_path / "clip.mp4", 40), "--keypoints", joints) == 0
    told = result(tmp_path / "out", "clip")
    assert told["frames"] == 40 and told["windows"][-1]["last_frame"] == min(num_frame, 40) - 1


def test_joints_without_their_video_are_drawn_on_black(watch, tmp_path):
    joints = body_25(tmp_path / "joints.v2", "clip", {0: 1, 1: 0, 2: 2, 40: 1})
    assert watch("--keypoints", joints) == 0
    assert result(tmp_path / "out", "joints.v2")["frames"] == 41


def test_real_joints_with_and_without_their_video(real_data, watch, tmp_path):
    kick, folder = real_data / "openpose_body25", tmp_path / "out"
    assert watch("--video", kick / "Kick_1.mp4", "--keypoints", kick / "Kick_1") == 0
    told = result(folder, "Kick_1")
    assert told["frames"] == 90 and told["windows"][0]["last_frame"] == 80  # he leaves then
    assert watch("--keypoints", real_data / "openpose_coco18" / "seq_1", "--pose", "json") == 0
    assert result(folder, "seq_1")["persons"] >= 1
    file = sorted((real_data / "kinetics_skeleton" / "kinetics_train").glob("*.json"))[0]
    assert watch("--keypoints", file) == 0
    assert result(folder, file.stem)["frames"] > 100


# networks


def test_a_config_stands_in_for_a_side_car(watch, tmp_path, monkeypatch):
    """The original's network for Kinetics, of random weights, with two people in a clip and clips of any length."""
    config = ROOT / "config/st_gcn/kinetics-skeleton/demo_offline.yaml"
    keys = yaml.safe_load(config.read_text())
    torch.manual_seed(0)
    torch.save(Model(**keys["model_args"]).state_dict(), tmp_path / "original.pt")
    monkeypatch.chdir(tmp_path)  # the names of the classes lie beside the program
    people = lambda index: 3 if 10 <= index < 25 else 2  # noqa: E731
    argv = ["-c", config, "--weights", "original.pt", "--video", clip(tmp_path / "two.mp4", 60), "--window", 32]
    assert watch(*argv, people=people) == 0
    told = json.loads((tmp_path / "out/two.json").read_text())
    kinetics = (ROOT / "resource/kinetics_skeleton/label_name.txt").read_text().splitlines()
    assert told["label"] in kinetics and told["persons"] == 3
    assert {w["last_frame"] - w["first_frame"] + 1 for w in told["windows"]} == {32, 15}


@pytest.mark.parametrize("name", ["demo_offline", "demo_old", "demo_realtime"])
def test_the_original_s_demos_ask_for_the_original_s_weights(name, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(demo, "ROOT", tmp_path)  # where nobody has fetched them
    monkeypatch.chdir(tmp_path)
    config = str(ROOT / f"config/st_gcn/kinetics-skeleton/{name}.yaml")
    assert main(["demo" if name == "demo_realtime" else name, "-c", config]) == 2
    error = capsys.readouterr().err
    assert "st_gcn.kinetics.pt does not exist; get the published ones with: python tools/get_models.py st_gcn" in error


def test_own_label_names(watch, tmp_path):
    names = tmp_path / "names.txt"
    names.write_text("".join(f"Ü{i}\n" for i in range(6)), encoding="utf-8")
    assert watch("--video", clip(tmp_path / "clip.mp4"), "--label_names", names) == 0
    assert {label[0] for label, _ in json.loads((tmp_path / "out/clip.json").read_text())["top5"]} == {"Ü"}


# ended early


def test_q_while_drawing_ends_the_video_there_and_the_run_well(watch, tmp_path, monkeypatch, capsys):
    class Quits:
        def __init__(self, wanted):
            self.pictures = 0

        def __call__(self, picture):
            self.pictures += 1
            return self.pictures == 12

    monkeypatch.setattr(offline, "Display", Quits)
    assert watch("--video", clip(tmp_path / "clip.mp4", 40), "--show") == 0
    assert len(list(Video(tmp_path / "out/clip_partial.mp4"))) == 12
    captured = capsys.readouterr()
    assert "clip_partial.mp4 has the first 12 of 40 frames" in captured.out
    assert "saved in" in captured.out and "clip_partial.mp4, .json, .csv and .html" in captured.out
    assert "interrupted" not in captured.err
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "clip.csv",
        "clip.html",
        "clip.json",
        "clip_partial.mp4",
        "clip_segments.csv",
    ]
    assert json.loads((tmp_path / "out/clip.json").read_text())["frames"] == 40


def test_window_and_rate_are_those_of_the_weights_unless_said(weights, tmp_path):
    for file in (weights, weights.with_suffix(".yaml")):
        shutil.copy(file, tmp_path)
    own = tmp_path / weights.name
    write_sidecar(own, read_sidecar(own) | {"window": 20, "fps": 15.0})
    recognizer = Recognizer.from_checkpoint(own, use_gpu=False)

    def settings(*argv):
        found = Settings.of(parse(options.demo(), list(argv)), recognizer)
        return found.window, found.fps

    assert settings() == (20, 15.0)
    assert settings("--window", "48", "--model_fps", "25") == (48, 25.0)
    assert Settings.of(parse(options.demo(), []), Recognizer.from_checkpoint(weights, use_gpu=False)).window == 64


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_while_drawing_keeps_what_is_written_as_partial(watch, tmp_path, monkeypatch, number, status):
    path = clip(tmp_path / "clip.mp4", 200)
    draw = offline.Mosaic.draw

    def slowly(self, *given):
        time.sleep(0.01)
        return draw(self, *given)

    def interrupt():
        while not (tmp_path / "out/clip.json").exists():
            time.sleep(0.01)
        time.sleep(0.5)
        os.kill(os.getpid(), number)

    monkeypatch.setattr(offline.Mosaic, "draw", slowly)
    threading.Thread(target=interrupt).start()
    assert watch("--video", path) == status
    assert 5 < len(list(Video(tmp_path / "out/clip_partial.mp4"))) < 190
    assert json.loads((tmp_path / "out/clip.json").read_text())["frames"] == 200
    left = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert left == ["clip.csv", "clip.json", "clip_partial.mp4", "clip_segments.csv"]


def test_a_second_demo_of_the_same_video_ends_in_one_line(watch, tmp_path, capsys):
    path = clip(tmp_path / "clip.mp4")
    with exclusive(tmp_path / "out", "clip", ""):
        assert watch("--video", path) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and f"out is in use (clip) by process {os.getpid()} on " in error
        assert [file.name for file in (tmp_path / "out").iterdir()] == [".clip.lock"]
        assert watch("--video", clip(tmp_path / "other.mp4")) == 0
    assert watch("--video", path) == 0


def test_what_a_killed_demo_left_is_removed_by_the_next(watch, tmp_path):
    with subprocess.Popen(["true"]) as gone:
        pass
    (tmp_path / "out").mkdir()
    (tmp_path / f"out/.clip.mp4.{gone.pid}.tmp").touch()
    (tmp_path / "out/.clip.lock").touch()
    assert watch("--video", clip(tmp_path / "clip.mp4")) == 0
    result(tmp_path / "out", "clip")


def test_frame_by_frame_a_file_has_the_same_windows(watch, tmp_path):
    path = clip(tmp_path / "long.mp4", 120)
    options = ["--video", path, "--window", "32", "--stride", "8"]

    def places():
        told = result(tmp_path / "out", "long")
        assert told["segments"][0]["first_frame"] == 0 and told["segments"][-1]["last_frame"] == 119
        return [(window["track"], window["first_frame"], window["last_frame"]) for window in told["windows"]]

    assert watch(*options) == 0
    expected = places()
    assert watch(*options, "--streaming") == 0
    assert places() == expected
