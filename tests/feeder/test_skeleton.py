"""Layouts: those of the original edge by edge, all of them sound, and one clear line for every way to write one wrong."""

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from feeder.skeleton import LAYOUTS, LayoutError, known_layouts, load_skeleton, remap

ORIGINAL_EDGES = {  # child-parent pairs, in the original's own numbering: first index, pairs, centre
    "openpose": (
        0,
        "4,3 3,2 7,6 6,5 13,12 12,11 10,9 9,8 11,5 8,2 5,1 2,1 0,1 15,0 14,0 17,15 16,14",
        1,
    ),
    "ntu-rgb+d": (
        1,
        "1,2 2,21 3,21 4,3 5,21 6,5 7,6 8,7 9,21 10,9 11,10 12,11 13,1 14,13 15,14 16,15 17,1 18,17 19,18 20,19 "
        "22,23 23,8 24,25 25,12",
        21,
    ),
    "ntu_edge": (
        1,
        "1,2 3,2 4,3 5,2 6,5 7,6 8,7 9,2 10,9 11,10 12,11 13,1 14,13 15,14 16,15 17,1 18,17 19,18 20,19 21,22 22,8 "
        "23,24 24,12",
        2,
    ),
}
NUM_JOINT = {
    "body_25": 25,
    "coco": 17,
    "mediapipe-hand": 21,
    "ntu-rgb+d": 25,
    "ntu_edge": 24,
    "nw-ucla": 20,
    "openpose": 18,
    "penn-action": 13,
    "sbu": 15,
    "utd-mhad": 20,
}
STICK = """\
name: stick
joints: [head, chest, left_hand, right_hand]
bones: [[head, chest], [left_hand, chest], [right_hand, chest]]
centre: chest
mirror: [[left_hand, right_hand]]
"""


@pytest.mark.parametrize("layout", ORIGINAL_EDGES)
def test_edges_and_centre_are_those_of_the_original(layout):
    first, pairs, centre = ORIGINAL_EDGES[layout]
    skeleton = load_skeleton(layout)
    expected = [tuple(int(n) - first for n in pair.split(",")) for pair in pairs.split()]
    assert list(skeleton.bones) == expected
    assert skeleton.centre == centre - first


def test_every_layout_is_known_under_its_own_name():
    assert known_layouts() == sorted(NUM_JOINT)
    for layout, num_joint in NUM_JOINT.items():
        skeleton = load_skeleton(layout)
        assert (skeleton.name, skeleton.num_joint) == (layout, num_joint)


@pytest.mark.parametrize("layout", NUM_JOINT)
def test_parents_lead_to_the_centre_and_every_tree_bone_is_used(layout):
    skeleton = load_skeleton(layout)
    joint = np.arange(skeleton.num_joint)
    for _ in range(skeleton.num_joint):
        joint = skeleton.parents[joint]
    assert (joint == skeleton.centre).all()
    extra = {"penn-action": 1}.get(layout, 0)
    assert len(skeleton.bones) == skeleton.num_joint - 1 + extra


@pytest.mark.parametrize("layout", NUM_JOINT)
def test_flip_swaps_exactly_left_and_right_and_keeps_the_graph(layout):
    skeleton = load_skeleton(layout)
    swapped = {"left": "right", "right": "left"}
    for joint, name in enumerate(skeleton.joints):
        side, _, part = name.partition("_")
        expected = f"{swapped[side]}_{part}" if side in swapped else name
        assert skeleton.joints[skeleton.flip[joint]] == expected
    bones = {frozenset(bone) for bone in skeleton.bones}
    assert {frozenset(int(skeleton.flip[joint]) for joint in bone) for bone in bones} == bones


def test_first_bone_of_a_child_is_its_parent():
    skeleton = load_skeleton("penn-action")
    left_hip, right_hip = (skeleton.joints.index(name) for name in ("left_hip", "right_hip"))
    assert (right_hip, left_hip) in skeleton.bones
    assert skeleton.joints[skeleton.parents[right_hip]] == "right_shoulder"


