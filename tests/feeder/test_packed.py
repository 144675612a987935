"""feeder/packed.py: what is written is read back, nothing half-written, nothing believed."""

import errno
import io
import pickle
import re
import shutil
import time
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from feeder import packed_writer
from feeder.dataset import read_info
from feeder.packed import HEADER, read_packed
from feeder.packed_writer import PackedWriter, npy_header, packing, write_packed
from feeder.pickles import load_pickle
from feeder.sequence import SkeletonSequence
from torchlight.errors import DataError, UsageError


def clips(count, size=(320, 240), T=5):
    rng = np.random.default_rng(0)
    for i in range(count):
        keypoints, scores = rng.random((1, T, 4, 2)) - 0.5, rng.random((1, T, 4))
        yield SkeletonSequence(f"clip{i}", i % 3, keypoints.astype("f4"), scores.astype("f4"), size)


def write(folder, count=7, **options):
    write_packed(folder, "train", clips(count, **options), count, 6, 2)
    return folder / "train_data.npy", folder / "train_label.pkl"


def content(folder):
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


def test_what_is_written_is_read_back(tmp_path):
    paths = write(tmp_path)
    for mmap in (True, False):
        got = read_packed(*paths, mmap=mmap)
        assert isinstance(got.data, np.memmap) == mmap
        assert got.data.shape == (7, 3, 6, 4, 2)
        assert got.data.dtype == np.float32
        np.testing.assert_array_equal(got.data, np.stack([s.array(6, 2) for s in clips(7)]))
        assert got.sample_name == [f"clip{i}" for i in range(7)]
        assert got.label == [0, 1, 2, 0, 1, 2, 0]
        np.testing.assert_array_equal(got.frame_size, [[320, 240]] * 7)
    assert sorted(content(tmp_path)) == ["dataset.yaml", "train_data.npy", "train_frame_size.npy", "train_label.pkl"]


def test_numpy_and_pickle_alone_can_read_it(tmp_path):
    data_path, label_path = write(tmp_path)
    assert np.load(data_path).shape == (7, 3, 6, 4, 2)
    with label_path.open("rb") as file:
        names, labels = pickle.load(file)
    assert (type(names), type(labels), len(names)) == (list, list, 7)


@pytest.mark.parametrize("shape", [(1, 3, 300, 18, 2), (999_999_999, 3, 10**6, 1000, 100)])
def test_header_has_one_length(shape):
    assert len(npy_header(shape)) == HEADER


def test_fewer_clips_than_announced(tmp_path):
    write_packed(tmp_path, "val", clips(3), 100, 6, 2)
    assert read_packed(tmp_path / "val_data.npy", tmp_path / "val_label.pkl").data.shape[0] == 3


def test_an_old_frame_size_does_not_outlive_its_data(tmp_path):
    write(tmp_path)
    paths = write(tmp_path, size=None)
    assert read_packed(*paths).frame_size is None


def stopped_after(folder, done, job="a", count=7):
    """A run that ends in the middle, as if killed: its files stay as they are at that moment."""
    with PackedWriter(folder, "train", count, 6, 2, job=job) as writer:
        for sequence in list(clips(count))[:done]:
            writer.add(sequence)
        saved = {name: data for name, data in content(folder).items() if ".npy." in name}
    shutil.rmtree(folder)
    folder.mkdir()
    for name, data in saved.items():
        (folder / name).write_bytes(data)


@pytest.mark.parametrize("torn", [0, 1, 30, 200, 700])
def test_a_killed_run_goes_on_to_the_same_bytes(tmp_path, torn):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    write(whole)
    stopped_after(broken, 4)
    assert sorted(content(broken)) == ["train_data.npy.journal", "train_data.npy.part"]
    data = (broken / "train_data.npy.part").read_bytes()
    (broken / "train_data.npy.part").write_bytes(data[: len(data) - torn])
    journal = (broken / "train_data.npy.journal").read_bytes()
    (broken / "train_data.npy.journal").write_bytes(journal[: len(journal) - torn % 100])
    with PackedWriter(broken, "train", 7, 6, 2, job="a") as writer:
        assert writer.done == (4 if not torn else 3 if torn < 300 else 2)
        for sequence in list(clips(7))[writer.done :]:
            writer.add(sequence)
    assert content(broken) == content(whole)


def test_another_job_starts_afresh(tmp_path):
    stopped_after(tmp_path, 4)
    for job in ("b", None):
        with PackedWriter(tmp_path, "train", 7, 6, 2, job=job) as writer:
            assert writer.done == 0
            writer.add(next(clips(1)))


