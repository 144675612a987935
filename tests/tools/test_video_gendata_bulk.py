"""Poses in shards: side by side in processes, killed and resumed, they pack to the same data as one run does."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from feeder.readers import video
from feeder.video.encode import VideoWriter
from tests.kills import OPENPOSE
from torchlight.lock import exclusive
from torchlight.shard import Shard

ROOT = Path(__file__).resolve().parents[2]
LABELS, SHARDS = ("jump", "sit", "wave"), 4
NAMES = [f"{label}/{label}{i}.mp4" for label in LABELS for i in range(10)]
BROKEN = "sit/sit3.mp4"


@pytest.fixture
def films(tmp_path):
    """30 videos, one of them broken, and an OpenPose that takes a moment for each."""
    for name in NAMES:
        with VideoWriter(tmp_path / "videos" / name, 64, 48, 30) as out:
            for k in range(12):
                out.write(np.full((48, 64, 3), 10 * k, np.uint8), k / 30)
    (tmp_path / "videos" / BROKEN).write_text("no video")
    program = tmp_path / "openpose/examples/openpose/openpose.bin"
    program.parent.mkdir(parents=True)
    program.write_text(OPENPOSE)
    program.chmod(0o755)
    (tmp_path / "openpose/models").mkdir()
    return tmp_path


def start(films, out, *more):
    command = [sys.executable, ROOT / "tools/video_gendata.py", "--data_path", films / "videos", "--out_folder", out]
    command += ["--openpose", films / "openpose", "--num_worker", 1, *more]
    return subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def packed(out):
    return {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}


def test_shards_side_by_side_killed_and_resumed_pack_to_the_data_of_one_run(films):
    whole = start(films, films / "one")
    said, error = whole.communicate(timeout=300)
    assert whole.returncode == 0 and BROKEN in said, error

    out = films / "four"
    shards = {k: [name for name in NAMES if Shard(k, SHARDS).has(name)] for k in range(1, SHARDS + 1)}
    runs = {k: start(films, out, "--shard", f"{k}/{SHARDS}") for k in shards}
    twice = start(films, out, "--shard", "1/4")  # a job that was started once more by mistake
    until = time.monotonic() + 120
    while not any(out.glob("pose/*/*.npz")) and time.monotonic() < until:
        time.sleep(0.02)
    runs[2].kill()
    runs[2].communicate()
    ends = {k: run.communicate(timeout=300) for k, run in runs.items() if k != 2}
    twice.communicate(timeout=300)
    broken = next(k for k, names in shards.items() if BROKEN in names)
    for k, (said, error) in ends.items():
        assert runs[k].returncode == (2 if k == broken else 0), error
        assert f"shard {k}/4 of the videos: {len(shards[k])} videos: " in said
        assert f"{int(k == broken)} failed" in said
    assert [path.name for path in out.iterdir() if not path.name.startswith("failed")] == ["pose"]  # nothing is packed

    kept = {path: path.stat().st_mtime_ns for path in out.glob("pose/*/*.npz")}
    before = [name for name in shards[2] if (out / "pose" / f"{name}.npz").exists()]
    again = start(films, out, "--shard", "2/4")
    said, error = again.communicate(timeout=300)
    failed = int(broken == 2)
    expected = f"{len(shards[2]) - len(before) - failed} done, {len(before)} skipped, {failed} failed"
    assert expected in said and again.returncode == 2 * failed, error
    assert all(path.stat().st_mtime_ns == moment for path, moment in kept.items())
    name, why = (out / f"failed_{broken}of4.txt").read_text().rstrip("\n").split("\t")
    assert name == str(films / "videos" / BROKEN) and "is not a video" in why
    assert len(list(out.glob("pose/*/*"))) == len(list(out.glob("pose/*/*.npz"))) == len(NAMES) - 1

    poses = {path: path.stat().st_mtime_ns for path in out.glob("pose/*/*.npz")}
    pack = start(films, out)
    _, error = pack.communicate(timeout=300)
    assert pack.returncode == 0, error
    (out / f"failed_{broken}of4.txt").unlink()
    assert packed(out) == packed(films / "one")
    assert all(path.stat().st_mtime_ns == moment for path, moment in poses.items())  # nothing was looked at again


def test_a_changed_video_is_looked_at_again(films):
    subprocess.run(["touch", "-d", "2020-01-01", films / "videos" / NAMES[0]], check=True)
    options = {"root": films / "videos", "kept": films / "pose", "openpose": str(films / "openpose")}
    path = films / "videos" / NAMES[0]
    assert not video.is_kept(path, **options)
    found = video.find_poses(path, **options)
    assert video.is_kept(path, **options) and len(found.points) == 12
    assert not video.is_kept(path, **{**options, "openpose": None})  # MoveNet has not seen it
    path.touch()
    assert not video.is_kept(path, **options)


def test_who_comes_to_a_video_that_is_being_looked_at_waits_and_then_gives_up(films, monkeypatch):
    monkeypatch.setattr(video, "PATIENCE", 0.1)
    options = {"root": films / "videos", "kept": films / "pose", "openpose": str(films / "openpose")}
    with exclusive(films / "pose/jump", "jump0.mp4.npz", ""), pytest.raises(video.DataError, match="is in use"):
        video.find_poses(films / "videos/jump/jump0.mp4", **options)


def test_what_is_no_shard_is_one_line(films):
    wrong = start(films, films / "out", "--shard", "5/4")
    _, error = wrong.communicate(timeout=60)
    assert wrong.returncode == 2 and error.startswith("error: --shard '5/4' ") and error.count("\n") == 1
    assert not (films / "out").exists()
