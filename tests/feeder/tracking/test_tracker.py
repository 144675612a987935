import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feeder.skeleton import load_skeleton
from feeder.synthetic.actions import ACTIONS, at_rest
from feeder.synthetic.body import joints_of, make_body
from feeder.tracking.tracker import Tracker

OPENPOSE = load_skeleton("openpose")
seeds = st.integers(0, 2**32 - 1)


def body(seed, num_frame=60, action="walking"):
    """(T, 18, 2): somebody of height 1 doing something on the spot, the middle at 0, 0, y down."""
    rng = np.random.default_rng(seed)
    figure = make_body(seed % 1000, seed % 7)
    pose = at_rest(figure, num_frame, rng)
    do, cycles = ACTIONS[action]
    do(pose, figure, rng.random() + cycles * np.arange(num_frame) / 30, np.ones(num_frame), rng)
    xy = joints_of(pose, figure)[..., :2] * [1, -1]
    xy -= (xy.min((0, 1)) + xy.max((0, 1))) / 2
    return xy / np.ptp(xy[..., 1])


def seen(xy, rng=None, missing=0.0, jitter=0.0):
    """(T, 18, 2) pixels -> (T, 18, 3) as an estimator tells it: trembling by a share of the height, joints missing."""
    rng = rng or np.random.default_rng(0)
    xy = xy + jitter * np.ptp(xy[..., 1], 1).mean() * rng.normal(size=xy.shape)
    score = rng.uniform(0.3, 0.9, xy.shape[:2])
    lost = rng.random(score.shape) < missing
    return np.where(lost[..., None], 0, np.concatenate([xy, score[..., None]], -1)).astype(np.float32)


def follow(frames, **options):
    """frames: a list of (P, 18, 3) -> the track numbers of each frame."""
    tracker = Tracker(OPENPOSE, **options)
    return [tracker.update(t, persons).tolist() for t, persons in enumerate(frames)]


nobody = np.zeros((0, 18, 3), np.float32)


def test_frame_0_counts():
    person = seen(body(0) * 200 + [300, 200])
    assert follow([person[:1], person[1:2]]) == [[0], [0]]


def test_frames_with_nobody_keep_the_timeline():
    person = seen(body(0) * 200 + [300, 200])
    frames = [person[t : t + 1] if t % 7 < 4 else nobody for t in range(60)]
    assert follow(frames) == [[0] if t % 7 < 4 else [] for t in range(60)]


def test_frames_with_nobody_may_be_left_out():
    person, tracker = seen(body(0) * 200 + [300, 200]), Tracker(OPENPOSE)
    assert [tracker.update(t, person[t : t + 1])[0] for t in (3, 4, 9, 30)] == [0, 0, 0, 0]


def test_frames_out_of_order_are_refused():
    tracker = Tracker(OPENPOSE)
    tracker.update(0, nobody)
    with pytest.raises(ValueError, match="frame 0 after frame 0"):
        tracker.update(0, nobody)


@given(seeds, st.integers(0, 20))
@settings(max_examples=30, deadline=None)
def test_one_leaves_and_another_enters_elsewhere_two_tracks(seed, between):
    a, b = seen(body(seed) * 200 + [150, 200]), seen(body(seed + 1) * 200 + [420, 200])
    numbers = follow([a[t : t + 1] for t in range(20)] + [nobody] * between + [b[t : t + 1] for t in range(20)])
    assert numbers == [[0]] * 20 + [[]] * between + [[1]] * 20


@given(seeds)
@settings(max_examples=30, deadline=None)
def test_somebody_far_away_is_not_somebody_near(seed):
    near, far = seen(body(seed) * 400 + [300, 240]), seen(body(seed + 1) * 80 + [300, 240])
    numbers = follow([near[t : t + 1] if t % 20 < 10 else far[t : t + 1] for t in range(60)])
    assert numbers == [[0] if t % 20 < 10 else [1] for t in range(60)]


@given(seeds, st.floats(0.02, 0.08))
@settings(max_examples=40, deadline=None)
def test_two_people_cross(seed, speed):
    """Towards each other at 0.6 to 2.4 body heights a second each, at the same height of the picture, one a little nearer."""
    rng = np.random.default_rng(seed)
    along = (np.arange(60) - 30)[:, None, None] * [speed * 200, 0]
    a = seen(body(seed) * 210 + [300, 200] + along, rng, 0.1, 0.01)
    b = seen(body(seed + 1) * 195 + [300, 205] - along, rng, 0.1, 0.01)
    frames = [np.stack([a[t], b[t]]) for t in range(60)]
    numbers = follow(frames)
    assert all(n == numbers[0] for n in numbers)


@given(seeds, st.floats(0, 0.03), st.integers(1, 15), st.sampled_from(sorted(ACTIONS)))
@settings(max_examples=60, deadline=None)
def test_somebody_lost_for_half_a_second_comes_back_as_the_same(seed, speed, gap, action):
    along = np.arange(60)[:, None, None] * [speed * 200, 0]
    person = seen(body(seed, action=action) * 200 + [200, 200] + along, np.random.default_rng(seed), 0.1, 0.01)
    frames = [nobody if 20 <= t < 20 + gap else person[t : t + 1] for t in range(60)]
    assert all(n in ([], [0]) for n in follow(frames))


