"""feeder/h5.py, h5_writer.py, ragged.py: an .h5 gives what the .npy gives, in every process, and is not believed."""

import multiprocessing
import os
import pickle
import re
import subprocess
import sys
import zlib
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from feeder import h5
from feeder.conversion import convert
from feeder.dataset import DatasetInfo, read_info
from feeder.feeder import Feeder
from feeder.packed import read_label, read_packed
from feeder.packed_writer import PackedWriter, write_packed
from feeder.ragged import Ragged, RaggedData, padded, without_padding
from feeder.sampling import real_frames, take_frames
from feeder.sequence import SkeletonSequence
from processor.training.batched import BatchedDataset, to_tensors
from torchlight.errors import DataError

SAMPLING = {"whole": {}, "window": {"window_size": 7}, "random_window": {"window_size": 7, "random_choose": True}}
SAMPLING["longer"] = {"window_size": 40, "random_choose": True}
SAMPLING["shift"] = {"random_shift": True}
SAMPLING["uniform"] = {"window_size": 6, "uniform_sample": True, "random_choose": True, "mirror": True}


def clips(count=9, T=12, M=2):
    """Clips of other lengths; one has a gap, one nobody at all, one its only person in the second place."""
    rng = np.random.default_rng(0)
    for i in range(count):
        keypoints = rng.random((M if i % 3 else 1, T - i % 5, 13, 2), np.float32) - 0.5
        scores = np.ones(keypoints.shape[:3], np.float32)
        if i == 2:
            keypoints[:, 3:6] = scores[:, 3:6] = 0
        elif i == 4:
            keypoints[:] = scores[:] = 0
        elif i == 5:
            keypoints[0] = scores[0] = 0
        yield SkeletonSequence(f"clip {i} é", i % 3, keypoints, scores, (320, 240), "penn-action", 29.97)


def write(folder, out_format, **options):
    write_packed(folder, "train", clips(**options), 9, 14, 2, out_format, ["a", "b", "c"])
    return folder / ("train.h5" if out_format == "h5" else "train_data.npy")


@pytest.fixture
def both(tmp_path):
    """The same clips as .npy and as .h5."""
    return write(tmp_path / "npy", "npy"), write(tmp_path / "h5", "h5")


def content(folder):
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


# ---- the same as the .npy


def test_it_holds_what_the_npy_and_its_companions_hold(both):
    npy, h5_path = both
    for mmap in (True, False):
        one, other = read_packed(npy, npy.with_name("train_label.pkl")), read_packed(h5_path, mmap=mmap)
        assert (other.sample_name, other.label, other.data.shape) == (one.sample_name, one.label, one.data.shape)
        np.testing.assert_array_equal(other.frame_size, one.frame_size)
        for index in (3, -1, np.int64(4), slice(None), slice(2, 5), [4, 0], np.array([8, 8, 1])):
            np.testing.assert_array_equal(other.data[index], one.data[index])
        np.testing.assert_array_equal(np.array(other.data), one.data)
        np.testing.assert_array_equal(list(other.data), one.data)
        np.testing.assert_array_equal(real_frames(other.data), real_frames(one.data))
    assert read_info(h5_path) == read_info(npy)
    assert read_label(h5_path) == read_label(npy.with_name("train_label.pkl"))
    assert [file.name for file in h5_path.parent.iterdir()] == ["train.h5"]


@pytest.mark.parametrize("preparation", SAMPLING.values(), ids=SAMPLING)
def test_the_feeder_gives_the_same_samples(both, preparation):
    npy, h5_path = both
    feeders = [Feeder(str(npy), str(npy.with_name("train_label.pkl")), seed=5, **preparation)]
    feeders += [Feeder(str(h5_path), seed=5, mmap=mmap, **preparation) for mmap in (True, False)]
    indices = [(epoch, clip) for epoch in range(3) for clip in range(9)]
    expected = feeders[0].get_batch(indices)
    for feeder in feeders[1:]:
        for one, other in zip(expected, feeder.get_batch(indices)):
            np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(feeder.aspect, feeders[0].aspect)
        np.testing.assert_array_equal(feeder.recorded([0, 4]), feeders[0].recorded([0, 4]))
        feeder.keep(np.array([7, 2]))
        np.testing.assert_array_equal(feeder[1][0].shape, expected[0][0].shape)
        assert feeder.sample_name == ["clip 7 é", "clip 2 é"]


