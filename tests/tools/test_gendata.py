"""tools/gendata.py from the command line, on the real data sets where they are."""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from feeder.dataset import read_info
from feeder.packed import read_packed
from feeder.packed_writer import packing
from feeder.readers import nw_ucla, sbu, utd_mhad

ROOT = Path(__file__).resolve().parent.parent.parent


def tool(cwd, *args):
    command = [sys.executable, str(ROOT / "tools/gendata.py"), *map(str, args)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120)


def packed(folder, part):
    return read_packed(folder / f"{part}_data.npy", folder / f"{part}_label.pkl")


def test_penn_action(tmp_path):
    (tmp_path / "raw/labels").mkdir(parents=True)
    for i in range(1, 13):
        T = 20 + i
        joints = dict(x=np.full((T, 13), 30.0), y=np.full((T, 13), 40.0), visibility=np.ones((T, 13)))
        rest = dict(action="squat", train=-1 if i > 10 else 1, nframes=T, dimensions=[[100, 60, T]])
        savemat(tmp_path / f"raw/labels/{i:04}.mat", {**joints, **rest})
    (tmp_path / "raw/labels/0013.mat").write_bytes(b"")
    done = tool(tmp_path, "--format", "penn-action", "--data_path", "raw", "--num_worker", 1)
    assert done.returncode == 0, done.stderr
    train, val = (packed(tmp_path / "data/penn-action", part) for part in ("train", "val"))
    assert (train.data.shape, val.data.shape) == ((10, 3, 32, 13, 1), (2, 3, 32, 13, 1))
    assert val.sample_name == ["0011", "0012"]
    assert set(train.label) == {11}
    np.testing.assert_array_equal(train.frame_size, [[60, 100]] * 10)
    np.testing.assert_allclose(train.data[0, :, 0, 0, 0], [0, -0.1, 1], atol=1e-6)
    assert not train.data[0, :, 21:].any()
    assert "1 (0013.mat)" in done.stdout
    info = read_info(tmp_path / "data/penn-action")
    assert (info.layout, info.dimension, info.fps, info.num_person) == ("penn-action", 2, None, 1)
    assert info.label_names == tuple((tmp_path / "data/penn-action/label_names.txt").read_text().splitlines())
    args = ["--format", "penn-action", "--data_path", "raw", "--out_folder", "held", "--holdout"]
    assert tool(tmp_path, *args).returncode == 0
    train, val = (packed(tmp_path / "held", part) for part in ("train", "val"))
    assert val.sample_name == ["0009", "0010"]
    assert train.data.shape == (8, 3, 32, 13, 1)  # as long as without --holdout


def test_nw_ucla(real_data, tmp_path):
    args = ["--format", "nw-ucla", "--data_path", real_data / "nw_ucla", "--out_folder", "out", "--num_frame", 60]
    done = tool(tmp_path, *args)
    assert done.returncode == 0, done.stderr
    train, val = (packed(tmp_path / "out", part) for part in ("train", "val"))
    assert (train.data.shape, val.data.shape) == ((1020, 3, 60, 20, 1), (464, 3, 60, 20, 1))
    clips = nw_ucla.list_clips(real_data / "nw_ucla", "val").clips
    assert val.sample_name == [clip.name for clip in clips]
    for i in (0, 100, 463):
        np.testing.assert_array_equal(val.data[i], nw_ucla.read(clips[i].path).array(60, 1))
    assert "cut to 60 frames" in done.stdout
    assert (tmp_path / "out/label_names.txt").read_text().splitlines() == nw_ucla.label_names()
    done = tool(tmp_path, *args[:-3], "views", "--train_view", 1, "--test_view", 2, "--fix_labels")
    assert done.returncode == 0, done.stderr
    train, val = (packed(tmp_path / "views", part) for part in ("train", "val"))
    assert ({name[-1] for name in train.sample_name}, {name[-1] for name in val.sample_name}) == ({"1"}, {"2"})
    assert val.label[val.sample_name.index("a05_s04_e00_v02")] == nw_ucla.LABEL[6]
    done = tool(tmp_path, *args[:-3], "former", "--train_view", 1, "--test_view", 2, "--mend_labels")  # the former name
    assert packed(tmp_path / "former", "val").label == val.label


