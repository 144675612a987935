"""feeder/readers/matlab.py against scipy's reader and writer."""

import gzip
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.io import loadmat, savemat

from feeder.readers.matlab import read_mat
from torchlight.errors import DataError

KINDS = ["f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"]
VALUES = st.sampled_from(KINDS).flatmap(lambda kind: arrays.arrays(kind, arrays.array_shapes(max_side=5)))
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=9).filter(
    lambda text: text == text.rstrip()
)
NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,11}", fullmatch=True)


@given(st.dictionaries(NAMES, VALUES, max_size=3), st.booleans())
@settings(max_examples=100, deadline=None)
def test_what_scipy_writes_is_read_as_scipy_reads_it(tmp_path_factory, content, compressed):
    path = tmp_path_factory.getbasetemp() / "a.mat"
    savemat(path, content, do_compression=compressed)
    ours, theirs = read_mat(path), loadmat(path)
    assert ours.keys() == content.keys()
    for key in content:
        assert ours[key].dtype == theirs[key].dtype.newbyteorder("=")
        np.testing.assert_array_equal(ours[key], theirs[key])


@given(TEXTS)
@settings(max_examples=100, deadline=None)
def test_texts(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "text.mat"
    savemat(path, {"a": text, "b": 1})
    assert read_mat(path, ["a"]).keys() == {"a"}
    assert read_mat(path)["a"].tolist() == [text]


@pytest.mark.parametrize(
    "name", ["penn_action/labels/0001.mat", "penn_action/labels/1605.mat", "utd_mhad/a1_s1_t1_skeleton.mat"]
)
def test_real_files(real_data, name):
    ours, theirs = read_mat(real_data / name), loadmat(real_data / name)
    assert ours.keys() == {key for key in theirs if not key.startswith("__")}
    for key, value in ours.items():
        np.testing.assert_array_equal(value, theirs[key])


@pytest.mark.parametrize(
    "value", [{"a": 1}, np.array([[1], "a"], object), np.array([1j])], ids=["a struct", "a cell", "complex"]
)
def test_what_is_neither_numbers_nor_text_is_refused_where_it_is_wanted(tmp_path, value):
    savemat(tmp_path / "a.mat", {"x": value, "y": 3})
    assert read_mat(tmp_path / "a.mat", ["y"])["y"] == 3
    with pytest.raises(DataError, match="'x' is neither numbers nor text"):
        read_mat(tmp_path / "a.mat", ["x"])


def test_what_unpacks_to_more_than_any_memory_is_refused(tmp_path):
    savemat(tmp_path / "a.mat", {"x": np.zeros(3)})
    header = (tmp_path / "a.mat").read_bytes()[:128]
    bomb = zlib.compress(bytes(300 << 20))
    (tmp_path / "a.mat").write_bytes(header + np.array([15, len(bomb)], "<u4").tobytes() + bomb)
    with pytest.raises(DataError, match="too large"):
        read_mat(tmp_path / "a.mat")


def test_big_endian_files(tmp_path):
    def element(kind, content):
        return np.array([kind, len(content)], ">u4").tobytes() + content + bytes(-len(content) % 8)

    parts = [(6, np.array([6, 0], ">u4")), (5, np.array([2, 3], ">i4")), (1, np.frombuffer(b"x", "i1"))]
    parts.append((9, np.arange(6, dtype=">f8")))
    matrix = element(14, b"".join(element(kind, value.tobytes()) for kind, value in parts))
    (tmp_path / "a.mat").write_bytes(b"MATLAB 5.0".ljust(124) + b"\1\0MI" + matrix)
    assert read_mat(tmp_path / "a.mat")["x"].tolist() == [[0, 2, 4], [1, 3, 5]]


@pytest.mark.parametrize("content", [b"", b"MATLAB", bytes(500), gzip.compress(b"x" * 500)])
def test_other_files_are_one_line(tmp_path, content):
    (tmp_path / "a.mat").write_bytes(content)
    with pytest.raises(DataError, match="not a MATLAB 5 file"):
        read_mat(tmp_path / "a.mat")
