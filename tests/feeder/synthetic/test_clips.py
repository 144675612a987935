import numpy as np
import pytest

from feeder.skeleton import load_skeleton
from feeder.synthetic.actions import path
from feeder.synthetic.body import bend, make_body, rotation
from feeder.synthetic.camera import FRAME_SIZE
from feeder.synthetic.clips import ACTIONS, LABEL_NAMES, NUM_FRAME, SUBJECTS, clips, make_clip, perform

JOINT = {name: v for v, name in enumerate(load_skeleton("openpose").joints)}
NUM_ACTION = len(LABEL_NAMES)


def performance(action, subject=0, repetition=0):
    rng = np.random.default_rng((0, subject, action, repetition))
    return perform(make_body(0, subject), action, rng)


def length(joints, a, b):
    return np.linalg.norm(joints[:, JOINT[a]] - joints[:, JOINT[b]], axis=-1)


@pytest.mark.parametrize("action", range(NUM_ACTION), ids=LABEL_NAMES)
def test_every_bone_keeps_its_length(action):
    joints = performance(action, subject=3)
    for child, parent in load_skeleton("openpose").bones:
        names = load_skeleton("openpose").joints
        a, b = names[child], names[parent]
        if "hip" in a and "shoulder" in b:
            continue  # no bone: the spine, checked below, turns between the two
        np.testing.assert_allclose(length(joints, a, b), length(joints, a, b)[0], atol=1e-9, err_msg=f"{a} {b}")
    spine = joints[:, JOINT["neck"]] - joints[:, [JOINT["left_hip"], JOINT["right_hip"]]].mean(1)
    np.testing.assert_allclose(np.linalg.norm(spine, axis=-1), make_body(0, 3).torso)


@pytest.mark.parametrize("action", range(NUM_ACTION), ids=LABEL_NAMES)
def test_knees_bend_forward_and_nothing_sinks_into_the_ground(action):
    body, joints = make_body(0, 5), performance(action, subject=5)
    for side in ("left", "right"):
        hip, knee, ankle = (joints[:, JOINT[f"{side}_{part}"]] for part in ("hip", "knee", "ankle"))
        line = (ankle - hip) / np.linalg.norm(ankle - hip, axis=-1, keepdims=True)
        aside = knee - hip - ((knee - hip) * line).sum(-1, keepdims=True) * line  # from the line hip-ankle to the knee
        assert (aside @ [0, 0.5, 1] >= -1e-9).all()  # forward of a standing leg, above a lifted one
        assert (ankle[:, 1] >= body.ankle - 1e-6).all()
    assert (joints[..., 1] >= body.ankle - 1e-6).all()


def test_a_foot_on_the_ground_stays_where_it_is_while_the_body_walks_over_it():
    walking = LABEL_NAMES.index("walking")
    body, joints = make_body(0, 0), performance(walking)
    for side in ("left", "right"):
        ankle = joints[:, JOINT[f"{side}_ankle"]]
        down = ankle[:, 1] < body.ankle + 1e-9
        planted = down[1:] & down[:-1]
        step = np.linalg.norm(np.diff(ankle, axis=0), axis=-1)
        travelled = np.ptp(joints[:, JOINT["neck"], 2])
        assert planted.mean() > 0.4 and travelled > 1.0
        assert np.median(step[planted]) < 0.15 * np.median(step[~planted])


@pytest.mark.parametrize("action", range(NUM_ACTION), ids=LABEL_NAMES)
def test_motion_is_smooth(action):
    velocity = np.diff(performance(action, subject=7), axis=0) * 30
    assert np.linalg.norm(velocity, axis=-1).max() < 12  # m/s, the foot of a kick
    assert np.linalg.norm(np.diff(velocity, axis=0), axis=-1).max() < 12  # no joint starts or stops at once


def test_both_hands_of_a_clap_meet():
    joints = performance(LABEL_NAMES.index("clapping"))
    assert length(joints, "left_wrist", "right_wrist").min() < 0.15


def test_bend_reaches_its_target_and_bends_towards_the_pole():
    middle, end = bend(np.zeros(3), np.array([0.0, -0.7, 0.0]), 0.5, 0.4, np.array([0.0, 0.0, 1.0]))
    np.testing.assert_allclose(end, [0, -0.7, 0], atol=1e-12)
    np.testing.assert_allclose([np.linalg.norm(middle), np.linalg.norm(middle - end)], [0.5, 0.4])
    assert middle[2] > 0


def test_bend_stretches_towards_what_it_cannot_reach():
    middle, end = bend(np.zeros(3), np.array([9.0, 0.0, 0.0]), 0.5, 0.4, np.array([0.0, 1.0, 0.0]))
    assert 0.89 < end[0] <= 0.9 and abs(end[1]) < 1e-12
    np.testing.assert_allclose([np.linalg.norm(middle), np.linalg.norm(middle - end)], [0.5, 0.4])


