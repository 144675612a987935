"""Segments against the plain formulation: every path through a hidden Markov model, tried one by one."""

from itertools import pairwise, product
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processor.recognizer import UNKNOWN, Recognizer
from processor.video import segments
from processor.video.segments import Segment, Segmenter, segments_of
from processor.video.vote import LongestLabel
from processor.video.windows import Window

NAMES = ["run", "jump", "other"]
STEP, LENGTH = 8 / 30, 31 / 30  # seconds


def recognizer(threshold=0.5):
    own = SimpleNamespace(label_names=NAMES, threshold=threshold, num_class=3)
    own.is_answer = np.array([True, True, False])
    own.decide = lambda probability: Recognizer.decide(own, probability)
    return own


def windows(probabilities, track=0, start=0):
    """Windows of 32 frames, every 8, at 30 frames a second."""
    return [
        Window(
            track, start + 8 * i, start + 8 * i + 31, (start + 8 * i) / 30, (start + 8 * i + 31) / 30, 32, np.array(p)
        )
        for i, p in enumerate(probabilities)
    ]


def sure(label, of=0.9):
    rest = (1 - of) / 2
    return [of if name == label else rest for name in NAMES]


def told(found):
    return [(segment.label, segment.first, segment.last) for segment in found]


def test_one_thing_is_one_segment_from_the_first_frame_to_the_last():
    found = segments_of(recognizer(), windows([sure("run")] * 20))
    assert told(found) == [("run", 0, 19 * 8 + 31)]
    assert found[0].score == pytest.approx(0.9) and (found[0].begin, found[0].end) == (0, pytest.approx(183 / 30))


def test_another_thing_begins_half_way_between_the_middles_of_the_windows():
    found = segments_of(recognizer(), windows([sure("run")] * 10 + [sure("jump")] * 10))
    assert [segment.label for segment in found] == ["run", "jump"]
    assert found[0].end == found[1].begin and found[1].first == found[0].last + 1
    middle = (8 * 9 + 15.5 + 8 * 10 + 15.5) / 2 / 30  # the weights of the neighbours are alike on both sides
    assert found[0].end == pytest.approx(middle, abs=1.01 * STEP)


def test_standing_still_before_and_after_stays_unknown_and_the_action_is_found():
    still = [sure("other", 0.98)] * 15
    found = segments_of(recognizer(), windows(still + [sure("jump")] * 6 + still))
    assert [segment.label for segment in found] == [UNKNOWN, "jump", UNKNOWN]
    longest = LongestLabel()
    for segment in found:
        longest.add(segment)
    assert longest.answer(found[-1].end)[0] == "jump"
    mean = np.mean([sure("other", 0.98)] * 30 + [sure("jump")] * 6, axis=0)
    assert recognizer().decide(mean)[0] == UNKNOWN  # so says the mean


def test_one_odd_window_is_smoothed_away():
    odd = [sure("run")] * 10 + [sure("jump", 0.6)] + [sure("run")] * 10
    assert [segment.label for segment in segments_of(recognizer(), windows(odd))] == ["run"]


def test_a_label_that_the_network_never_says_is_unknown():
    weak = [[0.45, 0.2, 0.35]] * 20  # the best label, below the threshold
    assert [segment.label for segment in segments_of(recognizer(0.5), windows(weak))] == [UNKNOWN]
    assert [segment.label for segment in segments_of(recognizer(0.4), windows(weak))] == ["run"]


def test_weak_moments_within_an_action_do_not_end_it():
    weak = [sure("run")] * 5 + [[0.45, 0.1, 0.45]] * 4 + [sure("run")] * 5
    assert [segment.label for segment in segments_of(recognizer(), windows(weak))] == ["run"]


def test_a_person_who_was_away_is_two_segments_with_a_gap():
    found = segments_of(recognizer(), windows([sure("run")] * 8) + windows([sure("run")] * 8, start=200))
    assert told(found) == [("run", 0, 87), ("run", 200, 287)]


def test_persons_have_segments_of_their_own():
    found = segments_of(recognizer(), windows([sure("run")] * 8) + windows([sure("jump")] * 8, track=3, start=4))
    assert [(segment.track, segment.label) for segment in found] == [(0, "run"), (3, "jump")]


def test_a_single_short_window_is_a_segment():
    window = Window(0, 0, 11, 0.0, 11 / 30, 12, np.array(sure("run")))
    assert told(segments_of(recognizer(), [window])) == [("run", 0, 11)]


def plain_path(cost):
    """The path of least cost through (T, S), of all that there are."""
    T, S = cost.shape
    of = {path: cost[range(T), path].sum() + segments.SWITCH * sum(a != b for a, b in pairwise(path))
          for path in product(range(S), repeat=T)}  # fmt: skip
    return of


