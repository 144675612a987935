import subprocess
import sys
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from feeder.video.decode import Video
from tools.render_sample import JOINT, SAMPLE, SIZE, draw_frame, draw_room, look, perform

pytest.importorskip("cv2", exc_type=ImportError)
ROOT = Path(__file__).resolve().parents[2]
TOOL, MODEL = ROOT / "tools" / "render_sample.py", ROOT / "models" / "movenet.tflite"


def render(*arguments):
    return subprocess.run([sys.executable, TOOL, *map(str, arguments)], capture_output=True, text=True)


def test_the_video_has_the_length_and_the_size_asked_for(tmp_path):
    done = render("--action", "waving", "--seconds", 0.5, "--output", tmp_path / "wave.mp4")
    assert done.returncode == 0, done.stderr
    video = Video(tmp_path / "wave.mp4")
    assert (video.width, video.height, video.fps) == (*SIZE, 30)
    assert len(list(video)) == 15


def test_the_sample_in_the_repository_is_what_the_tool_draws():
    first = next(iter(Video(SAMPLE))).image
    drawn = draw_frame(draw_room(), perform("jumping jacks", 240, 3)[0])
    assert np.abs(first.astype(int) - drawn).mean() < 3


def test_the_figure_stays_in_the_picture_and_its_limbs_are_where_its_joints_are():
    room = draw_room()
    joints = perform("jumping jacks", 60, 3)
    empty = draw_frame(room, joints[0] + [99, 0, 0])
    for body in joints[::10]:
        x, y, _ = np.round(look(body)).astype(int).T
        assert min(x) > 0 and max(x) < SIZE[0] and min(y) > 0 and max(y) < SIZE[1]
        drawn = (draw_frame(room, body) != empty).any(2)
        assert drawn[y, x].all()
        assert not drawn[:, :100].any() and not drawn[:, -100:].any()


def test_a_jumping_jack_brings_the_hands_over_the_head_and_the_feet_apart_once_a_second():
    x, y, _ = np.moveaxis(perform("jumping jacks", 240, 3), 2, 0)
    up = y[:, JOINT["right_wrist"]] > y[:, JOINT["nose"]]
    apart = np.abs(x[:, JOINT["left_ankle"]] - x[:, JOINT["right_ankle"]])
    assert apart[up].min() > apart[~up].min()
    assert np.diff(up.astype(int)).clip(0).sum() in (7, 8)  # in eight seconds


@pytest.mark.skipif(not MODEL.is_file(), reason="needs models/movenet.tflite: python tools/get_models.py movenet")
def test_a_pose_estimator_sees_one_person_whose_joints_are_where_they_were_drawn():
    movenet = pytest.importorskip("feeder.pose.movenet").MoveNet(MODEL)
    drawn = look(perform("jumping jacks", 240, 3))[..., :2]
    for frame in islice(Video(SAMPLE), 0, None, 8):
        (person,) = movenet(frame.image)
        assert person[:, 2].mean() > 0.7
        height = np.ptp(drawn[frame.index][:, 1])
        assert np.linalg.norm(person[:, :2] - drawn[frame.index], axis=1).mean() < 0.025 * height


@pytest.mark.parametrize("option, value", [("--action", "yodelling"), ("--seconds", "0"), ("--seconds", "nan")])
def test_a_wrong_option_is_one_line(option, value, tmp_path):
    done = render(option, value, "--output", tmp_path / "x.mp4")
    assert done.returncode == 2 and done.stderr.startswith(f"error: {option} {value}") and done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())
