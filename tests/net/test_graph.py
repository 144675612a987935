"""The subsets of A against counts of the published checkpoints, a plain construction, and what holds for any tree."""

from collections import deque
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feeder.skeleton import Skeleton, load_skeleton
from net import graph
from net.graph import STRATEGIES, Graph

PARTED = tuple(
    strategy for strategy in STRATEGIES if strategy != "directed"
)  # those that part a mean over the neighbours


def plain_subsets(skeleton: Skeleton, strategy: str, max_hop: int = 1, dilation: int = 1) -> np.ndarray:
    """The definition, entry by entry, with distances from a breadth-first search."""
    V = skeleton.num_joint
    neighbours = [set() for _ in range(V)]
    for a, b in skeleton.bones:
        neighbours[a].add(b)
        neighbours[b].add(a)
    distance = np.zeros((V, V), int)
    for start in range(V):
        seen, queue = {start: 0}, deque([start])
        while queue:
            joint = queue.popleft()
            for other in neighbours[joint] - seen.keys():
                seen[other] = seen[joint] + 1
                queue.append(other)
        for joint, hops in seen.items():
            distance[start, joint] = hops

    hops = list(range(0, max_hop + 1, dilation))
    subsets = []
    for hop in hops:
        same, nearer = np.zeros((V, V)), np.zeros((V, V))
        for j in range(V):
            for i in range(V):
                if distance[j, i] != hop:
                    continue
                degree = sum(distance[v, i] in hops for v in range(V))
                j_far, i_far = distance[j, skeleton.centre], distance[i, skeleton.centre]
                if strategy == "spatial":  # beyond max_hop all are equally far
                    j_far, i_far = min(j_far, max_hop + 1), min(i_far, max_hop + 1)
                (nearer if strategy.startswith("spatial") and j_far < i_far else same)[j, i] = 1 / degree
        subsets.append(same)
        if strategy.startswith("spatial") and hop > 0:
            subsets.append(nearer)
    return np.sum(subsets, 0)[None] if strategy == "uniform" else np.stack(subsets)


@st.composite
def trees(draw):
    V = draw(st.integers(1, 12))
    bones = tuple((child, draw(st.integers(0, child - 1))) for child in range(1, V))
    return Skeleton("tree", tuple(f"joint{v}" for v in range(V)), bones, 0, ())


def build(skeleton, *args):
    with mock.patch.object(graph, "load_skeleton", return_value=skeleton):
        return Graph("tree", *args)


@pytest.mark.parametrize(
    "layout, strategy, links",
    [
        ("openpose", "spatial", [18, 25, 9]),
        ("ntu-rgb+d", "spatial", [25, 40, 8]),
        ("openpose", "spatial_exact", [18, 17, 17]),
        ("ntu-rgb+d", "spatial_exact", [25, 24, 24]),
        ("openpose", "distance", [18, 34]),
        ("openpose", "uniform", [52]),
        ("nw-ucla", "directed", [20, 19, 19]),
    ],
)
def test_number_of_links(layout, strategy, links):
    A = Graph(layout, strategy).A
    assert [np.count_nonzero(subset) for subset in A] == links
    assert A.dtype == np.float32 and A.shape == (len(links), *A.shape[1:])


def test_openpose_weights_worked_out_by_hand():
    # The nose (0) has the bones to neck (1) and both eyes (14, 15): with itself, four that feed it.
    A = Graph("openpose", "spatial_exact").A
    assert A[0, 0, 0] == 0.25
    assert {v: A[1, v, 0] for v in np.flatnonzero(A[1, :, 0])} == {14: 0.25, 15: 0.25}  # farther from the centre
    assert {v: A[2, v, 0] for v in np.flatnonzero(A[2, :, 0])} == {1: 0.25}  # nearer
    # An ankle (10) is fed by its knee (9), which is nearer; with distances cut at one hop they count as equal.
    assert A[2, 9, 10] == 0.5
    assert Graph("openpose", "spatial").A[1, 9, 10] == 0.5


