"""feeder/readers/labelled.py: folders that are labels."""

import pytest

from feeder.readers.labelled import label_names, list_clips
from torchlight.errors import DataError


def names(folder, part, holdout=False):
    return [clip.name for clip in list_clips(folder, part, holdout, lambda path: path.suffix == ".mp4").clips]


def make(folder, **count):
    for label, n in count.items():
        (folder / label).mkdir(parents=True)
        for i in range(n):
            (folder / label / f"{i:02}.mp4").touch()


def test_the_last_fifth_of_every_class_is_val(tmp_path):
    make(tmp_path, run=10, jump=3, sit=1)
    assert label_names(tmp_path) == ["jump", "run", "sit"]
    assert names(tmp_path, "val") == ["jump/02.mp4", "run/08.mp4", "run/09.mp4"]
    assert len(names(tmp_path, "train")) == 11
    assert names(tmp_path, "val", holdout=True) == ["jump/01.mp4", "run/07.mp4"]
    assert not {*names(tmp_path, "val")} & {*names(tmp_path, "train", True), *names(tmp_path, "val", True)}


def test_train_and_val_folders_are_kept(tmp_path):
    make(tmp_path / "train", run=5, sit=1)
    make(tmp_path / "val", run=1, jump=1)
    assert label_names(tmp_path) == ["jump", "run", "sit"]
    val = list_clips(tmp_path, "val", False, lambda path: True).clips
    assert [(clip.name, clip.label) for clip in val] == [("jump/00.mp4", 0), ("run/00.mp4", 1)]
    assert len(names(tmp_path, "train")) == 6
    assert names(tmp_path, "val", holdout=True) == ["run/04.mp4"]


def test_what_is_not_a_clip_is_named(tmp_path):
    make(tmp_path, run=2)
    (tmp_path / "run/notes.txt").touch()
    (tmp_path / "run/.DS_Store").touch()
    (tmp_path / "readme.md").touch()
    listing = list_clips(tmp_path, "train", False, lambda path: path.suffix == ".mp4")
    assert listing.left_out == [("run/notes.txt", "is not a clip")]


def test_no_folders_is_one_line(tmp_path):
    with pytest.raises(DataError, match="there are no folders <label>/<clip> in it"):
        label_names(tmp_path)
