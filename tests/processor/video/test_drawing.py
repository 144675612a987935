import time

import numpy as np
import pytest

from feeder.skeleton import load_skeleton
from feeder.synthetic.clips import make_clip
from processor.recognizer import UNKNOWN
from processor.video.drawing import COLOURS, DrawnPerson, Mosaic

OPENPOSE = load_skeleton("openpose")
PICTURE = np.full((480, 640, 3), (90, 120, 150), np.uint8)


def standing(x=320, y=240, tall=300.0):
    """(18, 3) pixels: a body about x, y."""
    joints = np.ones((18, 3))
    joints[:, :2] = make_clip(0, 0, 2, 0).keypoints[0, 0] * [340 / 256, 1]
    joints[:, :2] -= joints[:, :2].mean(0)
    joints[:, :2] *= tall / np.ptp(joints[:, 1])
    return joints + [x, y, 0]


def quarters(mosaic):
    h, w = len(mosaic) // 2, mosaic.shape[1] // 2
    return mosaic[:h, :w], mosaic[:h, w:], mosaic[h:, :w], mosaic[h:, w:]


def draw(persons, voted="", picture=PICTURE, height=480, **more):
    panes = Mosaic((picture.shape[1], picture.shape[0]), height, OPENPOSE)
    mosaic = panes.draw(picture, persons, voted, 0.9, **more)
    assert mosaic.dtype == np.uint8 and mosaic.shape == (panes.size[1], panes.size[0], 3)
    assert mosaic.shape[0] % 2 == mosaic.shape[1] % 2 == 0
    return quarters(mosaic)


@pytest.mark.parametrize("size", [(640, 480), (480, 640), (1920, 1080), (341, 257), (1080, 1920), (32, 1000), (5, 5)])
@pytest.mark.parametrize("height", [1080, 541, 100, 20])
def test_any_shape_of_frame_and_any_height(size, height):
    picture = np.full((size[1], size[0], 3), 128, np.uint8)
    person = DrawnPerson(3, standing(size[0] / 2, size[1] / 2, size[1] * 0.7), "a label " * 40, 0.5, np.ones(18))
    panes = Mosaic(size, height, OPENPOSE)
    before = picture.copy()
    mosaic = panes.draw(picture, [person], "an answer " * 40, 0.5, fps=25)
    assert mosaic.shape == (*panes.size[::-1], 3) and abs(len(mosaic) - max(height, 32)) <= 1
    assert (picture == before).all()


def test_four_panes_the_video_skeletons_on_black_attention_dimmed_and_attention_on_the_video():
    video, given, said, seen = draw([DrawnPerson(0, standing(), "waving", 0.8, np.full(18, 0.5))])
    corner = np.s_[-40:-10, 10:40]  # far from the person and from every text
    assert np.abs(video[corner].astype(int) - PICTURE[0, 0]).max() <= 2
    assert (given[corner] == 0).all()
    assert said[corner].mean() < 0.5 * seen[corner].mean() < 0.5 * video[corner].mean()
    assert np.ptp(said[corner].reshape(-1, 3).mean(0)) < 1  # grey


def test_a_skeleton_has_the_colour_of_its_track_and_lies_on_its_joints():
    _, given, _, _ = draw([DrawnPerson(12, standing(200, 240)), DrawnPerson(5, standing(450, 240))], height=960)
    for track, x in ((12, 200), (5, 450)):
        for at in standing(x, 240)[:, :2]:
            pixel = given[round(at[1]), round(at[0])].astype(float)
            hue = 255 - (255 - COLOURS[track % 10]) * 0.6
            assert np.abs(pixel - hue).max() < 12


def test_more_attention_is_brighter():
    attention = np.zeros(18)
    attention[[4, 7]] = 0.4, 1.0
    joints = standing()
    plain = draw([DrawnPerson(0, joints)], height=960)[3].astype(int)
    lit = draw([DrawnPerson(0, joints, attention=attention)], height=960)[3].astype(int)
    weak, strong, none = ((lit - plain)[round(y), round(x)].sum() for x, y in joints[[4, 7, 10], :2])
    assert strong > 2 * weak > 0 == none


def test_a_missing_joint_is_all_zeros_and_nothing_else():
    """In particular x = -y, and a joint on the left edge, are there."""
    joints = np.zeros((18, 3))
    assert (draw([DrawnPerson(0, joints, "nobody")])[1] == draw([])[1]).all()
    joints[2] = 0, 300, 0.9
    assert (draw([DrawnPerson(0, joints)])[1] != draw([])[1]).any()
    whole, part = standing(), standing()
    part[4] = 0
    drawn = draw([DrawnPerson(0, part)], height=960)[1]
    assert not drawn[tuple(np.round(whole[4, 1::-1]).astype(int))].any()
    assert not drawn[60:90, :90].any()  # no bone to the corner


@pytest.mark.parametrize("joint", [(-5000, 100, 1), (1e12, -1e12, 1), (np.nan, 5, 1), (np.inf, 5, 1), (7, -7, 1)])
def test_joints_out_of_the_picture_are_clipped(joint):
    joints = standing()
    joints[4] = joint
    draw([DrawnPerson(0, joints, "far", 0.5, np.ones(18))])


