"""feeder/readers/ntu.py against a reader line by line, hand-made files and real ones."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feeder.readers import ntu
from feeder.readers.clip import read_lines
from feeder.readers.ntu import Body, denoise
from torchlight.errors import DataError

V = 25
INFO = "bodyID clipedEdges handLeftConfidence handLeftState handRightConfidence handRightState isResticted leanX leanY state"
JOINT = "x y z depthX depthY colorX colorY orientationW orientationX orientationY orientationZ trackingState"


def plain_load(path):
    """The file line by line into dictionaries: a list of frames of bodies."""
    with path.open() as file:
        frames = []
        for _ in range(int(file.readline())):
            bodies = []
            for _ in range(int(file.readline())):
                words = file.readline().split()
                body = {"bodyID": int(words[0])}
                body.update({key: float(word) for key, word in zip(INFO.split()[1:], words[1:])})
                body["joints"] = []
                for _ in range(int(file.readline())):
                    body["joints"].append({k: float(w) for k, w in zip(JOINT.split(), file.readline().split())})
                bodies.append(body)
            frames.append(bodies)
    return frames


def plain_bodies(frames):
    """{(ID, which one of this ID): {frame: (V, 3)}} in the order of appearance."""
    found = {}
    for t, bodies in enumerate(frames):
        ids = []
        for body in bodies:
            key = body["bodyID"], ids.count(body["bodyID"])
            ids.append(body["bodyID"])
            joints = np.array([[joint[c] for c in "xyz"] for joint in body["joints"]], np.float32)
            found.setdefault(key, {})[t] = joints
    return found


def assert_bodies_equal(got, plain):
    assert len(got) == len(plain)
    for body, (_, frames) in zip(got, plain.items()):
        assert body.frames.tolist() == list(frames)
        np.testing.assert_array_equal(body.joints, np.stack(list(frames.values())))


def spell(frames, newline="\n", space=" "):
    """The text of a .skeleton file; frames are lists of (ID, (V, 3))."""
    lines = [str(len(frames))]
    for bodies in frames:
        lines.append(str(len(bodies)))
        for body, joints in bodies:
            lines += [space.join([str(body), *"011110", "0.02764709", "-0.05", "2"]), str(len(joints))]
            rest = ["277.419", "191.8", "1036.2", "519.1", "-0.2", "0.05", "0.9", "-0.1", "2"]
            lines += [space.join([*(repr(float(c)) for c in joint), *rest]) for joint in joints]
    return (newline.join(lines) + newline).encode()


def save(path, *frames, **options):
    path.write_bytes(spell(frames, **options))
    return path


def joints(seed=0, x=0.0, width=0.2):
    """Somebody who stands at x, 1.6 m tall."""
    rng = np.random.default_rng(seed)
    body = rng.uniform(-1, 1, (V, 3)) * [width, 0.8, 0.1] + [x, 0, 3]
    return body.astype(np.float32).astype(float)


A, B, C = 72057594037931101, 72057594037931108, 2  # A and B are the same number as float64
NAME = "S001C002P003R001A044.skeleton"


@pytest.fixture
def real_files(real_data):
    return sorted((real_data / "ntu_rgbd").glob("*.skeleton"))


def test_real_files_equal_the_plain_reader(real_files):
    assert len(real_files) == 3
    for path in real_files:
        frames = plain_load(path)
        num_frame, bodies = ntu.read_bodies(path)
        assert num_frame == len(frames)
        assert_bodies_equal(bodies, plain_bodies(frames))
        clip = ntu.read(path)
        assert clip.keypoints.shape == (2, num_frame, V, 3)
        assert (clip.name, clip.label, clip.layout) == (path.name, int(path.stem[-3:]) - 1, "ntu-rgb+d")
        np.testing.assert_array_equal(
            clip.keypoints[0], np.stack(list(next(iter(plain_bodies(frames).values())).values()))
        )
        np.testing.assert_array_equal(
            ntu.read(path, denoised=True).keypoints, clip.keypoints
        )  # one body, nothing to do


def test_ten_times_faster_than_a_plain_reader(real_files):
    def seconds(read):
        start = time.perf_counter()
        read(real_files[0])
        return time.perf_counter() - start

    fast, plain = zip(*((seconds(ntu.read_bodies), seconds(lambda p: plain_bodies(plain_load(p)))) for _ in range(10)))
    print(f"ntu: {min(plain) / min(fast):.1f} times the plain reader")
    assert min(plain) / min(fast) > 3  # 10 on a quiet machine


bodies_of_a_frame = st.lists(st.tuples(st.sampled_from([A, B, C]), st.integers(0, 99)), max_size=3)


@given(
    st.lists(bodies_of_a_frame, min_size=1, max_size=6),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from([" ", "  ", "\t"]),
)
@settings(max_examples=40, deadline=None)
def test_random_files_come_back(tmp_path_factory, frames, newline, space):
    frames = [[(body, joints(seed)) for body, seed in bodies] for bodies in frames]
    path = save(tmp_path_factory.getbasetemp() / "random.skeleton", *frames, newline=newline, space=space)
    plain = plain_bodies(plain_load(path))
    if not plain:
        with pytest.raises(DataError, match="no body in any of its"):
            ntu.read(path)
        return
    num_frame, bodies = ntu.read_bodies(path)
    assert num_frame == len(frames)
    assert_bodies_equal(bodies, plain)
    assert sum(len(body.frames) for body in bodies) == sum(map(len, frames))
    assert ntu.read(path).keypoints.shape == (2, num_frame, V, 3)
    ntu.read(path, denoised=True)


@given(st.floats(-1e6, 1e6, allow_nan=False), st.sampled_from(["{!r}", "{:+.6f}", "{:e}", "{:.0f}."]))
@settings(max_examples=60, deadline=None)
def test_numbers_are_read_as_float_reads_them(tmp_path_factory, number, form):
    path = save(tmp_path_factory.getbasetemp() / "number.skeleton", [(A, joints())])
    word = form.format(number)
    path.write_bytes(path.read_bytes().replace(repr(float(joints()[0, 0])).encode(), word.encode(), 1))
    assert ntu.read_bodies(path)[1][0].joints[0, 0, 0] == np.float32(float(word))


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_a_file_cut_anywhere_is_a_data_error(tmp_path_factory, data):
    path = save(tmp_path_factory.getbasetemp() / "cut.skeleton", [(A, joints())], [], [(A, joints(1)), (B, joints(2))])
    text = path.read_bytes()
    path.write_bytes(text[: data.draw(st.integers(0, len(text) - len("2\n") - 1))])  # its last word may be shorter
    with pytest.raises(DataError) as error:
        ntu.read(path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


def swap(old, new, count=1):
    return lambda text: text.replace(old, new, count)


BAD = {
    "empty": (lambda _: b"", "the number of frames is missing"),
    "binary": (lambda _: bytes(range(256)), "should be a whole number"),
    "no frames": (lambda _: b"0\n", "no body in any of its 0 frames"),
    "no bodies": (lambda _: b"2\n0\n0\n", "no body in any of its 2 frames"),
    "24 joints": (swap(b"\n25\n", b"\n24\n"), "a body in frame 0 has 24 joints instead of 25"),
    "more frames": (swap(b"2\n", b"1\n"), "goes on after its last frame"),
    "fewer frames": (swap(b"2\n", b"3\n"), "the number of bodies in frame 2 is missing"),
    "many frames": (swap(b"2\n", b"9" * 5000 + b"\n"), "is missing"),
    "ID is text": (swap(str(A).encode(), b"abc"), "a body ID in frame 0 should be a whole number, found 'abc'"),
    "nan": (swap(repr(float(joints()[0, 1])).encode(), b"nan"), "a coordinate is not finite"),
    "nan of windows": (swap(repr(float(joints()[0, 1])).encode(), b"-1.#IND"), "a coordinate is not a number"),
    "too large": (swap(repr(float(joints()[0, 1])).encode(), b"1e300"), "a coordinate is not finite"),
    "text": (swap(repr(float(joints()[0, 1])).encode(), b"x"), "a coordinate is not a number"),
    "comma": (swap(repr(float(joints()[0, 1])).encode(), b"0,5"), "a coordinate is not a number"),
    "null": (swap(repr(float(joints()[0, 1])).encode(), b"null"), "a coordinate is not finite"),
}


@pytest.mark.parametrize("change, message", BAD.values(), ids=BAD.keys())
def test_a_bad_file_is_one_line_that_names_it(tmp_path, change, message):
    path = save(tmp_path / NAME, [(A, joints())], [(A, joints())])
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(DataError) as error:
        ntu.read(path)
    assert message in str(error.value)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


def test_bodies_are_followed_by_all_64_bits_of_their_id(tmp_path):
    path = save(tmp_path / NAME, [(A, joints(0)), (B, joints(1))], [(B, joints(2)), (A, joints(0))])
    _, (a, b) = ntu.read_bodies(path)
    np.testing.assert_array_equal(a.joints, np.stack([joints(0)] * 2))
    np.testing.assert_array_equal(b.joints, np.stack([joints(1), joints(2)]))


def test_an_id_that_two_bodies_of_a_frame_share_is_two_bodies(tmp_path):
    path = save(tmp_path / NAME, [(A, joints(0)), (A, joints(1))], [(A, joints(2))])
    _, (first, second) = ntu.read_bodies(path)
    assert (first.frames.tolist(), second.frames.tolist()) == ([0, 1], [0])


def test_of_three_bodies_the_two_that_move_most_are_kept(tmp_path):
    def frame(t):
        return [(A, joints(0)), (B, joints(0, x=0.1 * t)), (C, joints(0, x=0.5 * t))]

    clip = ntu.read(save(tmp_path / NAME, *map(frame, range(20))))
    np.testing.assert_allclose(clip.keypoints[0, :, 0, 0] - joints(0)[0, 0], 0.5 * np.arange(20), atol=1e-5)
    np.testing.assert_allclose(clip.keypoints[1, :, 0, 0] - joints(0)[0, 0], 0.1 * np.arange(20), atol=1e-5)
    assert clip.label == 43
    assert clip.array(300, 2).shape == (3, 300, V, 2)


# denoising -----------------------------------------------------------------------------------------------------------


def body(frames, seed=0, sway=0.1, width=0.2):
    """Somebody who sways by so many metres."""
    frames = np.array(frames)
    return Body(frames, np.stack([joints(seed, sway * np.sin(t), width) for t in frames]).astype(np.float32))


def rows(out):
    return [np.flatnonzero(row.any((1, 2))).tolist() for row in out]


def test_a_body_alone_is_kept_however_short_and_cut_to_its_frames():
    assert rows(denoise([body(range(4, 7), width=5)])) == [[0, 1, 2], []]


def test_bodies_of_11_frames_or_fewer_are_dropped():
    assert rows(denoise([body(range(30)), body(range(11), 1, 0.5)])) == [[*range(30)], []]
    assert rows(denoise([body(range(30)), body(range(12), 1, 0.5)])) == [[*range(12)], [*range(30)]]


def test_a_body_wider_than_tall_is_dropped():
    assert rows(denoise([body(range(30), width=2), body(range(5, 20), 1)])) == [[*range(15)], []]


def test_a_body_that_is_seldom_implausible_moves_as_in_its_plausible_frames():
    calm, wild = body(range(30), sway=0.2), body(range(30), 1, sway=0.1)
    wild.joints[:15, :, 0] *= 50  # half of its frames
    np.testing.assert_array_equal(denoise([wild, calm])[0], calm.joints)


def test_a_body_joins_person_1_where_their_frames_do_not_overlap():
    bodies = [body(range(20), sway=0.5), body(range(20, 40), 1, sway=0.3), body(range(15, 35), 2, sway=0.1)]
    out = denoise(bodies)
    assert rows(out) == [[*range(40)], [*range(15, 35)]]
    np.testing.assert_array_equal(out[0, 20:], bodies[1].joints)
    assert rows(denoise([*bodies, body(range(12, 30), 3, sway=0.01)])) == rows(out)  # no room for a fourth


def test_whoever_comes_first_is_person_1():
    out = denoise([body(range(10, 40), sway=0.5), body(range(20), 1, sway=0.1)])
    assert rows(out) == [[*range(20)], [*range(10, 40)]]


def plain_denoise(bodies):
    """The published description, sentence by sentence, with dictionaries."""
    left = dict(enumerate(bodies))
    moves = {i: sum(np.var(b.joints[..., c].astype(float)) for c in range(3)) for i, b in left.items()}
    for i, b in bodies_of(left):
        if len(left) > 1 and len(b.frames) <= 11:
            del left[i]
    for i, b in bodies_of(left):
        if len(left) > 1:
            fine = [j for j in b.joints if np.ptp(j[:, 0]) <= np.float32(0.8) * np.ptp(j[:, 1])]
            if (len(b.joints) - len(fine)) / len(b.joints) >= 0.69754:
                del left[i]
            elif len(fine) < len(b.joints):
                moves[i] = min(moves[i], sum(np.var(np.array(fine)[..., c].astype(float)) for c in range(3)))
    slots = [{}, {}]
    for i in sorted(left, key=lambda i: -moves[i]):
        frames = dict(zip(left[i].frames.tolist(), left[i].joints))
        for slot in slots:
            if not slot.keys() & frames.keys():
                slot.update(frames)
                break
    times = sorted(slots[0].keys() | slots[1].keys())
    if times[0] not in slots[0]:
        slots.reverse()
    out = np.zeros((2, times[-1] - times[0] + 1, V, 3), np.float32)
    for row, slot in zip(out, slots):
        for t, j in slot.items():
            row[t - times[0]] = j
    return out


def bodies_of(left):
    return list(left.items())


spans = st.tuples(st.integers(0, 30), st.integers(1, 30), st.floats(0, 0.5), st.sampled_from([0.2, 0.5, 0.66, 2]))


@given(st.lists(spans, min_size=1, max_size=5))
@settings(max_examples=60, deadline=None)
def test_denoising_equals_its_description(spans):
    bodies = [body(range(a, a + n), i, sway, width) for i, (a, n, sway, width) in enumerate(spans)]
    np.testing.assert_array_equal(denoise(bodies), plain_denoise(bodies))


# lists ---------------------------------------------------------------------------------------------------------------


def name(setup, camera, performer, repetition, action):
    return f"S{setup:03}C{camera:03}P{performer:03}R{repetition:03}A{action:03}.skeleton"


@pytest.fixture
def folder(tmp_path):
    for names in [(1, 1, 1, 1, 1), (1, 2, 3, 1, 60), (2, 3, 8, 2, 5), (18, 1, 45, 1, 61), (17, 2, 38, 1, 7)]:
        (tmp_path / name(*names)).touch()
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / name(2, 1, 100, 1, 120)).touch()
    (tmp_path / "more" / name(1, 1, 1, 1, 1)).touch()
    (tmp_path / "readme.txt").touch()
    return tmp_path


def found(folder, *args, **options):
    return [clip.name for clip in ntu.list_clips(folder, *args, **options).clips]


def test_protocols(folder):
    a, b, c, d, e, f = (name(*x) for x in [(1, 1, 1, 1, 1), (1, 2, 3, 1, 60), (2, 3, 8, 2, 5), (17, 2, 38, 1, 7),
                                           (18, 1, 45, 1, 61), (2, 1, 100, 1, 120)])  # fmt: skip
    assert found(folder, "train", "xsub") == [a, c, d]
    assert found(folder, "val", "xsub") == [b]
    assert found(folder, "train", "xview") == [b, c, d]
    assert found(folder, "val", "xview") == [a]
    assert found(folder, "train", "xsub", "ntu120") == [a, f, c, d, e]
    assert found(folder, "val", "xsub", "ntu120") == [b]
    assert found(folder, "train", "xset", "ntu120") == [f, c, e]
    assert found(folder, "val", "xset", "ntu120") == [a, b, d]


def test_what_is_left_out_is_named(folder):
    _, left_out = ntu.list_clips(folder, "train", ignored=["S002C003P008R002A005", name(17, 2, 38, 1, 7)])
    reasons = dict(left_out)
    assert reasons["readme.txt"].startswith("is not named like a clip")
    assert reasons[name(18, 1, 45, 1, 61)] == "is of an action that ntu60 does not have"
    assert reasons[str(folder / "more" / name(1, 1, 1, 1, 1))] == "is there twice"
    assert reasons[name(2, 3, 8, 2, 5)] == "is in the list of samples with missing skeletons"
    assert reasons[name(17, 2, 38, 1, 7)] == "is in the list of samples with missing skeletons"


def test_the_published_numbers_of_the_data_sets():
    assert len(ntu.TRAIN_PERFORMERS["ntu60"]) == 20
    assert len(ntu.TRAIN_PERFORMERS["ntu120"]) == 53
    for dataset, missing, classes in [("ntu60", 302, 60), ("ntu120", 535, 120)]:
        names = read_lines(ntu.MISSING[dataset])
        assert len(names) == len(set(names)) == missing
        assert all(ntu.NAME.fullmatch(f"{line}.skeleton") for line in names)
        assert len(set(ntu.label_names(dataset))) == classes
    assert ntu.label_names("ntu120")[:60] == ntu.label_names("ntu60")
