"""feeder/readers/sbu.py with hand-made files and the real data set."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feeder.readers import sbu
from torchlight.errors import DataError


def save(folder, values, place="s01s02/03/001"):
    path = folder / place / "skeleton_pos.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        "".join(",".join([str(i + 1), *map(str, row.ravel().tolist())]) + "\n" for i, row in enumerate(values))
    )
    return path


def test_units_and_persons(tmp_path):
    raw = np.random.default_rng(0).random((6, 2, 15, 3)).round(5)
    raw[2, 1, 4] = 0
    clip = sbu.read(save(tmp_path, raw))
    assert (clip.name, clip.label, clip.layout, clip.fps) == ("s01s02_03_001", 2, "sbu", 15)
    for m in range(2):
        for v in range(15):
            x, y, z = raw[1, m, v]
            millimetres = [1280 - 2560 * x, 960 - 1920 * y, 10000 * z / 7.8125]
            np.testing.assert_allclose(clip.keypoints[m, 1, v], np.array(millimetres) / 1000, atol=1e-6)
    assert not clip.keypoints[1, 2, 4].any()  # recorded as 0, 0, 0: missing


BAD = {
    "empty": (lambda text: "", "is empty"),
    "a value less": (lambda text: text.replace(",", " ", 1), "line 1 has 90 numbers instead of 91"),
    "cut": (lambda text: text[: len(text) // 2], "line 2 has"),
    "text": (lambda text: text.replace("0.5", "x", 1), "not a number"),
    "nan": (lambda text: text.replace("0.5", "nan", 1), "not finite"),
}


@pytest.mark.parametrize("change, message", BAD.values(), ids=BAD.keys())
def test_a_bad_file_is_one_line_that_names_it(tmp_path, change, message):
    path = save(tmp_path, np.full((3, 2, 15, 3), 0.5))
    path.write_text(change(path.read_text()))
    with pytest.raises(DataError) as error:
        sbu.read(path)
    assert message in str(error.value)
    assert str(error.value).startswith(f"{path}: ")


@given(st.binary(max_size=300))
@settings(max_examples=60, deadline=None)
def test_any_bytes_at_all_are_a_data_error(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "skeleton_pos.txt"
    path.write_bytes(content)
    with pytest.raises(DataError):
        sbu.read(path)


def test_the_real_data_set(real_data):
    folder = real_data / "sbu_interaction"
    tested, low, high = [], np.inf, -np.inf
    for fold in range(1, 6):
        train, val = (sbu.list_clips(folder, part, fold) for part in ("train", "val"))
        assert train.left_out == []
        assert len(train.clips) + len(val.clips) == 282
        tested += val.clips
        pairs = [{clip.name[:6] for clip in part.clips} for part in (train, val)]
        assert pairs[1] == set(sbu.FOLDS[fold - 1])
        assert not pairs[0] & pairs[1]
        part, held_out = (sbu.list_clips(folder, p, fold, holdout=True).clips for p in ("train", "val"))
        assert sorted(part + held_out) == sorted(train.clips)
        assert not {clip.name[:6] for clip in part} & {clip.name[:6] for clip in held_out}
    assert len({clip.name for clip in tested}) == 282
    assert {clip.label for clip in tested} == set(range(8))
    for clip in tested[::10]:
        keypoints = sbu.read(clip.path).keypoints
        low, high = min(low, keypoints.min()), max(high, keypoints.max())
        assert (keypoints[:, :, 0, 1] > keypoints[:, :, 11, 1]).mean() > 0.99  # y points up: the head is above the foot
    assert -2 < low < high < 4


def test_a_fold_that_is_none(tmp_path):
    for fold in (0, 6):
        with pytest.raises(DataError, match="SBU has folds 1 to 5"):
            sbu.list_clips(tmp_path, "train", fold)


def test_stray_files_are_named(tmp_path):
    save(tmp_path, np.ones((1, 2, 15, 3)))
    save(tmp_path, np.ones((1, 2, 15, 3)), "s01s02/09/001")
    (tmp_path / "readme.txt").touch()
    left_out = sbu.list_clips(tmp_path, "val").left_out
    assert [name for name, _ in left_out] == ["readme.txt", "s01s02/09/001/skeleton_pos.txt"]
