"""feeder/readers/utd_mhad.py with hand-made .mat files and the real data set."""

from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.io import loadmat, savemat

from feeder.readers import nw_ucla, utd_mhad
from feeder.skeleton import load_skeleton, remap
from torchlight.config import load_config
from torchlight.errors import DataError

ROOT = Path(__file__).resolve().parents[3]
JOINTS = load_skeleton("utd-mhad").joints


def save(path, d_skel=None, **fields):
    savemat(path, fields or {"d_skel": np.ones((20, 3, 2)) if d_skel is None else d_skel})
    return path


def test_a_clip(tmp_path):
    joints = np.random.default_rng(0).random((20, 3, 5))
    clip = utd_mhad.read(save(tmp_path / "a27_s2_t3_skeleton.mat", joints))
    assert (clip.name, clip.label, clip.layout, clip.scores, clip.fps) == ("a27_s2_t3", 26, "utd-mhad", None, 30)
    sample = clip.array()
    assert sample.shape == (3, 5, 20, 1)
    for t in range(5):
        for v in range(20):
            np.testing.assert_array_equal(sample[:, t, v, 0], joints[v, :, t].astype("f4"))


def test_a_missing_joint_stays_zero(tmp_path):
    joints = np.ones((20, 3, 4))
    joints[7, :, 2] = 0
    sample = utd_mhad.read(save(tmp_path / "a1_s1_t1_skeleton.mat", joints)).array(6)
    assert np.argwhere(~sample[:, :4].any(0)).tolist() == [[2, 7, 0]]
    assert not sample[:, 4:].any()


def test_a_single_frame_without_its_last_dimension_is_a_clip(tmp_path):
    clip = utd_mhad.read(save(tmp_path / "a1_s1_t1_skeleton.mat", np.ones((20, 3))))
    assert clip.keypoints.shape == (1, 1, 20, 3)


def test_a_file_of_another_name_has_no_label(tmp_path):
    for name in ("squat.mat", "a28_s1_t1_skeleton.mat", "a1_s9_t1_skeleton.mat"):
        clip = utd_mhad.read(save(tmp_path / name))
        assert (clip.name, clip.label) == (name.removesuffix(".mat"), -1)


BAD = {
    "no frames": (dict(d_skel=np.ones((20, 3, 0))), "d_skel has shape (20, 3, 0)"),
    "19 joints": (dict(d_skel=np.ones((19, 3, 4))), "d_skel has shape (19, 3, 4), numbers (20, 3, frames) are needed"),
    "2-D": (dict(d_skel=np.ones((20, 2, 4))), "d_skel has shape (20, 2, 4)"),
    "transposed": (dict(d_skel=np.ones((4, 20, 3))), "d_skel has shape (4, 20, 3)"),
    "four dimensions": (dict(d_skel=np.ones((20, 3, 4, 2))), "d_skel has shape (20, 3, 4, 2)"),
    "text": (dict(d_skel="squat"), "d_skel has shape (1,)"),
    "nan": (dict(d_skel=np.full((20, 3, 4), np.nan)), "a coordinate is not finite"),
    "infinite": (dict(d_skel=np.full((20, 3, 4), -np.inf)), "a coordinate is not finite"),
    "huge": (dict(d_skel=np.full((20, 3, 4), 1e300)), "a coordinate is not finite"),
    "another field": (dict(d_iner=np.ones((180, 6))), "'d_skel' is missing"),
    "a cell": (dict(d_skel=np.array([1, "a"], object)), "neither numbers nor text"),
    "complex": (dict(d_skel=np.full((20, 3, 4), 1j)), "neither numbers nor text"),
}


@pytest.mark.parametrize("fields, message", BAD.values(), ids=BAD.keys())
def test_a_bad_file_is_one_line_that_names_it(tmp_path, fields, message):
    path = save(tmp_path / "a1_s1_t1_skeleton.mat", **fields)
    with pytest.raises(DataError) as error:
        utd_mhad.read(path)
    assert message in str(error.value)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("compressed", [False, True])