def test_a_file_of_ones_own_is_read_by_its_path(tmp_path):
    path = tmp_path / "stick.yaml"
    path.write_text(STICK)
    skeleton = load_skeleton(str(path))
    assert skeleton.bones == ((0, 1), (2, 1), (3, 1))
    assert skeleton.parents.tolist() == [1, 1, 1, 1]
    assert skeleton.flip.tolist() == [0, 1, 3, 2]


def test_layouts_are_found_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load_skeleton("openpose").num_joint == 18
    assert LAYOUTS.is_absolute()


@pytest.mark.parametrize("layout, hint", [("opanpose", "did you mean 'openpose'?"), ("no/such.yaml", "known: body_25")])
def test_unknown_layout_names_the_nearest_and_the_known(layout, hint):
    with pytest.raises(LayoutError) as error:
        load_skeleton(layout)
    assert layout in str(error.value) and hint in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "old, new, message",
    [
        ("[left_hand, chest]", "[left_hnad, chest]", "bones[1]: no joint 'left_hnad'; did you mean 'left_hand'?"),
        ("centre: chest", "centre: chset", "centre: no joint 'chset'; did you mean 'chest'?"),
        ("centre: chest", "center: chest", "unknown key 'center'; did you mean 'centre'?"),
        ("centre: chest\n", "", "key 'centre' is missing"),
        ("centre: chest", "centre: chest\ncentre: head", ":5: duplicate key 'centre', first given in line 4"),
        ("centre: chest", "centre: 3", "centre: expected a name; found 3"),
        ("[head, chest, ", "[head, chest, head, ", "joints: 'head' is listed twice"),
        ("[head, chest, ", "[head, chest, no, ", "joints[2]: expected a name; found False"),
        ("joints: [head, chest, left_hand, right_hand]", "joints: head", "joints: expected a list of names"),
        ("joints: [head, chest, left_hand, right_hand]", "joints: []", "joints: the list is empty"),
        ("[head, chest], ", "[head, chest, head], ", "bones[0]: expected a pair of joints; found a list"),
        ("[head, chest], ", "[head, head], ", "bones[0]: 'head' is paired with itself"),
        ("[head, chest], ", "[head, chest], [chest, head], ", "bones[1]: the pair chest, head is listed twice"),
        ("[head, chest], ", "", "bones: joint 'head' is no bone's child"),
        (
            "[head, chest], [left_hand, chest]",
            "[head, left_hand], [left_hand, right_hand]",
            None,  # a longer way to the centre is a way
        ),
        (
            "[[head, chest], [left_hand, chest], [right_hand, chest]]",
            "[[head, left_hand], [left_hand, right_hand], [right_hand, head]]",
            "from joint 'head' the parents never reach the centre 'chest'",
        ),
        ("[[left_hand, right_hand]]", "[[left_hand, right_hand], [left_hand, head]]", "mirror: 'left_hand' is in two"),
        ("bones: [[head", "bones: [head", ".yaml:3: expected"),
        (STICK, "- a list", "expected the keys name, joints, bones, centre, mirror, derive; found a list"),
        (STICK, "", "found nothing"),
        ("centre: chest", "centre: chest\nderive: [nose]", "derive: expected a mapping of joints"),
        ("centre: chest", "centre: chest\nderive: {haed: [nose]}", "derive: no joint 'haed'; did you mean 'head'?"),
        ("centre: chest", "centre: chest\nderive: {head: nose}", "derive.head: expected a list of names; found 'nose'"),
        ("centre: chest", "centre: chest\nderive: {head: []}", "derive.head: expected one or more other joints"),
        ("centre: chest", "centre: chest\nderive: {head: [head]}", "derive.head: expected one or more other joints"),
    ],
)
def test_a_wrong_layout_is_one_line_that_names_file_and_key(tmp_path, old, new, message):
    path = tmp_path / "stick.yaml"
    assert old in STICK
    path.write_text(STICK.replace(old, new))
    if message is None:
        load_skeleton(str(path))
        return
    with pytest.raises(LayoutError) as error:
        load_skeleton(str(path))
    assert str(path) in str(error.value)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_layout_error_is_a_value_error():
    assert issubclass(LayoutError, ValueError)