def test_standardize_is_fitted_to_the_same_values(both):
    npy, h5_path = both
    one = Feeder(str(npy), str(npy.with_name("train_label.pkl")), normalization=True)
    other = Feeder(str(h5_path), normalization=True)
    np.testing.assert_array_equal(one[3][0], other[3][0])


def test_hdf5_alone_can_read_it(both):
    npy, h5_path = both
    with h5py.File(h5_path) as file:  # as docs/data.md does
        C, T, V, M = file.attrs["shape"]
        frames, persons = file["num_frame"][:].astype(int), file["num_person"][:]
        end = np.cumsum(C * V * frames * persons)
        i = 7
        clip = file["values"][end[i - 1] : end[i]].reshape(C, frames[i], V, persons[i])
        assert file["name"].asstr()[i] == "clip 7 é" and file["label"][i] == 1
    np.testing.assert_array_equal(padded(clip, (C, T, V, M)), np.load(npy)[7])


SHAPES = st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 3), st.integers(1, 3))
VALUES = st.sampled_from([0.0, -0.0, 1.0, -2.5, np.nan, np.float32(1e-45), np.inf])


@st.composite
def data_sets(draw):
    """(N, C, T, V, M) of any bits with zeros in any place, names, labels, frame sizes."""
    shape = draw(SHAPES)
    size = int(np.prod(shape))
    rows = draw(st.lists(st.lists(VALUES, min_size=size, max_size=size), min_size=1, max_size=5))
    data = np.array(rows, np.float32).reshape(-1, *shape)
    for clip in data:
        clip[:, draw(st.integers(0, shape[1])) :] = 0
        clip[..., draw(st.integers(0, shape[3])) :] = 0
    text = st.text(st.characters(exclude_characters="\0", exclude_categories=()), max_size=8)
    names = draw(st.lists(text, min_size=len(data), max_size=len(data), unique=True))
    label = draw(st.lists(st.integers(0, 2**31 - 1), min_size=len(data), max_size=len(data)))
    sizes = draw(
        st.lists(st.tuples(st.floats(0, 4000, width=32), st.just(9.5)), min_size=len(data), max_size=len(data))
    )
    return data, names, label, sizes if draw(st.booleans()) else [(0, 0)] * len(data)


@given(data_sets())
@settings(max_examples=60, deadline=None)
def test_npy_to_h5_and_back_is_the_same_bit_for_bit(tmp_path_factory, drawn):
    data, names, label, sizes = drawn
    folder = tmp_path_factory.mktemp("x")
    N, _, T, _, M = data.shape
    info = DatasetInfo("coco", 2, 25.0, ("a", "b"), M)
    with PackedWriter(folder / "a", "val", N, T, M, info=info) as writer:
        for row, *rest in zip(data, names, label, sizes):
            writer.add_row(row, *rest)
    convert(folder / "a", folder / "b", "h5")
    convert(folder / "b", folder / "c", "npy")
    (folder / "c" / "label_names.txt").unlink()
    assert content(folder / "a") == content(folder / "c")
    assert list(content(folder / "b")) == ["val.h5"]
    np.testing.assert_array_equal(read_packed(folder / "b/val.h5").data[:].view("u4"), data.view("u4"))


@given(data_sets(), st.lists(st.integers(-1, 4), min_size=1, max_size=6))
@settings(max_examples=60, deadline=None)
def test_frames_of_clips_without_padding_are_those_of_clips_with_it(drawn, chosen):
    data = drawn[0]
    chosen = np.minimum(np.broadcast_to(chosen, (len(data), len(chosen))), data.shape[2] - 1)
    ragged = Ragged([without_padding(clip) for clip in data], data.shape[1:])
    np.testing.assert_array_equal(take_frames(ragged, chosen), take_frames(list(data), chosen))
    np.testing.assert_array_equal(real_frames(ragged), real_frames(data))
    np.testing.assert_array_equal(np.stack(ragged).view("u4"), data.view("u4"))


@pytest.mark.parametrize("name", ["ntu_rgbd", "penn_action"])
def test_real_recordings_go_there_and_back_and_are_a_quarter_at_most(real_data, tmp_path, name):
    tools = Path(__file__).resolve().parents[2] / "tools"
    if name == "ntu_rgbd":
        command, formats = [tools / "ntu_gendata.py"], ("npy", "h5")
    else:
        command, formats = [tools / "gendata.py", "--format", "penn-action"], ("npy",)
    for out_format in formats:
        out = ["--data_path", real_data / name, "--out_folder", tmp_path / out_format, "--out_format", out_format]
        subprocess.run([sys.executable, *map(str, [*command, *out, "--num_worker", 1])], check=True)
    convert(tmp_path / "npy", tmp_path / "converted", "h5")
    convert(tmp_path / "converted", tmp_path / "back", "npy")
    assert content(tmp_path / "back") == content(tmp_path / "npy")
    assert len(formats) == 1 or content(tmp_path / "converted") == content(tmp_path / "h5")
    for path in (tmp_path / "converted").rglob("*.h5"):
        npy = tmp_path / "npy" / path.relative_to(tmp_path / "converted").with_name(f"{path.stem}_data.npy")
        assert 4 * path.stat().st_size < npy.stat().st_size


