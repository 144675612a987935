"""A camera made up here and an estimator that knows where the figure stands: what a run leaves behind, however it ends."""

import csv
import functools
import http.server
import json
import signal
import threading
import time
from itertools import pairwise
from types import SimpleNamespace

import av
import numpy as np
import pytest
import torch

from feeder.skeleton import load_skeleton
from feeder.video import camera, opencv
from feeder.video.encode import VideoWriter
from feeder.video.opencv import cv2
from main import main
from net.st_gcn import Model
from processor import demo, options
from processor.recognizer import UNKNOWN
from processor.sidecar import describe, write_sidecar
from processor.video import live
from torchlight.arguments import parse

RATE = 50
GRAPH = {"layout": "openpose", "strategy": "spatial"}
ARGS = {"in_channels": 3, "num_class": 3, "blocks": [[8, 1], [16, 2]], "graph_args": GRAPH}
BODY = np.concatenate([np.random.default_rng(0).uniform(10, 60, (18, 2)), np.full((18, 1), 0.9)], 1).astype(np.float32)


class Fake:
    """A camera of 64x48 pixels that takes RATE pictures a second, for `seconds`; then it is unplugged."""

    def __init__(self, seconds=60.0):
        self.length, self.count, self.begin = round(seconds * RATE), 0, None

    def isOpened(self):
        return True

    def get(self, what):
        return float(RATE) if what == cv2.CAP_PROP_FPS else 0.0

    def read(self):
        self.begin = self.begin or time.monotonic()
        if self.count == self.length:
            return False, None
        time.sleep(max(0, self.begin + self.count / RATE - time.monotonic()))
        self.count += 1
        return True, np.full((48, 64, 3), self.count % 256, np.uint8)

    def release(self):
        pass


class Estimator:
    layout = "openpose"

    def __init__(self, persons=1, seconds=0.001):
        self.persons, self.seconds, self.count = persons, seconds, 0

    def __call__(self, image):
        time.sleep(self.seconds)
        self.count += 1
        return np.stack([BODY + [8 * k, 0, 0] for k in range(self.persons)]) if self.persons else np.zeros((0, 18, 3))


class Keys:
    """In the place of OpenCV's window: remembers the pictures; `q` after so many seconds."""

    WND_PROP_VISIBLE, error = 4, cv2.error

    def __init__(self, after=None, key="q", visible=1.0):
        self.after, self.key, self.visible, self.pictures = after, key, visible, []

    def imshow(self, title, picture):
        self.pictures.append(picture)
        self.begin = time.monotonic() if len(self.pictures) == 1 else self.begin

    def waitKey(self, milliseconds):
        return ord(self.key) if self.after is not None and time.monotonic() > self.begin + self.after else -1

    def getWindowProperty(self, title, what):
        return self.visible


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("live") / "w.pt"
    torch.save(Model(**ARGS).state_dict(), path)
    write_sidecar(
        path, describe("net.st_gcn.Model", ARGS, None, ["run", "jump", "sit"], 1, skeleton=load_skeleton("openpose"))
    )
    return path


@pytest.fixture
def watch(monkeypatch, tmp_path, weights):
    """watch(camera, estimator, window) runs the demo on them; -> everything that is known afterwards."""

    def watch(fake=None, estimator=None, window=None, *argv, video="0", name="camera0"):
        if fake is not None:
            monkeypatch.setattr(camera.cv2, "VideoCapture", lambda *_: fake)
        monkeypatch.delenv("DISPLAY", raising=False)
        monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
        if window is not None:
            monkeypatch.setattr(opencv, "cv2", window)
            monkeypatch.setattr(opencv, "has_display", lambda: True)
        argv = ["--height", "96", "--window", "16", "--stride", "8", *argv]
        began = time.monotonic()
        argv = ["demo", "--video", video, "--weights", str(weights), "--output_dir", str(tmp_path), *argv]
        demo.run(parse(options.demo(), argv[1:]), argv, make=lambda *settings: estimator or Estimator())
        with av.open(str(tmp_path / f"{name}.mp4")) as container:
            times = [frame.time for frame in container.decode(video=0)]
        with (tmp_path / f"{name}.csv").open() as file:
            rows = list(csv.DictReader(file))
        result = json.loads((tmp_path / f"{name}.json").read_text())
        assert len(rows) == len(result["windows"]) and len(times) == result["frames"]
        assert not list(tmp_path.glob("*.part*"))
        took = time.monotonic() - began
        return SimpleNamespace(times=times, rows=rows, result=result, took=took, files=sorted(tmp_path.iterdir()))

    return watch


