"""The windows are those of WindowClassifier, and what is said of them is what the network says of each person's sequence."""

import numpy as np
import pytest
import torch

from feeder.skeleton import load_skeleton
from processor.calibrate import predict_frame_by_frame
from processor.recognizer import Recognizer
from processor.video.continual import ContinualClassifier
from processor.video.windows import WindowClassifier
from tests.processor.test_continual import BLOCKS, save

BODY = load_skeleton("penn-action")
SIZE, STRIDE, FPS, FRAME = 32, 8, 30, (640, 480)
DELAY = 8


@pytest.fixture(scope="module")
def recognizers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("continual")
    return {
        persons: Recognizer.from_checkpoint(save(folder / f"{persons}.pt", "st_gcn", persons, blocks=BLOCKS), False)
        for persons in (1, 2)
    }


def figures(T, x, seed=0):
    """Somebody about x who moves: (T, V, 3) in pixels."""
    rng = np.random.default_rng(seed)
    places = rng.uniform(0, 60, (1, 13, 2)) + np.cumsum(rng.normal(0, 1, (T, 13, 2)), 0) + [x, 200]
    return np.concatenate([places, np.full((T, 13, 1), 0.9)], 2).astype(np.float32)


def watch(classifier, frames, times=None):
    """frames: for each, the list of figures."""
    arrived = []
    for index, persons in enumerate(frames):
        seconds = index / FPS if times is None else times[index]
        classifier.add_frame(index, seconds, np.array(persons, np.float32).reshape(-1, 13, 3))
        arrived += [index] * (len(classifier.windows) - len(arrived))
    classifier.finish()
    return arrived


def both(recognizer, frames, times=None):
    found = []
    for kind in (ContinualClassifier, WindowClassifier):
        classifier = kind(recognizer, BODY, FRAME, SIZE, STRIDE, FPS, short=16, short_stride=4, batch=1)
        watch(classifier, frames, times)
        found.append(classifier)
    return found


def places(windows):
    return [(w.track, w.first, w.last, w.begin, w.end, w.seen) for w in windows]


A, B = figures(200, 60), figures(200, 500, seed=1)
HOLES = np.random.default_rng(2).random(200) < 0.8
SCENES = {
    "one": [[a] for a in A],
    "short": [[a] for a in A[:21]],
    "hardly": [[a] for a in A[:9]],
    "holes": [[a] if hole else [] for a, hole in zip(A, HOLES)],
    "gone for a moment": [[a] if not 60 <= t < 80 else [] for t, a in enumerate(A)],
    "gone and back": [[a] if not 60 <= t < 110 else [] for t, a in enumerate(A)],
    "two": [[a, b] for a, b in zip(A, B)],
    "one comes, one goes": [([a] if t < 130 else []) + ([b] if t > 37 else []) for t, (a, b) in enumerate(zip(A, B))],
    "nobody": [[]] * 40,
}


@pytest.mark.parametrize("scene", SCENES)
def test_the_windows_are_those_of_the_other_classifier(recognizers, scene):
    ours, theirs = both(recognizers[1], SCENES[scene])
    assert places(ours.windows) == places(theirs.windows)
    assert places(ours.short_windows) == places(theirs.short_windows)
    assert all(np.isclose(w.probability.sum(), 1) for w in ours.windows + ours.short_windows)
    assert all(w.attention.shape[1] == 13 and w.attention.max() == 1 for w in ours.windows)
    assert all(len(w.attention) <= SIZE // 2 for w in ours.windows)


@pytest.mark.parametrize("rate", [15, 25, 60])
def test_other_frame_rates_are_brought_to_that_of_the_network(recognizers, rate):
    ours, theirs = both(recognizers[1], [[a] for a in A[: 3 * rate]], np.arange(3 * rate) / rate)
    assert places(ours.windows) == places(theirs.windows) and len(ours.windows) > 3


@pytest.mark.parametrize("scene", ["one", "one comes, one goes"])
def test_a_person_among_others_has_the_predictions_that_its_sequence_has(recognizers, scene):
    recognizer = recognizers[1]
    classifier = ContinualClassifier(recognizer, BODY, FRAME, SIZE, STRIDE, FPS)
    watch(classifier, SCENES[scene])
    for track, joints in ((0, A if scene == "one" else A[:130]), (1, B[38:])):
        windows = [window for window in classifier.windows if window.track == track]
        if not windows:
            continue
        x = (joints / [640, 480, 1] - [0.5, 0.5, 0]).transpose(2, 0, 1)[..., None].astype(np.float32)
        expected = predict_frame_by_frame(recognizer, [x], np.array([640 / 480]), SIZE, STRIDE)
        assert len(windows) == len(expected.probability)
        for window, probability in zip(windows, expected.probability):
            np.testing.assert_allclose(window.probability, probability, atol=1e-4)


def test_predictions_are_late_by_the_delay_of_the_network(recognizers):
    classifier = ContinualClassifier(recognizers[1], BODY, FRAME, SIZE, STRIDE, FPS)
    arrived = watch(classifier, SCENES["one"])
    ends = [window.last for window in classifier.windows]
    late = [index - last for index, last in zip(arrived, ends)]
    assert len(arrived) >= 20 and set(late) == {DELAY}


def test_persons_at_the_same_moment_are_one_batch(recognizers):
    classifier = ContinualClassifier(recognizers[1], BODY, FRAME, SIZE, STRIDE, FPS)
    batches, plain = [], classifier.continual.add
    classifier.continual.add = lambda persons, clips: (batches.append(len(persons)), plain(persons, clips))
    watch(classifier, [[a, b] if t >= 40 else [a] for t, (a, b) in enumerate(zip(A, B))])
    assert set(batches) == {1, 2} and batches.count(2) >= 15


def test_a_network_of_two_persons_sees_the_company_in_its_place(recognizers):
    recognizer = recognizers[2]
    classifier = ContinualClassifier(recognizer, BODY, FRAME, SIZE, STRIDE, FPS)
    clips, plain = {0: [], 1: []}, classifier._next_clip
    classifier._next_clip = lambda number, frames: clips[number].append(plain(number, frames)) or clips[number][-1]
    scene = [[a, b] if 40 <= t < 100 else [a] for t, (a, b) in enumerate(zip(A, B))]
    watch(classifier, scene)
    mine = np.concatenate(clips[0], 1)  # (3, T, V, M)
    x = (A / [640, 480, 1] - [0.5, 0.5, 0]).transpose(2, 0, 1)
    y = (B / [640, 480, 1] - [0.5, 0.5, 0]).transpose(2, 0, 1)
    np.testing.assert_allclose(mine[..., 0], x, atol=1e-5)
    there = mine[..., 1].any((0, 2))
    assert there[40:100].all() and not there[:40].any() and not there[100:].any()
    np.testing.assert_allclose(mine[:, 40:100, :, 1], y[:, 40:100], atol=1e-5)


def test_memory_is_that_of_one_window_and_the_delay(recognizers):
    classifier = ContinualClassifier(recognizers[1], BODY, FRAME, SIZE, STRIDE, FPS)
    for index in range(400):
        classifier.add_frame(index, index / FPS, A[index % 200][None])
    (track,) = classifier.tracks.values()
    assert len(track.samples) <= SIZE + DELAY + 16
    tensors = [track.person.state.recent, *(each for kept in track.person.state.kept for each in kept)]
    assert sum(each.numel() for each in tensors) < 20_000
    assert all(isinstance(each, torch.Tensor) for each in tensors) and track.person.running.waiting is None
    classifier.add_frame(401, 401 / FPS + 2, np.zeros((0, 13, 3), np.float32))
    assert not classifier.tracks