def test_sbu_folds(real_data, tmp_path):
    folder = real_data / "sbu_interaction"
    done = tool(tmp_path, "--format", "sbu", "--data_path", folder)
    assert done.returncode == 0, done.stderr
    tested = []
    for fold in range(1, 6):
        train, val = (packed(tmp_path / f"data/sbu/fold{fold}", part) for part in ("train", "val"))
        assert train.data.shape[1:] == val.data.shape[1:] == (3, 46, 15, 2)
        assert len(train.data) + len(val.data) == 282
        assert not set(train.sample_name) & set(val.sample_name)
        tested += val.sample_name
        info = read_info(tmp_path / f"data/sbu/fold{fold}")
        assert (info.layout, info.dimension, info.fps, info.num_person) == ("sbu", 3, 15.0, 2)
        assert info.label_names == tuple(sbu.label_names())
        assert (tmp_path / f"data/sbu/fold{fold}/label_names.txt").read_text().splitlines() == sbu.label_names()
    assert len(set(tested)) == 282
    done = tool(tmp_path, "--format", "sbu", "--data_path", folder, "--fold", 2, "--out_folder", "two", "--holdout")
    assert done.returncode == 0, done.stderr
    everything = set(packed(tmp_path / "data/sbu/fold2", "train").sample_name)
    assert {name for part in ("train", "val") for name in packed(tmp_path / "two", part).sample_name} == everything


def test_utd_mhad(real_data, tmp_path):
    args = ["--format", "utd-mhad", "--data_path", real_data / "utd_mhad"]
    done = tool(tmp_path, *args)
    assert done.returncode == 0, done.stderr
    out = tmp_path / "data/utd-mhad"
    train, val = (packed(out, part) for part in ("train", "val"))
    assert (train.data.shape, val.data.shape) == ((431, 3, 125, 20, 1), (430, 3, 125, 20, 1))
    clips = utd_mhad.list_clips(real_data / "utd_mhad", "val").clips
    assert (val.sample_name, val.label) == ([clip.name for clip in clips], [clip.label for clip in clips])
    for i in (0, 100, 429):
        np.testing.assert_array_equal(val.data[i], utd_mhad.read(clips[i].path).array(125, 1))
    info = read_info(out)
    assert (info.layout, info.dimension, info.fps, info.num_person) == ("utd-mhad", 3, 30.0, 1)
    assert info.label_names == tuple((out / "label_names.txt").read_text().splitlines())
    assert info.label_names == tuple(utd_mhad.label_names())
    done = tool(tmp_path, *args, "--out_folder", "own", "--train_subject", 2, 4, "--test_subject", 7)
    assert done.returncode == 0, done.stderr
    subjects = [
        {name.split("_")[1] for name in packed(tmp_path / "own", part).sample_name} for part in ("train", "val")
    ]
    assert subjects == [{"s2", "s4"}, {"s7"}]


def test_a_damaged_clip_of_utd_mhad_is_left_out_by_name(tmp_path):
    (tmp_path / "raw/Skeleton").mkdir(parents=True)
    for subject in (1, 2, 3):
        savemat(tmp_path / f"raw/Skeleton/a5_s{subject}_t1_skeleton.mat", {"d_skel": np.ones((20, 3, 4))})
    damaged = tmp_path / "raw/Skeleton/a5_s3_t1_skeleton.mat"
    damaged.write_bytes(damaged.read_bytes()[:300])
    done = tool(tmp_path, "--format", "utd-mhad", "--data_path", "raw", "--num_worker", 1)
    assert done.returncode == 0, done.stderr
    assert packed(tmp_path / "data/utd-mhad", "train").sample_name == ["a5_s1_t1"]
    assert "a5_s3_t1: not a MATLAB 5 file, cut off or damaged" in done.stdout


def write_clip(folder, num_frame, x):
    folder.mkdir(parents=True)
    for number in range(num_frame):
        people = [{"pose_keypoints_2d": [x, 50.0, 0.5] * 25}]
        (folder / f"v_{number:012}_keypoints.json").write_text(json.dumps({"people": people}))


def test_openpose(tmp_path):
    for label, count in [("wave", 6), ("jump high", 2)]:
        for i in range(count):
            write_clip(tmp_path / "raw" / label / f"clip{i}", 3 + i, 10.0 * (i + 1))
    args = ["--format", "openpose", "--data_path", "raw"]
    done = tool(tmp_path, *args, "--frame_size", "100x200")
    assert done.returncode == 0, done.stderr
    out = tmp_path / "data/openpose"
    assert (out / "label_names.txt").read_text() == "jump high\nwave\n"
    train, val = (packed(out, part) for part in ("train", "val"))
    assert val.sample_name == ["jump high/clip1", "wave/clip5"]
    assert (train.data.shape, val.data.shape, val.label) == ((6, 3, 8, 18, 2), (2, 3, 8, 18, 2), [0, 1])
    np.testing.assert_allclose(val.data[1, :, 7, 4, 0], [0.1, -0.25, 0.5], atol=1e-6)
    np.testing.assert_array_equal(val.frame_size, [[100, 200]] * 2)
    more = ["--frame_size", "100x200", "--layout", "penn-action", "--num_person", 1, "--holdout", "--out_folder", "o"]
    done = tool(tmp_path, *args, *more)
    assert done.returncode == 0, done.stderr
    assert packed(tmp_path / "o", "val").data.shape == (1, 3, 8, 13, 1)
    own = (ROOT / "resource/skeleton/penn-action.yaml").read_text().replace("name: penn-action", "name: own")
    (tmp_path / "own.yaml").write_text(own)
    done = tool(tmp_path, *args, "--frame_size", "100x200", "--layout", "own.yaml", "--out_folder", "own")
    assert done.returncode == 0, done.stderr
    (tmp_path / "own.yaml").unlink()
    assert read_info(tmp_path / "own").skeleton.name == "own"
    done = tool(tmp_path, *args, "--out_folder", "pixels", "--num_frame", 8)
    assert done.returncode == 2
    assert "coordinates are pixels, so the size of the frame must be given (--frame_size)" in done.stdout