def test_labels_are_unicode_long_ones_fit_and_none_covers_another():
    def changed(label):
        return (draw([DrawnPerson(0, standing(), label, 0.5)])[2] != draw([DrawnPerson(0, standing())])[2]).any(2)

    assert (changed("прыжки") != changed("??????")).any()
    columns = np.flatnonzero(changed("a very long label " * 20).any(0))
    assert columns[0] > 0 and columns[-1] < 319
    assert not changed("").any()
    here = standing(320, 300, 150)
    said = draw([DrawnPerson(t, here, "the same place", 0.5) for t in range(4)])[2]
    for t in range(4):
        rows = np.flatnonzero((said == COLOURS[t]).all(2).sum(1) > 20)
        assert len(rows) >= 8, "a pill with its full height"


def test_the_answer_stands_below_and_its_bar_is_as_long_as_it_is_sure():
    panes = Mosaic((640, 480), 480, OPENPOSE)
    for score in (0.25, 1.0):
        said = quarters(panes.draw(PICTURE, [], "waving", score))[2]
        assert abs((said[-1] == COLOURS[0]).all(1).mean() - score) < 0.02
    assert not (draw([])[2][-1] == COLOURS[0]).all(1).any(), "no answer yet, no bar"


def test_the_frame_rate_is_shown_when_it_is_known():
    assert (draw([], fps=25.0)[0] != draw([])[0])[:40, -80:].any()


@pytest.mark.parametrize("layout", ["ntu-rgb+d", "penn-action", "nw-ucla"])
def test_any_layout(layout):
    skeleton = load_skeleton(layout)
    V = skeleton.num_joint
    joints = np.random.default_rng(0).uniform(100, 400, (V, 3))
    Mosaic((640, 480), 480, skeleton).draw(PICTURE, [DrawnPerson(0, joints, "x", 1.0, np.linspace(0, 1, V))], "x", 1.0)


def test_ten_people_are_drawn_faster_than_a_video_plays():
    panes = Mosaic((1280, 720), 1080, OPENPOSE)
    picture = np.zeros((720, 1280, 3), np.uint8)
    people = [DrawnPerson(t, standing(60 + 120 * t, 360, 400), "waving", 0.5, np.full(18, 0.5)) for t in range(10)]
    best = np.inf
    for _ in range(20):
        start = time.perf_counter()
        panes.draw(picture, people, "waving", 0.5)
        best = min(best, time.perf_counter() - start)
    assert best < 1 / 25


# crowds


def pills(persons, size=(1280, 720)):
    """The pane with the predictions, and for each person the pixels of its pill: those in its colour on the wide rows."""
    picture = np.zeros((size[1], size[0], 3), np.uint8)
    said = draw(persons, picture=picture, height=1080)[2]
    return [np.argwhere((said == COLOURS[person.track % 10]).all(2)) for person in persons], said


def crowd(count, label="waving"):
    return [DrawnPerson(t, standing(70 + 110 * t % 1200, 200 + 300 * (t % 2), 200), label, 0.5) for t in range(count)]


def test_in_a_crowd_labels_shrink():
    few, many = (np.ptp(pills(crowd(count))[0][0][:, 0]) for count in (3, 10))
    assert 0 < many < 0.75 * few


def test_in_a_crowd_unknown_is_not_written():
    six, seven = crowd(6, UNKNOWN), crowd(7, UNKNOWN)
    blank = [DrawnPerson(person.track, person.joints) for person in seven]
    assert (pills(seven)[1] == pills(blank)[1]).all()
    assert (pills(six)[1] != pills(blank[:6])[1]).any()


def test_in_a_crowd_labels_lie_apart_and_beside_the_people_where_there_is_room():
    mosaic = Mosaic((1280, 720), 1080, OPENPOSE)
    places = []
    place = Mosaic._place

    def remember(self, body, wide, high, *more):
        x, y = place(self, body, wide, high, *more)
        places.append((x, y, x + wide, y + high))
        return x, y

    people = [DrawnPerson(t, standing(80 + 220 * (t % 6), 230 + 300 * (t // 6), 170), "waving", 0.5) for t in range(12)]
    try:
        Mosaic._place = remember
        mosaic.draw(np.zeros((720, 1280, 3), np.uint8), people)
    finally:
        Mosaic._place = place
    assert len(places) == 12
    for i, (left, top, right, bottom) in enumerate(places):
        for x, y, to_x, to_y in places[:i]:
            assert right <= x or to_x <= left or bottom <= y or to_y <= top
        for person in people:
            points = person.joints[:, :2] * mosaic.zoom
            assert not ((points > [left, top]) & (points < [right, bottom])).all(1).any()


def test_room_for_the_timeline_is_below_the_panes_and_the_height_stays():
    for height in (240, 481, 1080):
        plain, more = (Mosaic((640, 480), height, OPENPOSE, timeline=each) for each in (False, True))
        assert more.strip > 0 and abs(more.size[1] - plain.size[1]) <= 1 and more.size[0] % 2 == more.size[1] % 2 == 0
        picture = more.draw(PICTURE, [DrawnPerson(0, standing(), "waving", 0.5)], "waving", 0.5)
        assert picture.shape == (*more.size[::-1], 3) and not picture[-more.strip :].any()
    assert Mosaic((640, 480), 96, OPENPOSE, timeline=True).strip == 0