def test_an_exception_leaves_a_job_to_be_continued_and_nothing_else(tmp_path):
    with pytest.raises(KeyboardInterrupt), PackedWriter(tmp_path, "train", 7, 6, 2, job="a") as writer:
        writer.add(next(clips(1)))
        raise KeyboardInterrupt
    assert sorted(content(tmp_path)) == ["train_data.npy.journal", "train_data.npy.part"]
    with pytest.raises(KeyboardInterrupt), PackedWriter(tmp_path, "train", 7, 6, 2) as writer:
        writer.add(next(clips(1)))
        raise KeyboardInterrupt
    assert content(tmp_path) == {}


def test_skipped_clips_are_remembered_over_a_stop(tmp_path):
    with pytest.raises(KeyboardInterrupt), PackedWriter(tmp_path, "train", 7, 6, 2, job="a") as writer:
        writer.skip("clip0", "cut off")
        writer.add(next(clips(1, T=9)))
        raise KeyboardInterrupt
    with PackedWriter(tmp_path, "train", 7, 6, 2, job="a") as writer:
        assert (writer.done, writer.skipped, writer.cut) == (2, [("clip0", "cut off")], ["clip0"])


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(name="clip0"), "clip0: two clips have this name"),
        (dict(label=-1), "new: has no label"),
        (dict(keypoints=np.zeros((1, 5, 3, 2), "f4"), scores=None), "new: shape"),
        (dict(keypoints=np.full((1, 5, 4, 2), np.nan, "f4")), "new: has values that are not finite"),
    ],
)
def test_a_clip_that_does_not_fit_is_one_line(tmp_path, change, message):
    first = next(clips(1))
    other = SkeletonSequence(**{**vars(first), "name": "new", **change})
    with pytest.raises(DataError, match=f"^{re.escape(message)}.*$"):
        write_packed(tmp_path, "train", [first, other], 2, 6, 2)
    assert content(tmp_path) == {}


def test_no_clip_at_all_writes_nothing(tmp_path):
    with pytest.raises(DataError, match="no clip for the train part"):
        write_packed(tmp_path, "train", [], 5, 6, 2)
    assert content(tmp_path) == {}


def test_clips_of_two_layouts_do_not_go_into_one_part(tmp_path):
    first, other = clips(2)
    other.layout = "coco"
    with pytest.raises(DataError, match=r"layout is coco, earlier clips have \w+"):
        write_packed(tmp_path, "train", [first, other], 2, 6, 2)


def test_frame_rates_that_differ_are_not_one(tmp_path):
    first, other = clips(2)
    first.fps, other.fps = 30.0, 25.0
    write_packed(tmp_path, "train", [first, other], 2, 6, 2)
    assert read_info(tmp_path).fps is None
    other.fps = 30.0
    write_packed(tmp_path, "train", [first, other], 2, 6, 2)
    assert read_info(tmp_path).fps == 30.0


