"""The starter model on real clips between standing still, and one after the other."""

from pathlib import Path

import numpy as np
import pytest

from feeder.readers import penn_action
from feeder.synthetic.stream import Part, make_stream, score
from processor.recognizer import UNKNOWN, Recognizer
from processor.video.segments import segments_of
from processor.video.vote import LongestLabel, Vote, answer_of_mean
from processor.video.windows import WindowClassifier

STARTER = Path(__file__).resolve().parents[3] / "resource" / "models" / "starter.pt"


@pytest.fixture(scope="module")
def recognizer():
    return Recognizer.from_checkpoint(STARTER, use_gpu=False)


@pytest.fixture(scope="module")
def clips(real_data):
    """A test clip of each sport: (T, 13, 3) in heights of its frame, and the label."""
    found = {}
    for clip in penn_action.list_clips(real_data / "penn_action", "val").clips:
        if clip.label not in found:
            sequence = penn_action.read(clip.path)
            width, height = sequence.frame_size
            joints = np.concatenate([sequence.keypoints[0] * [width / height, 1], sequence.scores[0][..., None]], -1)
            if 50 <= len(joints) <= 150:
                found[clip.label] = (joints, penn_action.ACTIONS[clip.label].replace("_", " "))
    return [found[label] for label in sorted(found)]


def watch(recognizer, stream):
    classifier = WindowClassifier(recognizer, recognizer.skeleton, (640, 480), short=32, short_stride=8)
    for index, joints in enumerate(stream):
        pixels = (joints * [480, 480, 1] + [320, 240, 0]) * (joints[:, 2:] > 0)
        classifier.add_frame(index, index / 30, pixels[None].astype(np.float32))
    return classifier.finish(), segments_of(recognizer, classifier.short_windows)


def still(pose, frames, rng):
    """(V, 3) -> (frames, V, 3), swaying a little."""
    moved = np.repeat(pose[None], frames, 0)
    moved[..., :2] += (np.cumsum(rng.normal(0, 0.0005, (frames, 1, 2)), 0)) * (moved[..., 2:] > 0)
    return moved


def test_standing_before_and_after_an_action_does_not_hide_it(recognizer, clips):
    rng, right, by_mean = np.random.default_rng(0), 0, 0
    for joints, label in clips:
        stream = np.concatenate([still(joints[0], 75, rng), joints, still(joints[-1], 75, rng)])
        windows, segments = watch(recognizer, stream)
        longest, vote = LongestLabel(), Vote(recognizer.num_class)
        for segment in segments:
            longest.add(segment)
        for window in windows:
            vote.add(window.probability, window.seen)
        right += longest.answer(len(stream) / 30)[0] == label
        by_mean += answer_of_mean(recognizer, vote.mean)[0] == label
    assert len(clips) >= 12 and right >= 0.6 * len(clips) and right > by_mean


def test_standing_still_is_unknown(recognizer, clips):
    rng = np.random.default_rng(0)
    seconds = {True: 0.0, False: 0.0}
    for joints, _ in clips:
        for segment in watch(recognizer, still(joints[0], 150, rng))[1]:
            seconds[segment.label == UNKNOWN] += segment.end - segment.begin
    assert seconds[True] > 4 * seconds[False]


def test_actions_one_after_the_other_are_told_apart(recognizer, clips):
    rng = np.random.default_rng(0)
    pauses = [still(joints[0], 60, rng) for joints, _ in clips]
    stream, truth = make_stream(clips, pauses, 40, 0)
    found = [
        Part(segment.label if segment.recognised else None, segment.first, segment.last)
        for segment in watch(recognizer, stream)[1]
    ]
    result = score(truth, found)
    assert result.f1 >= 0.5 and result.labelled <= 0.5  # pauses are frozen moments of the actions themselves
