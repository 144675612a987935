"""feeder/readers/video.py: who is in a video, once, and in which row."""

import os
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from feeder.gendata import read_all
from feeder.readers import video
from feeder.readers.clip import Clip
from feeder.readers.video import FPS, VideoPoses, activity, places, read, rows, track_persons
from feeder.skeleton import load_skeleton
from feeder.video.encode import VideoWriter
from torchlight.errors import DataError

SIZE = 640, 480
STANDING = np.random.default_rng(0).uniform(-1, 1, (18, 2)) * [30, 80]


def person(x, score=0.9):
    """(18, 3) somebody at x, in pixels."""
    return np.concatenate([STANDING + [x, 240], np.full((18, 1), score)], 1).astype(np.float32)


def seen(frames, fps=30.0):
    """What was seen: a list of persons for each frame."""
    points = np.concatenate([np.zeros((0, 18, 3)), *[np.array(each).reshape(-1, 18, 3) for each in frames]])
    count = np.array([len(each) for each in frames])
    return VideoPoses(np.arange(len(frames)) / fps, count, points.astype(np.float32), SIZE, fps, "openpose")


def test_who_moves_is_person_1_and_who_stands_by_is_person_2():
    frames = [[person(100), person(400 + 40 * np.sin(t / 4), 0.6)] for t in range(60)]
    persons = track_persons(seen(frames), "openpose")
    keypoints, scores = rows(persons, 2, SIZE)
    assert keypoints.shape == (2, 60, 18, 2) and scores.shape == (2, 60, 18)
    assert np.ptp(keypoints[0, :, 0, 0]) == pytest.approx(80 / 640, rel=0.02) and np.ptp(keypoints[1, :, 0, 0]) < 1e-6
    np.testing.assert_allclose(scores[:, :, 0], np.repeat([[0.6], [0.9]], 60, 1), rtol=1e-6)
    np.testing.assert_allclose(keypoints[1, 0], (STANDING + [100, 240]) / SIZE - 0.5, atol=1e-6)
    assert activity(persons[1][1]) < 1e-3 * activity(persons[0][1])


def test_somebody_who_comes_back_goes_on_in_the_same_row_and_empty_ends_are_left_out():
    frames = (
        [[]] * 10 + [[person(100 + t)] for t in range(20)] + [[]] * 45 + [[person(500 - t)] for t in range(20)] + [[]]
    )
    persons = track_persons(seen(frames), "openpose")
    assert len(persons) == 2
    keypoints, scores = rows(persons, 1, SIZE)
    here = scores[0].any(1)
    assert len(here) == 85 and here[:20].all() and not here[20:65].any() and here[65:].all()
    assert not keypoints[0, 20:65].any()


@pytest.mark.parametrize("fps", [12.5, 24, 60])
def test_clips_have_30_frames_a_second_whatever_the_video_has(fps):
    frames = [[person(100 + 60 * t / fps)] for t in range(round(3 * fps))]
    ((frame, joints),) = track_persons(seen(frames, fps), "openpose")
    assert abs(len(frame) - 3 * FPS) <= 3
    np.testing.assert_allclose(np.diff(joints[:, 0, 0]).mean(), 60 / FPS, rtol=0.02)


def test_joints_of_another_layout():
    ((_, joints),) = track_persons(seen([[person(100)]] * 10), "penn-action")
    assert joints.shape == (10, load_skeleton("penn-action").num_joint, 3)


def test_somebody_seen_in_a_few_frames_is_nobody():
    assert track_persons(seen([[person(100)]] * 7 + [[]] * 20), "openpose") == []
    assert track_persons(seen([[]] * 20), "openpose") == []


# ---- files


class Estimator:
    """Somebody stands where it is dark."""

    layout, asked = "openpose", 0

    def __call__(self, image):
        self.asked += 1
        _, x = np.nonzero(image.mean(2) < 80)
        return person(x.mean())[None] if len(x) else np.zeros((0, 18, 3), np.float32)


@pytest.fixture
def estimator(monkeypatch):
    one = Estimator()
    monkeypatch.setattr(video, "estimator", lambda pose: one)
    return one


def film(path, num_frame=20, somebody=True):
    path.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(path, 64, 48, 30) as out:
        for t in range(num_frame):
            image = np.full((48, 64, 3), 200, np.uint8)
            if somebody:
                image[10:40, 10 + t : 20 + t] = 0
            out.write(image, t / 30)
    return path