def test_a_disk_too_small_is_seen_before_the_first_row(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(packed_writer.shutil, "disk_usage", lambda _: usage(10, 9, 1))
    with pytest.raises(OSError, match=r"needs 0\.0 GiB") as error:
        write(tmp_path)
    assert error.value.errno == errno.ENOSPC
    assert content(tmp_path) == {}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_disk_that_fills_up_names_the_file_and_keeps_the_old_data(tmp_path):
    write(tmp_path)
    before = content(tmp_path)
    with (
        pytest.raises(OSError, match=r"train_data\.npy\.part") as error,
        PackedWriter(tmp_path, "train", 7, 6, 2) as writer,
    ):
        writer.add(next(clips(1)))
        writer._data.close()
        writer._data = Path("/dev/full").open("r+b", buffering=0)  # noqa: SIM115
        writer.add(list(clips(2))[1])
    assert error.value.errno == errno.ENOSPC
    assert content(tmp_path) == before


def test_a_folder_that_cannot_be_made_is_an_oserror(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        write(tmp_path / "file" / "out")


# reading bad files ---------------------------------------------------------------------------------------------------


def spoil(name, make):
    """A good data set of which one file is replaced by make(good bytes)."""

    def damage(folder):
        data_path, label_path = write(folder)
        path = folder / name
        made = make(path.read_bytes())
        path.unlink()
        if made is not None:
            path.write_bytes(made)
        return data_path, label_path

    return damage


def npy(array):
    return lambda _: npy_bytes(array)


def npy_bytes(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def label(*pair):
    return lambda _: pickle.dumps(pair, protocol=2)


NAMES = [f"clip{i}" for i in range(7)]
BAD = {
    "data missing": ("train_data.npy", lambda _: None, "train_data.npy does not exist; make it with"),
    "data empty": ("train_data.npy", lambda _: b"", "train_data.npy is empty"),
    "data cut in the header": ("train_data.npy", lambda b: b[:40], "train_data.npy has been cut off"),
    "data cut in the magic": ("train_data.npy", lambda b: b[:3], "train_data.npy has been cut off"),
    "data cut": ("train_data.npy", lambda b: b[:-1], "train_data.npy has been cut off"),
    "data of another kind": ("train_data.npy", lambda _: b"PK\3\4 zip", "train_data.npy is not a .npy file"),
    "data with a broken header": ("train_data.npy", lambda b: b[:12] + b"#" * 40 + b[52:], "cannot be read"),
    "object array": ("train_data.npy", npy(np.array([{}], object)), "cannot be read"),
    "wrong ndim": ("train_data.npy", npy(np.zeros((7, 3, 6, 4), "f4")), "five dimensions"),
    "wrong dtype": ("train_data.npy", npy(np.zeros((7, 3, 6, 4, 2))), "holds float64, float32 is needed"),
    "nothing in it": ("train_data.npy", npy(np.zeros((0, 3, 6, 4, 2), "f4")), "nothing in it"),
    "other number": ("train_data.npy", npy(np.zeros((8, 3, 6, 4, 2), "f4")), "names 7 clips but"),
    "label missing": ("train_label.pkl", lambda _: None, "train_label.pkl does not exist"),
    "label empty": ("train_label.pkl", lambda _: b"", "train_label.pkl is empty"),
    "label cut": ("train_label.pkl", lambda b: b[:-5], "train_label.pkl "),
    "label of another kind": ("train_label.pkl", lambda _: b"hello", "cannot be read as plain data"),
    "not a pair": ("train_label.pkl", label(NAMES), "not a pair"),
    "not lists": ("train_label.pkl", label("ab", 3), "not a pair of lists"),
    "odd numbers": ("train_label.pkl", label(NAMES, [0] * 6), "7 names but 6 labels"),
    "negative label": ("train_label.pkl", label(NAMES, [0] * 6 + [-1]), "label of 'clip6' is -1"),
    "label is text": ("train_label.pkl", label(NAMES, ["0"] * 7), "label of 'clip0' is '0'"),
    "label is a fraction": ("train_label.pkl", label(NAMES, [0.5] * 7), "label of 'clip0' is 0.5"),
    "label is a bool": ("train_label.pkl", label(NAMES, [True] * 7), "label of 'clip0' is True"),
    "name is a number": ("train_label.pkl", label([1] * 7, [0] * 7), "name 0 is 1"),
    "same name twice": ("train_label.pkl", label([*NAMES[:6], "clip0"], [0] * 7), "'clip0' is there twice"),
    "frame sizes of others": ("train_frame_size.npy", npy(np.zeros((3, 2), "f4")), "train_frame_size.npy has shape"),
}


@pytest.mark.parametrize("name, make, message", BAD.values(), ids=BAD.keys())
@pytest.mark.parametrize("mmap", [True, False])
def test_a_bad_file_is_one_line_that_names_it(tmp_path, name, make, message, mmap):
    with pytest.raises(DataError, match=re.escape(message)) as error:
        read_packed(*spoil(name, make)(tmp_path), mmap=mmap)
    assert "\n" not in str(error.value)
    assert str(tmp_path) in str(error.value)


def test_the_remedy_names_the_right_tool(tmp_path):
    for folder, tool in {"NTU-RGB-D": "ntu_gendata", "Kinetics": "kinetics_gendata", "own": r"\*gendata"}.items():
        with pytest.raises(DataError, match=f"does not exist; make it with.*tools/{tool}"):
            read_packed(tmp_path / folder / "train_data.npy", tmp_path / folder / "train_label.pkl")


class Evil:
    def __reduce__(self):
        return eval, ("open('evil', 'w')",)


def test_a_pickle_cannot_run_code(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.pkl").write_bytes(pickle.dumps((["a"], [Evil()])))
    with pytest.raises(DataError, match=r"builtins\.eval, which is not plain data"):
        load_pickle(tmp_path / "x.pkl")
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_pickles_of_every_protocol(tmp_path, protocol):
    plain = {
        "a": [1, 2.5, None, True, b"\xff\0", "é"],
        "s": {1, 2},
        "n": np.float32(3),
        "x": np.arange(6).reshape(2, 3),
    }
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(plain, protocol=protocol))
    got = load_pickle(tmp_path / "x.pkl")
    np.testing.assert_array_equal(got.pop("x"), plain.pop("x"))
    assert got == plain


@given(
    arrays.arrays(
        st.one_of(
            arrays.integer_dtypes(endianness="?"),
            arrays.floating_dtypes(endianness="?"),
            arrays.boolean_dtypes(),
            arrays.unicode_string_dtypes(max_len=5, endianness="?"),
            arrays.complex_number_dtypes(endianness="?"),
        ),
        arrays.array_shapes(min_dims=0, min_side=0, max_side=4),
    ),
    st.booleans(),
    st.integers(0, pickle.HIGHEST_PROTOCOL),
)
@settings(max_examples=200, deadline=None)
def test_arrays_of_all_kinds_come_back(tmp_path_factory, array, fortran, protocol):
    path = tmp_path_factory.getbasetemp() / "array.pkl"
    array = np.asfortranarray(array) if fortran and array.ndim else array
    content = {"array": array, "twice": [array, array], "objects": np.array([1, "a", None], object)}
    content["scalars"] = list(array.ravel()[:3])
    path.write_bytes(pickle.dumps(content, protocol))
    got, theirs = load_pickle(path), pickle.loads(path.read_bytes())["array"]
    assert (got["array"].dtype, got["array"].shape) == (theirs.dtype, theirs.shape)
    assert got["array"].flags.f_contiguous == theirs.flags.f_contiguous
    np.testing.assert_array_equal(got["array"], array)
    assert got["twice"][0] is got["twice"][1] is got["array"]
    assert got["objects"].tolist() == [1, "a", None]
    np.testing.assert_array_equal(got["scalars"], content["scalars"])
    assert type(got["array"]) is np.ndarray and got["array"].flags.writeable


def test_label_pickles_of_python_2(tmp_path):
    # python2: pickle.dumps((['clip0', 'clip\xe9'], numpy.array([3, 5])), 2)
    old = (
        b"\x80\x02]q\x00(U\x05clip0q\x01U\x05clip\xe9q\x02ecnumpy.core.multiarray\n_reconstruct\nq\x03cnumpy\nndarray\n"
        b"q\x04K\x00\x85q\x05U\x01bq\x06\x87q\x07Rq\x08(K\x01K\x02\x85q\tcnumpy\ndtype\nq\nU\x02i8q\x0bK\x00K\x01\x87q"
        b"\x0cRq\r(K\x03U\x01<q\x0eNNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\x0fb\x89U\x10\x03\x00\x00\x00\x00\x00\x00"
        b"\x00\x05\x00\x00\x00\x00\x00\x00\x00q\x10tq\x11b\x86q\x12."
    )
    data_path, label_path = write(tmp_path, count=2)
    label_path.write_bytes(old)
    got = read_packed(data_path, label_path)
    assert got.sample_name == ["clip0", "clipé"]
    assert got.label == [3, 5]
    assert {type(k) for k in got.label} == {int}


def test_a_pickle_of_a_few_bytes_cannot_take_all_memory(tmp_path):
    """An index of the memo that the unpickler in C would make an array of: 32 GB."""
    (tmp_path / "x_label.pkl").write_bytes(b"\x80\x02]r\xff\xff\xff\x7f.")
    begin = time.perf_counter()
    assert load_pickle(tmp_path / "x_label.pkl") == []
    assert time.perf_counter() - begin < 1


def test_a_folder_in_which_packing_is_going_on_or_was_cut_off_is_not_read(tmp_path):
    paths = write(tmp_path)
    with packing(tmp_path), pytest.raises(DataError, match="is being packed, or packing was cut off"):
        read_packed(*paths)
    read_packed(*paths)
    (tmp_path / ".packing.lock").touch()  # as a killed process leaves it
    with pytest.raises(DataError, match="the same command goes on"):
        read_packed(*paths)
    with packing(tmp_path):
        write(tmp_path)
    read_packed(*paths)


def test_a_link_in_the_place_of_a_half_written_file_is_not_followed(tmp_path):
    (tmp_path / "precious").write_text("content")
    (tmp_path / "train_data.npy.part").symlink_to(tmp_path / "precious")
    with pytest.raises(UsageError, match=r"train_data\.npy\.part is a symbolic link"):
        write(tmp_path)
    assert (tmp_path / "precious").read_text() == "content"
