"""feeder/pose/movenet.py: the arithmetic around the network with one of our own making, and the network on real video."""

from itertools import islice
from types import SimpleNamespace

import numpy as np
import pytest

from feeder.pose import fetch, movenet
from feeder.pose.movenet import MoveNet
from feeder.video.decode import Video
from torchlight.errors import DataError


class OnePerson:
    """Stands for the interpreter: looks for the bright dot in the picture and says that every joint is there."""

    def __init__(self, path, num_threads):
        self.resized = []
        self.row = np.zeros(56, np.float32)

    def get_input_details(self):
        return [{"index": 0}]

    def get_output_details(self):
        return [{"index": 9, "shape": np.array([1, 6, 56])}]

    def resize_tensor_input(self, index, shape):
        self.resized.append(shape)

    def allocate_tensors(self):
        pass

    def set_tensor(self, index, picture):
        assert picture.shape == self.resized[-1] and picture.dtype == np.uint8
        self.picture = picture[0]

    def invoke(self):
        bright = self.picture.astype(np.float64).sum(-1)
        y, x = (np.average(at + 0.5, weights=bright) / n for at, n in zip(np.indices(bright.shape), bright.shape))
        self.row[:51] = np.tile([y, x, 0.9], 17)
        self.row[55] = 0.9

    def get_tensor(self, index):
        return np.stack([self.row] * 2 + [self.row * 0] * 4)[None]


@pytest.fixture
def made_up(monkeypatch, tmp_path):
    """MoveNet around OnePerson."""
    monkeypatch.setattr(movenet, "Interpreter", OnePerson)
    (tmp_path / "a.tflite").touch()
    return lambda **options: MoveNet(tmp_path / "a.tflite", **options)


@pytest.mark.parametrize("width, height", [(340, 256), (256, 340), (1920, 1080), (320, 320), (64, 48), (33, 1000)])
@pytest.mark.parametrize("long_side", [320, 256])
def test_coordinates_are_pixels_of_the_picture_whatever_its_size(made_up, width, height, long_side):
    pose = made_up(long_side=long_side)
    image = np.zeros((height, width, 3), np.uint8)
    x, y, dot = 0.7 * width, 0.3 * height, max(width, height) // 10
    image[max(int(y) - dot, 0) : int(y) + dot, max(int(x) - dot, 0) : int(x) + dot] = 255
    rows, columns = np.nonzero(image[..., 0])
    persons = pose(image)
    assert persons.shape == (2, 18, 3) and persons.dtype == np.float32
    assert pose.shape[1] % 32 == pose.shape[2] % 32 == 0 and max(pose.shape) == long_side
    pixel = max(width, height) / long_side  # of what the network sees
    middle = columns.mean() + 0.5, rows.mean() + 0.5
    np.testing.assert_allclose(persons[0, 0, :2], middle, atol=0.5 * pixel)
    np.testing.assert_allclose(persons[0, :, 2], 0.9)


def test_the_network_is_rebuilt_only_for_another_shape(made_up):
    pose = made_up()
    for size in [(256, 340), (256, 340), (255, 340), (340, 256), (340, 256)]:
        pose(np.full((*size, 3), 9, np.uint8))
    assert pose.network.resized == [(1, 256, 320, 3), (1, 320, 256, 3)]


def test_faint_persons_do_not_count_and_faint_joints_are_missing(made_up, monkeypatch):
    pose = made_up()
    image = np.full((64, 64, 3), 9, np.uint8)
    rows = np.zeros((1, 6, 56), np.float32)
    rows[0, :, :51] = 0.5
    rows[0, :, 55] = [0.9, 0.17, 0.18, 0.5, 0, 0]
    rows[0, 0, 3 * 5 + 2] = 0.24  # the left shoulder, and with it the neck
    rows[0, 3, 2:51:3] = 0.1  # somebody without any joint
    monkeypatch.setattr(pose.network, "get_tensor", lambda index: rows)
    persons = pose(image)
    assert len(persons) == 2
    assert np.flatnonzero(~persons[0].any(-1)).tolist() == [1, 5]
    assert persons[1].all()
    rows[:] = 0
    assert pose(image).shape == (0, 18, 3)


def test_a_wrong_file_is_one_line(tmp_path):
    with pytest.raises(FileNotFoundError):
        MoveNet(tmp_path / "none.tflite")
    (tmp_path / "a.tflite").write_bytes(b"TFL3 not at all")
    with pytest.raises(DataError, match=r"a\.tflite: not a TensorFlow Lite model"):
        MoveNet(tmp_path / "a.tflite")
    with pytest.raises(DataError, match="long_side is 0"):
        MoveNet(tmp_path / "a.tflite", long_side=0)


@pytest.fixture(scope="module")
def real():
    path = fetch.FOLDER / fetch.SOURCES["movenet"].file
    if not path.exists():
        pytest.skip(f"no {path}; python tools/get_models.py movenet fetches it")
    return MoveNet(path, num_thread=1)


@pytest.fixture(scope="module")
def picture(real_data):
    """A man standing in profile: frame 150 of a real video, 340 x 256."""
    return next(islice(Video(real_data.parent / "media/ta_chi.mp4"), 150, None)).image


def test_one_person_in_a_real_picture_stands_upright(real, picture):
    person = SimpleNamespace(**dict(zip(real.openpose.joints, real(picture)[0])))
    assert len(real(picture)) == 1
    assert person.nose[1] < person.neck[1] < person.left_hip[1] < person.left_ankle[1] < 256
    assert abs(person.left_ankle[1] - 199) < 6  # where the eye sees it; 256 / 241, the padding, would be 12 off


def test_padding_and_scale_do_not_move_the_joints(real, picture):
    found = real(picture)[0]  # padded below
    for other, offset in [(picture[:, 60:280], 60), (np.repeat(np.repeat(picture, 2, 0), 2, 1), 0)]:
        again = real(np.ascontiguousarray(other))[0] * (340 / 680 if other.shape[1] == 680 else 1)
        both = found.any(-1) & again.any(-1)
        assert both.sum() >= 10
        assert np.median(np.abs(again[both, :2] + [offset, 0] - found[both, :2])) < 4


def test_nobody_in_an_empty_picture(real):
    assert real(np.full((120, 200, 3), 128, np.uint8)).shape == (0, 18, 3)