def test_the_camera_going_away_ends_the_run_and_all_is_there(watch, capsys):
    run = watch(Fake(2.0))
    out = capsys.readouterr().out
    assert [file.name for file in run.files] == [
        f"camera0{ending}" for ending in (".csv", ".html", ".json", ".mp4", "_segments.csv")
    ]
    assert "camera0 gives no more pictures" in out and "Prediction result" in out and "pictures used" in out
    assert "no display" in out  # and the file all the same
    assert run.times[0] == 0 and run.times == sorted(set(run.times)) and abs(run.times[-1] - 2) < 0.2
    assert 1 < run.result["fps"] <= RATE + 1 and run.result["persons"] == 1
    windows = run.result["windows"]
    assert len(windows) >= 4 and all(0 <= w["first_frame"] < w["last_frame"] < 2 * RATE for w in windows)
    assert all(w["last_second"] - w["first_second"] < 0.7 for w in windows)  # 16 frames at 30 a second
    assert {row["label"] for row in run.rows} <= {"run", "jump", "sit"}


def test_the_newest_picture_wins_where_the_estimator_is_slow(watch):
    fake, estimator = Fake(2.0), Estimator(seconds=0.2)
    run = watch(fake, estimator)
    assert fake.count == 2 * RATE and 5 <= estimator.count <= 12
    assert run.result["frames"] <= estimator.count
    assert abs(run.times[-1] - 2) < 0.4  # the last picture is not one that had to wait
    assert run.took < 10


def test_the_last_answer_is_that_of_all_windows(watch):
    run = watch(Fake(2.0))
    windows = run.result["windows"]
    mean = {}
    for window in windows:
        for label, score in window["top5"]:
            mean[label] = mean.get(label, 0) + score / len(windows)
    for label, score in run.result["top5"]:
        assert abs(score - mean[label]) < 0.02  # the last window may weigh less


def test_nobody_in_the_picture_is_said_and_q_ends_the_run(watch, capsys):
    window = Keys(after=0.5)
    run = watch(Fake(), Estimator(persons=0), window)
    assert run.result["label"] == UNKNOWN and run.result["windows"] == [] and run.result["persons"] == 0
    assert "nobody" in capsys.readouterr().out
    assert len(window.pictures) == run.result["frames"] and 0.4 < run.times[-1] < 2


@pytest.mark.parametrize("window", [Keys(after=0.3), Keys(after=0.3, key="\x1b"), Keys(visible=0.0)])
def test_q_and_esc_and_closing_the_window_end_the_run(watch, capsys, window):
    run = watch(Fake(), None, window)
    assert run.times[-1] < 2 and run.took < 10
    assert "no more pictures" not in capsys.readouterr().out


def test_q_works_while_the_camera_is_silent(watch):
    fake, silence = Fake(), threading.Event()
    plain = fake.read
    fake.read = lambda: plain() if fake.count < 20 else (silence.wait(3), (False, None))[1]
    run = watch(fake, None, Keys(after=0.8))
    silence.set()
    assert run.result["frames"] >= 2 and run.times[-1] < 0.6


