"""The windows of tracked persons are those of feeder.windows.spans, also for persons who leave and return."""

import copy
from types import SimpleNamespace

import numpy as np
import pytest

from feeder.skeleton import load_skeleton
from feeder.windows import spans
from processor.recognizer import Prediction
from processor.video.windows import LEAST, WindowClassifier, best_seen

SIZE, STRIDE, FPS = 64, 16, 30
OPENPOSE = load_skeleton("openpose")
BODY = np.random.default_rng(0).uniform(0, 60, (18, 2))


def figure(x, score=0.9):
    """Somebody standing at x: (V, 3)."""
    return np.concatenate([BODY + [x, 100], np.full((18, 1), score)], 1).astype(np.float32)


class Recorder(SimpleNamespace):
    """In the place of a recogniser: remembers the clips and how many came at once."""

    def __init__(self, num_person=1):
        super().__init__(skeleton=OPENPOSE, num_person=num_person, num_class=2, clips=[], calls=[])

    def __call__(self, clips, aspect):
        assert len({clip.shape for clip in clips}) == 1 and len(clips) == len(aspect)
        self.clips += clips
        self.calls.append(len(clips))
        return Prediction(np.full((len(clips), 2), 0.5), None)


def watch(frames, num_person=1, times=None, **options):
    """frames: for each, the list of figures; -> the classifier at the end, and the tracks of every frame."""
    classifier = WindowClassifier(Recorder(num_person), OPENPOSE, (640, 480), SIZE, STRIDE, FPS, **options)
    tracks = []
    for index, persons in enumerate(frames):
        seconds = index / FPS if times is None else times[index]
        tracks.append(
            classifier.add_frame(index, seconds, np.array(persons, np.float32).reshape(-1, 18, 3))[0].tolist()
        )
    classifier.finish()
    return classifier, tracks


def of(classifier, track):
    return [(window.first, window.last + 1) for window in classifier.windows if window.track == track]


@pytest.mark.parametrize("batch", [1, 16])
def test_one_person_in_every_frame_has_the_windows_of_spans(batch):
    classifier = WindowClassifier(Recorder(), OPENPOSE, (640, 480), SIZE, STRIDE, FPS, batch=batch)
    for index in range(200):
        classifier.add_frame(index, index / FPS, figure(100)[None])
        if index + 1 >= LEAST:
            ended = copy.deepcopy(classifier)  # as if the video were over
            ended.finish()
            assert of(ended, 0) == spans(index + 1, SIZE, STRIDE)
            assert [clip.shape[1] for clip in ended.recognizer.clips] == [b - a for a, b in of(ended, 0)]
    assert batch > 1 or set(classifier.recognizer.calls) == {1}


def test_fewer_frames_than_a_window_needs_are_no_window():
    assert watch([[figure(100)]] * (LEAST - 1))[0].windows == []
    assert watch([[]] * 100)[0].windows == []


def test_asked_at_once_a_window_is_there_in_the_frame_that_ends_it():
    classifier = WindowClassifier(Recorder(), OPENPOSE, (640, 480), SIZE, STRIDE, FPS, batch=1)
    for index in range(100):
        classifier.add_frame(index, index / FPS, figure(100)[None])
        assert of(classifier, 0) == [span for span in spans(1000, SIZE, STRIDE) if span[1] <= index + 1]


def test_frames_without_the_person_stay_in_the_timeline():
    rng = np.random.default_rng(1)
    for length in (64, 65, 97, 150):
        seen = rng.random(length) < 0.8
        seen[[0, -1]] = True
        classifier, tracks = watch([[figure(100)] if each else [] for each in seen])
        assert {track for frame in tracks for track in frame} == {0}
        ends = [(clip.shape[1], window.last) for clip, window in zip(classifier.recognizer.clips, classifier.windows)]
        assert ends[-1] == (64, length - 1) and all(T == 64 for T, _ in ends)
        # A moment between is interpolated, and counted as of the frame that made it known.
        want = spans(length, SIZE, STRIDE)
        assert len(ends) == len(want)
        assert all(0 <= window.last + 1 - end <= 4 for window, (_, end) in zip(classifier.windows, want))


def test_lost_and_back_within_a_second_is_one_track_with_a_hole():
    frames = [[figure(100)]] * 40 + [[]] * 20 + [[figure(100)]] * 40
    classifier, _ = watch(frames)
    assert of(classifier, 0) == spans(100, SIZE, STRIDE)
    clip = classifier.recognizer.clips[0]  # (C, T, V, M) of frames 0 to 63
    empty = ~clip.any((0, 2, 3))
    assert np.flatnonzero(empty).tolist() == list(range(40, 60)) and classifier.windows[0].seen == 44


def test_lost_for_longer_and_back_is_somebody_else_and_nothing_is_missed():
    classifier, _ = watch([[figure(100)]] * 90 + [[]] * 45 + [[figure(100)]] * 70)
    assert of(classifier, 0) == spans(90, SIZE, STRIDE)
    assert of(classifier, 1) == [(a + 135, b + 135) for a, b in spans(70, SIZE, STRIDE)]


