"""feeder/readers/openpose.py with hand-made files and real output of OpenPose."""

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from feeder.readers import kinetics, openpose
from torchlight.errors import DataError


def person(V=18, x=100.0, y=50.0, score=0.5):
    return {"pose_keypoints_2d": [x, y, score] * V}


def write(folder, number, *people, clip="vid"):
    folder.mkdir(exist_ok=True)
    path = folder / f"{clip}_{number:012}_keypoints.json"
    path.write_text(json.dumps({"version": 1.3, "people": people}))
    return path


def test_gaps_and_empty_frames_stay_in_place(tmp_path):
    for number in (12, 3, 4, 100):  # 4 and 12 come after 100 when sorted as text without zeros
        write(tmp_path / "a", number, *[person(x=number)] * (number != 4))
    (tmp_path / "a/notes.txt").touch()
    found = openpose.read_frames(tmp_path / "a")
    assert (len(found.persons), found.first, found.layout, found.fractions) == (98, 3, "openpose", False)
    assert [3 + i for i, persons in enumerate(found.persons) if len(persons)] == [3, 12, 100]
    assert all(persons.shape[1:] == (18, 3) for persons in found.persons)
    assert found.persons[9][0, 0].tolist() == [12, 50, 0.5]


@pytest.mark.parametrize("numbers", [(0, 9_999_999), (0, 10_001), (5, 6, 10**30), (10**30,)])
def test_numbers_that_cannot_be_frames_cost_no_memory(tmp_path, numbers):
    for number in numbers:
        (tmp_path / f"v_{number}_keypoints.json").write_text(json.dumps({"people": [person()]}))
    with pytest.raises(DataError, match=r"no files between frames|too large for a frame"):
        openpose.read_frames(tmp_path)


def test_a_gap_that_a_video_may_have_is_no_mistake(tmp_path):
    for number in (70_000, 80_000):
        write(tmp_path / "a", number, person())
    found = openpose.read_frames(tmp_path / "a")
    assert found.first == 70_000 and [i for i, persons in enumerate(found.persons) if len(persons)] == [0, 10_000]


@pytest.mark.parametrize("names", [["1", "2", "10"], ["img1", "img2", "img10"], ["a_b_1", "a_b_2", "a_b_10"]])
def test_files_are_sorted_by_number(tmp_path, names):
    for i, name in enumerate(names):
        (tmp_path / f"{name}_keypoints.json").write_text(json.dumps({"people": [person(x=3.0 + i)]}))
    found = openpose.read_frames(tmp_path)
    assert [persons[0, 0, 0] for persons in found.persons if len(persons)] == [3, 4, 5]
    assert len(found.persons) == 10


def test_a_clip_is_told_by_its_whole_name(tmp_path):
    for clip, x in [("vid", 10.0), ("vid2", 20.0), ("vid_2", 30.0), ("vi", 40.0)]:
        write(tmp_path, 0, person(x=x), clip=clip)
    for clip, x in [("vid", 10.0), ("vid2", 20.0), ("vid_2", 30.0), ("vi", 40.0)]:
        found = openpose.read_frames(tmp_path, name=clip)
        assert (len(found.persons), found.persons[0][0, 0, 0]) == (1, x)
    with pytest.raises(DataError, match=r"holds 4 clips \(vi, vid, vid2, vid_2\)"):
        openpose.read_frames(tmp_path)
    with pytest.raises(DataError, match="no file named v_<number>_keypoints"):
        openpose.read_frames(tmp_path, name="v")


def test_fractions_become_pixels_where_the_size_is_known(tmp_path):
    write(tmp_path, 0, person(x=0.25, y=1.0))
    assert openpose.read_frames(tmp_path).fractions
    found = openpose.read_frames(tmp_path, (400, 300))
    assert not found.fractions
    assert found.persons[0][0, 3].tolist() == [100, 300, 0.5]


def test_body_25_becomes_openpose_in_centred_fractions(tmp_path):
    body = np.zeros((25, 3))
    body[9] = 300, 50, 0.7  # the right hip
    body[20] = 100, 100, 0.9  # a toe
    write(tmp_path, 0, {"pose_keypoints_2d": body.ravel().tolist()})
    assert openpose.read_frames(tmp_path).layout == "body_25"
    clip = openpose.read(tmp_path, frame_size=(400, 200))
    assert (clip.layout, clip.frame_size, clip.keypoints.shape) == ("openpose", (400, 200), (2, 1, 18, 2))
    np.testing.assert_allclose(clip.array()[:, 0, 8, 0], [0.25, -0.25, 0.7])
    assert np.count_nonzero(clip.array().any(0)) == 1
    assert openpose.read(tmp_path, frame_size=(400, 200), layout="penn-action").keypoints.shape == (2, 1, 13, 2)


def test_a_person_keeps_the_row(tmp_path):
    for number in range(6):
        people = [person(x=0.2, y=0.5, score=0.6), person(x=0.8, y=0.5)]
        write(tmp_path, number, *(people if number % 2 else people[::-1]))
    clip = openpose.read(tmp_path)
    np.testing.assert_allclose(clip.keypoints[:, :, 0, 0], [[-0.3] * 6, [0.3] * 6], rtol=1e-6)