# ---- written


def test_a_killed_run_goes_on_to_the_same_bytes(tmp_path):
    whole = write(tmp_path / "whole", "h5").read_bytes()
    broken, sequences = tmp_path / "broken", list(clips())
    info = DatasetInfo(label_names=("a", "b", "c"))
    for torn in (0, 1, 500):
        with pytest.raises(KeyboardInterrupt), PackedWriter(broken, "train", 9, 14, 2, "job", "h5", info) as writer:
            for sequence in sequences[writer.done : 6]:
                writer.add(sequence)
            raise KeyboardInterrupt
        assert list(content(broken)) == ["train.h5.journal", "train.h5.part"]
        data = (broken / "train.h5.part").read_bytes()
        (broken / "train.h5.part").write_bytes(data[: len(data) - torn])
    with PackedWriter(broken, "train", 9, 14, 2, "job", "h5", info) as writer:
        assert writer.done == 5
        for sequence in sequences[writer.done :]:
            writer.add(sequence)
    assert content(broken) == {"train.h5": whole}


def test_a_file_that_was_there_stays_where_the_new_one_fails(tmp_path):
    path = write(tmp_path, "h5")
    before = path.read_bytes()
    with pytest.raises(DataError, match="without NUL"), PackedWriter(tmp_path, "train", 1, 14, 2, out_format="h5") as w:
        w.add_row(np.ones((3, 14, 13, 2), np.float32), "a\0b", 0)
    assert content(tmp_path) == {"train.h5": before}


def test_a_full_disk_is_one_line_and_keeps_the_old_file(tmp_path):
    """HDF5 crashes where its cache of chunks meets a full disk; so this one has none. A limit of the file size stands in."""
    pytest.importorskip("resource")
    write(tmp_path, "h5")
    program = f"""
import resource, signal, sys
import numpy as np
from feeder.packed_writer import PackedWriter
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
try:
    with PackedWriter({str(tmp_path)!r}, "train", 1, 300, 2, out_format="h5") as writer:
        for i in range(40):
            writer.add_row(np.random.default_rng(i).random((3, 300, 13, 2), np.float32), str(i), 0)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
except OSError as error:
    print(error.errno, error)
"""
    before = content(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=Path(__file__).parents[2]
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"27 \[Errno 27\] File too large: '.*/train.h5'\n", done.stdout)
    assert content(tmp_path) == before


def test_rounded_coordinates_are_packed_as_they_are_others_shuffled(tmp_path):
    def filters(values):
        with PackedWriter(tmp_path, "x", 1, 500, 1, out_format="h5") as writer:
            writer.add_row(values.astype("f4").reshape(1, 500, 20, 1), "a", 0)
        with h5py.File(tmp_path / "x.h5") as file:
            return file["values"].compression, file["values"].shuffle

    rng = np.random.default_rng(0)
    assert filters(rng.integers(0, 300, 10_000) / 320 - 0.5) == ("gzip", False)
    assert filters(np.cumsum(rng.normal(size=10_000)) / 100) == ("gzip", True)


# ---- several processes


BATCHES = [range(0, 3), range(3, 6), range(6, 9)]


@pytest.fixture
def feeder(both):
    """A feeder whose file is open in this process, and its batches."""
    feeder = Feeder(str(both[1]), window_size=6, random_choose=True)
    return feeder, [feeder.get_batch(batch) for batch in BATCHES]


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_other_processes_read_the_same_batches(feeder, method):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} here")
    feeder, expected = feeder
    with ProcessPoolExecutor(2, multiprocessing.get_context(method)) as pool:
        for found, (data, label) in zip(pool.map(feeder.get_batch, BATCHES * 2), expected * 2):
            np.testing.assert_array_equal(found[0], data)
            np.testing.assert_array_equal(found[1], label)
    np.testing.assert_array_equal(feeder.get_batch(BATCHES[0])[0], expected[0][0])


