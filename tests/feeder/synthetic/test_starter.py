"""feeder/synthetic/starter.py on the real recordings: what is in the data, that parts do not overlap, that it repeats."""

import numpy as np
import pytest

from feeder.readers import nw_ucla, penn_action, sbu, utd_mhad
from feeder.skeleton import load_skeleton
from feeder.synthetic import starter
from feeder.synthetic.camera import look
from feeder.synthetic.other_motion import mix, morph, stand_still

UTD = load_skeleton("utd-mhad")
FOLDERS = "penn_action", "nw_ucla", "utd_mhad", "sbu_interaction"


@pytest.fixture(scope="module")
def folders(real_data):
    return [str(real_data / name) for name in FOLDERS]


@pytest.fixture(scope="module")
def parts(folders):
    return {part: starter.clips(part, *folders, holdout=True) for part in ("train", "val")}


def source(clip):
    return clip.name.split("_")[0]


def test_every_action_of_every_recording_has_a_class_or_is_other_on_purpose():
    recorded = {*nw_ucla.label_names(), *utd_mhad.ACTIONS, *sbu.ACTIONS}
    assert recorded - set(starter.NAME_OF) == {"shaking hands", "hugging", "exchanging object"}
    assert set(starter.NAME_OF) <= recorded
    assert len(starter.LABEL_NAMES) - 1 >= 40 and len(set(starter.LABEL_NAMES)) == len(starter.LABEL_NAMES)
    assert not [name for name in starter.LABEL_NAMES if {"left", "right"} & set(name.split())]


def test_every_class_is_in_both_parts_by_thirteen_joints(parts):
    for clips in parts.values():
        assert {clip.label for clip in clips} == set(range(len(starter.LABEL_NAMES)))
        for clip in clips:
            assert clip.keypoints.shape[2:] == (13, 2) and clip.layout == "penn-action" and clip.frame_size
            assert np.isfinite(clip.keypoints).all() and not clip.keypoints[clip.scores == 0].any()
        assert len({clip.name for clip in clips}) == len(clips)


def test_nothing_trained_on_is_tested_on(parts, folders):
    train, val = ({clip.name for clip in parts[part]} for part in ("train", "val"))
    assert not train & val
    for which, place in (("ucla", 2), ("utd", 2)):  # ucla_a01_s01_..., utd_a1_s1_...
        subjects = {
            part: {clip.name.split("_")[place] for clip in parts[part] if source(clip) == which} for part in parts
        }
        assert subjects["train"] and subjects["val"] and not subjects["train"] & subjects["val"]
    made = "still", "mixed", "morph", "synthetic"
    final = {clip.name for clip in starter.clips("val", *folders) if source(clip) not in made}
    assert not final & (train | val)


def test_views_of_nw_ucla_that_are_copies_are_left_out(folders):
    kept = list(starter.ucla_clips(folders[1], "train", False)) + list(starter.ucla_clips(folders[1], "val", False))
    content = [clip.path.read_bytes().split(b'"skeletons"')[1] for clip in kept if clip.path.name[:3] in ("a02", "a03")]
    assert len(content) > 150 and len(set(content)) == len(content)


def test_a_class_that_is_left_out_is_other_in_val_and_in_no_training_clip(folders, parts):
    squat = starter.LABEL_NAMES.index("squat")
    train, val = (starter.clips(part, *folders, True, leave_out=["squat"]) for part in ("train", "val"))
    assert squat not in {clip.label for clip in train + val}
    was = {clip.name for clip in parts["val"] if clip.label == squat}
    assert was and was <= {clip.name for clip in val if clip.label == starter.OTHER}
    assert not {clip.name for clip in train} & {clip.name for clip in parts["train"] if clip.label == squat}


def test_a_made_clip_depends_on_its_name_alone(real_data):
    clips = penn_action.list_clips(real_data / "penn_action", "val").clips[::27]
    sports = [starter.read_sport(clip) for clip in clips]
    for make in (stand_still, mix, morph):
        one, two, other = (make(sports, name, 0, 7) for name in "aab")
        np.testing.assert_array_equal(one.keypoints, two.keypoints)
        assert one.label == 7
        assert one.keypoints.shape != other.keypoints.shape or (one.keypoints != other.keypoints).any()


def test_a_morph_begins_and_ends_with_poses_of_its_clips(real_data):
    clips = penn_action.list_clips(real_data / "penn_action", "val").clips[::200]
    sports = [starter.read_sport(clip) for clip in clips]

    def shape(places, seen):
        """Places (V, 2) without where they are and how large, as angles between all pairs of joints."""
        offset = places[:, None] - places
        return np.where(seen[:, None] & seen, np.arctan2(offset[..., 1], offset[..., 0]), 0)

    clip = morph(sports, "x", 0, 0)
    seen = clip.scores[0, 0] > 0
    wanted = shape(clip.keypoints[0, 0], seen)
    best = np.inf
    for sport in sports:
        unit = np.array(sport.frame_size) / sport.frame_size[1]
        for places, score in zip(sport.keypoints[0], sport.scores[0]):
            if (score[seen] > 0).all():
                turn = shape(places * unit, seen) - wanted
                best = min(best, np.abs((turn + np.pi) % (2 * np.pi) - np.pi).max())
    assert best < 1e-2