def test_hands_alone_zeros_alone_and_nobody(tmp_path):
    write(tmp_path, 0, {"pose_keypoints_2d": []}, person(score=0))
    write(tmp_path, 1)
    found = openpose.read_frames(tmp_path)
    assert [persons.shape for persons in found.persons] == [(0, 18, 3)] * 2
    assert not openpose.read(tmp_path).array().any()


BAD = {
    "not JSON": (b'{"people": [', "not valid JSON"),
    "no people": (b"{}", "not a file of OpenPose"),
    "a list": (b"[]", "not a file of OpenPose"),
    "people without pose": (b'{"people": [{}]}', "not a file of OpenPose"),
    "text": (json.dumps({"people": [{"pose_keypoints_2d": ["1"] * 54}]}).encode(), "not a list of numbers"),
    "no list": (b'{"people": [{"pose_keypoints_2d": 5}]}', "not a list of numbers"),
    "MPI": (json.dumps({"people": [person(V=15)]}).encode(), "a person has 45 numbers, not 54 (COCO-18) or 75"),
    "huge": (json.dumps({"people": [person(x=1e30)]}).encode(), "a number that is too large"),
    "another layout": (json.dumps({"people": [person(V=25)]}).encode(), "75 numbers a person, but 54 in"),
}


@pytest.mark.parametrize("content, message", BAD.values(), ids=BAD.keys())
def test_a_bad_file_is_one_line_that_names_it(tmp_path, content, message):
    write(tmp_path, 0, person())
    bad = tmp_path / "vid_000000000001_keypoints.json"
    bad.write_bytes(content)
    with pytest.raises(DataError) as error:
        openpose.read_frames(tmp_path)
    line = str(error.value)
    assert line.startswith(f"{bad}: ") and message in line and "\n" not in line


def test_a_bad_folder_is_one_line_that_names_it(tmp_path):
    with pytest.raises(DataError, match="no file named <clip>_<number>_keypoints"):
        openpose.read_frames(tmp_path)
    with pytest.raises(FileNotFoundError):
        openpose.read_frames(tmp_path / "none")
    write(tmp_path / "two", 1, person())
    (tmp_path / "two/vid_1_keypoints.json").write_text("{}")
    with pytest.raises(DataError, match="has the same number"):
        openpose.read_frames(tmp_path / "two")
    write(tmp_path / "stamps", 1, person())
    write(tmp_path / "stamps", 1700000000, person())
    with pytest.raises(DataError, match="too large for a frame"):
        openpose.read_frames(tmp_path / "stamps")
    write(tmp_path / "pixels", 1, person())
    with pytest.raises(DataError, match="coordinates are pixels, so the size of the frame must be given"):
        openpose.read(tmp_path / "pixels")
    write(tmp_path / "scale4", 1, person(x=-0.9, y=-0.5), person(x=0.9, y=0.5))
    with pytest.raises(DataError, match="coordinates run from -1 to 1"):
        openpose.read(tmp_path / "scale4")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-1e3, 1e3) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
people = st.lists(st.fixed_dictionaries({"pose_keypoints_2d": json_values}) | json_values, max_size=3)


@given(content=st.fixed_dictionaries({"people": people | json_values}) | json_values)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_the_shape_it_is_read_or_a_data_error(tmp_path, content):
    (tmp_path / "a_0_keypoints.json").write_text(json.dumps(content))
    try:
        found = openpose.read_frames(tmp_path)
    except DataError as error:
        assert "\n" not in str(error)
    else:
        assert found.persons[0].shape[1:] == (18, 3)


@pytest.mark.parametrize(
    "clip, num_frame, layout, fractions, most",
    [
        ("openpose_body25/Kick_1", 90, "body_25", False, 1),
        ("openpose_body25/Kick_10", 90, "body_25", False, 3),
        ("openpose_coco18/seq_1", 200, "openpose", True, 1),
    ],
)
def test_real_output_of_openpose(real_data, clip, num_frame, layout, fractions, most):
    found = openpose.read_frames(real_data / clip)
    assert (len(found.persons), found.layout, found.fractions, found.first) == (num_frame, layout, fractions, 0)
    assert max(len(persons) for persons in found.persons) == most
    files = sorted((real_data / clip).iterdir())
    for file, persons in zip(files, found.persons):
        plain = [p["pose_keypoints_2d"] for p in json.loads(file.read_text())["people"]]
        np.testing.assert_allclose(persons.ravel(), np.ravel(plain), rtol=1e-6)
    sequence = openpose.read(real_data / clip, frame_size=(1920, 1080))
    assert sequence.keypoints.shape == (2, num_frame, 18, 2)
    assert np.abs(sequence.keypoints).max() <= 0.5
    assert sequence.scores[0].any()


def test_a_kinetics_file_stands_in_for_a_folder(real_data):
    files = sorted((real_data / "kinetics_skeleton/kinetics_train").glob("*.json"))
    assert len(files) == 3
    for file in files:
        content = json.loads(file.read_text())["data"]
        found = openpose.read_frames(file)
        assert (len(found.persons), found.layout, found.fractions) == (len(content), "openpose", True)
        ours, theirs = openpose.read(file), kinetics.read(file)
        assert (ours.name, ours.label) == (theirs.name, theirs.label)
        np.testing.assert_array_equal(ours.array(), theirs.array())
        for frame, persons in zip(content, found.persons):
            poses = [np.reshape(p["pose"], (18, 2)) for p in frame["skeleton"] if np.any(p["pose"])]
            assert len(persons) == len(poses)