def test_an_opencv_without_windows_writes_the_file(watch, capsys):
    class Headless(Keys):
        def imshow(self, title, picture):
            raise cv2.error("The function is not implemented")

    run = watch(Fake(0.5), None, Headless())
    assert "opens no windows" in capsys.readouterr().out and run.result["frames"] > 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_kill_end_the_run_with_everything_written(watch, capsys, number):
    before = signal.getsignal(number)
    timer = threading.Timer(1.0, signal.raise_signal, [number])

    class Begin(Estimator):
        def __call__(self, image):
            if self.count == 0:
                timer.start()
            return super().__call__(image)

    run = watch(Fake(), Begin())
    assert 0.5 < run.times[-1] < 3 and run.result["windows"] and signal.getsignal(number) is before
    assert "saved in" in capsys.readouterr().out


def test_json_alone_is_on_stdout_with_every_window(watch, capsys):
    run = watch(Fake(1.5), None, None, "--json")
    assert json.loads(capsys.readouterr().out) == run.result and run.result["windows"]


def test_several_persons_each_have_their_label_on_the_picture(watch, monkeypatch):
    said = []
    plain = live.Mosaic.draw

    def draw(self, image, persons, voted, score, fps):
        said.append(([person.label for person in persons], voted, fps))
        return plain(self, image, persons, voted, score, fps)

    monkeypatch.setattr(live.Mosaic, "draw", draw)
    run = watch(Fake(2.0), Estimator(persons=2))
    assert said[0] == (["", ""], "", None) or said[0][0] == []  # nothing is known yet
    labels, voted, fps = said[-1]
    assert len(labels) == 2 and all(labels) and voted and 1 < fps < RATE + 5
    assert run.result["persons"] == 2


def test_memory_does_not_grow_with_the_windows(weights):
    recognizer = live.Recognizer.from_checkpoint(weights, use_gpu=False)
    record, sums = live.Record(recognizer), np.zeros(3)
    rng = np.random.default_rng(0)
    for k in range(500):
        probability = rng.dirichlet(np.ones(3))
        window = live.Window(k % 7, k, k + 63, k / 30, k / 30 + 2, 8 + k % 9, probability, np.ones((16, 18)))
        classifier = SimpleNamespace(windows=[window])
        assert record.take(classifier) == [window] and classifier.windows == []
        sums += window.seen * probability
    result = record.result("camera0", 10)
    assert list.__len__(record.rows) == 0 and len(record.rows) == 500  # they are on disk
    assert [row["first_frame"] for row in json.loads(json.dumps(list(result["windows"])))] == list(range(500))
    assert result["persons"] == 7 and abs(result["score"] - sums.max() / record.vote.weight[0]) < 1e-4


def test_a_video_on_a_web_server_is_shown_at_its_own_pace(watch, tmp_path):
    folder = tmp_path / "served"
    folder.mkdir()
    with VideoWriter(folder / "my clip.mp4", 64, 48, 30) as out:
        for k in range(45):
            out.write(np.full((48, 64, 3), 5 * k, np.uint8), k / 30)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/my%20clip.mp4"
        run = watch(None, None, None, video=address, name="my clip")
        server.shutdown()
    assert abs(run.times[-1] - 44 / 30) < 0.3 and run.result["video"] == "my clip" and run.result["windows"]


@pytest.mark.parametrize(
    ("video", "name"),
    [
        ("0", "camera0"),
        ("002", "camera2"),
        ("camera_source", "camera0"),
        ("rtsp://user:secret@host:554/street/cam%201.sdp?key=secret", "cam 1"),
        ("rtsp://user:secret@host", "host"),
        ("http://host/..%2F..", "stream"),
        ("http://host/a%22b%27c/", "a_b_c"),
    ],
)
def test_results_are_named_after_the_source_without_its_secrets(video, name):
    assert live.source_of(video)[1] == name


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (["--openpose", "somewhere"], "--openpose is a program for files"),
        (["--keypoints", "somewhere"], "--keypoints are those of a file"),
        (["--pose", "json"], "--keypoints are those of a file"),
        (["--pose", "openpose"], "name its build folder"),
        (["--pose", "openpose", "--openpose", "/nowhere"], "Python module"),
    ],
)
def test_what_a_camera_cannot_have_is_one_line(weights, capsys, argv, line):
    assert main(["demo", "--video", "0", "--weights", str(weights), *argv]) == 2
    error = capsys.readouterr().err
    assert line in error and error.count("\n") == 1


