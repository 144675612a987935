"""feeder/inspection/fit.py: classes, sides, units, windows and splits that do not go together."""

import dataclasses

import numpy as np
import pytest

from feeder.inspection.fit import steps_of
from feeder.inspection.inspection import inspect
from torchlight.errors import DataError


def kinds(*sources, names=None):
    return {each.kind: each.detail for each in inspect(sources, names).findings}


def prepared(source, **args):
    return dataclasses.replace(source, steps=steps_of(args))


def test_classes_that_are_missing_in_a_part_or_everywhere_are_named(flat, write):
    train = write(flat[:20], "train", label=[i % 3 for i in range(20)])
    test = write(flat[20:], "val", label=[1 + i % 3 for i in range(20)])
    found = kinds(train, test, names=["a", "b", "c", "d", "e"])
    assert found == {"untrained": "1 class: d", "untested": "1 class: a", "absent": "1 class: e"}


def test_labels_beyond_the_names_are_found_by_clip(flat, write):
    source = write(flat, label=[i % 3 for i in range(39)] + [7])
    (finding,) = (each for each in inspect([source], ["a", "b", "c"]).findings if each.kind == "label_range")
    assert [(place.name, place.detail) for place in finding.places] == [("train39", "label 7")]


def test_very_unequal_classes_are_a_note(flat, write):
    label = [0] * 33 + [1] * 4 + [2] * 3
    assert kinds(write(flat, label=label), names=["a", "b", "c"]) == {"unequal": "33 clips of a, 3 of c"}
    assert kinds(write(flat, label=[0] * 30 + [1] * 7 + [2] * 3)) == {}


SIDED = ["wave left hand", "wave right hand", "Turn counter-clockwise", "turn clockwise", "upright", "leftover"] + list(
    "ghij"
)


@pytest.mark.parametrize("key", ["mirror", "swap_sides"])
def test_a_flip_with_sides_in_the_class_names_is_a_warning(key, flat, write):
    source = write(flat)
    found = kinds(prepared(source, **{key: True}), names=SIDED)
    assert list(found) == ["left_right"] and found["left_right"].startswith(f"{key}: 4 classes: wave left hand")
    assert "makes 'wave left hand' look like 'wave right hand'" in found["left_right"]
    assert kinds(prepared(source, **{key: False}), names=SIDED) == {}
    assert kinds(prepared(source, **{key: True}), names=["upright", "leftover", *"cdefghij"]) == {}


def test_a_flip_in_a_pipeline_is_seen_too(flat, write):
    pipeline = [{"UniformSample": {"window_size": 64}}, "Mirror"]
    assert list(kinds(prepared(write(flat), pipeline=pipeline), names=SIDED)) == ["left_right"]


@pytest.mark.parametrize(
    "angle, dimension, wrong",
    [
        (0.3, 3, False),
        (1.5, 3, True),
        ([0.3, 3.0, 0.3], 3, False),
        ([1.2, 0.3, 0.3], 3, True),
        (1.5, 2, True),
        (0.5, 2, False),
    ],
)
def test_turning_far_about_a_horizontal_axis_is_a_note(angle, dimension, wrong, flat, solid, write):
    source = write(solid if dimension == 3 else flat, dimension=dimension)
    assert list(kinds(prepared(source, random_rotate=angle, normalize_body=True))) == ["rotate"] * wrong


@pytest.mark.parametrize(
    "args, words",
    [
        ({"window_size": 50}, "100 % of the clips are cut off"),
        ({"window_size": 1000}, "padding"),
        ({"window_size": 300, "uniform_sample": True}, "repeated"),
        ({"window_size": 150}, None),
        ({"window_size": 64, "uniform_sample": True}, None),
        ({"window_size": 64, "random_choose": True}, None),
        ({}, None),
    ],
)
def test_windows_that_do_not_suit_the_lengths_are_a_note(args, words, flat, write):
    found = kinds(prepared(write(flat), **args))
    assert words in found["window"] if words else found == {}


def test_other_units_are_a_warning_unless_bodies_are_normalised(flat, solid, write):
    pixels = flat.copy()
    pixels[:, :2] = (flat[:, :2] + 0.5) * 500 * (flat[:, 2:] > 0)
    source = write(pixels)
    assert list(kinds(source)) == ["units"] and "pixels" in kinds(source)["units"]
    assert kinds(prepared(source, normalize_body=True)) == {}
    assert "millimetres" in kinds(write(solid * 1000, dimension=3))["units"]


def test_a_layout_with_other_joints_is_an_error_and_the_rest_is_still_looked_at(flat, write):
    data = flat.copy()
    data[3] = 0
    result = inspect([write(data, layout="coco")])
    assert [each.kind for each in result.findings] == ["empty", "joints"] and result.parts[0].skeleton is None
    assert "18 joints in the data, 17 in the layout coco" in result.findings[1].detail


def test_a_config_that_contradicts_dataset_yaml_is_an_error(flat, write):
    source = dataclasses.replace(write(flat), dimension=3)
    assert list(kinds(source)) == ["facts_differ"]


def test_a_centre_that_is_mostly_missing_is_a_warning(flat, solid, write):
    data = flat.copy()
    data[:, :, 20:, 1] = 0  # the neck, the centre of openpose
    assert "neck (the centre of the layout) is missing" in kinds(write(data))["centre_missing"]
    data[:, :, :, 1] = 0
    assert list(kinds(write(data))) == ["centre_missing", "joint_absent"]


def test_names_with_another_action_than_the_label_are_a_note(flat, write):
    names = [f"a{1 + i % 10:02d}_s{i:02d}_e00_v01" for i in range(40)]
    label = [i % 10 for i in range(40)]
    label[17] = 3
    (finding,) = inspect([write(flat, names=names, label=label)]).findings
    assert finding.kind == "named_otherwise" and [place.name for place in finding.places] == [names[17]]


def test_parts_that_share_persons_and_views_are_a_note(flat, write):
    def named(first, subject, view):
        return [f"a{1 + i % 10:02d}_s{subject:02d}_e{first + i:02d}_v{view:02d}" for i in range(20)]

    train = write(flat[:20], "train", named(0, 1, 1))
    assert list(kinds(train, write(flat[20:], "val", named(20, 1, 1)))) == ["same_people"]
    assert kinds(train, write(flat[20:], "val", named(20, 2, 1))) == {}
    assert kinds(train, write(flat[20:], "val", named(20, 1, 3))) == {}


def test_wrong_preparation_is_one_line():
    with pytest.raises(DataError, match=r"window_sise.*did you mean 'window_size'"):
        steps_of({"window_sise": 3})
    with pytest.raises(DataError, match="pipeline: 3 where a list"):
        steps_of({"pipeline": 3})


def test_parts_of_different_joints_are_not_compared(flat, solid, write):
    result = inspect([write(flat[:20]), write(solid[20:, :, :, :15], "val", layout=None)])
    assert np.isfinite(result.parts[1].missing).all()
