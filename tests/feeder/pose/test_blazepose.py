"""feeder/pose/blazepose.py: the geometry around the network with one of our own making, and the network on a real kick."""

from itertools import islice

import numpy as np
import pytest

from feeder.pose import blazepose, fetch
from feeder.pose.blazepose import LANDMARKS, SIDE, BlazePose, refine
from feeder.pose.movenet import MoveNet
from feeder.readers.openpose import read_frames
from feeder.skeleton import load_skeleton, remap
from feeder.video.decode import Video

COCO, OPENPOSE = load_skeleton("coco"), load_skeleton("openpose")
STANDING = np.array(  # the joints of coco in a picture of 200 x 160, upright
    [[100, 40], [102, 38], [98, 38], [104, 40], [96, 40], [112, 55], [88, 55], [118, 70], [82, 70], [120, 84], [80, 84]]
    + [[108, 90], [92, 90], [108, 112], [92, 112], [108, 134], [92, 134]],
    np.float32,
)


class Dot:
    """Stands for the interpreter: says that every joint is at the bright dot in the picture."""

    person, logit, heat = 0.9, 5.0, None

    def __init__(self, path, num_threads):
        pass

    def allocate_tensors(self):
        pass

    def get_input_details(self):
        return [{"index": 0}]

    def get_output_details(self):
        shapes = [(1, 195), (1, 1), (1, 256, 256, 1), (1, 64, 64, 39), (1, 117)]
        return [{"index": i, "shape": np.array(shape)} for i, shape in enumerate(shapes)]

    def set_tensor(self, index, picture):
        assert picture.shape == (1, SIDE, SIDE, 3) and picture.dtype == np.float32
        assert picture.min() >= 0 and picture.max() <= 1
        self.picture = picture[0].sum(-1)

    def invoke(self):
        if self.picture.any():
            self.at = [np.average(at, weights=self.picture) for at in np.indices(self.picture.shape)[::-1]]

    def get_tensor(self, index):
        if index == 0:
            return np.tile([*self.at, 0, self.logit, self.logit], 39).astype(np.float32)[None]
        return np.array([[self.person]]) if index == 1 else np.full((1, 64, 64, 39), -9.0, np.float32)


class Finder:
    """Stands for MoveNet: finds who is said to be there."""

    layout, num_thread = "openpose", 1

    def __init__(self, **options):
        self.coco, self.openpose, self.persons = COCO, OPENPOSE, np.zeros((0, 17, 3), np.float32)

    def find(self, image):
        return self.persons.copy()


@pytest.fixture
def made_up(monkeypatch):
    """BlazePose around Dot and Finder."""
    monkeypatch.setattr(blazepose, "Interpreter", Dot)
    monkeypatch.setattr(blazepose, "MoveNet", Finder)
    monkeypatch.setattr(blazepose, "fetch_model", lambda name: f"{name}.tflite")
    return BlazePose()


def with_dot(x, y, size=(160, 200)):
    image = np.zeros((*size, 3), np.uint8)
    image[y - 2 : y + 3, x - 2 : x + 3] = 255
    return image


@pytest.mark.parametrize("angle", [0, 30, -75, 90, 180])
@pytest.mark.parametrize("dot", [(100, 80), (130, 60), (75, 95)])
def test_a_turned_square_gives_the_pixels_of_the_picture(made_up, angle, dot):
    up = 70 * np.array([np.sin(np.radians(angle)), -np.cos(np.radians(angle))])
    joints = made_up.joints(with_dot(*dot), np.array([100.0, 85.0]), up)
    assert joints.shape == (17, 3)
    np.testing.assert_allclose(joints[:, :2], np.tile(dot, (17, 1)), atol=0.6)
    np.testing.assert_allclose(joints[:, 2], 1 / (1 + np.exp(-5)), atol=1e-6)


def test_the_square_is_upright_along_the_back_and_holds_the_whole_person(made_up, monkeypatch):
    asked = []
    monkeypatch.setattr(made_up, "joints", lambda image, middle, up: asked.append((middle, up)))
    lying = np.column_stack([STANDING[:, 1], 200 - STANDING[:, 0], np.full(17, 0.9)])  # head to the left
    for points in (np.column_stack([STANDING, np.full(17, 0.9)]), lying):
        made_up.look(with_dot(9, 9), points)
    for (_, up), side in zip(asked, ([0, -1], [-1, 0])):
        np.testing.assert_allclose(up / np.linalg.norm(up), side, atol=1e-6)
        assert np.linalg.norm(up) > 50  # from the hips to beyond the eyes
    np.testing.assert_allclose(asked[0][0], [100, 90])


def person(score=0.9):
    return np.column_stack([STANDING, np.full(17, score)]).astype(np.float32)[None]


def plain(persons):
    return remap(persons, COCO, OPENPOSE)


def test_better_joints_replace_those_of_movenet(made_up, monkeypatch):
    made_up.movenet.persons = person()
    better = np.column_stack([STANDING + 2, np.full(17, 0.8)])
    better[9, 2] = 0.1  # a wrist is hidden
    monkeypatch.setattr(made_up, "joints", lambda *square: better)
    found = made_up(with_dot(9, 9))
    expected = better.copy()
    expected[9] = 0
    np.testing.assert_allclose(found, plain(expected[None].astype(np.float32)), atol=1e-5)
    assert found.dtype == np.float32


