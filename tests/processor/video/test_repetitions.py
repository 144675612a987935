"""Repetitions in the segments of the demo: counted where the label says that something is repeated, and nowhere else."""

import json

import numpy as np
import pytest

from feeder.skeleton import load_skeleton
from processor.video.repetitions import LiveRepetitions, is_counted, with_repetitions
from processor.video.result import segment_row
from processor.video.segments import Segment

SKELETON = load_skeleton("openpose")
FPS = 30.0


def squatting(times, period=45):
    """(T, 18, 3): a body that stands, goes down and up so often, and stands again."""
    joints = np.zeros((18, 3), np.float32)
    for i, name in enumerate(SKELETON.joints):
        height = {"hip": 100, "knee": 50, "ankle": 0}.get(name.split("_")[-1], 170)
        joints[i] = 300 + (20 if name.startswith("left") else -20), 400 - height, 1
    depth = (1 - np.cos(2 * np.pi * np.arange(times * period) / period)) / 2
    depth = np.concatenate([np.zeros(30), depth, np.zeros(30)])
    low = np.array([not name.endswith(("knee", "ankle")) for name in SKELETON.joints])
    clip = np.repeat(joints[None], len(depth), 0)
    clip[:, low, 1] += 60 * depth[:, None]
    return clip


def segment(label, first, last, track=1):
    return Segment(track, label, first, last, first / FPS, last / FPS, 0.9)


@pytest.mark.parametrize("label", ["squat", "Squats", "push-ups", "jumping jacks", "Jogging in place", "sit up"])
def test_labels_that_are_counted(label):
    assert is_counted(segment(label, 0, 9))


@pytest.mark.parametrize("label", ["unknown", "bowl", "stand up", "walk", ""])
def test_labels_that_are_not(label):
    assert not is_counted(segment(label, 0, 9))


def test_each_person_and_each_segment_has_its_own_count():
    a, b = squatting(4), squatting(2)
    frames = []
    for i in range(len(a)):
        present = [(1, a[i]), *([(2, b[i] + [200, 0, 0])] if i < len(b) else [])]
        frames.append((np.array([track for track, _ in present]), np.stack([joints for _, joints in present])))
    segments = [
        segment("squat", 0, len(a) - 1),
        segment("squat", 0, len(b) - 1, track=2),
        segment("bowl", 0, len(a) - 1),
        segment("squat", 30, 30 + 2 * 45),
    ]
    found = with_repetitions(segments, frames, SKELETON, FPS)
    assert [each.repetitions for each in found] == [4, 2, None, 2]
    first = found[0]
    assert all(first.first <= moment <= first.last for moment in first.moments)
    assert [first.told(frame) for frame in (0, len(a))] == ["squat × 0", "squat × 4"] and first.told() == "squat × 4"
    assert (
        json.loads(json.dumps(segment_row(first)))["repetitions"] == 4 and segment_row(found[2])["repetitions"] is None
    )


def test_frames_are_not_read_where_nothing_is_counted():
    def never():
        raise AssertionError
        yield

    segments = [segment("bowl", 0, 9)]
    assert with_repetitions(segments, never(), SKELETON, FPS) == segments


def test_a_person_who_is_gone_for_a_moment_is_counted_on():
    clip = squatting(3)
    frames = [
        (np.array([1]), joints[None]) if i % 10 else (np.zeros(0, int), np.zeros((0, 18, 3)))
        for i, joints in enumerate(clip)
    ]
    (found,) = with_repetitions([segment("squat", 0, len(clip) - 1)], frames, SKELETON, FPS)
    assert found.repetitions == 3


def test_at_a_camera_a_growing_segment_ends_with_the_count_of_a_file():
    a, b = squatting(4), squatting(2)
    live, told = LiveRepetitions(SKELETON, FPS), []
    for i in range(len(a)):
        persons = [(1, a[i]), *([(2, b[i])] if i < len(b) else [])]
        live.add(i, i / FPS, np.array([track for track, _ in persons]), np.stack([joints for _, joints in persons]))
        if i % 8 == 7:  # the beginning is found out later, as the segmenter does
            over = [segment("squat", 20, len(b) - 1, track=2)] if i - 7 < len(b) <= i else []
            growing = [segment("squat", 0 if i < 40 else 20, i), segment("bowl", 0, i, track=3)]
            over, growing = live.count(over, growing)
            assert [each.repetitions for each in over] == [2] * len(over)
            assert growing[1].moments is None and len(live.running) == 1
            told.append(growing[0].repetitions)
    assert told[0] == 0 and 1 in told and 2 in told and told[-1] == 4
    (end,), _ = live.count([segment("squat", 20, len(a) - 1)], [])
    (file,) = with_repetitions([segment("squat", 20, len(a) - 1)], frames_of(a), SKELETON, FPS)
    assert end.repetitions == file.repetitions == 4
    np.testing.assert_allclose(end.moments, file.moments, atol=3)
    assert not live.running


def test_at_a_camera_ten_minutes_take_no_more_memory_than_one():
    live, clip = LiveRepetitions(SKELETON, FPS), squatting(4)[30:-30]
    for i in range(5 * len(clip)):
        live.add(i, i / FPS, np.array([1]), clip[i % len(clip)][None])
        if i % 8 == 7:
            _, (now,) = live.count([], [segment("squat", 0, i)])
            (counting,) = live.running.values()
            assert len(counting.counter.samples) <= 21 * FPS and len(live.seen[1]) <= 11 * FPS
    assert abs(now.repetitions - 20) <= 1


def frames_of(clip):
    return [(np.array([1]), joints[None]) for joints in clip]