def test_the_workers_of_a_loader_read_the_same_batches(feeder):
    feeder, expected = feeder
    dataset = BatchedDataset(feeder)
    loader = DataLoader(dataset, batch_sampler=BATCHES, collate_fn=to_tensors, num_workers=2, persistent_workers=True)
    for _ in range(2):
        for (data, label), (x, y) in zip(expected, loader):
            np.testing.assert_array_equal(data, x)
            np.testing.assert_array_equal(label, y)


def test_a_pickle_has_the_path_and_no_values(both):
    feeder = Feeder(str(both[1]))
    first = feeder[7][0]
    assert len(pickle.dumps(feeder.data.values)) < 1000
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(feeder))[7][0], first)


def test_a_forked_process_opens_the_file_for_itself(both):
    values = read_packed(both[1]).data.values
    values[0:1]
    assert values._process == os.getpid()
    opened = values._values
    values._process = -1  # as a fork sees it
    values[0:1]
    assert values._values is not opened


def test_a_process_keeps_chunks_that_it_has_unpacked(both):
    values = read_packed(both[1]).data.values
    values[0:1]
    assert values._values.id.get_access_plist().get_chunk_cache()[1] == h5.CACHE == 64 << 20


# ---- not believed


def edit(change):
    """A damage: change(open file)."""

    def damage(path):
        with h5py.File(path, "r+") as file:
            change(file)

    return damage


def remake(name, make):
    """A damage: another data set in place of one, made by make(its values) -> arguments of create_dataset."""

    def change(file):
        old = file[name][:]
        del file[name]
        file.create_dataset(name, **({"chunks": True} | make(old)))

    return edit(change)


def relink(name, link):
    def change(file):
        del file[name]
        file[name] = link

    return edit(change)


def cut(size):
    return lambda path: path.write_bytes(path.read_bytes()[:size])


def flip(path):
    data = bytearray(path.read_bytes())
    with h5py.File(path) as file:
        place = file["values"].id.get_chunk_info(0).byte_offset + 100
    data[place] ^= 255
    path.write_bytes(data)


def several(old):
    return {"data": np.concatenate([old, old[:1]])}


def bomb(file):
    """A chunk that unpacks to far more than it should."""
    file["label"].id.write_direct_chunk((0,), zlib.compress(bytes(1 << 24)), 0)


def foreign(path):
    path.unlink()
    with h5py.File(path, "w") as file:
        file["weights"] = np.ones(3)


BAD = {
    "missing": (lambda path: path.unlink(), "does not exist; make it with"),
    "a folder": (lambda path: (path.unlink(), path.mkdir()), "is a folder, not an HDF5 file"),
    "empty": (cut(0), "is empty"),
    "cut in the signature": (cut(5), "has been cut off"),
    "cut in the header": (cut(30), "is damaged"),
    "cut": (cut(-1), "has been cut off"),
    "of another kind": (lambda path: path.write_bytes(b"PK\3\4 zip zip zip"), "is not an HDF5 file"),
    "foreign": (foreign, "is an HDF5 file, but not a packed data set"),
    "another format": (edit(lambda f: f.attrs.__setitem__("format", np.bytes_(b"x"))), "but not a packed data set"),
    "no shape": (edit(lambda f: f.attrs.__delitem__("shape")), "does not say the shape"),
    "a shape of text": (edit(lambda f: f.attrs.__setitem__("shape", "12")), "does not say the shape"),
    "a shape without end": (edit(lambda f: f.attrs.__setitem__("shape", np.array([2**31] * 4))), "has samples of the shape"),
    "a negative shape": (edit(lambda f: f.attrs.__setitem__("shape", np.array([-3, 14, -13, 2]))), "has samples of the shape"),
    "no values": (edit(lambda f: f.__delitem__("values")), "has no values"),
    "a soft link": (relink("values", h5py.SoftLink("/label")), "has no values"),
    "an external link": (relink("label", h5py.ExternalLink("/etc/passwd", "/x")), "has no label"),
    "a group": (edit(lambda f: (f.__delitem__("name"), f.create_group("name"))), "has a name that is no data set"),
    "external storage": (
        remake("label", lambda x: {"shape": x.shape, "dtype": "i4", "chunks": None, "external": [("/etc/passwd", 0, 36)]}),
        "has a label that is not in chunks",
    ),
    "values without end": (
        remake("values", lambda x: {"shape": (10**13,), "dtype": "f4", "chunks": (2048,)}),
        "lacks parts of values",
    ),
    "chunks without end": (
        remake("values", lambda x: {"shape": (10**9,), "dtype": "f4", "chunks": (10**9,)}),
        "has a values in chunks of 4,000,000,000 bytes",
    ),
    "other filters": (remake("values", lambda x: {"data": x, "scaleoffset": 3}), "has a values packed by other filters"),
    "doubles": (remake("values", lambda x: {"data": x.astype("f8")}), "has a values of 1 dimensions of float64"),
    "values too few": (remake("values", lambda x: {"data": x[:-1]}), "values where its clips have"),
    "texts of any length": (remake("name", lambda x: {"data": x.tolist(), "dtype": h5py.string_dtype()}), "has a name of"),
    "references": (
        remake("name", lambda x: {"shape": x.shape, "dtype": h5py.ref_dtype}),
        "has a name of 1 dimensions of object",
    ),
    "frames beyond the shape": (remake("num_frame", lambda x: {"data": x + 9}), "num_frame is not from 0 to 14"),
    "negative persons": (remake("num_person", lambda x: {"data": x - 2}), "num_person is not from 0 to 2"),
    "frames of more clips": (remake("num_frame", several), "has 9 labels, and num_frame of another number"),
    "labels of text": (remake("label", lambda x: {"data": x.astype("S4")}), "has a label of 1 dimensions of |S4"),
    "a negative label": (remake("label", lambda x: {"data": x - 1}), "label of 'clip 0 é' is -1"),
    "a name twice": (remake("name", lambda x: {"data": np.repeat(x[:1], 9)}), "has two clips of one name"),
    "a name that is no text": (remake("name", lambda x: {"data": np.array([b"\xff%d" % i for i in range(9)])}), "is damaged"),
    "frame sizes of others": (remake("frame_size", lambda x: {"data": x[:4]}), "and frame_size of another number"),
    "a frame size of three": (remake("frame_size", lambda x: {"data": x[:, [0, 1, 1]]}), "has a frame_size of the shape"),
    "a chunk that unpacks to more": (edit(bomb), "has a label with a chunk of 16,"),
}  # fmt: skip