@given(seeds)
@settings(max_examples=30, deadline=None)
def test_somebody_hidden_behind_another_does_not_take_the_others_number(seed):
    """A stands; B walks behind A and is not seen while it is there."""
    rng = np.random.default_rng(seed)
    a = seen(body(seed, action="standing") * 210 + [300, 200], rng, 0.1, 0.01)
    x = (np.arange(60) - 30)[:, None, None] * [5.0, 0]
    b = seen(body(seed + 1) * 190 + [300, 190] + x, rng, 0.1, 0.01)
    hidden = np.abs(x[:, 0, 0]) < 40
    numbers = follow([np.stack([a[t]] if hidden[t] else [a[t], b[t]]) for t in range(60)])
    first = numbers[0]
    assert numbers == [first[:1] if hidden[t] else first for t in range(60)]


def test_after_max_gap_it_is_a_new_track():
    person = seen(body(0, action="standing") * 200 + [300, 200])
    for gap, number in ((10, 0), (11, 1)):
        tracker = Tracker(OPENPOSE, max_gap=10)
        tracker.update(0, person[:1])
        assert tracker.update(gap, person[1:2]).tolist() == [number]


@given(seeds, st.floats(0, 0.6))
@settings(max_examples=40, deadline=None)
def test_missing_joints_do_not_count(seed, missing):
    """Two people side by side of whom any joints are missing; the zeros of the one are not near those of the other."""
    rng = np.random.default_rng(seed)
    a = seen(body(seed) * 200 + [120, 200], rng, missing)
    b = seen(body(seed + 1) * 200 + [300, 200], rng, missing)
    a[:, 1], b[:, 1] = [120, 140, 1], [300, 140, 1]  # one joint of each is always there
    numbers = follow([np.stack([a[t], b[t]]) for t in range(60)])
    assert all(n == numbers[0] for n in numbers)


def test_the_upper_half_and_then_the_lower_half_is_one_person():
    person = seen(body(0) * 200 + [300, 200])
    upper, lower = person.copy(), person.copy()
    low = [OPENPOSE.joints.index(f"{side}_{joint}") for side in ("left", "right") for joint in ("knee", "ankle")]
    upper[:, low] = 0
    lower[:, [j for j in range(18) if j not in low]] = 0
    frames = [person[:1]] + [(upper if t % 2 else lower)[t : t + 1] for t in range(1, 30)]
    assert follow(frames) == [[0]] * 30


@given(seeds, st.integers(1, 10))
@settings(max_examples=30, deadline=None)
def test_the_order_of_detections_never_matters(seed, number):
    rng = np.random.default_rng(seed)
    frames, mixed, orders = [], [], []
    for _ in range(12):  # people in a crowd, joints anywhere near: pairings that are anything but clear
        persons = seen(rng.uniform(0, 400, (number, 1, 2)) + rng.normal(0, 40, (number, 18, 2)), rng, 0.3)
        order = rng.permutation(number)
        frames.append(persons)
        mixed.append(persons[order])
        orders.append(order)
    for plain, order, shuffled in zip(follow(frames), orders, follow(mixed)):
        assert np.array(plain)[order].tolist() == shuffled


@given(seeds)
@settings(max_examples=15, deadline=None)
def test_ten_people(seed):
    rng = np.random.default_rng(seed)
    people = [
        seen(body(seed + k, action=sorted(ACTIONS)[k]) * rng.uniform(60, 200) + [120 * k, 200], rng, 0.15, 0.01)
        for k in range(10)
    ]
    frames = [np.stack([p[t] for p in people]) for t in range(60)]
    numbers = follow(frames)
    assert sorted(numbers[0]) == list(range(10)) and all(n == numbers[0] for n in numbers)


def test_memory_is_bounded():
    """Somebody new in every frame for an hour's worth of tracks: no more are remembered than max_gap frames hold."""
    rng, tracker = np.random.default_rng(0), Tracker(OPENPOSE, max_gap=30)
    numbers = []
    for t in range(1000):
        numbers += tracker.update(t, seen(rng.uniform(0, 1e5, 2) + body(0, 1) * 100)).tolist()
        assert len(tracker.place) == len(tracker.number) <= 31
    assert numbers == list(range(1000))


@given(seeds, st.lists(st.integers(0, 6), min_size=1, max_size=12))
@settings(max_examples=50, deadline=None)
def test_every_person_has_a_number_and_no_two_the_same(seed, counts):
    """Anything: nobody, people without a joint, people on top of each other, coordinates out of the picture."""
    rng = np.random.default_rng(seed)
    frames = [np.round(rng.normal(0, 1, (n, 18, 3)), 1) * rng.choice([0, 1, 1e4], (n, 1, 1)) for n in counts]
    for numbers, n in zip(follow(frames), counts):
        assert len(set(numbers)) == n and min(numbers, default=0) >= 0


@pytest.mark.parametrize("layout", ["ntu-rgb+d", "penn-action"])
def test_any_layout(layout):
    V = load_skeleton(layout).num_joint
    rng, tracker = np.random.default_rng(0), Tracker(load_skeleton(layout))
    persons = np.ones((2, V, 3))
    persons[..., :2] = rng.uniform(0, 200, (2, V, 2))
    persons[1, :, 0] += 400
    first = tracker.update(0, persons).tolist()
    assert sorted(first) == [0, 1]
    assert [tracker.update(t, persons).tolist() for t in range(1, 5)] == [first] * 4
