"""feeder/readers/pyskl.py with pickles made here in the form that PYSKL publishes."""

import pickle

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from feeder.readers import pyskl
from torchlight.errors import DataError

RANDOM = np.random.default_rng(0)


def flat(name="a", label=0, shape=(1, 5, 17), **more):
    """A 2-D annotation as HRNet's are: float16 pixels and scores, 340 x 256."""
    clip = dict(frame_dir=name, label=label, total_frames=shape[1], img_shape=(256, 340), original_shape=(256, 340))
    clip["keypoint"] = RANDOM.uniform(1, 250, (*shape, 2)).astype(np.float16)
    clip["keypoint_score"] = RANDOM.uniform(0.1, 1, shape).astype(np.float16)
    return {**clip, **more}


def solid(name, label=0, shape=(2, 6, 25, 3)):
    return dict(frame_dir=name, label=label, total_frames=shape[1], keypoint=RANDOM.normal(size=shape).astype("f2"))


def save(folder, annotations, protocol=4, **split):
    path = folder / "set.pkl"
    content = {"split": split, "annotations": annotations} if split else annotations
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path


def clips(path, split):
    return [(clip.name, clip.label) for clip in pyskl.list_clips(path, split).clips]


def test_pixels_become_centred_fractions(tmp_path):
    clip = flat()
    clip["keypoint"][0, 1, 3] = 85, 64
    clip["keypoint_score"][0, 2, 4] = 0
    sequence = pyskl.read(save(tmp_path, [flat("b"), clip], train=["a"]) / "1")
    assert (sequence.name, sequence.label, sequence.layout, sequence.frame_size) == ("a", 0, "coco", (340, 256))
    assert sequence.keypoints.dtype == sequence.scores.dtype == np.float32
    np.testing.assert_allclose(sequence.keypoints[0, 1, 3], [-0.25, -0.25])
    assert not sequence.array()[:, 2, 4].any()
    np.testing.assert_array_equal(sequence.scores, clip["keypoint_score"].astype(np.float32))


def test_an_absent_second_person_stays_absent(tmp_path):
    clip = flat(shape=(2, 4, 17), keypoint_score=None)
    clip["keypoint"][1] = 0
    sequence = pyskl.read(save(tmp_path, [clip]) / "0")
    assert not sequence.array()[..., 1].any()
    assert (sequence.scores[0] == 1).all()


def test_metres_stay_metres(tmp_path):
    clip = solid("S001C001P001R001A007", 6)
    sequence = pyskl.read(save(tmp_path, [clip]) / "0")
    assert (sequence.layout, sequence.scores, sequence.frame_size) == ("ntu-rgb+d", None, None)
    np.testing.assert_array_equal(sequence.keypoints, clip["keypoint"].astype(np.float32))


def test_another_layout(tmp_path):
    path = save(tmp_path, [flat(), solid("b")])
    plain, sequence = pyskl.read(path / "0"), pyskl.read(path / "0", layout="openpose")
    assert (sequence.layout, sequence.keypoints.shape) == ("openpose", (1, 5, 18, 2))
    np.testing.assert_allclose(sequence.keypoints[:, :, 1], plain.keypoints[:, :, 5:7].mean(2), rtol=1e-5, atol=1e-7)
    with pytest.raises(DataError, match="leave out --layout"):
        pyskl.read(path / "1", layout="openpose")


def test_every_split_is_kept(tmp_path):
    split = dict(xsub_train=["c", "a"], xsub_val=["b"], train1=["a"], test1=["b", "c"], xset_val=["b"], odd=["a"])
    path = save(tmp_path, [flat(name, label) for label, name in enumerate("abc")], **split)
    assert pyskl.splits(path) == list(split)
    assert clips(path, "xsub_train") == [("a", 0), ("c", 2)]
    assert clips(path, "test1") == [("b", 1), ("c", 2)]
    assert [pyskl.read(clip.path).name for clip in pyskl.list_clips(path, "test1").clips] == ["b", "c"]
    assert pyskl.places(path) == [
        ("xsub_train", "xsub", "train"),
        ("xsub_val", "xsub", "val"),
        ("train1", "split1", "train"),
        ("test1", "split1", "val"),
        ("xset_val", "xset", "val"),
        ("odd", "odd", "val"),
    ]


def test_test_beside_val_is_test(tmp_path):
    path = save(tmp_path, [flat()], train=[], val=["a"], test=["a"])
    assert [place[1:] for place in pyskl.places(path)] == [("", "train"), ("", "val"), ("", "test")]


