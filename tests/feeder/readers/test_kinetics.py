"""feeder/readers/kinetics.py against a plain reader, hand-made files and real ones."""

import json
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from feeder.readers import kinetics
from feeder.tracking.link import MAX_GAP, MAX_STEP
from torchlight.errors import DataError

V = 18


def plain_load(path, num_person_in=5):
    """The file as the original reads it: joint after joint, each frame's persons by their score; (T, P, V, 3)."""
    with path.open() as file:
        content = json.load(file)
    index = [frame["frame_index"] for frame in content["data"]]
    array = np.zeros((max(index) - min(index) + 1, num_person_in, V, 3), np.float32)
    everybody = [person for frame in content["data"] for person in frame["skeleton"]]
    if not any(any(person["score"]) for person in everybody):  # a file without scores
        for person in everybody:
            person["score"] = [float(any(person["pose"][2 * v : 2 * v + 2])) for v in range(V)]
    for frame in content["data"]:
        t = frame["frame_index"] - min(index)
        persons = sorted(frame["skeleton"], key=lambda person: -sum(person["score"]))
        for m, person in enumerate(persons[:num_person_in]):
            for v in range(V):
                if person["score"][v] > 0:
                    array[t, m, v, 0] = person["pose"][2 * v] - 0.5
                    array[t, m, v, 1] = person["pose"][2 * v + 1] - 0.5
                    array[t, m, v, 2] = person["score"][v]
    return array


def plain_apart(a, b):
    both = [v for v in range(V) if a[v, 2] > 0 and b[v, 2] > 0]
    apart = [np.hypot(*(a[v, :2] - b[v, :2])) for v in both]
    return min(np.mean(apart), MAX_STEP) if both else MAX_STEP


def plain_follow(array, num_person):
    """Tracks frame by frame, with scipy's assignment, then joined over gaps, then put into rows."""
    tracks, open_tracks = [], []
    for t, persons in enumerate(array):
        persons = [p for p in persons if p[:, 2].any()]
        cost = np.array([[plain_apart(track[-1][1], p) for p in persons] for track in open_tracks])
        reached = {}
        if cost.size:
            reached = {j: open_tracks[i] for i, j in zip(*linear_sum_assignment(cost)) if cost[i, j] < MAX_STEP}
        open_tracks = []
        for j, person in enumerate(persons):
            track = reached.get(j)
            if track is None:
                tracks.append(track := [])
            track.append((t, person))
            open_tracks.append(track)
    joins = []
    for i, a in enumerate(tracks):
        for j, b in enumerate(tracks):
            if 1 < b[0][0] - a[-1][0] <= MAX_GAP:
                joins.append((plain_apart(a[-1][1], b[0][1]), i, j))
    after, before = {}, {}
    for cost, i, j in sorted(joins):
        if cost < MAX_STEP and i not in after and j not in before:
            after[i], before[j] = j, i
    whole = []
    for i in range(len(tracks)):
        if i not in before:
            track = []
            while i is not None:
                track += tracks[i]
                i = after.get(i)
            whole.append(track)
    whole.sort(key=lambda track: -sum(person[:, 2].sum() for _, person in track))
    out = np.zeros((num_person, *array.shape[:1], V, 3), np.float32)
    for track in whole:
        for row in out:
            if not any(row[t].any() for t, _ in track):
                for t, person in track:
                    row[t] = person
                break
    return out


def person(x=0.5, y=0.5, score=0.5, seed=0):
    rng = np.random.default_rng(seed)
    pose = (np.array([x, y]) + rng.uniform(-0.1, 0.1, (V, 2))).round(3)
    return {"pose": pose.ravel().tolist(), "score": [score] * V}


def save(path, frames, **more):
    data = [{"frame_index": i, "skeleton": persons} for i, persons in frames.items()]
    path.write_text(json.dumps({"data": data, **more}))
    return path


def joined(sequence):
    return np.concatenate([sequence.keypoints, sequence.scores[..., None]], -1)


@pytest.fixture
def real_files(real_data):
    return sorted((real_data / "kinetics_skeleton/kinetics_train").glob("*.json"))


def test_real_files_equal_the_plain_reader(real_files):
    assert len(real_files) == 3
    for path in real_files:
        for num_person in (1, 2, 4):
            np.testing.assert_allclose(
                joined(kinetics.read(path, num_person)), plain_follow(plain_load(path), num_person), atol=1e-7
            )


