"""What is chosen from training clips: on made bodies whose sides, facing and lengths are known."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feeder import automatic
from feeder.automatic import Survey, batch_size, facing, mirror, num_epoch, random_rotate, survey, vertical, window_size
from feeder.dataset import DatasetInfo, write_info
from feeder.skeleton import load_skeleton
from torchlight.errors import DataError

SKELETON = load_skeleton("nw-ucla")
JOINT = {name: v for v, name in enumerate(SKELETON.joints)}


def standing(count, turn=0.0, scale=1.0):
    """Clips (count, 3, 16, 20, 1) of a body that stands still, tall along y; each turned by its own angle about y."""
    body = np.zeros((3, 20))
    for name, v in JOINT.items():
        side = -1 if "left" in name else 1 if "right" in name else 0
        height = {"head": 0.9, "shoulder": 0.7, "elbow": 0.5, "wrist": 0.3, "hand": 0.2, "spine": 0.4, "hip": 0.1}
        body[:, v] = 0.25 * side, next((y for part, y in height.items() if part in name), -0.8), 0.05
    angle = np.broadcast_to(turn, count)
    rotation = np.stack(
        [[np.cos(angle), 0 * angle, np.sin(angle)], [0 * angle, 1 + 0 * angle, 0 * angle]]
        + [[-np.sin(angle), 0 * angle, np.cos(angle)]]
    )  # (3, 3, count)
    clips = np.einsum("dcn,cv->ndv", rotation, body)
    return (scale * np.broadcast_to(clips[:, :, None, :, None], (count, 3, 16, 20, 1))).astype(np.float32)


def of(pose, label=None, length=30, names=None):
    label = np.arange(len(pose)) % 4 if label is None else label
    return Survey(len(pose), np.full(len(pose), length), pose, label, SKELETON, 3, names)


def waving(hand, count=8):
    """A body that stands and waves with one hand, or with both."""
    clips = standing(count).copy()
    for side in ("left", "right") if hand == "both" else (hand,):
        clips[:, 0, :, JOINT[f"{side}_hand"]] += np.sin(np.arange(16))[None, :, None]
    return clips


@pytest.mark.parametrize(("hand", "flips"), [("right", False), ("left", False), ("both", True)])
def test_clips_of_one_side_are_not_mirrored(hand, flips):
    assert mirror(of(waving(hand))).value is flips


def test_clips_of_either_side_are_mirrored():
    clips = np.concatenate([waving("left"), waving("right")])
    assert mirror(of(clips, np.arange(16) % 8)).value


def test_one_class_in_four_may_have_a_side():
    clips = np.concatenate([waving("both", 12), waving("right", 4)])
    label = np.repeat(np.arange(4), 4)
    choice = mirror(of(clips, label))
    assert choice.value and choice.why == "1 of 4 classes are done with one side of the body"


@pytest.mark.parametrize("name", ["right hand wave", "Draw circle (clockwise)", "kick_left"])
def test_class_names_with_a_side_forbid_mirrored_clips(name):
    choice = mirror(of(waving("both"), names=["walk", name]))
    assert not choice.value and name in choice.why


def test_without_mirror_pairs_nothing_is_mirrored():
    assert not mirror(replace(of(waving("both")), skeleton=None)).value


def test_bodies_are_not_turned_upside_down():
    lying = waving("both")[:, [1, 0, 2]]
    assert not mirror(of(lying)).value
    assert mirror(of(waving("both")[:, [0, 2, 1]])).value  # z is up


def test_bodies_that_face_one_way_are_turned_a_little():
    assert random_rotate(of(standing(40))).value == [0.3, 0.3, 0.3]


def test_bodies_that_face_every_way_are_turned_far_about_their_vertical():
    turn = np.linspace(0, np.pi, 40, endpoint=False)
    assert random_rotate(of(standing(40, turn))).value == [0.3, 1.0, 0.3]


@given(spread=st.floats(0.05, 0.5), middle=st.floats(-3, 3))
@settings(max_examples=20, deadline=None)
def test_facing_is_the_standard_deviation_whatever_the_mean(spread, middle):
    turn = middle + spread * np.random.default_rng(0).normal(size=800)
    assert facing(of(standing(800, turn))) == pytest.approx(spread, rel=0.15)


@given(axis=st.integers(0, 2), scale=st.floats(1e-3, 1e3))
@settings(max_examples=20, deadline=None)
def test_the_vertical_is_the_axis_along_which_bodies_are_longest_in_any_unit(axis, scale):
    clips = np.roll(standing(12, 0.4, scale), axis - 1, axis=1)
    assert vertical(of(clips)) == axis


def test_a_missing_joint_faces_no_way():
    clips = standing(40).copy()
    clips[::2, :, :, JOINT["left_shoulder"]] = 0
    assert facing(of(clips)) == pytest.approx(0, abs=1e-3)


def test_few_clips_have_more_epochs_of_as_many_updates():
    few, many = (replace(of(standing(4)), num_clip=n) for n in (100, 1020))
    assert batch_size(few).value == 16 and batch_size(many).value == 32
    updates = [
        num_epoch(found, batch_size(found).value).value * (found.num_clip // b) for found, b in ((few, 16), (many, 32))
    ]
    assert updates == pytest.approx([automatic.UPDATES] * 2, rel=0.02)
    assert num_epoch(replace(few, num_clip=40_000), 32).value == automatic.FEWEST_EPOCHS


def test_three_clips_have_a_batch():
    found = replace(of(standing(3)), num_clip=3)
    assert batch_size(found).value == 1 and num_epoch(found, 1).value == automatic.MOST_EPOCHS


def test_long_clips_have_a_long_window():
    assert window_size(of(standing(4), length=20)).value < window_size(of(standing(4), length=300)).value


def test_a_packed_part_is_looked_at(tmp_path):
    data = np.zeros((6, 3, 50, 20, 1), np.float32)
    data[:, :, :40] = 1000 * standing(6)[:, :, :1]
    np.save(tmp_path / "x_data.npy", data)
    (tmp_path / "x_label.pkl").write_bytes(pickle.dumps((list("abcdef"), [0, 1] * 3)))
    with pytest.raises(DataError, match="normalize_body needs dimension: 2"):
        survey(str(tmp_path / "x_data.npy"), str(tmp_path / "x_label.pkl"))
    write_info(tmp_path, DatasetInfo("nw-ucla", 3, label_names=("walk", "run")))
    found = survey(str(tmp_path / "x_data.npy"), str(tmp_path / "x_label.pkl"))
    assert found.num_clip == 6 and found.length.tolist() == [40] * 6
    assert found.pose.shape == (6, 3, 16, 20, 1) and found.pose.std() == pytest.approx(0.577, abs=0.05)
    assert list(found.label_names) == ["walk", "run"]


def test_an_axis_of_another_unit_is_found_and_nothing_is_turned(tmp_path):
    """x and y in pixels, z in millimetres."""
    write_info(tmp_path, DatasetInfo("nw-ucla", 3, label_names=("walk", "run")))
    clips = waving("both", 6) + np.float32(0.1) * np.random.default_rng(0).normal(size=(6, 3, 16, 20, 1)).astype(
        np.float32
    )
    (tmp_path / "x_label.pkl").write_bytes(pickle.dumps((list("abcdef"), [0, 1] * 3)))
    for units, differ in (((1, 1, 1), False), ((1000, 1000, 1000), False), ((100, 100, 10_000), True)):
        np.save(tmp_path / "x_data.npy", clips * np.float32(units).reshape(3, 1, 1, 1))
        found = survey(str(tmp_path / "x_data.npy"), str(tmp_path / "x_label.pkl"))
        assert automatic.normalize_axes(found).value is differ
        assert mirror(found).value and (random_rotate(found).value == 0) is differ


def test_bones_have_a_network_unless_two_persons_act_together():
    one, two = waving("both"), np.repeat(waving("both"), 2, axis=4)
    assert automatic.stream(of(one)).value == ["joint", "bone"]
    assert automatic.stream(of(two)).value == ["joint"]
    two[2:, ..., 1] = 0  # in two of eight clips another one comes by
    assert automatic.stream(of(two)).value == ["joint", "bone"]
    assert automatic.stream(replace(of(one), skeleton=None)).value == ["joint"]
