"""feeder/starter.py on the real recordings: what is in the data, that parts do not overlap, that it repeats."""

import numpy as np
import pytest

from feeder.synthetic import starter


@pytest.fixture(scope="module")
def parts(real_data):
    folders = [str(real_data / name) for name in ("penn_action", "nw_ucla", "sbu_interaction")]
    return {part: starter.clips(part, *folders, holdout=True) for part in ("train", "val")}


def kind(clip):
    return clip.name.split("_")[0]


def test_sports_and_other_motion_by_thirteen_joints(parts):
    for part, clips in parts.items():
        sports = [clip for clip in clips if clip.label != starter.OTHER]
        assert {kind(clip) for clip in sports} == {"penn"} and {clip.label for clip in sports} == set(range(15))
        share = {k: sum(kind(clip) == k for clip in clips) / len(sports) for k in ("synthetic", "still", "mixed")}
        share["everyday"] = sum(kind(clip) in ("ucla", "sbu") for clip in clips) / len(sports)
        for k, wanted in starter.SHARE.items():
            assert abs(share[k] - wanted) < 0.01, (part, k)
        for clip in clips:
            assert clip.keypoints.shape[2:] == (13, 2) and clip.layout == "penn-action" and clip.frame_size
            assert np.isfinite(clip.keypoints).all() and not clip.keypoints[clip.scores == 0].any()
        names = [clip.name for clip in clips]
        assert len(set(names)) == len(names)


def test_nothing_trained_on_is_tested_on(parts):
    train, val = ({clip.name for clip in parts[part]} for part in ("train", "val"))
    assert not train & val
    subjects = {part: {clip.name.split("_")[2] for clip in parts[part] if kind(clip) == "ucla"} for part in parts}
    assert not subjects["train"] & subjects["val"]


def test_a_clip_depends_on_its_name_alone(real_data):
    sports = [
        starter.read_sport(c) for c in starter.penn_action.list_clips(real_data / "penn_action", "val").clips[::27]
    ]
    for make in (starter.stand_still, starter.mix):
        one, two, other = make(sports, "a", 0), make(sports, "a", 0), make(sports, "b", 0)
        np.testing.assert_array_equal(one.keypoints, two.keypoints)
        assert one.keypoints.shape != other.keypoints.shape or (one.keypoints != other.keypoints).any()


def test_a_3d_body_seen_by_a_camera_stands_upright_in_the_picture(real_data):
    clip = starter.nw_ucla.list_clips(real_data / "nw_ucla", "train").clips[40]
    (seen,) = starter.seen_by_a_camera(starter.nw_ucla.read(clip.path), "x", 0)
    head, ankles = seen.keypoints[0, :, 0, 1], seen.keypoints[0, :, 11:, 1].mean(1)
    assert (head < ankles).mean() > 0.9 and (np.abs(seen.keypoints) < 1).mean() > 0.95