def test_a_video_is_looked_at_once_unless_it_changes(tmp_path, estimator):
    path = film(tmp_path / "videos/run/a.mp4")
    options = {"root": tmp_path / "videos", "kept": tmp_path / "kept"}
    first = read(path, **options)
    assert (first.frame_size, first.fps, first.layout) == ((64, 48), 30, "openpose")
    assert first.keypoints.shape == (1, 20, 18, 2) and estimator.asked == 20
    again = read(path, **options)
    np.testing.assert_array_equal(again.keypoints, first.keypoints)
    assert read(path, layout="penn-action", num_person=2, **options).keypoints.shape == (2, 20, 13, 2)
    assert estimator.asked == 20
    (store,) = (tmp_path / "kept").rglob("*.*")
    assert store == tmp_path / "kept/run/a.mp4.npz"
    store.write_bytes(store.read_bytes()[:-300])  # cut off
    assert read(path, **options).keypoints.shape == (1, 20, 18, 2) and estimator.asked == 40
    film(path, 15)
    assert read(path, **options).keypoints.shape == (1, 15, 18, 2) and estimator.asked == 55


def test_nobody_and_no_video_are_one_line(tmp_path, estimator):
    options = {"root": tmp_path, "kept": tmp_path / "kept"}
    for _ in range(2):
        with pytest.raises(DataError, match="no person is seen in it"):
            read(film(tmp_path / "run/a.mp4", 12, somebody=False), **options)
    (tmp_path / "run/b.mp4").write_bytes(b"nothing" * 100)
    with pytest.raises(DataError, match="is not a video"):
        read(tmp_path / "run/b.mp4", **options)


def test_workers_read_what_was_kept(tmp_path, estimator):
    """In processes of their own, which do not have this estimator."""
    read_here = partial(read, root=tmp_path, kept=tmp_path / "kept")
    clips = [Clip(film(tmp_path / f"run/{i}.mp4", 10 + i), f"{i}", 0) for i in range(3)]
    first = [read_here(clip.path) for clip in clips]
    clips.append(Clip(tmp_path / "run/gone.mp4", "gone", 0))
    *again, gone = read_all(clips, read_here, 2, slow=True)
    assert "No such file" in gone
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a.keypoints, b.keypoints)


def test_openpose_can_look_in_movenets_place(tmp_path):
    program = tmp_path / "openpose/examples/openpose/openpose.bin"
    program.parent.mkdir(parents=True)
    (tmp_path / "openpose/models").mkdir()
    numbers = person(30).ravel().tolist()
    program.write_text(
        "#!/bin/sh\nwhile [ $# -gt 1 ]; do [ $1 = --write_json ] && out=$2; shift; done\n"
        f'for i in 00 01 02 03 04 05 06 07 08 09; do echo \'{{"people": [{{"pose_keypoints_2d": {numbers}}}]}}\''
        " > $out/a_$i\\_keypoints.json; done\n"
    )
    program.chmod(0o755)
    path = film(tmp_path / "videos/run/a.mp4", 10)
    clip = read(path, tmp_path / "videos", tmp_path / "kept", openpose=str(tmp_path / "openpose"))
    assert clip.keypoints.shape == (1, 10, 18, 2)


# ---- which videos


def test_a_folder_or_the_videos_in_it(tmp_path):
    files = [tmp_path / "videos" / name for name in ("run/a.mp4", "run/b.MOV", "sit/c.mp4", "sit/notes.txt")]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    root = tmp_path / "videos"
    assert places([root]) == (root, None)
    listing = video.list_clips(root, "val")
    assert [clip.name for clip in listing.clips] == ["run/b.MOV"]
    assert listing.left_out == [("sit/notes.txt", "is not a clip")]
    got, only = places([os.path.relpath(file) for file in files[:1] + files[2:3]])
    assert got == root
    assert [clip.name for clip in video.list_clips(root, "train", only=only).clips] == ["run/a.mp4", "sit/c.mp4"]
    assert video.label_names(root, places(files[:2])[1]) == ["run"]


def test_train_and_val_folders_as_a_shell_spells_them(tmp_path):
    files = [tmp_path / name for name in ("train/run/a.mp4", "train/sit/a.mp4", "val/run/a.mp4")]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    root, only = places(files)
    assert root == tmp_path
    assert [clip.path for clip in video.list_clips(root, "train", only=only).clips] == files[:2]
    assert [clip.path for clip in video.list_clips(root, "val", only=only).clips] == files[2:]


@pytest.mark.parametrize(
    "names, line",
    [
        (["a/run/x.mp4", "b/run/x.mp4"], "put them into one folder"),
        (["a", "b"], "give one folder"),
        (["a/run/x.mp4", "a/run/y.mp4"], "y.mp4 does not exist"),
    ],
)
def test_what_cannot_be_meant_is_one_line(tmp_path, names, line):
    for name in ("a/run/x.mp4", "b/run/x.mp4"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    with pytest.raises(DataError, match=line) as error:
        places([tmp_path / Path(name) for name in names])
    assert "\n" not in str(error.value)