@pytest.mark.parametrize("strategy", PARTED)
@pytest.mark.parametrize("max_hop, dilation", [(1, 1), (2, 1), (3, 2), (4, 2), (0, 1)])
@pytest.mark.parametrize("layout", ["openpose", "ntu-rgb+d", "penn-action"])
def test_equals_the_plain_construction(layout, strategy, max_hop, dilation):
    expected = plain_subsets(load_skeleton(layout), strategy, max_hop, dilation)
    np.testing.assert_array_equal(Graph(layout, strategy, max_hop, dilation).A, expected.astype(np.float32))


@settings(max_examples=60, deadline=None)
@given(trees(), st.sampled_from(PARTED), st.integers(0, 4), st.integers(1, 3))
def test_any_tree(skeleton, strategy, max_hop, dilation):
    A = build(skeleton, strategy, max_hop, dilation).A
    np.testing.assert_allclose(A, plain_subsets(skeleton, strategy, max_hop, dilation), rtol=1e-6)
    np.testing.assert_allclose(A.sum((0, 1)), 1, rtol=1e-5)  # every joint takes a mean
    assert ((A > 0).sum(0) <= 1).all()  # the subsets part the links
    assert (A[0][~np.eye(skeleton.num_joint, dtype=bool)] == 0).all() or strategy == "uniform"


@settings(max_examples=30, deadline=None)
@given(trees())
def test_exact_subsets_of_a_tree_mirror_each_other(skeleton):
    _, farther, nearer = build(skeleton, "spatial_exact").A
    np.testing.assert_array_equal(farther > 0, (nearer > 0).T)
    for child, parent in skeleton.bones:
        assert farther[child, parent] > 0 and nearer[parent, child] > 0


def test_exact_and_original_differ_on_as_many_links_as_the_original_misplaces():
    for layout, misplaced in (("openpose", 8), ("ntu-rgb+d", 16)):
        difference = (Graph(layout, "spatial").A != Graph(layout, "spatial_exact").A).any(0)
        assert np.count_nonzero(difference) == misplaced


@settings(max_examples=30, deadline=None)
@given(trees())
def test_directed_gives_to_the_parent_and_shares_out_among_the_children(skeleton):
    A = build(skeleton, "directed").A
    plain = np.zeros_like(A)
    for v in range(skeleton.num_joint):
        plain[0, v, v] = 1
        children = [child for child, parent in skeleton.bones if parent == v]
        for child in children:
            plain[1, child, v] = 1
            plain[2, v, child] = np.float32(1 / len(children))
    np.testing.assert_array_equal(A, plain)


def test_directed_weights_worked_out_by_hand():
    # NTU's joint 21 (20 from 0) lies between the shoulders: spine 2, neck 3, shoulders 5 and 9 feed it, and it feeds them.
    _, inward, outward = Graph("ntu-rgb+d", "directed").A
    assert {v: inward[v, 20] for v in np.flatnonzero(inward[:, 20])} == {1: 1, 2: 1, 4: 1, 8: 1}
    assert {w: outward[20, w] for w in np.flatnonzero(outward[20])} == {1: 0.25, 2: 0.25, 4: 0.25, 8: 0.25}
    assert not inward[20].any() and not outward[:, 20].any()  # it has no parent
    # The left hand is joint 8, whose end is the thumb 23, whose end is the fingertip 22.
    assert inward[21, 22] == inward[22, 7] == outward[7, 22] == outward[22, 21] == 1


def test_str_is_text():
    assert str(Graph("openpose", "spatial")) == "openpose, spatial: 18 joints, 3 subsets of 18/25/9 links"


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"strategy": "spacial"}, "unknown graph strategy 'spacial'; did you mean 'spatial'?"),
        ({"strategy": "xyz"}, "expected one of uniform, distance, spatial, spatial_exact"),
        ({"layout": "openpos"}, "did you mean 'openpose'?"),
        ({"max_hop": -1}, "max_hop must be a whole number from 0 to 100; found -1"),
        ({"strategy": "directed", "max_hop": 2}, "strategy directed needs max_hop 1 and dilation 1; found 2, 1"),
        ({"dilation": 0}, "dilation must be a whole number from 1 to 100; found 0"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError) as error:
        Graph(**arguments)
    assert message in str(error.value)
