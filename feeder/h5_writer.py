"""Write the one file of a part of a packed data set; feeder/h5.py says what is in it."""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import h5py
import numpy as np
from tqdm import tqdm

from feeder.h5 import FORMAT
from feeder.ragged import Shape
from torchlight.errors import DataError, short
from torchlight.files import named_errors, temporary_name

CHUNK = 2048  # values: a clip is of one to six chunks in most data sets
ROWS = 16384  # of a chunk, where a clip has a number or two
AT_ONCE = 256 * CHUNK  # values that are copied at once
LEVEL = 4  # of gzip; 9 takes three to six times as long for one to four per cent
PACKED = {"compression": "gzip", "compression_opts": LEVEL, "fletcher32": True}  # filters that every HDF5 has
SAMPLED = 64  # chunks by which it is decided whether bytes are shuffled
LONGEST_NAME, LONGEST_INFO = 4096, 1 << 20  # bytes
TEXTS = 65536  # bytes of a chunk of texts


def write_h5(
    path: Path,
    values: BinaryIO,
    shape: Shape,
    frames: Sequence[int],
    persons: Sequence[int],
    names: Sequence[str],
    label: Sequence[int],
    frame_size: np.ndarray,
    info: str,
) -> None:
    """Write a file, which appears once it is whole; the same content gives the same bytes.

    Args:
        values: a file at whose position the values of all clips begin, little-endian float32.
        shape: (C, T, V, M) of a sample with its padding.
        frames, persons: t and m of each clip.
        frame_size: (N, 2), or all zero where none is known.
        info: the text of dataset.yaml.
    """
    total = shape[0] * shape[2] * int(np.dot(np.asarray(frames, np.int64), persons))
    with _created(path) as file:
        file.attrs["format"] = np.bytes_(FORMAT)
        file.attrs["shape"] = np.array(shape, np.int64)
        shuffle = shuffle_helps(values, total)
        stored = _create(file, "values", (total,), np.dtype("<f4"), CHUNK, shuffle=shuffle)
        for begin in tqdm(range(0, total, AT_ONCE), f"compress {path.name}", leave=False, disable=None):
            count = min(AT_ONCE, total - begin)
            stored[begin : begin + count] = np.frombuffer(values.read(4 * count), "<f4")
        _write(file, "num_frame", np.array(frames, "<i4"))
        _write(file, "num_person", np.array(persons, "<i4"))
        _write_texts(file, "name", [encoded(name, LONGEST_NAME) for name in names])
        _write(file, "label", np.array(label, "<i4"))
        if frame_size.any():
            _write(file, "frame_size", frame_size.astype("<f4"))
        _write_texts(file, "dataset.yaml", [encoded(info, LONGEST_INFO)])


@contextmanager
def _created(path: Path) -> Iterator[h5py.File]:
    """A new HDF5 file, which appears under its name once it is whole and on the disk."""
    temporary = temporary_name(path)
    try:
        with _system_errors(path):
            # without the cache of chunks, since HDF5 crashes where it closes one on a full disk
            with h5py.File(temporary, "x", libver=("v110", "v110"), rdcc_nbytes=0) as file:
                yield file
            with temporary.open("r+b") as content:
                os.fsync(content.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def _system_errors(path: Path) -> Iterator[None]:
    """What the operating system says, which HDF5 puts somewhere into errors of several kinds and lines."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        number = re.search(r"errno = (\d+)", str(error))
        if number is None:
            raise
        with named_errors(path):
            raise OSError(int(number[1]), os.strerror(int(number[1]))) from None


def shuffle_helps(values: BinaryIO, total: int) -> bool:
    """Whether chunks of these values are smaller with their first bytes beside each other, then their second ones, and so on.

    They are, but for coordinates that were rounded, as whole pixels are: of those all bytes of a value repeat.
    """
    begin, plain, shuffled = values.tell(), 0, 0
    for chunk in np.unique(np.linspace(0, total // CHUNK, SAMPLED).astype(int)):
        values.seek(begin + 4 * CHUNK * int(chunk))
        content = np.frombuffer(values.read(4 * min(CHUNK, total - CHUNK * int(chunk))), np.uint8)
        plain += len(zlib.compress(content, LEVEL))
        shuffled += len(zlib.compress(np.ascontiguousarray(content.reshape(-1, 4).T), LEVEL))
    values.seek(begin)
    return shuffled < plain


def _create(
    file: h5py.File, name: str, shape: tuple[int, ...], dtype: np.dtype, rows: int, **filters: bool
) -> h5py.Dataset:
    """An empty data set in chunks of so many rows."""
    most = (max(1, shape[0]), *shape[1:])  # a chunk has one row at least
    chunks = (max(1, min(rows, shape[0])), *shape[1:])
    return file.create_dataset(name, shape, dtype, maxshape=most, chunks=chunks, **PACKED, **filters)


def _write(file: h5py.File, name: str, content: np.ndarray) -> None:
    _create(file, name, content.shape, content.dtype, ROWS)[:] = content


def encoded(text: str, longest: int = LONGEST_NAME) -> bytes:
    """A text as HDF5 stores it. Raises DataError for one that it cannot."""
    content = text.encode("utf-8", "surrogatepass")
    if b"\0" in content or len(content) > longest:
        raise DataError(f"{short(text)}: an .h5 file has texts of {longest} bytes at most, without NUL")
    return content


def _write_texts(file: h5py.File, name: str, texts: Sequence[bytes]) -> None:
    longest = max(1, *map(len, texts), 1)
    dtype, rows = h5py.string_dtype("utf-8", longest), max(1, TEXTS // longest)
    stored = _create(file, name, (len(texts),), dtype, rows)
    for begin in range(0, len(texts), rows):
        stored[begin : begin + rows] = np.array(texts[begin : begin + rows], dtype)