def test_a_real_clip(real_data):
    clip = kinetics.read(real_data / "kinetics_skeleton/kinetics_train/--33Lscn6sk.json")
    assert (clip.name, clip.label, clip.layout, clip.fps) == ("--33Lscn6sk", 129, "openpose", 30)
    assert clip.keypoints.shape == (2, 189, 18, 2)
    assert clip.scores.max() < 1
    assert not clip.keypoints[clip.scores == 0].any()
    assert np.abs(clip.keypoints).max() < 0.52
    # the two people stay where they are: no jump from one body to the other
    here = clip.scores[:, 1:] * clip.scores[:, :-1] > 0
    assert np.abs(np.diff(clip.keypoints, axis=1))[here].mean() < 0.02


def test_faster_than_a_plain_reader(real_data):
    path = real_data / "kinetics_skeleton/kinetics_train/--33Lscn6sk.json"

    def seconds(read):
        start = time.perf_counter()
        read(path)
        return time.perf_counter() - start

    fast, plain = zip(*((seconds(kinetics.read), seconds(plain_load)) for _ in range(10)))
    linked = seconds(lambda path: plain_follow(plain_load(path), 2))
    print(f"kinetics: {min(plain) / min(fast):.1f} times the plain reader that does not follow anybody, ", end="")
    print(f"{linked / min(fast):.0f} times the one that does")
    assert min(plain) / min(fast) > 1  # 2 on a quiet machine
    assert linked / min(fast) > 6  # 15


@pytest.mark.parametrize("first", [0, 1, 5000])
def test_frames_start_anywhere_and_gaps_stay_empty(tmp_path, first):
    clip = kinetics.read(save(tmp_path / "a.json", {first: [person()], first + 3: [person(0.52)], first + 1: []}))
    assert clip.keypoints.shape == (2, 4, V, 2)
    assert clip.scores[0].any(1).tolist() == [True, False, False, True]
    np.testing.assert_allclose(clip.keypoints[0, 0].ravel() + 0.5, person()["pose"], atol=1e-6)
    assert not clip.keypoints[:, 1:3].any()


def test_more_than_300_frames_are_all_read(tmp_path):
    clip = kinetics.read(save(tmp_path / "a.json", {i: [person()] for i in range(1, 402)}))
    assert clip.keypoints.shape[1] == 401
    assert clip.array(300, 2).shape == (3, 300, V, 2)
    assert clip.array(300, 2)[:, -1, :, 0].all()


def test_missing_joints_are_zero_in_every_channel(tmp_path):
    one = person()
    one["score"][3] = 0.0
    clip = kinetics.read(save(tmp_path / "a.json", {0: [one]}))
    assert clip.array()[:, 0, 3, 0].tolist() == [0, 0, 0]
    assert clip.array()[:, 0, 4, 0].all()


def test_in_a_file_without_scores_every_joint_that_is_somewhere_was_seen(tmp_path):
    one = person(score=0.0)
    one["pose"][6:8] = 0.0, 0.0
    clip = kinetics.read(save(tmp_path / "a.json", {0: [one]}))
    assert clip.scores[0, 0].tolist() == [float(v != 3) for v in range(V)]
    assert clip.array()[:, 0, 3, 0].tolist() == [0, 0, 0]


def test_of_a_crowd_the_best_five_are_looked_at_and_two_kept(tmp_path):
    crowd = [person(0.05 + 0.1 * i, 0.5, 0.1 * (i + 1), i) for i in range(9)]
    frames = {t: crowd[t % 9 :] + crowd[: t % 9] for t in range(6)}
    clip = kinetics.read(save(tmp_path / "a.json", frames))
    np.testing.assert_allclose(clip.scores[:, :, 0], [[0.9] * 6, [0.8] * 6], rtol=1e-6)
    assert kinetics.read(tmp_path / "a.json", num_person=9).scores.any((1, 2)).sum() == 5
    assert kinetics.read(tmp_path / "a.json", 9, num_person_in=9).scores.any((1, 2)).sum() == 9


def test_no_frames_is_an_empty_clip(tmp_path):
    clip = kinetics.read(save(tmp_path / "a.json", {}))
    assert not clip.array(300, 2).any()
    assert kinetics.read(save(tmp_path / "a.json", {1: [], 2: []})).keypoints.shape == (2, 2, V, 2)


def broken(change):
    frame = {"frame_index": 1, "skeleton": [person()]}
    change(frame, frame["skeleton"][0])
    return {"data": [{"frame_index": 0, "skeleton": []}, frame]}