@pytest.mark.parametrize("damage, message", BAD.values(), ids=BAD)
def test_a_bad_file_is_one_line_that_names_it(tmp_path, damage, message):
    path = write(tmp_path, "h5")
    damage(path)
    with pytest.raises(DataError, match=re.escape(message)) as error:
        read_packed(path)
    assert "\n" not in str(error.value) and str(error.value).startswith(str(path))


@pytest.mark.parametrize("text", ["layout: [", "layout: 3", "colour: red", "- a", "a: &x [*x]"])
def test_facts_that_are_none_are_one_line(tmp_path, text):
    path = write(tmp_path, "h5")
    remake("dataset.yaml", lambda _: {"data": np.array([text.encode()])})(path)
    with pytest.raises(DataError, match=re.escape(f"{path}: dataset.yaml")) as error:
        read_info(path)
    assert "\n" not in str(error.value)


def test_clips_that_are_damaged_are_one_line_when_they_are_read(tmp_path):
    path = write(tmp_path, "h5")
    flip(path)
    data = read_packed(path).data
    with pytest.raises(DataError, match=r"train\.h5 is damaged \(.*\); make it with") as error:
        data[0]
    assert "\n" not in str(error.value)


def test_labels_beside_an_h5_are_one_too_many_and_beside_a_npy_one_too_few(both):
    with pytest.raises(DataError, match=r"label_path: x\.pkl: .*train\.h5 has its labels inside; leave label_path out"):
        Feeder(str(both[1]), "x.pkl")
    with pytest.raises(DataError, match=r"label_path is missing: the labels of .*train_data\.npy"):
        Feeder(str(both[0]))


def test_what_was_written_in_two_runs_has_no_time_in_it(tmp_path, monkeypatch):
    first = write(tmp_path, "h5").read_bytes()
    assert write(tmp_path, "h5").read_bytes() == first
    assert h5.FORMAT in first


@pytest.mark.parametrize("kind", ["i4", "u1", "u8"])
def test_lengths_may_be_of_any_integers(kind):
    lengths, persons = np.array([3, 0, 3], kind), np.array([1, 0, 1], kind)
    data = RaggedData(np.arange(6, dtype=np.float32), (1, 4, 1, 2), lengths, persons)
    assert data[1].shape == (1, 4, 1, 2) and not data[1].any()
    np.testing.assert_array_equal(data[2][0, :, 0, 0], [3, 4, 5, 0])
    np.testing.assert_array_equal(data[::-2][:, 0, 0, 0, 0], [3, 0])
    with pytest.raises(IndexError):
        data[3]