def test_a_file_cut_anywhere_is_a_data_error(tmp_path, compressed):
    path = tmp_path / "a1_s1_t1_skeleton.mat"
    savemat(path, {"d_skel": np.random.default_rng(0).random((20, 3, 2))}, do_compression=compressed)
    text = path.read_bytes()
    for length in range(len(text)):
        path.write_bytes(text[:length])
        with pytest.raises(DataError) as error:
            utd_mhad.read(path)
        assert str(error.value).startswith(f"{path}: ")
        assert "\n" not in str(error.value)


@given(
    joints=st.tuples(
        st.just(20), st.just(3), st.integers(1, 6)
    ).flatmap(lambda shape: arrays(np.float64, shape, elements=st.floats(-5, 5, width=32))),
    dtype=st.sampled_from(["f8", "f4"]),
    compressed=st.booleans(),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_what_is_written_is_read_with_frames_first(tmp_path_factory, joints, dtype, compressed):
    path = tmp_path_factory.getbasetemp() / "a3_s1_t1_skeleton.mat"
    savemat(path, {"d_skel": joints.astype(dtype)}, do_compression=compressed)
    clip = utd_mhad.read(path)
    assert clip.keypoints.dtype == np.float32
    np.testing.assert_array_equal(clip.keypoints[0], np.stack([joints[..., t] for t in range(joints.shape[2])]))


def listed(folder, *args, **options):
    return [clip.name for clip in utd_mhad.list_clips(folder, *args, **options).clips]


def test_odd_subjects_train_and_even_ones_test(tmp_path):
    (tmp_path / "Skeleton").mkdir()
    for subject in range(1, 9):
        save(tmp_path / f"Skeleton/a2_s{subject}_t1_skeleton.mat")
    assert listed(tmp_path, "train") == ["a2_s1_t1", "a2_s3_t1", "a2_s5_t1", "a2_s7_t1"]
    assert listed(tmp_path, "val") == ["a2_s2_t1", "a2_s4_t1", "a2_s6_t1", "a2_s8_t1"]
    assert listed(tmp_path, "train", holdout=True) == ["a2_s1_t1", "a2_s3_t1", "a2_s5_t1"]
    assert listed(tmp_path, "val", holdout=True) == ["a2_s7_t1"]
    chosen = {"subjects": ([1, 2], [8])}
    assert (listed(tmp_path, "train", **chosen), listed(tmp_path, "val", **chosen)) == (
        ["a2_s1_t1", "a2_s2_t1"],
        ["a2_s8_t1"],
    )
    assert utd_mhad.list_clips(tmp_path / "Skeleton", "val") == utd_mhad.list_clips(tmp_path, "val")


def test_stray_files_are_named(tmp_path):
    save(tmp_path / "a1_s1_t1_skeleton.mat")
    strays = ["a0_s1_t1_skeleton.mat", "a1_s1_t1_inertial.mat", "a1_s1_t5_skeleton.mat", "a1_s9_t1_skeleton.mat"]
    strays += ["a28_s1_t1_skeleton.mat", "readme.txt"]
    for name in strays:
        (tmp_path / name).touch()
    for part, clips in (("train", ["a1_s1_t1"]), ("val", [])):
        listing = utd_mhad.list_clips(tmp_path, part)
        assert [clip.name for clip in listing.clips] == clips
        assert [name for name, _ in listing.left_out] == strays


def parts(folder, train_subject=None, test_subject=None, holdout=False):
    arg = Namespace(data_path=folder, train_subject=train_subject, test_subject=test_subject, holdout=holdout)
    return {part: listing.clips for _, part, listing in utd_mhad.list_parts(arg, folder)}


def test_subjects_that_train_and_test_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"^subject 3 is among --train_subject and --test_subject"):
        parts(tmp_path, train_subject=[1, 3], test_subject=[2, 3])
    with pytest.raises(DataError, match=r"^subject 2 is among"):  # a test subject unless --test_subject says otherwise
        parts(tmp_path, train_subject=[1, 2])
    with pytest.raises(DataError, match=r"^--holdout keeps one training subject back"):
        parts(tmp_path, train_subject=[5, 5], holdout=True)


