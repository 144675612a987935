"""feeder/readers/penn_action.py with hand-made .mat files and the real data set."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import loadmat, savemat

from feeder.readers import penn_action
from torchlight.errors import DataError


def fields(T=4, action="bowl", train=1, **more):
    x = np.arange(T * 13).reshape(T, 13) * 2.0
    content = dict(action=action, x=x, y=x + 10, visibility=np.ones((T, 13), np.uint8), nframes=T, train=train)
    return {**content, "dimensions": np.array([200, 400, T], np.uint16), **more}


def save(path, **more):
    savemat(path, {key: value for key, value in fields(**more).items() if value is not None})
    return path


def test_pixels_become_centred_fractions(tmp_path):
    clip = penn_action.read(save(tmp_path / "0007.mat"))
    assert (clip.name, clip.label, clip.layout, clip.frame_size) == ("0007", 3, "penn-action", (400, 200))
    assert clip.keypoints.shape == (1, 4, 13, 2)
    np.testing.assert_allclose(clip.keypoints[0, 0, 5], [10 / 400 - 0.5, 20 / 200 - 0.5])
    assert clip.scores.all()


def test_invisible_is_missing_and_outside_the_frame_is_not(tmp_path):
    visible = np.ones((4, 13))
    visible[1, 2] = 0
    x = fields()["x"]
    x[1, 3], x[1, 2] = -40, np.nan
    sample = penn_action.read(save(tmp_path / "a.mat", visibility=visible, x=x)).array()
    assert sample[:, 1, 2, 0].tolist() == [0, 0, 0]
    np.testing.assert_allclose(sample[:, 1, 3, 0], [-0.6, (3 + 13) * 2 / 200 + 10 / 200 - 0.5, 1], rtol=1e-6)


def test_columns_of_different_length_give_the_frames_all_have(tmp_path):
    assert penn_action.read(save(tmp_path / "a.mat", x=np.ones((9, 13)))).keypoints.shape[1] == 4
    assert penn_action.read(save(tmp_path / "a.mat", visibility=np.ones((3, 13)))).keypoints.shape[1] == 3


BAD = {
    "no x": (dict(x=None), "'x' is missing"),
    "no dimensions": (dict(dimensions=None), "'dimensions' is missing"),
    "14 joints": (dict(x=np.ones((4, 14))), "x has shape (4, 14), numbers (frames, 13) are needed"),
    "no rows": (dict(y=np.ones((0, 13))), "y has shape (0, 13)"),
    "text": (dict(visibility="yes"), "visibility has shape"),
    "no height": (dict(dimensions=np.array([0, 4, 4])), "dimensions are [0, 4, 4]"),
    "not finite": (dict(x=np.full((4, 13), np.inf)), "a visible joint has a coordinate that is not finite"),
    "two actions": (dict(action=np.array(["bowl", "squat"], object)), "'action' is neither numbers nor text"),
}


@pytest.mark.parametrize("change, message", BAD.values(), ids=BAD.keys())
def test_a_bad_file_is_one_line_that_names_it(tmp_path, change, message):
    path = save(tmp_path / "bad.mat", **change)
    with pytest.raises(DataError) as error:
        penn_action.read(path)
    assert message in str(error.value)
    assert str(error.value).startswith(f"{path}: ")


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_a_file_cut_anywhere_is_a_data_error_or_whole(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "cut.mat"
    text = save(path).read_bytes()
    whole = penn_action.read(path)
    path.write_bytes(text[: data.draw(st.integers(0, len(text) - 1))])
    try:
        clip = penn_action.read(path)
    except DataError as error:
        assert str(error).startswith(f"{path}: ")
        assert "\n" not in str(error)
    else:  # cut behind the last field that is needed
        np.testing.assert_array_equal(clip.keypoints, whole.keypoints)


def listed(folder, *args, **options):
    return [clip.name for clip in penn_action.list_clips(folder, *args, **options).clips]


def test_parts_and_holdout(tmp_path):
    (tmp_path / "labels").mkdir()
    for i in range(1, 13):
        save(tmp_path / f"labels/{i:04}.mat", T=2, action=["bowl", "squat"][i % 2], train=-1 if i in (3, 4) else 1)
    (tmp_path / "labels/0020.mat").write_bytes(b"x")
    save(tmp_path / "labels/0021.mat", action="flying")
    (tmp_path / "labels/notes.txt").touch()
    assert listed(tmp_path, "val") == ["0003", "0004"]
    assert len(listed(tmp_path, "train")) == 10
    assert listed(tmp_path, "val", holdout=True) == ["0011", "0012"]  # the last of five of each class
    assert set(listed(tmp_path, "train", holdout=True)) == set(listed(tmp_path, "train")) - {"0011", "0012"}
    left_out = dict(penn_action.list_clips(tmp_path, "train").left_out)
    assert left_out["notes.txt"] == "is not a .mat file"
    assert left_out["0020.mat"].startswith("not a MATLAB 5 file")
    assert left_out["0021.mat"].startswith("action 'flying'")


def test_the_real_data_set(real_data):
    train, left_out = penn_action.list_clips(real_data / "penn_action", "train")
    val = penn_action.list_clips(real_data / "penn_action", "val").clips
    assert (len(train), len(val), left_out) == (1258, 1068, [])
    assert {clip.label for clip in train} == {clip.label for clip in val} == set(range(15))
    part, held_out = (
        penn_action.list_clips(real_data / "penn_action", p, holdout=True).clips for p in ("train", "val")
    )
    assert sorted(part + held_out) == sorted(train)
    assert 0.18 < len(held_out) / len(train) < 0.2
    for clip in val[:20]:
        raw, got = loadmat(clip.path), penn_action.read(clip.path)
        height, width = map(int, raw["dimensions"][0, :2])
        assert got.frame_size == (width, height)
        assert penn_action.label_names()[got.label] == raw["action"][0]
        for t in range(int(raw["nframes"][0, 0])):
            for v in range(13):
                place = raw["x"][t, v] / width - 0.5, raw["y"][t, v] / height - 0.5
                expected = place if raw["visibility"][t, v] else (0, 0)
                assert got.keypoints[0, t, v] == pytest.approx(expected, abs=1e-6)