def test_the_one_who_kicks_moves_more_than_the_one_who_is_kicked(folders):
    """In 3-D: his foot is for a moment far above the ground."""
    clips = [clip for clip in sbu.list_clips(folders[3], "train", 5).clips if sbu.ACTIONS[clip.label] == "kicking"]
    right = 0
    for clip in clips:
        persons = [starter.upright(joints, sbu.FPS) for joints in sbu.read(clip.path).keypoints]
        lifted = [np.ptp(joints[:, [11, 14], 1], 0).max() for joints in persons]
        travelled = [starter.travelled(joints) for joints in persons]
        right += np.argmax(lifted) == np.argmax(travelled)
    assert right / len(clips) > 0.85  # one who is kicked at jumps back


def test_a_3d_body_seen_by_a_camera_stands_upright_in_the_picture(folders):
    clip = next(iter(starter.ucla_clips(folders[1], "train", False)))
    joints = starter.upright(nw_ucla.read(clip.path).keypoints[0], 30.0)
    for seed in range(20):
        seen = starter.seen_by_a_camera(joints, load_skeleton("nw-ucla"), np.random.default_rng(seed), named="squat")
        assert (seen[..., 2] == 1).all()
        assert (seen[:, 0, 1] < seen[:, 11:, 1].mean(1)).mean() > 0.9 and (np.abs(seen[..., :2]) < 1).mean() > 0.95


def test_a_person_who_faces_kinect_faces_the_camera(folders):
    """Left is to the right in the picture of someone who faces the camera; UTD-MHAD's people do."""
    clip = utd_mhad.list_clips(folders[2], "train").clips[0]
    joints = starter.upright(utd_mhad.read(clip.path).keypoints[0], 30.0)
    for seed in range(10):
        seen = starter.seen_by_a_camera(joints, UTD, np.random.default_rng(seed), yaw=20, named="squat")
        assert (seen[:, 1, 0] > seen[:, 2, 0]).all()


def test_the_camera_looks_down_from_where_it_is_high_and_crops_the_legs():
    body = np.zeros((5, 4, 3))
    body[:, :, 1] = [1.7, 1.0, 0.5, 0.0]  # head, hips, knees, ankles
    rng = np.random.default_rng(0)
    cropped = [look(body, rng, cropped=1.0)[1][0].tolist() for _ in range(50)]
    assert all(seen[0] and not seen[3] for seen in cropped)  # the head never leaves the picture, the ankles do
    assert {tuple(seen) for seen in cropped} >= {(True, True, False, False), (True, True, True, False)}
    near = np.array(
        [[[0.0, 0.0, 0.5], [0.0, 0.0, -0.5], [0, 1, 0], [0, 1, 0]]]
    )  # on the floor, before and behind the body
    lower = [look(near, rng, yaw=1, cropped=0)[0][0] for _ in range(50)]
    assert np.mean([places[0, 1] > places[1, 1] for places in lower]) > 0.6  # from -10 to 35 degrees: mostly from above


def test_frames_of_sbu_come_twice_as_often():
    joints = np.arange(1, 5, dtype=float)[:, None, None] * np.ones((4, 15, 3))
    np.testing.assert_allclose(starter.upright(joints, 15.0)[:, 0, 1], [1, 1.5, 2, 2.5, 3, 3.5, 4])


def test_other_limbs_point_where_the_bones_pointed_and_are_as_long_left_as_right():
    rng = np.random.default_rng(0)
    joints = rng.normal(0, 1, (7, 20, 3))
    joints += joints[:, UTD.flip] * [-1, 1, 1]  # a body that is its own mirror image
    other = starter.with_other_limbs(joints, UTD, rng)
    np.testing.assert_array_equal(other[:, UTD.centre], joints[:, UTD.centre])
    factors = []
    for child, parent in UTD.bones:
        bone, longer = joints[:, child] - joints[:, parent], other[:, child] - other[:, parent]
        factor = np.linalg.norm(longer, axis=-1) / np.linalg.norm(bone, axis=-1)
        np.testing.assert_allclose(longer, factor[:, None] * bone, atol=1e-9)  # the same factor in all frames
        np.testing.assert_allclose(factor, factor[0])
        factors.append(factor[0])
    assert 0.7 < min(factors) < 0.97 and 1.03 < max(factors) < 1.4
    np.testing.assert_allclose(other[:, UTD.flip] * [-1, 1, 1], other, atol=1e-9)


def test_half_of_those_who_wave_do_it_with_both_hands():
    clips = [clip for clip in starter.synthetic_motion("train", 0) if starter.LABEL_NAMES[clip.label] == "wave"]
    both = ["both" in clip.name for clip in clips]
    assert 2 * sum(both) == len(both) > 0
    raised = []
    for clip in clips:
        shoulders, wrists = clip.keypoints[0][:, 1:3, 1], clip.keypoints[0][:, 5:7, 1]
        raised.append((wrists < shoulders).mean(0).min())
    assert np.mean(np.array(raised)[both]) > 0.8 > 0.3 > np.mean(np.array(raised)[~np.array(both)])