def test_the_real_data_set(real_data):
    folder = real_data / "utd_mhad"
    found = parts(folder)
    assert [len(clips) for clips in found.values()] == [431, 430]
    assert {clip.label for clip in found["train"]} == {clip.label for clip in found["val"]} == set(range(27))
    assert len(utd_mhad.label_names()) == len(set(utd_mhad.label_names())) == 27
    assert not any(name.endswith(".mat") for name, _ in utd_mhad.list_clips(folder, "train").left_out)
    lengths = []
    for clip in found["train"] + found["val"]:
        got = utd_mhad.read(clip.path)
        assert (got.name, got.label) == (clip.name, clip.label)
        lengths.append(got.keypoints.shape[1])
    assert (min(lengths), max(lengths)) == (41, 125)
    for clip in found["val"][::50]:
        raw = loadmat(clip.path)["d_skel"]
        np.testing.assert_array_equal(utd_mhad.read(clip.path).keypoints[0], np.moveaxis(raw, -1, 0).astype("f4"))


def test_holdout_never_touches_the_test_subjects(real_data):
    held = parts(real_data / "utd_mhad", holdout=True)
    assert sorted(held["train"] + held["val"]) == sorted(parts(real_data / "utd_mhad")["train"])
    assert {clip.name.split("_")[1] for clip in held["val"]} == {"s7"}
    assert {clip.label for clip in held["val"]} == set(range(27))


def test_joints_and_classes_are_what_the_clips_show(real_data):
    """The right hand moves where the name says so, a sitting person rises, and a body is upright with left at left."""
    one_handed = [i for i, name in enumerate(utd_mhad.ACTIONS) if name.startswith("right ")]
    sit, stand = utd_mhad.ACTIONS.index("stand to sit"), utd_mhad.ACTIONS.index("sit to stand")
    place = JOINTS.index
    for clip in utd_mhad.list_clips(real_data / "utd_mhad", "train").clips[::2]:
        body = utd_mhad.read(clip.path).keypoints[0]  # (T, V, 3)
        assert (body[0, place("left_shoulder"), 0] < body[0, place("right_shoulder"), 0]) and (body[..., 2] > 1).all()
        assert body[0, place("head"), 1] > body[0, place("hip_centre"), 1] > body[0, place("left_foot"), 1]
        path = np.abs(np.diff(body, axis=0)).sum((0, 2))  # (V,)
        if clip.label in one_handed:
            assert path[place("right_hand")] > path[place("left_hand")], clip.name
        rise = body[-5:, place("hip_centre"), 1].mean() - body[:5, place("hip_centre"), 1].mean()
        assert (rise > 0.15) == (clip.label == stand), clip.name
        assert (rise < -0.15) == (clip.label == sit), clip.name


def test_remapped_to_nw_ucla_every_joint_keeps_its_name_and_bone(real_data):
    ours, theirs = load_skeleton("utd-mhad"), load_skeleton("nw-ucla")
    body = utd_mhad.read(utd_mhad.list_clips(real_data / "utd_mhad", "val").clips[0].path).keypoints
    there = remap(body, ours, theirs)
    for v, name in enumerate(theirs.joints):
        np.testing.assert_array_equal(there[:, :, v], body[:, :, JOINTS.index(name)])
    named = [{(s.joints[a], s.joints[b]) for a, b in enumerate(s.parents)} for s in (ours, theirs)]
    assert named[0] == named[1]
    assert nw_ucla.NUM_JOINT == utd_mhad.NUM_JOINT == ours.num_joint


@pytest.mark.parametrize("network", ["st_gcn", "st_gcn_pyskl", "st_gcn_pp"])
def test_no_config_flips_a_body(network):
    """Flipped, a swipe of the right arm is one of the left arm, which no class is."""
    config = load_config(ROOT / f"config/{network}/utd-mhad/train.yaml")
    for part in ("feeder_args", "train_feeder_args", "test_feeder_args"):
        assert not {"mirror", "swap_sides", "pipeline"} & {key for key, value in config[part].items() if value}