def test_two_persons_in_turn_have_windows_of_their_own():
    classifier, _ = watch([[figure(50)]] * 80 + [[figure(500)]] * 100)
    assert of(classifier, 0) == spans(80, SIZE, STRIDE)
    assert of(classifier, 1) == [(a + 80, b + 80) for a, b in spans(100, SIZE, STRIDE)]
    assert len(classifier.tracks) == 0


def test_a_network_of_two_persons_is_given_the_company():
    """The second is there from frame 30 on; in each one's window the other is in the second place, in its moments."""
    classifier, tracks = watch([[figure(50)]] * 30 + [[figure(50), figure(500)]] * 70, num_person=2)
    a, b = tracks[-1]
    assert of(classifier, a) == spans(100, SIZE, STRIDE)
    assert of(classifier, b) == [(i + 30, j + 30) for i, j in spans(70, SIZE, STRIDE)]
    for window, clip in zip_clips(classifier):
        own, other = clip[2].any(1).T  # (T,) each: seen at all
        assert own.all() and (clip[0, 0, 0, 0] < 0) == (window.track == a)  # a is left of the middle
        there = np.arange(window.first, window.last + 1) >= (30 if window.track == a else 0)
        assert (other == there).all(), (window.track, window.first)


def zip_clips(classifier):
    """Windows are sorted in the end; clips came in the order of their last frames, at equal ones by track."""
    by_end = sorted(classifier.windows, key=lambda window: (window.last, window.track))
    return zip(by_end, classifier.recognizer.clips)


def test_joints_reach_the_network_as_centred_fractions_of_the_frame():
    points = figure(100)
    points[3] = 0  # missing
    classifier, _ = watch([[points]] * 64)
    clip = classifier.recognizer.clips[0][:, 10, :, 0]  # (C, V)
    want = np.stack([points[:, 0] / 640 - 0.5, points[:, 1] / 480 - 0.5, points[:, 2]])
    want[:, 3] = 0
    np.testing.assert_allclose(clip, want, atol=1e-6)


def test_other_frame_rates_are_brought_to_that_of_the_network():
    for rate in (15, 25, 60):
        classifier, _ = watch([[figure(100)]] * (4 * rate), times=np.arange(4 * rate) / rate)
        assert all(clip.shape[1] == SIZE for clip in classifier.recognizer.clips)
        span = [window.end - window.begin for window in classifier.windows]
        np.testing.assert_allclose(span, (SIZE - 1) / FPS, atol=1.5 / min(rate, FPS))
        assert 0 <= 4 * rate - 1 - classifier.windows[-1].last <= rate // FPS


def test_what_is_remembered_of_the_living_is_bounded():
    classifier = WindowClassifier(Recorder(), OPENPOSE, (640, 480), SIZE, STRIDE, FPS, batch=1)
    for index in range(3000):
        classifier.add_frame(index, index / FPS, figure(20 + 600 * (index // 100 % 2))[None])
        classifier.windows.clear()
        assert len(classifier.tracks) <= 2 and len(classifier.queue) == 0
        assert all(len(track.samples) <= SIZE for track in classifier.tracks.values())


# short windows, and the best seen


@pytest.mark.parametrize("length", [10, 31, 32, 63, 64, 65, 97, 200])
def test_short_windows_are_those_of_spans_too_and_change_nothing_about_the_others(length):
    frames = [[figure(100)]] * length
    plain, _ = watch(frames)
    classifier, _ = watch(frames, short=32, short_stride=8)
    assert of(classifier, 0) == of(plain, 0)
    short = [(window.first, window.last + 1) for window in classifier.short_windows]
    assert short == spans(length, 32, 8)
    assert all(window.attention is None for window in classifier.short_windows)


def test_what_is_remembered_is_bounded_with_short_windows_too():
    classifier = WindowClassifier(Recorder(), OPENPOSE, (640, 480), SIZE, STRIDE, FPS, batch=1, short=32)
    for index in range(500):
        classifier.add_frame(index, index / FPS, figure(100)[None])
        classifier.windows.clear(), classifier.short_windows.clear()
        assert len(classifier.queue) == 0 and all(len(track.samples) <= SIZE for track in classifier.tracks.values())


def test_the_largest_and_surest_persons_are_kept_in_their_order():
    small, dim, large = figure(100), figure(200), figure(300)
    small[:, :2] = (small[:, :2] - small[0, :2]) * 0.3 + small[0, :2]
    dim[:, 2] = 0.2
    nobody = np.zeros((18, 3), np.float32)
    persons = np.stack([small, large, nobody, dim])
    assert (best_seen(persons, 1) == large[None]).all()
    assert (best_seen(persons, 2) == np.stack([small, large])).all()
    assert (best_seen(persons, 3) == np.stack([small, large, dim])).all()
    assert best_seen(persons, None) is persons and best_seen(persons[:0], 2).shape == (0, 18, 3)


def test_only_so_many_persons_are_tracked():
    _, tracks = watch([[figure(20), figure(200), figure(400)]] * 40, max_persons=2)
    assert all(len(frame) == 2 for frame in tracks) and len({track for frame in tracks for track in frame}) == 2
