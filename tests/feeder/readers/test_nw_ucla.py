"""feeder/readers/nw_ucla.py with hand-made files and the real data set."""

import json

import numpy as np
import pytest

from feeder.preprocess import Preprocess
from feeder.readers import nw_ucla
from feeder.rng import ClipRNG
from tests.conftest import ROOT
from torchlight.config import load_yaml
from torchlight.errors import DataError


def save(path, skeletons):
    path.write_text(json.dumps({"file_name": path.stem, "skeletons": skeletons}))
    return path


def test_a_clip(tmp_path):
    joints = np.random.default_rng(0).random((5, 20, 3))
    clip = nw_ucla.read(save(tmp_path / "a08_s01_e02_v03.json", joints.tolist()))
    assert (clip.name, clip.label, clip.layout, clip.scores) == ("a08_s01_e02_v03", 6, "nw-ucla", None)
    np.testing.assert_array_equal(clip.array(), joints.transpose(2, 0, 1)[..., None].astype("f4"))


BAD = {
    "empty": ([], "shape is (0,)"),
    "19 joints": ([[[0, 0, 0]] * 19], "shape is (1, 19, 3)"),
    "ragged": ([[[0, 0, 0]] * 20, [[0, 0, 0]] * 19], "not every frame has 20 joints"),
    "text": ([[["a", 0, 0]] * 20], "not every frame has 20 joints"),
    "null": ([[[None, 0, 0]] * 20], "not finite"),
    "nan": ([[[float("nan"), 0, 0]] * 20], "not valid JSON"),
    "huge": ([[[1e300, 0, 0]] * 20], "not finite"),
    "an object": ({}, "'skeletons', a list of frames of joints, is missing"),
}


@pytest.mark.parametrize("skeletons, message", BAD.values(), ids=BAD.keys())
def test_a_bad_file_is_one_line_that_names_it(tmp_path, skeletons, message):
    path = save(tmp_path / "a01_s01_e00_v01.json", skeletons)
    with pytest.raises(DataError) as error:
        nw_ucla.read(path)
    assert message in str(error.value)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


def test_a_file_cut_anywhere_is_a_data_error(tmp_path):
    path = save(tmp_path / "a01_s01_e00_v01.json", [[[0.5, 1, 2]] * 20])
    text = path.read_bytes()
    for length in range(len(text)):
        path.write_bytes(text[:length])
        with pytest.raises(DataError):
            nw_ucla.read(path)


def test_the_real_data_set(real_data):
    parts = {part: nw_ucla.list_clips(real_data / "nw_ucla", part) for part in ("train", "val")}
    assert [len(listing.clips) for listing in parts.values()] == [1020, 464]
    assert parts["train"].left_out == []
    assert {clip.label for clip in parts["val"].clips} == set(range(10))
    for clip in parts["train"].clips[::50]:
        raw = json.loads(clip.path.read_text())
        assert raw["label"] - 1 == clip.label  # the file's own class number
        np.testing.assert_array_equal(nw_ucla.read(clip.path).keypoints[0], np.array(raw["skeletons"], "f4"))
    assert nw_ucla.list_clips(real_data / "nw_ucla" / "all_sqe", "val") == parts["val"]


def test_holdout_never_touches_the_third_view(real_data):
    folder = real_data / "nw_ucla"
    train, val = (nw_ucla.list_clips(folder, part, holdout=True).clips for part in ("train", "val"))
    assert sorted(train + val) == nw_ucla.list_clips(folder, "train").clips
    assert {clip.name[5:7] for clip in val} == {"09", "10"}
    assert not {"09", "10"} & {clip.name[5:7] for clip in train}
    assert {clip.label for clip in val} == set(range(10))


def test_views_can_be_chosen(tmp_path):
    for view in (1, 2, 3):
        save(tmp_path / f"a01_s01_e00_v0{view}.json", [])
    for part, name in (("train", "a01_s01_e00_v01"), ("val", "a01_s01_e00_v02")):
        assert [clip.name for clip in nw_ucla.list_clips(tmp_path, part, views=([1], [2])).clips] == [name]


def test_fixed_labels_are_what_the_clips_show(real_data):
    folder = real_data / "nw_ucla"
    named, fixed = (nw_ucla.list_clips(folder, "train", fix_labels=fix).clips for fix in (False, True))
    changed = [after for before, after in zip(named, fixed, strict=True) if before.label != after.label]
    assert len(changed) == 24
    assert all(clip.name.endswith("_v02") for clip in changed)
    assert nw_ucla.list_clips(folder, "val", fix_labels=True) == nw_ucla.list_clips(folder, "val")
    head = 3
    for clip in changed:
        if clip.label in (nw_ucla.LABEL[5], nw_ucla.LABEL[6]):  # sit down, stand up
            height = nw_ucla.read(clip.path).keypoints[0, :, head, 1]
            some = len(height) // 6
            rise = height[-some:].mean() - height[:some].mean()
            assert rise > 0.2 if clip.label == nw_ucla.LABEL[6] else rise < 0.1, clip.name


def test_stray_files_are_named(tmp_path):
    save(tmp_path / "a01_s01_e00_v01.json", [])
    save(tmp_path / "a07_s01_e00_v01.json", [])
    (tmp_path / "readme.txt").touch()
    clips, left_out = nw_ucla.list_clips(tmp_path, "train")
    assert [clip.name for clip in clips] == ["a01_s01_e00_v01"]
    assert [name for name, _ in left_out] == ["a07_s01_e00_v01.json", "readme.txt"]


def test_a_test_clip_is_what_the_feeder_of_ctr_gcn_makes_of_the_file(real_data):
    """Chen et al.: around joint 2 of the first frame, each axis from -1 to 1 over the clip, 52 frames evenly from all."""
    config = load_yaml(ROOT / "config/ctr_gcn/nw-ucla/train.yaml")
    preprocess = Preprocess.from_config({"pipeline": config["test_feeder_args"]["pipeline"]}, None, 3)
    for clip in nw_ucla.list_clips(real_data / "nw_ucla", "val").clips[::40]:
        (path,) = (real_data / "nw_ucla").rglob(f"{clip.name}.json")
        joints = np.array(json.loads(path.read_text())["skeletons"])  # (T, V, C)
        joints = joints - joints[0, 1]
        low, high = joints.min((0, 1)), joints.max((0, 1))
        joints = ((joints - low) / (high - low) * 2 - 1)[np.linspace(0, len(joints) - 1, 52).astype(int)]
        no_rng = ClipRNG(0, np.zeros(1), np.zeros(1))
        (actual,) = preprocess([nw_ucla.read(path).array()], np.ones(1), no_rng)
        np.testing.assert_allclose(actual[..., 0], joints.transpose(2, 0, 1), atol=1e-5)