def test_a_bare_list_is_the_split_train(tmp_path):
    assert clips(save(tmp_path, [flat("b"), flat("a")]), "train") == [("a", 0), ("b", 0)]


def test_what_cannot_be_used_is_named(tmp_path):
    path = save(tmp_path, [flat(), flat("b", label=[1, 2]), flat("c", label=None)], train=["a", "b", "c", "d"])
    listing = pyskl.list_clips(path, "train")
    assert [clip.name for clip in listing.clips] == ["a"]
    assert listing.left_out == [
        ("b", "has no label that is a class number"),
        ("c", "has no label that is a class number"),
        ("d", "is in the split train but has no annotation"),
    ]


def test_class_names_of_ntu(tmp_path):
    (tmp_path / "120").mkdir()
    assert len(pyskl.label_names(save(tmp_path, [solid("S001C001P001R001A060", 59)]))) == 60
    assert len(pyskl.label_names(save(tmp_path / "120", [solid("S001C001P001R001A061", 60)]))) == 120
    (tmp_path / "own").mkdir()
    assert pyskl.label_names(save(tmp_path / "own", [flat()])) == []


BAD_CLIP = {
    "no keypoint": (dict(keypoint=None), "keypoint has shape (0,)"),
    "text": (dict(keypoint="x"), "keypoint has shape ()"),
    "three dimensions": (dict(keypoint=np.ones((5, 17, 2))), "keypoint has shape (5, 17, 2)"),
    "16 joints": (dict(keypoint=np.ones((1, 5, 16, 2))), "16 joints in 2-D are no layout that is known here"),
    "scores of another length": (dict(keypoint_score=np.ones((1, 4, 17))), "keypoint_score has shape (1, 4, 17)"),
    "not finite": (dict(keypoint=np.full((1, 5, 17, 2), np.nan)), "keypoint holds a number that is not finite"),
    "no size": (dict(img_shape=None, original_shape=None), "img_shape is None"),
    "size 0": (dict(img_shape=(0, 340)), "img_shape is (0, 340), (height, width) is needed"),
}


@pytest.mark.parametrize("change, message", BAD_CLIP.values(), ids=BAD_CLIP.keys())
def test_a_bad_clip_is_one_line_that_names_it(tmp_path, change, message):
    path = save(tmp_path, [flat(**change)])
    with pytest.raises(DataError) as error:
        pyskl.read(path / "0")
    assert str(error.value).startswith(f"{path / '0'}: ") and message in str(error.value)
    assert "\n" not in str(error.value)


class Evil:
    def __reduce__(self):
        return print, ("gotcha",)


BAD_FILE = {
    "code": ({"annotations": [Evil()]}, "cannot be read as plain data"),
    "a number": (5, "a list 'annotations' is needed"),
    "nothing": ([], "a list 'annotations' is needed"),
    "no name": ([{"label": 0}], "annotation 0 has no frame_dir"),
    "twice": ([flat(), flat()], "the frame_dir 'a' is there twice"),
    "split is a list": ({"annotations": [flat()], "split": ["a"]}, "'split' is not a mapping"),
    "a split is a word": ({"annotations": [flat()], "split": {"train": "a"}}, "the split train is not a list"),
    "a split that climbs": ({"annotations": [flat()], "split": {"../../up_train": ["a"]}}, "the name of a split is"),
    "a split that hides": ({"annotations": [flat()], "split": {"..": ["a"]}}, "the name of a split is '..'"),
}


@pytest.mark.parametrize("content, message", BAD_FILE.values(), ids=BAD_FILE.keys())
def test_a_bad_file_is_one_line_that_names_it(tmp_path, capsys, content, message):
    path = tmp_path / "bad.pkl"
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(DataError) as error:
        pyskl.splits(path)
    assert str(path) in str(error.value) and message in str(error.value) and "\n" not in str(error.value)
    assert "gotcha" not in capsys.readouterr().out


@given(end=st.integers(0, 900))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_file_cut_anywhere_is_a_data_error(tmp_path, end):
    content = pickle.dumps({"split": {"train": ["a"]}, "annotations": [flat()]})
    path = tmp_path / "cut.pkl"
    path.write_bytes(content[: min(end, len(content) - 1)])
    with pytest.raises(DataError):
        pyskl.splits(path)