def test_rotation_leans_forward_and_turns_left():
    quarter = np.full(1, np.pi / 2)
    up, forward = np.array([[0.0, 1, 0]]), np.array([[0.0, 0, 1]])
    np.testing.assert_allclose((up @ rotation(pitch=quarter))[0, 0], [0, 0, 1], atol=1e-12)
    np.testing.assert_allclose((forward @ rotation(yaw=quarter))[0, 0], [1, 0, 0], atol=1e-12)
    np.testing.assert_allclose((up @ rotation(roll=quarter))[0, 0], [1, 0, 0], atol=1e-12)


def test_path_passes_through_its_values_and_closes():
    p = np.array([0.0, 0.25, 0.125, 0.625, 1.0, 2.25])
    np.testing.assert_allclose(path(p, {0.0: 0, 0.25: 4}), [0, 4, 2, 2, 0, 4])
    assert path(p, {0.0: [0, 1], 0.25: [1, 0]}).shape == (6, 2)


def test_a_clip_is_what_the_layout_and_the_dataclass_promise():
    low, high = NUM_FRAME
    for sequence in clips("val", 20):
        persons, frames, joints, dimension = sequence.keypoints.shape
        assert (persons, joints, dimension) == (1, len(JOINT), 2) and low <= frames <= high
        assert sequence.keypoints.dtype == sequence.scores.dtype == np.float32
        assert (sequence.layout, sequence.frame_size, sequence.fps) == ("openpose", FRAME_SIZE, 30)
        assert np.abs(sequence.keypoints).max() < 0.5 and sequence.scores.min() >= 0 and sequence.scores.max() <= 1


def test_a_missing_joint_is_zero_in_all_channels_and_some_joints_are_missing():
    x = np.concatenate([s.array()[..., 0].reshape(3, -1) for s in clips("train", 40)], 1)
    missing = x[2] == 0
    assert 0.01 < missing.mean() < 0.15
    assert (x[:2, missing] == 0).all() and (x[:2, ~missing] != 0).any(0).all()


def test_the_body_stands_upright_in_the_picture():
    sequence = make_clip(0, 0, LABEL_NAMES.index("standing"), 0)
    y, score = sequence.keypoints[0, ..., 1], sequence.scores[0]
    seen = (score[:, JOINT["neck"]] > 0) & (score[:, JOINT["left_ankle"]] > 0)
    assert (y[seen, JOINT["neck"]] < y[seen, JOINT["left_ankle"]]).all()  # y points down


def test_a_clip_does_not_depend_on_the_others():
    thirteenth = list(clips("train", 13))[12]
    alone = make_clip(0, SUBJECTS["train"][1], 2, 0)
    assert thirteenth.name == alone.name
    np.testing.assert_array_equal(thirteenth.array(), alone.array())


def test_seed_subject_and_repetition_each_make_another_clip():
    clip = make_clip(0, 0, 1, 0).array(150)
    for other in (make_clip(1, 0, 1, 0), make_clip(0, 1, 1, 0), make_clip(0, 0, 1, 1)):
        assert np.abs(clip - other.array(150)).max() > 0.01


def test_train_and_val_share_no_subject_and_no_name():
    train, val = ([s.name for s in clips(part, number)] for part, number in (("train", 650), ("val", 250)))
    assert len(set(train) | set(val)) == 900
    assert not {name[:4] for name in train} & {name[:4] for name in val}


def features(sequence):
    """(2 * 2 * V,) where each joint is on average and how much it moves, in a body-centred frame of unit size."""
    xy, seen = sequence.keypoints[0] * FRAME_SIZE, sequence.scores[0, ..., None] > 0
    xy = xy - (xy * seen).sum(1, keepdims=True) / np.maximum(seen.sum(1, keepdims=True), 1)
    xy = np.where(seen, xy / np.sqrt((xy**2 * seen).sum() / seen.sum()), 0)
    mean = xy.sum(0) / np.maximum(seen.sum(0), 1)
    moves = np.sqrt((((xy - mean) * seen) ** 2).sum(0) / np.maximum(seen.sum(0), 1))
    return np.concatenate([mean.ravel(), 3 * moves.ravel()])


def test_a_simple_classifier_tells_the_actions_of_other_subjects_apart_far_better_than_chance():
    train, val = (list(clips(part, number)) for part, number in (("train", 300), ("val", 100)))
    x, y = np.stack([features(s) for s in train]), np.array([s.label for s in train])
    centroid = np.stack([x[y == k].mean(0) for k in range(len(ACTIONS))])
    guess = [np.linalg.norm(centroid - features(s), axis=1).argmin() for s in val]
    assert np.mean(np.array(guess) == [s.label for s in val]) > 0.5  # chance is 0.1


def test_length_and_scores_alone_do_not_tell_the_action():
    train, val = (list(clips(part, number)) for part, number in (("train", 300), ("val", 100)))

    def hints(s):
        return np.array([s.scores.shape[1] / 150, s.scores.mean(), (s.scores == 0).mean()])

    x, y = np.stack([hints(s) for s in train]), np.array([s.label for s in train])
    scale = x.std(0)
    centroid = np.stack([x[y == k].mean(0) for k in range(len(ACTIONS))])
    guess = [np.linalg.norm((centroid - hints(s)) / scale, axis=1).argmin() for s in val]
    assert np.mean(np.array(guess) == [s.label for s in val]) < 0.3