@pytest.mark.parametrize("joints", [None, np.column_stack([STANDING + 60, np.full(17, 0.9)])])
def test_where_nobody_or_somebody_else_is_seen_the_joints_of_movenet_stay(made_up, monkeypatch, joints):
    made_up.movenet.persons = person()
    made_up.movenet.persons[0, 9, 2] = 0.2  # too unsure for MoveNet alone
    monkeypatch.setattr(made_up, "joints", lambda *square: joints)
    expected = person()
    expected[0, 9] = 0
    np.testing.assert_array_equal(made_up(with_dot(9, 9)), plain(expected))


def test_an_empty_square_is_nobody(made_up, monkeypatch):
    monkeypatch.setattr(Dot, "person", 0.4)
    assert made_up.joints(with_dot(100, 80), np.array([100.0, 80.0]), np.array([0, -50.0])) is None


def test_nobody_and_a_person_without_a_torso_are_no_trouble(made_up):
    assert made_up(with_dot(9, 9)).shape == (0, 18, 3)
    made_up.movenet.persons = np.tile(np.float32([50, 50, 0.9]), (1, 17, 1))
    assert made_up(with_dot(9, 9)).shape == (1, 18, 3)


def test_refining_equals_the_plain_formulation():
    rng = np.random.default_rng(0)
    xy, heat = rng.uniform(-0.02, 1.02, (17, 2)), rng.random((64, 64, 17)) ** 8
    heat[..., :3] *= 0.4  # nowhere sure
    expected = []
    for j, (x, y) in enumerate(xy):
        weight, total, hottest = 0.0, np.zeros(2), 0.0
        for row in range(int(np.floor(y * 64)) - 3, int(np.floor(y * 64)) + 4):
            for column in range(int(np.floor(x * 64)) - 3, int(np.floor(x * 64)) + 4):
                if 0 <= row < 64 and 0 <= column < 64:
                    weight += heat[row, column, j]
                    total += heat[row, column, j] * np.array([column, row])
                    hottest = max(hottest, heat[row, column, j])
        expected.append(total / weight / 64 if hottest >= 0.5 else (x, y))
    np.testing.assert_allclose(refine(xy, heat), expected, atol=1e-12)
    np.testing.assert_array_equal(refine(xy, heat)[:3], xy[:3])


def test_the_landmarks_are_those_of_coco():
    """The 33 of MediaPipe, by their published numbers."""
    numbers = {"nose": 0, "left_eye": 2, "right_eye": 5, "left_ear": 7, "right_ear": 8}
    limbs = {"shoulder": 11, "elbow": 13, "wrist": 15, "hip": 23, "knee": 25, "ankle": 27}
    numbers |= {f"{side}_{name}": n + (side == "right") for name, n in limbs.items() for side in ("left", "right")}
    assert [numbers[joint] for joint in COCO.joints] == LANDMARKS


# ---- the network itself, on a real kick of which OpenPose's joints are known


def error(found, reference):
    """Distances of the joints of the nearest person, in torso lengths; infinite where one is missing. (n,)"""
    seen = reference[:, 2] > 0
    torso = np.linalg.norm(reference[1, :2] - reference[[8, 11], :2].mean(0))
    far = [np.where(each[:, 2] > 0, np.linalg.norm(each[:, :2] - reference[:, :2], axis=1), np.inf) for each in found]
    return min((each[seen] / torso for each in far), key=np.median, default=np.full(seen.sum(), np.inf))


@pytest.fixture(scope="module")
def both():
    for name in ("movenet", "blazepose"):
        if not (fetch.FOLDER / fetch.SOURCES[name].file).exists():
            pytest.skip(f"no {name}.tflite in models/; python tools/get_models.py {name} fetches it")
    return MoveNet(num_thread=1), BlazePose(num_thread=1)


def test_a_real_kick_is_seen_as_openpose_sees_it_and_better_than_by_movenet(both, real_data):
    known = read_frames(real_data / "openpose_body25/Kick_1")
    layout = load_skeleton(known.layout)
    share = {}
    frames = list(islice(Video(real_data / "openpose_body25/Kick_1.mp4"), 40, 80, 4))
    for estimate in both:
        errors = []
        for frame in frames:
            for reference in remap(known.persons[frame.index - known.first], layout, OPENPOSE):
                if reference[[1, 8, 11], 2].all():
                    errors.append(error(estimate(frame.image), reference))
        share[type(estimate).__name__] = np.mean(np.concatenate(errors) < 0.1)
    assert share["BlazePose"] > 0.75 and share["BlazePose"] > share["MoveNet"] + 0.1, share


def test_two_persons_side_by_side_are_seen_like_one(both, real_data):
    picture = next(islice(Video(real_data.parent / "media/ta_chi.mp4"), 150, None)).image[:, 80:260]
    one, two = both[1](np.ascontiguousarray(picture)), both[1](np.hstack([picture, picture]))
    assert len(one) == 1 and len(two) == 2
    for person, offset in zip(sorted(two, key=lambda each: each[:, 0].max()), (0, 180)):
        seen = person.any(-1) & one[0].any(-1)
        assert seen.sum() >= 14
        assert np.median(np.abs(person[seen, :2] - [offset, 0] - one[0][seen, :2])) < 4