def test_pyskl(tmp_path):
    annotations = []
    for i in range(4):
        keypoint = np.full((1, 4 + i, 25, 3), i + 1, np.float16)
        annotations.append(
            dict(frame_dir=f"S001C001P00{i}R001A00{i + 1}", label=i, total_frames=4 + i, keypoint=keypoint)
        )
    name = [clip["frame_dir"] for clip in annotations]
    split = dict(xsub_train=name[:3], xsub_val=name[3:], xview_train=name[1:], xview_val=name[:1])
    (tmp_path / "ntu.pkl").write_bytes(pickle.dumps(dict(split=split, annotations=annotations)))
    done = tool(tmp_path, "--format", "pyskl", "--data_path", "ntu.pkl", "--out_folder", "out")
    assert done.returncode == 0, done.stderr
    for key, members in split.items():
        family, part = key.split("_")
        got = packed(tmp_path / "out" / family, part)
        assert got.sample_name == members
        assert got.data.shape == (len(members), 3, 7, 25, 2)
        assert [float(clip.max()) for clip in got.data] == [label + 1 for label in got.label]
        assert len((tmp_path / "out" / family / "label_names.txt").read_text().splitlines()) == 60
    assert np.count_nonzero(packed(tmp_path / "out/xsub", "train").data[0].any((0, 2, 3))) == 4


@pytest.mark.parametrize(
    "args, message",
    [
        (["--format", "pyskl", "--data_path", "."], ". is not a file; give the pickle"),
        (["--format", "pyskl", "--data_path", ".", "--holdout"], "--holdout is not for pyskl"),
        (["--format", "openpose", "--data_path", ".", "--frame_size", "big"], "--frame_size is 'big'; WIDTHxHEIGHT"),
        (["--format", "openpose", "--data_path", ".", "--layout", "coko"], "did you mean 'coco'?"),
        (["--format", "openpose", "--data_path", "."], "there are no folders <label>/<clip> in it"),
        (["--format", "sbu", "--data_path", ".", "--layout", "coco"], "--layout is for openpose and pyskl"),
        (["--format", "sbu", "--data_path", ".", "--frame_size", "1x1"], "--frame_size is for openpose"),
        (["--format", "sbu", "--data_path", "nowhere"], "nowhere is not a folder"),
        (["--format", "sbu", "--data_path", "."], "not one clip could be read"),
        (["--format", "sbu", "--data_path", ".", "--fold", 6], "SBU has folds 1 to 5"),
        (["--format", "nw-ucla", "--data_path", ".", "--fold", 1], "--fold is for sbu"),
        (["--format", "sbu", "--data_path", ".", "--fix_labels"], "--fix_labels is for nw-ucla, not for sbu"),
        (["--format", "nw-ucla", "--data_path", ".", "--test_view", 1], "view 1 is among --train_view and --test_view"),
        (["--format", "nw-ucla", "--data_path", ".", "--train_subject", 1], "--train_subject is for utd-mhad, not for"),
        (
            ["--format", "utd-mhad", "--data_path", ".", "--train_subject", 1, 2],
            "subject 2 is among --train_subject and --test_subject",
        ),
        (["--format", "utd-mhad", "--data_path", "."], "not one clip could be read"),
        (["--format", "nw-ucla", "--data_path", ".", "--num_frame", 0], "must be 1 or more"),
    ],
)
def test_mistakes_are_one_line(tmp_path, args, message):
    done = tool(tmp_path, *args)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_second_job_in_a_folder_ends_in_one_line(tmp_path):
    person = {"pose": [0.5] * 36, "score": [0.5] * 18}
    for i, label in enumerate("abab"):
        path = tmp_path / "raw" / label / f"{i}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"data": [{"frame_index": 1, "skeleton": [person]}]}))
    command = ["--format", "openpose", "--data_path", "raw", "--out_folder", "out"]
    with packing(tmp_path / "out"):
        done = tool(tmp_path, *command)
        assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
        assert f"out is in use (packing) by process {os.getpid()} on " in done.stderr
        assert [file.name for file in (tmp_path / "out").iterdir()] == [".packing.lock"]
    assert tool(tmp_path, *command).returncode == 0
