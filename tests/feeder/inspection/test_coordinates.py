"""feeder/inspection/coordinates.py: units are told apart, and scores from depths."""

import numpy as np
import pytest

from feeder.inspection.body import Body
from feeder.inspection.coordinates import has_scores, recognise
from feeder.inspection.inspection import inspect
from feeder.inspection.measure import Setting, measure
from feeder.skeleton import load_skeleton


def kind(clips, dimension):
    m = measure(clips, np.ones(len(clips)), Setting(Body.of(load_skeleton("openpose"), 18), dimension))
    return recognise(m.low, m.high, m.size, dimension)


def changed(clips, function):
    """The first two coordinates of 2-D clips by a function; what is missing stays so."""
    out = clips.copy()
    out[:, :2] = function(clips[:, :2]) * (clips[:, 2:] > 0)
    return out


@pytest.mark.parametrize(
    "name, function",
    [
        ("centred", lambda x: x),
        ("fractions", lambda x: x + 0.5),
        ("normalised", lambda x: x * 2),
        ("pixels", lambda x: (x + 0.5) * np.array([1920, 1080]).reshape(2, 1, 1, 1)),
        ("unknown", lambda x: x * 5),
    ],
)
def test_units_in_2_d(name, function, flat):
    assert kind(changed(flat, function), 2).name == name


@pytest.mark.parametrize("name, factor", [("metres", 1), ("millimetres", 1000), ("unknown", 0.01)])
def test_units_in_3_d(name, factor, solid):
    found = kind(solid * np.float32(factor), 3)
    assert found.name == name and "tall" in found.evidence


def test_clips_that_fill_minus_1_to_1_are_normalised_in_3_d(solid):
    x = solid - np.array([0, 0, 3], np.float32).reshape(1, 3, 1, 1, 1) * solid.any(1, keepdims=True)
    x[:, 1] -= 1.0 * solid.any(1)
    low, high = x.min((2, 3, 4), keepdims=True), x.max((2, 3, 4), keepdims=True)
    assert kind((2 * (x - low) / (high - low) - 1) * solid.any(1, keepdims=True), 3).name == "normalised"


def test_scores_are_no_depth(flat, solid):
    body, there = Body.of(load_skeleton("openpose"), 18), solid.any(1, keepdims=True)
    constant, pixels = flat.copy(), changed(flat, lambda x: (x + 0.5) * 500)
    constant[:, 2] = flat[:, 2] > 0
    for clips in (flat, constant, pixels):
        assert has_scores(list(clips), body)
    assert has_scores(list(constant), Body.of(None, 18)) and has_scores(list(flat), Body.of(None, 18))
    unit = solid / np.array([4, 4, 8], np.float32).reshape(1, 3, 1, 1, 1) + 0.5 * np.eye(3, 1).reshape(1, 3, 1, 1, 1)
    unit = (unit * there).astype(np.float32)  # x, y, z in 0..1, as SBU publishes them
    hand = ((solid - np.array([0, 1, 0]).reshape(1, 3, 1, 1, 1)) * 0.15 * there).astype(np.float32)  # 45 cm away
    for clips in (unit, hand):
        assert clips[:, 2].min() >= 0 and clips.max() <= 1
        assert not has_scores(list(clips), body)
    assert hand[:, 1].min() < 0 < hand[:, 1].max() and not has_scores(list(solid), body)


def test_data_given_with_another_dimension_are_a_problem_and_are_read_as_they_are(flat, solid, write):
    result = inspect([write(flat, dimension=3)])
    assert [each.kind for each in result.findings] == ["scores_as_depth"] and result.parts[0].dimension == 2
    result = inspect([write(solid, dimension=2)])
    assert [each.kind for each in result.findings] == ["depth_as_scores"] and result.parts[0].dimension == 3


def test_without_a_dataset_yaml_the_dimension_is_told_from_the_data(flat, solid, write, tmp_path):
    for clips, dimension in ((flat, 2), (solid, 3)):
        source = write(clips)
        (tmp_path / "dataset.yaml").unlink()
        assert inspect([source]).parts[0].dimension == dimension
