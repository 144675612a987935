"""Inspection of real recordings: what is known to be wrong with them is found, defects that are put in too, and little else."""

from pathlib import Path

import numpy as np
import pytest

from feeder.inspection.body import Body, cut, persons
from feeder.inspection.inspection import inspect
from feeder.inspection.measure import Setting, measure
from feeder.readers import nw_ucla, penn_action, sbu, utd_mhad
from feeder.skeleton import load_skeleton

SETS = {"nw-ucla": (nw_ucla, "nw_ucla/all_sqe", 3), "utd-mhad": (utd_mhad, "utd_mhad", 3)}
SETS |= {"sbu": (sbu, "sbu_interaction", 3), "penn-action": (penn_action, "penn_action/labels", 2)}


def part(real_data, name, which, every=1):
    """Names, labels, clips (C, T, V, M), aspects of a part."""
    reader, folder, _ = SETS[name]
    listed = reader.list_clips(real_data / folder, which).clips[::every]
    sequences = [reader.read(Path(clip.path)) for clip in listed]
    aspect = [s.frame_size[0] / s.frame_size[1] if s.frame_size else 1.0 for s in sequences]
    return [clip.name for clip in listed], [clip.label for clip in listed], [s.array() for s in sequences], aspect


def stacked(clips):
    T = max(clip.shape[1] for clip in clips)
    return np.stack([np.pad(clip, ((0, 0), (0, T - clip.shape[1]), (0, 0), (0, 0))) for clip in clips])


def spots(clips, aspect, name, kinds):
    skeleton = load_skeleton(name)
    measures = measure(clips, aspect, Setting(Body.of(skeleton, skeleton.num_joint), SETS[name][2]))
    return [(i, spot) for i, spot in measures.spots if spot.kind in kinds]


def test_nw_ucla_as_published_has_95_test_clips_in_the_training(real_data, write):
    sources = []
    for which in ("train", "val"):
        names, label, clips, _ = part(real_data, "nw-ucla", which)
        sources.append(write(stacked(clips), which, names, label, layout="nw-ucla", dimension=3))
    findings = {each.kind: each for each in inspect(sources).findings}
    pairs = {(place.name, place.twin[2]) for place in findings["leakage"].places}
    assert pairs == {(name, name.replace("v03", "v02")) for name, _ in pairs} and len(pairs) == 95
    assert {name[:3] for name, _ in pairs} == {"a02", "a03"}
    by_hand = {twin: (real_data / "nw_ucla/all_sqe" / f"{twin}.json").read_text() for _, twin in pairs}
    for name, twin in pairs:
        same = (real_data / "nw_ucla/all_sqe" / f"{name}.json").read_text()
        assert same.replace(name, twin) == by_hand[twin]
    assert {place.name for place in findings["one_frame"].places} == {"a02_s09_e04_v02", "a02_s09_e04_v03"}


def test_penn_action_has_one_empty_and_one_frozen_clip_and_no_clip_twice(real_data, write):
    sources = []
    for which in ("train", "val"):
        names, label, clips, _ = part(real_data, "penn-action", which)
        sources.append(write(stacked(clips), which, names, label, layout="penn-action"))
    findings = {each.kind: [place.name for place in each.places] for each in inspect(sources).findings}
    assert findings["empty"] == ["1516"] and findings["frozen"] == ["1929"]
    assert findings["flip"] == ["0159"]  # in its first frame the legs are the other way round
    assert set(findings) == {"empty", "frozen", "cut", "jump", "bone", "flip", "pause"}
    assert sum(map(len, findings.values())) < 25


@pytest.mark.parametrize("name, most", [("nw-ucla", 0.12), ("utd-mhad", 0.01), ("sbu", 0.01), ("penn-action", 0.005)])
def test_few_clips_have_a_jump_or_a_cut(name, most, real_data):
    _, _, clips, aspect = part(real_data, name, "train", every=3)
    assert len({i for i, _ in spots(clips, aspect, name, ("jump", "cut"))}) <= most * len(clips)


@pytest.mark.parametrize("name", SETS)
def test_no_sides_and_no_persons_are_said_to_swap(name, real_data):
    names, _, clips, aspect = part(real_data, name, "train", every=2)
    assert {names[i] for i, _ in spots(clips, aspect, name, ("flip", "swap"))} <= {"0159"}


@pytest.mark.parametrize(
    "name, least", [("nw-ucla", 0.95), ("utd-mhad", 1.0), ("sbu", 1.0), ("penn-action", 0.75)]
)  # Penn: one side is hidden
def test_swapped_sides_are_found_in_their_frames(name, least, real_data):
    _, _, clips, aspect = part(real_data, name, "val", every=4)
    flip, rng, hits, total = load_skeleton(name).flip, np.random.default_rng(0), 0, 0
    for clip, a in zip(clips, aspect):
        T = cut(clip)[0].shape[1]
        if T < 16:
            continue
        first = int(rng.integers(4, T - 8))
        last = first + int(rng.integers(1, 6))
        clip[:, first : last + 1] = clip[:, first : last + 1][:, :, flip]
        total += 1
        found = spots([clip], [a], name, ("flip",))
        hits += (first, last) in [(spot.first, spot.last) for _, spot in found]
    assert total > 10 and hits >= least * total


@pytest.mark.parametrize("name, least", [("nw-ucla", 0.85), ("utd-mhad", 0.95), ("sbu", 0.95), ("penn-action", 0.85)])
def test_a_joint_that_jumps_by_half_a_body_is_found(name, least, real_data):
    _, _, clips, aspect = part(real_data, name, "val", every=4)
    rng, hits, total = np.random.default_rng(0), 0, 0
    for clip, a in zip(clips, aspect):
        short, seen = cut(clip)
        T, V = seen.shape[:2]
        if T < 16:
            continue
        t, v = int(rng.integers(4, T - 4)), int(rng.integers(V))
        if not seen[t - 1 : t + 2, v, 0].all():
            continue
        clip[1, t, v, 0] += 0.5 * persons(short, seen, SETS[name][2], a)[0].size
        total += 1
        found = [(spot.first, spot.last, spot.detail) for _, spot in spots([clip], [a], name, ("jump",))]
        hits += any(first <= t <= last and joint == load_skeleton(name).joints[v] for first, last, joint in found)
    assert total > 10 and hits >= least * total


def test_persons_who_exchange_places_are_found_in_sbu(real_data):
    _, _, clips, aspect = part(real_data, "sbu", "train", every=2)
    rng = np.random.default_rng(0)
    for clip, a in zip(clips, aspect):
        T = cut(clip)[0].shape[1]
        first = int(rng.integers(2, T // 2))
        last = first + int(rng.integers(0, T // 2 - 2))
        clip[:, first : last + 1] = clip[:, first : last + 1, :, ::-1].copy()
        wanted = {(first, last), (0, first - 1), (last + 1, T - 1)}  # the side with fewer frames
        assert {(spot.first, spot.last) for _, spot in spots([clip], [a], "sbu", ("swap",))} <= wanted
        assert spots([clip], [a], "sbu", ("swap",))