@given(st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_the_path_is_the_cheapest_of_all(seed):
    rng = np.random.default_rng(seed)
    network, given = recognizer(), windows(rng.dirichlet([0.4] * 3, 7))
    person = segments.PersonSegmenter(network, 0)
    cells = []
    for window in given:
        person.add(window)
    while person.waiting:
        person._next_cell()
    cells = [cell for cell, _ in person.cells]
    cost = np.array([segments.costs(network, cell.probability) for cell in cells])
    of = plain_path(cost)
    path = person._path()
    assert len(path) == 7 and of[tuple(path)] == pytest.approx(min(of.values()))


@given(st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_a_cell_is_the_weighted_mean_of_the_windows_over_its_middle(seed):
    rng = np.random.default_rng(seed)
    given = windows(rng.dirichlet([0.5] * 3, 9))
    for window in given:
        window.seen = int(rng.integers(8, 33))
    person = segments.PersonSegmenter(recognizer(), 0)
    for window in given:
        person.add(window)
    while person.waiting:
        person._next_cell()
    for i, (cell, _) in enumerate(person.cells):
        weights = [max(0, 1 - abs(i - k) * STEP / (LENGTH / 2)) * given[k].seen for k in range(9)]
        plain = np.average([window.probability for window in given], axis=0, weights=weights)
        np.testing.assert_allclose(cell.probability, plain)


@given(st.lists(st.tuples(st.sampled_from(NAMES), st.integers(1, 12)), min_size=1, max_size=12), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_segments_follow_one_another_without_gap_and_without_equal_neighbours(parts, seed):
    rng = np.random.default_rng(seed)
    rows = [0.8 * np.array(sure(name)) + 0.2 * rng.dirichlet([1] * 3) for name, count in parts for _ in range(count)]
    found = segments_of(recognizer(), windows(rows))
    assert found[0].first == 0 and found[-1].last == 8 * (len(rows) - 1) + 31
    for a, b in pairwise(found):
        assert b.first == a.last + 1 and a.end == b.begin and a.label != b.label
    assert all(segment.begin < segment.end and 0 <= segment.score <= 1 for segment in found)


def test_what_is_decided_is_said_after_the_delay_and_nothing_grows():
    """An hour of changes: each segment is told before long, and what is remembered stays small."""
    segmenter, rng, found = Segmenter(recognizer()), np.random.default_rng(0), []
    name = "run"
    for i in range(4000):
        if i % 20 == 0:
            name = rng.choice([each for each in NAMES if each != name])
        new = segmenter.add(windows([sure(name)], start=8 * i)[0])
        found += new
        person = segmenter.persons[0]
        assert len(person.cells) < 20 and len(person.windows) < 10
        for segment in new:
            assert 8 * i / 30 - segment.end < segments.DELAY + 20 * STEP + 2
    assert len(found) > 150


def test_what_is_done_now_is_said_without_delay():
    segmenter = Segmenter(recognizer())
    assert segmenter.current(0) is None
    labels = []
    for window in windows([sure("run")] * 10 + [sure("other")] * 10 + [sure("jump")] * 10):
        segmenter.add(window)
        labels.append(segmenter.current(0).label)
    assert labels[0] == "run" and labels[9] == "run" and labels[14] == UNKNOWN and labels[24] == "jump"
    assert [segment.label for segment in segmenter.undecided()][-1] == "jump"


def test_someone_who_has_gone_is_told_whole_and_forgotten():
    segmenter = Segmenter(recognizer())
    for window in windows([sure("run")] * 10):
        assert segmenter.add(window) == []
    assert told(segmenter.finish([0])) == [("run", 0, 103)] and not segmenter.persons
    assert segmenter.finish() == []


# the video's label


def longest(*parts, video=10.0):
    vote = LongestLabel()
    at = 0.0
    for label, seconds, score in parts:
        vote.add(Segment(0, label, round(30 * at), round(30 * (at + seconds)), at, at + seconds, score))
        at += seconds
    return vote.answer(video)


def test_the_label_recognised_for_longest_in_total_wins_and_its_score_is_the_mean_over_time():
    label, score = longest(("run", 1.5, 0.9), (UNKNOWN, 4, 0.9), ("jump", 2, 0.8), ("run", 1, 0.6))
    assert label == "run" and score == pytest.approx((1.5 * 0.9 + 0.6) / 2.5)


def test_less_than_a_second_is_unknown_but_for_a_video_that_is_shorter():
    assert longest(("run", 0.9, 0.99), (UNKNOWN, 9.1, 0.7)) == (UNKNOWN, pytest.approx(0.7))
    assert longest(("run", 0.6, 0.99), video=0.6)[0] == "run"
    assert longest() == (UNKNOWN, 0.0)


def test_a_network_that_knows_no_unknown_never_says_it():
    network = recognizer(threshold=0)
    network.label_names, network.is_answer = ["a", "b", "c"], np.array([True] * 3)
    rng = np.random.default_rng(0)
    found = segments_of(network, windows(rng.dirichlet([1] * 3, 40)))
    assert found and all(segment.recognised for segment in found)
