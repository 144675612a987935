"""feeder/counting.py on motions whose repetitions are known, because they were made so."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feeder.counting import Counter, count
from feeder.curve import turning_points
from feeder.pose import fetch
from feeder.readers import penn_action, utd_mhad
from feeder.skeleton import load_skeleton, remap

ROOT = Path(__file__).resolve().parents[2]
BODY = load_skeleton("penn-action")
FPS = 30
STANDING = {  # pixels, y down
    "head": (0, -90),
    "left_shoulder": (18, -60),
    "left_elbow": (24, -30),
    "left_wrist": (26, 0),
    "left_hip": (12, 0),
    "left_knee": (13, 45),
    "left_ankle": (14, 90),
}


def body(**moved):
    """(13, 3) of one person who stands; moved: joint=(x, y) to add, a name without its side is both sides, mirrored."""
    out = np.ones((13, 3))
    for v, joint in enumerate(BODY.joints):
        side = -1 if joint.startswith("right") else 1
        x, y = STANDING[joint.replace("right", "left")]
        for name, (dx, dy) in moved.items():
            if name == joint or joint.endswith(f"_{name}"):
                x, y = x + dx, y + dy
        out[v, :2] = 320 + side * x, 240 + y
    return out


STAND = body()
SQUAT = body(head=(0, 40), shoulder=(0, 40), elbow=(10, 20), wrist=(20, 0), hip=(0, 40), knee=(15, 10))
JACK = body(elbow=(30, -60), wrist=(20, -130), knee=(15, 0), ankle=(30, 0))
LEFT_UP = body(left_knee=(0, -20), left_ankle=(0, -25), right_wrist=(0, -20))
RIGHT_UP = body(right_knee=(0, -20), right_ankle=(0, -25), left_wrist=(0, -20))
LYING = np.concatenate([(STAND[:, 1::-1] - 280) * [1, 0.3] + [320, 330], STAND[:, 2:]], 1)
PUSHED_UP = LYING - np.array([0, 1, 0]) * np.clip((320 - LYING[:, :1]) / 90 + 1, 0, 1) * 25


def through(*poses, frames=15):
    """From pose to pose, each way in so many frames, or in those of a list."""
    frames = [frames] * (len(poses) - 1) if isinstance(frames, int) else frames
    out = [poses[0][None]]
    for a, b, n in zip(poses[:-1], poses[1:], frames):
        share = (1 - np.cos(np.pi * np.arange(1, n + 1) / n)) / 2
        out.append(a + (b - a) * share[:, None, None])
    return np.concatenate(out)


def repeated(pose, times, frames=15):
    return through(*[STAND, pose] * times, STAND, frames=frames)


def steps(times, frames=9):
    return through(STAND, *([LEFT_UP, RIGHT_UP] * times)[:times], STAND, frames=frames)


def still(pose, frames):
    return np.repeat(pose[None], frames, 0)


def with_noise(clip, seed, pixels=4.0, lost=0.1):
    rng = np.random.default_rng(seed)
    clip = clip + rng.normal(0, pixels, clip.shape) * [1, 1, 0]
    return clip * (rng.random(clip.shape[:2]) >= lost)[..., None]


times, seeds = st.integers(1, 12), st.integers(0, 2**32 - 1)
poses = st.sampled_from([SQUAT, JACK])


@settings(max_examples=30, deadline=None)
@given(poses, times, seeds)
def test_k_repetitions_count_k_whatever_their_tempo(pose, times, seed):
    frames = np.random.default_rng(seed).integers(10, 22, 2 * times).tolist()  # of 15: 0.7 to 1.4 times
    counted = count(repeated(pose, times, frames), FPS, BODY)
    assert counted.repetitions == len(counted.moments) == times
    ends = np.cumsum(frames)[1::2]
    assert (np.abs(counted.moments - ends) <= 8).all()  # early: 85 % of the way back
    assert abs(counted.period - np.median(np.add(frames[::2], frames[1::2])) / FPS) < 0.25


@settings(max_examples=20, deadline=None)
@given(poses, times, seeds)
def test_noise_and_missing_joints_change_nothing(pose, times, seed):
    assert count(with_noise(repeated(pose, times), seed), FPS, BODY).repetitions == times


@settings(max_examples=20, deadline=None)
@given(st.integers(3, 12), st.integers(7, 12))
def test_every_step_counts_and_not_every_second_one(times, frames):
    counted = count(steps(times, frames), FPS, BODY)
    assert counted.repetitions == times
    assert abs(counted.period - frames / FPS) < 0.05


@pytest.mark.parametrize("strides", [2, 3, 5])
def test_strides_cut_with_a_leg_up_are_two_steps_each(strides):
    assert count(through(*[LEFT_UP, RIGHT_UP] * strides, LEFT_UP, frames=9), FPS, BODY).repetitions == 2 * strides


@settings(max_examples=20, deadline=None)
@given(poses, times, st.integers(0, 90), st.integers(0, 90))
def test_standing_still_before_and_after_changes_nothing(pose, times, before, after):
    moving = repeated(pose, times)
    clip = np.concatenate([still(STAND, before), moving, still(STAND, after)])
    plain, longer = count(moving, FPS, BODY), count(clip, FPS, BODY)
    assert longer.repetitions == plain.repetitions == times
    assert (longer.moments == plain.moments + before).all() and longer.period == pytest.approx(plain.period)


def test_a_pause_between_repetitions_changes_nothing():
    clip = np.concatenate([repeated(SQUAT, 2), still(STAND, 60), repeated(SQUAT, 3), still(STAND, 20)])
    assert count(clip, FPS, BODY).repetitions == 5


@settings(max_examples=20, deadline=None)
@given(st.sampled_from([repeated(SQUAT, 4), repeated(JACK, 3), steps(6)]), st.floats(0.05, 20), st.floats(-999, 999))
def test_moving_and_scaling_the_body_reversing_time_and_exchanging_the_sides_change_nothing(clip, scale, offset):
    true = count(clip, FPS, BODY)
    moved = clip * [scale, scale, 1] + [offset, -offset / 2, 0]
    for other in (moved, clip * [-1, 1, 1], clip * [1, -1, 1], clip[:, BODY.flip]):
        assert count(other, FPS, BODY).repetitions == true.repetitions
        assert (count(other, FPS, BODY).moments == true.moments).all()
    assert count(clip[::-1], FPS, BODY).repetitions == true.repetitions


@pytest.mark.parametrize("fps", [10, 15, 25, 60])
def test_the_frame_rate_changes_nothing(fps):
    clip = repeated(JACK, 5)
    at = np.arange(0, len(clip) - 1, FPS / fps)
    lower = np.floor(at).astype(int)
    clip = clip[lower] + (clip[lower + 1] - clip[lower]) * (at - lower)[:, None, None]
    counted = count(clip, fps, BODY)
    assert counted.repetitions == 5 and abs(counted.period - 1.0) < 0.07


def test_walking_away_meanwhile_changes_nothing():
    clip = repeated(JACK, 6)
    clip[..., 0] += np.linspace(0, 400, len(clip))[:, None]
    assert count(clip, FPS, BODY).repetitions == 6


def test_the_noise_of_one_who_stands_still_is_hardly_ever_a_repetition():
    assert sum(count(with_noise(still(STAND, 150), seed), FPS, BODY).repetitions > 0 for seed in range(50)) <= 1


def test_steps_as_small_as_the_noise_count_for_who_is_known_to_move():
    clips = [with_noise(STAND + (steps(8) - STAND) * [1, 0.2, 1], seed, lost=0) for seed in range(20)]
    counted = np.array([[count(clip, FPS, BODY, moving).repetitions for clip in clips] for moving in (False, True)])
    assert (counted[0] == 0).sum() >= 8
    assert (np.abs(counted[1] - 8) <= 2).sum() >= 16


def test_a_hop_twice_a_jumping_jack_counts_the_jumping_jacks():
    hop = np.array([0, -25.0, 0])
    small = body(wrist=(15, -40), elbow=(8, -20))  # arms that hardly move: the hops are the strongest motion
    half = [through(STAND, STAND + (small - STAND) / 2 + hop, small, frames=7)]
    half += [through(small, STAND + (small - STAND) / 2 + hop, STAND, frames=7)]
    clip = np.concatenate(half * 5)
    assert count(clip, FPS, BODY).repetitions == 5


def test_push_ups_count_without_lying_down_and_getting_up():
    clip = np.concatenate(
        [still(STAND, 30), through(STAND, *[PUSHED_UP, LYING] * 6, PUSHED_UP, STAND, frames=[30, *[15] * 12, 30])]
    )
    assert count(clip, FPS, BODY).repetitions == 6


def test_waving_with_one_hand_is_not_in_turn():
    up, out = body(left_elbow=(10, -40), left_wrist=(10, -100)), body(left_elbow=(10, -40), left_wrist=(45, -80))
    assert count(through(*[up, out] * 6, up, frames=10), FPS, BODY).repetitions == 6


@pytest.mark.parametrize("layout", ["openpose", "coco", "body_25"])
def test_other_layouts_count_the_same(layout):
    other = load_skeleton(layout)
    clip = repeated(SQUAT, 4)
    points = np.zeros((len(clip), other.num_joint, 3))
    for v, joint in enumerate(BODY.joints):
        name = "nose" if joint == "head" else joint
        points[:, other.joints.index(name)] = clip[:, v]
    assert count(points, FPS, other).repetitions == 4


@pytest.mark.parametrize("frames", [0, 1, 2, 3])
def test_hardly_any_frames_and_nobody_count_nothing(frames):
    for clip in (still(STAND, frames), np.zeros((frames, 13, 3))):
        counted = count(clip, FPS, BODY)
        assert counted.repetitions == len(counted.moments) == counted.period == 0


def test_values_that_are_no_numbers_are_missing():
    clip = repeated(SQUAT, 4)
    clip[::7, 3] = np.nan
    clip[:, 8, 0] = np.inf
    assert count(clip, FPS, BODY).repetitions == 4


def test_keypoints_are_not_changed():
    clip = repeated(SQUAT, 2)
    before = clip.copy()
    count(clip, FPS, BODY)
    assert (clip == before).all()


def test_turning_points_are_those_of_a_hand_made_curve():
    values = np.array([0, 1, 0.8, 3, 2.9, 1, 1.2, 0, 0, 4])
    assert turning_points(values, 1.0).tolist() == [0, 3, 7, 9]
    assert turning_points(values, 2.5).tolist() == [0, 3, 7, 9]
    assert turning_points(values, 3.5).tolist() == [0, 9]
    assert turning_points(values, 5.0).tolist() == []


# ------------------------------------------------------------------------------------------------------ frame by frame


@pytest.mark.parametrize("rate", [15, 30])
def test_a_counter_ends_with_the_count_of_the_whole(rate):
    clip = np.concatenate([still(STAND, 20), repeated(SQUAT, 7), still(STAND, 20)])
    counter, seen = Counter(FPS, BODY, rate), []
    for t in range(0, len(clip), FPS // rate):
        seen.append(counter.add(t / FPS, clip[t]))
    assert seen[-1] == counter.repetitions == count(clip, FPS, BODY).repetitions == 7
    assert sorted(set(seen)) == list(range(8)) and seen == sorted(seen)


def test_a_counter_forgets_the_past_and_not_its_count():
    clip = repeated(JACK, 90)  # 90 seconds
    counter = Counter(FPS, BODY)
    for t, joints in enumerate(np.concatenate([clip, still(STAND, 15)])):
        repetitions = counter.add(t / FPS, joints)
        assert len(counter.samples) <= 21 * FPS
    assert repetitions == 90
    np.testing.assert_allclose(np.diff(counter.moments), 1.0, atol=0.15)  # one a second, over what was forgotten too


# ------------------------------------------------------------------------------------------------------- real recordings


def test_real_clips_of_one_repetition_repeated_four_times(real_data):
    wanted = {"jumping_jacks", "squat", "pushup", "situp", "pullup"}
    right, clips = 0, penn_action.list_clips(real_data / "penn_action", "train").clips
    clips = [clip for clip in clips if penn_action.ACTIONS[clip.label] in wanted][::12]
    for clip in clips:
        sequence = penn_action.read(clip.path)
        points = np.concatenate([sequence.keypoints[0] * sequence.frame_size, sequence.scores[0][..., None]], -1)
        right += count(np.concatenate([points] * 4), FPS, BODY).repetitions == 4
    assert len(clips) > 30 and right >= 0.95 * len(clips)


def test_a_real_squat_of_which_the_arms_rise_twice_is_one(real_data):
    kinect = load_skeleton("utd-mhad")
    for subject in (1, 3, 5, 7):
        joints = utd_mhad.read(real_data / f"utd_mhad/a27_s{subject}_t1_skeleton.mat").keypoints[0]
        front = np.concatenate([joints[..., :2] * [1, -1], np.ones_like(joints[..., :1])], -1)
        assert count(remap(front.astype(np.float32), kinect, BODY), 30, BODY).repetitions == 1


def test_the_sample_video_shows_seven_jumping_jacks():
    """tools/render_sample.py draws 7.5 of them: 0.95 a second for 8 seconds, with a small drift."""
    if not (fetch.FOLDER / fetch.SOURCES["movenet"].file).is_file():
        pytest.skip("no MoveNet; python tools/get_models.py movenet fetches it")
    from feeder.pose.movenet import MoveNet
    from feeder.video.decode import Video

    estimator, layout = MoveNet(num_thread=1), load_skeleton("openpose")
    frames = [(frame.seconds, estimator(frame.image)[0]) for frame in Video(ROOT / "resource/media/jumping_jacks.mp4")]
    counted = count(np.stack([joints for _, joints in frames]), FPS, layout)
    assert counted.repetitions == 7 and 1.0 < counted.period < 1.15
    counter = Counter(FPS, layout)
    assert [counter.add(*frame) for frame in frames][-1] == 7