# segments


def test_a_stream_has_segments_that_cover_its_persons_and_the_votes_are_as_asked(watch, tmp_path):
    run = watch(Fake(3.0), None, None)
    segments = run.result["segments"]
    assert run.result["vote"] == "segments" and segments
    windows = run.result["windows"]
    assert (
        segments[0]["first_frame"] == windows[0]["first_frame"]
        and segments[-1]["last_frame"] == windows[-1]["last_frame"]
    )
    assert all(b["first_frame"] == a["last_frame"] + 1 for a, b in pairwise(segments))
    with (tmp_path / "camera0_segments.csv").open() as file:
        assert [row["label"] for row in csv.DictReader(file)] == [segment["label"] for segment in segments]
    by_mean = watch(Fake(2.0), None, None, "--vote", "mean").result
    assert by_mean["vote"] == "mean" and [by_mean["label"], by_mean["score"]] == by_mean["top5"][0]


def test_the_timeline_of_a_stream_is_below_its_picture(watch, tmp_path):
    watch(Fake(2.0), None, None, "--height", "480")
    with av.open(str(tmp_path / "camera0.mp4")) as container:
        last = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)][-1]
    assert last.shape[0] == 480
    strip = last[-16:].reshape(16, -1, 3).astype(int)
    assert np.ptp(strip, axis=2).max() > 40  # a label's colour
    assert (strip[4:12, :12].max((0, 2)) > 60).any()  # from the first second on


def test_only_so_many_and_only_recognised_persons(watch):
    assert watch(Fake(1.5), Estimator(persons=3), None, "--max_persons", "2").result["persons"] == 2
    result = watch(Fake(1.5), Estimator(persons=1), None, "--only_recognised").result
    assert all(segment["label"] != UNKNOWN for segment in result["segments"])
    assert {w["track"] for w in result["windows"]} == {s["track"] for s in result["segments"]}


def test_memory_does_not_grow_with_the_segments(weights):
    recognizer = live.Recognizer.from_checkpoint(weights, use_gpu=False)
    record = live.Record(recognizer, "segments")
    for k in range(500):
        label = UNKNOWN if k % 2 else "run"
        record.add_segments([live.Segment(0, label, 30 * k, 30 * k + 29, k, k + 1, 0.8)])
    record.seconds = 500.0
    result = record.result("camera0", 10)
    assert list.__len__(record.segments) == 0 and len(record.segments) == 500
    assert (result["label"], result["score"]) == ("run", 0.8)


def test_frame_by_frame_a_stream_has_windows_and_segments_of_the_same_kind(watch, monkeypatch):
    said = []
    plain = live.Mosaic.draw

    def draw(self, image, persons, voted, score, fps):
        said.append([person.label for person in persons])
        return plain(self, image, persons, voted, score, fps)

    monkeypatch.setattr(live.Mosaic, "draw", draw)
    run = watch(Fake(3.0), Estimator(persons=2), None, "--streaming")
    windows = run.result["windows"]
    assert run.result["persons"] == 2 and len(windows) >= 8
    assert all(0.4 < w["last_second"] - w["first_second"] < 0.7 for w in windows)  # 16 frames at 30 a second
    assert said[0] != said[-1] and all(said[-1]) and len(said[-1]) == 2
    assert run.result["segments"][-1]["last_frame"] == windows[-1]["last_frame"]
