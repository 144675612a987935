"""The demo over many videos: shards in processes side by side, killed and resumed, are the same files as one run."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from processor import demo, options
from tests.feeder.video.test_decode import make, noise
from tests.kills import OPENPOSE
from tests.processor.test_demo import People, weights  # noqa: F401 (a fixture)
from torchlight.arguments import parse
from torchlight.command import run_command
from torchlight.lock import exclusive
from torchlight.shard import Shard

ROOT = Path(__file__).resolve().parents[2]
NUMBER, SHARDS = 30, 4
LENGTH = 10  # frames


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """A folder of 30 videos, one of them broken, and an OpenPose that sees somebody in each."""
    folder = tmp_path_factory.mktemp("films")
    (folder / "in").mkdir()
    for i in range(NUMBER):
        make(folder / f"in/{i:02}.mp4", [noise(i + k, 48, 64) for k in range(LENGTH)], rate=30, g="10")
    (folder / "in/17.mp4").write_text("no video")
    program = folder / "openpose/examples/openpose/openpose.bin"
    program.parent.mkdir(parents=True)
    program.write_text(OPENPOSE.replace("0.2", "0.05"))
    program.chmod(0o755)
    (folder / "openpose/models").mkdir()
    return folder


def start(films, weights, out, *more):  # noqa: F811
    command = [sys.executable, "main.py", "demo", "--video", films / "in", "--openpose", films / "openpose"]
    command += ["--weights", weights, "--output_dir", out, "--height", "64", *more]
    return subprocess.Popen(
        list(map(str, command)), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def contents(out):
    return {path.name: path.read_bytes() for path in out.iterdir() if not path.name.startswith("failed")}


def test_shards_side_by_side_killed_and_resumed_make_the_files_of_one_run(films, weights, tmp_path):  # noqa: F811
    one = start(films, weights, tmp_path / "one")
    said, error = one.communicate(timeout=300)
    assert one.returncode == 2 and error.count("error: ") == 2, error
    assert f"30 videos: {NUMBER - 1} done, 0 skipped, 1 failed" in said
    name, why = (tmp_path / "one/failed.txt").read_text().rstrip("\n").split("\t")
    assert name == str(films / "in/17.mp4") and "is not a video" in why
    expected = contents(tmp_path / "one")
    assert len(expected) >= 4 * (NUMBER - 1)

    out = tmp_path / "four"
    shards = {k: [f"{i:02}" for i in range(NUMBER) if Shard(k, SHARDS).has(f"{i:02}.mp4")] for k in range(1, 5)}
    runs = {k: start(films, weights, out, "--shard", f"{k}/{SHARDS}") for k in shards}
    until = time.monotonic() + 120
    while not any((out / f"{name}.html").exists() for name in shards[2]) and time.monotonic() < until:
        time.sleep(0.01)
    runs[2].kill()
    runs[2].communicate()
    killed = {path.stem for path in out.glob("*.html")} & set(shards[2])
    ends = {k: run.communicate(timeout=300) for k, run in runs.items() if k != 2}
    broken = next(k for k, names in shards.items() if "17" in names)
    for k, (said, error) in ends.items():
        assert runs[k].returncode == (2 if k == broken else 0), error
        assert f"shard {k}/4 of the videos: {len(shards[k])} videos" in said
    assert (killed | {"17"}) < set(shards[2]) | {"17"}  # it had more to do

    again = start(films, weights, out, "--shard", "2/4", "--skip_done")
    said, error = again.communicate(timeout=300)
    failed = int(broken == 2)
    assert f"{len(shards[2]) - len(killed) - failed} done, {len(killed)} skipped, {failed} failed" in said, error
    assert contents(out) == expected
    assert [path.name for path in out.glob("failed*")] == [f"failed_{broken}of4.txt"]


# ---- in this process, with an estimator that needs no program


@pytest.fixture
def watch(weights, tmp_path):  # noqa: F811
    """watch("--skip_done") -> the exit status of a demo of tmp_path/in; looked["a.mp4"]: how often a video was processed."""
    (tmp_path / "in").mkdir()
    for name in "abc":
        make(tmp_path / f"in/{name}.mp4", [noise(k, 48, 64) for k in range(LENGTH)], rate=30, g="10")

    def run(*argv, make_estimator=lambda *settings: People(lambda index: 1)):
        own = ["--video", tmp_path / "in", "--weights", weights, "--output_dir", tmp_path / "out", "--height", "64"]
        argv = ["demo", *map(str, (*own, *argv))]
        return run_command(lambda: demo.run(parse(options.demo(), argv[1:]), argv, make=make_estimator))

    return run


def test_what_is_whole_and_newer_is_skipped_and_only_where_it_is_asked_for(watch, tmp_path, capsys):
    assert watch() == 0 and "3 videos: 3 done, 0 skipped, 0 failed" in capsys.readouterr().out
    assert watch("--skip_done") == 0 and "0 done, 3 skipped, 0 failed" in capsys.readouterr().out
    (tmp_path / "out/a.mp4").unlink()
    later = (tmp_path / "out/b.html").stat().st_mtime + 1
    os.utime(tmp_path / "in/b.mp4", (later, later))
    assert watch("--skip_done") == 0 and "2 done, 1 skipped, 0 failed" in capsys.readouterr().out
    os.utime(tmp_path / "in/b.mp4", (1, 1))
    assert watch("--skip_done", "--shard", "1/1") == 0 and "0 done, 3 skipped" in capsys.readouterr().out
    assert watch() == 0 and "3 done, 0 skipped" in capsys.readouterr().out


def test_an_empty_shard_is_no_error(watch, tmp_path, capsys):
    k = next(k for k in range(1, 100) if not any(Shard(k, 100).has(f"{name}.mp4") for name in "abc"))
    assert watch("--shard", f"{k}/100") == 0
    assert "0 videos: 0 done, 0 skipped, 0 failed" in capsys.readouterr().out


def test_an_error_of_any_kind_in_one_video_leaves_the_others(watch, tmp_path, capsys):
    def people(*settings):
        seen = People(lambda index: 1)
        made.append(seen)
        if len(made) == 3:  # the first was made to see whether one can be made
            seen.count = lambda index: 1 // 0
        return seen

    made = []
    assert watch(make_estimator=people) == 2
    said, error = capsys.readouterr()
    assert "3 videos: 2 done, 0 skipped, 1 failed" in said
    lines = error.splitlines()
    assert len(lines) == 2 and "in/b.mp4: ZeroDivisionError: " in lines[0] and "1 of 3 videos failed" in lines[1]
    assert not list((tmp_path / "out").glob("b.*")) and not list((tmp_path / "out").glob(".*"))


def test_an_estimator_that_cannot_be_made_is_said_once(watch, capsys):
    def make_estimator(*settings):
        raise OSError("movenet.tflite could not be fetched")

    assert watch(make_estimator=make_estimator) == 2
    assert capsys.readouterr().err == "error: movenet.tflite could not be fetched\n"


def test_a_video_that_another_process_is_at_is_named_and_left(watch, tmp_path, capsys):
    with exclusive(tmp_path / "out", "b", ""):
        assert watch() == 2
    said, error = capsys.readouterr()
    assert "2 done, 0 skipped, 1 failed" in said and f"{tmp_path}/in/b.mp4: " in error and "is in use (b)" in error


@pytest.mark.parametrize(
    "argv", [["--shard", "5/4"], ["--video", "0", "--shard", "1/4"], ["--video", "0", "--skip_done"]]
)
def test_what_makes_no_sense_is_one_line(watch, argv, capsys):
    assert watch(*argv) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "--shard" in error