@pytest.mark.parametrize("layout", NUM_JOINT)
def test_description_is_plain_yaml_and_reads_back(layout):
    skeleton = load_skeleton(layout)
    assert load_skeleton(yaml.safe_load(yaml.safe_dump(skeleton.description))) == skeleton


def test_a_wrong_mapping_is_named_by_its_layout():
    with pytest.raises(LayoutError, match=r"^layout 'stick': centre: no joint 'chset'; did you mean 'chest'"):
        load_skeleton({**yaml.safe_load(STICK), "centre": "chset"})
    with pytest.raises(LayoutError, match=r"^layout 'without a name': key 'name' is missing"):
        load_skeleton({})


def numbered(layout):
    """A body whose joint v is at (v, 2 v) with score 1 - v / 100."""
    joint = np.arange(load_skeleton(layout).num_joint)
    return np.stack([joint, 2.0 * joint, 1 - joint / 100], -1) + [1, 1, 0]


def test_coco_becomes_openpose_with_the_neck_between_the_shoulders():
    body = numbered("coco")
    out = remap(body, load_skeleton("coco"), load_skeleton("openpose"))
    order = [0, None, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3]
    for joint, origin in zip(out, order):
        np.testing.assert_allclose(joint, [6.5, 12, 0.94] if origin is None else body[origin])
    body[5] = 0  # a shoulder
    assert not remap(body, load_skeleton("coco"), load_skeleton("openpose"))[1].any()


@pytest.mark.parametrize(
    "source, target, order",
    [
        ("body_25", "openpose", [0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18]),
        ("body_25", "coco", [0, 16, 15, 18, 17, 5, 2, 6, 3, 7, 4, 12, 9, 13, 10, 14, 11]),
        ("openpose", "penn-action", [0, 5, 2, 6, 3, 7, 4, 11, 8, 12, 9, 13, 10]),
        ("coco", "penn-action", [0, *range(5, 17)]),
    ],
)
def test_joints_keep_their_names_between_layouts(source, target, order):
    body = numbered(source)
    np.testing.assert_array_equal(remap(body, load_skeleton(source), load_skeleton(target)), body[order])


def test_joints_that_cannot_be_had_are_named():
    with pytest.raises(LayoutError, match="penn-action cannot be made into coco: it lacks nose, left_eye, right_eye"):
        remap(np.zeros((13, 3)), load_skeleton("penn-action"), load_skeleton("coco"))
    with pytest.raises(LayoutError, match=r"points of layout coco have shape \(..., 17, 3\), not \(18, 3\)"):
        remap(np.zeros((18, 3)), load_skeleton("coco"), load_skeleton("openpose"))


@st.composite
def bodies(draw, num_joint):
    """(T, V, 3) float32 with missing joints."""
    shape = (draw(st.integers(0, 3)), num_joint, 3)
    points = draw(arrays(np.float32, shape, elements=st.floats(0.125, 1024, width=32)))
    return points * draw(arrays(bool, shape[:2]))[..., None]


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_remap_keeps_bodies_and_zeros(data):
    coco, openpose, layout = (
        load_skeleton(name) for name in ("coco", "openpose", data.draw(st.sampled_from(known_layouts())))
    )
    points = data.draw(bodies(layout.num_joint))
    np.testing.assert_array_equal(remap(points, layout, layout), points)
    points = data.draw(bodies(17))
    there = remap(points, coco, openpose)
    np.testing.assert_array_equal(remap(there, openpose, coco), points)
    np.testing.assert_array_equal(there[:, 1].any(-1), points[:, 5].any(-1) & points[:, 6].any(-1))
    assert there.dtype == points.dtype and not remap(np.zeros_like(points), coco, openpose).any()