BAD = {
    "no data": ({"label": "x"}, "key 'data' is missing"),
    "no index": (broken(lambda f, p: f.pop("frame_index")), "key 'frame_index' is missing"),
    "no score": (broken(lambda f, p: p.pop("score")), "key 'score' is missing"),
    "a list": ([1], "a JSON object is needed, found a list"),
    "data is a number": ({"data": 3}, "not a Kinetics-skeleton file"),
    "body 25": (broken(lambda f, p: p.update(pose=[0.1] * 50)), "a pose has 50 numbers, 18 joints need 36 (BODY_25"),
    "short": (broken(lambda f, p: p["score"].pop()), "a score has 17 numbers, 18 joints need 18"),
    "text": (broken(lambda f, p: p["pose"].__setitem__(0, "x")), "a pose holds something that is not a number"),
    "null": (broken(lambda f, p: p["pose"].__setitem__(0, None)), "a pose holds a number that is not finite"),
    "huge": (broken(lambda f, p: p["pose"].__setitem__(0, 1e300)), "a pose holds a number that is not finite"),
    "nan": (broken(lambda f, p: p["pose"].__setitem__(0, float("nan"))), "not valid JSON"),
    "pixels": (broken(lambda f, p: p.update(pose=[300.0] * 36)), "divide pixels by its width and height"),
    "index is text": (broken(lambda f, p: f.update(frame_index="1")), "a frame_index is not an integer"),
    "index far away": (broken(lambda f, p: f.update(frame_index=10**9)), "frame_index runs from 0 to 1000000000"),
    "index twice": (broken(lambda f, p: f.update(frame_index=0)), "a frame_index is there twice"),
}


@pytest.mark.parametrize("content, message", BAD.values(), ids=BAD.keys())
def test_a_bad_file_is_one_line_that_names_it(tmp_path, content, message):
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(content))
    with pytest.raises(DataError) as error:
        kinetics.read(path)
    assert message in str(error.value)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_a_file_cut_anywhere_is_a_data_error(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "cut.json"
    text = save(path, {1: [person(), person(0.8)], 2: []}, label_index=3).read_bytes()
    path.write_bytes(text[: data.draw(st.integers(0, len(text) - 1))])
    with pytest.raises(DataError, match="not valid JSON"):
        kinetics.read(path)


@given(
    st.lists(
        st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0.01, 1)), max_size=4), min_size=1, max_size=8
    )
)
@settings(max_examples=40, deadline=None)
def test_random_files_equal_the_plain_reader(tmp_path_factory, frames):
    path = tmp_path_factory.getbasetemp() / "random.json"
    people = {t + 1: [person(*p, seed=i + 10 * t) for i, p in enumerate(frame)] for t, frame in enumerate(frames)}
    save(path, people)
    plain = plain_load(path)
    got = joined(kinetics.read(path, 4))
    # which of two equal totals comes first is not promised, so compare what the frames hold
    for t in range(plain.shape[0]):

        def bag(rows):
            return sorted(map(tuple, rows[rows.any((1, 2))].reshape(-1, V * 3).round(5).tolist()))

        assert set(bag(got[:, t])) <= set(bag(plain[t]))


# lists ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "kinetics_val").mkdir()
    info = {}
    for i, name in enumerate(["b", "a", "empty", "gone"]):
        info[name] = {"has_skeleton": name != "empty", "label": f"action {i}", "label_index": i}
        if name != "gone":
            save(tmp_path / "kinetics_val" / f"{name}.json", {1: [person()]}, label_index=i)
    (tmp_path / "kinetics_val/notes.txt").write_text("stray")
    (tmp_path / "kinetics_val_label.json").write_text(json.dumps(info))
    return tmp_path


def test_clips_are_sorted_and_the_rest_is_named(folder):
    clips, left_out = kinetics.list_clips(folder, "val")
    assert [(clip.name, clip.label) for clip in clips] == [("a", 1), ("b", 0)]
    assert left_out == [
        ("empty", "has no skeleton"),
        ("gone", "is in kinetics_val_label.json but not in kinetics_val/"),
        ("notes.txt", "is in kinetics_val/ but not in kinetics_val_label.json"),
    ]


def test_label_names_are_those_of_kinetics_400_with_the_own_ones_over_them(folder):
    assert len(kinetics.label_names()) == 400
    assert kinetics.label_names()[129] == "flipping pancake"
    names = kinetics.label_names(folder)
    assert names[:5] == ["action 0", "action 1", "action 2", "action 3", kinetics.label_names()[4]]


@pytest.mark.parametrize("entry", [{}, {"label_index": -1}, {"label_index": "3"}, {"label_index": True}, 7])
def test_a_label_that_is_none_names_file_and_clip(folder, entry):
    (folder / "kinetics_val_label.json").write_text(json.dumps({"a": entry}))
    with pytest.raises(DataError, match=r"kinetics_val_label\.json: 'a' has no label_index"):
        kinetics.list_clips(folder, "val")


def test_half_a_part_is_an_error(folder):
    assert kinetics.has_part(folder, "val")
    assert not kinetics.has_part(folder, "train")
    (folder / "kinetics_val_label.json").unlink()
    with pytest.raises(DataError, match=r"kinetics_val is there but .*kinetics_val_label\.json is not"):
        kinetics.has_part(folder, "val")
