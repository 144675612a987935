"""A part of a packed data set in one file, in HDF5: clips without their padding, compressed. h5_writer.py writes it.

{part}.h5
    values        float32 (S,)      the clips one after the other, each (C, t, V, m) in C order
    num_frame     int32 (N,)        t of each clip: its frames up to the last one that is not empty
    num_person    int32 (N,)        m of each clip: its persons up to the last one who is not empty
    name          UTF-8 (N,)
    label         int32 (N,)
    frame_size    float32 (N, 2)    width and height in pixels, 0 where unknown; only where some are known
    dataset.yaml  UTF-8 (1,)        layout, dimension, frame rate, class names; see feeder/dataset.py
and as attributes of the file: format, and shape, (C, T, V, M) of a sample with its padding.

The file may come from anybody. What HDF5 could be made to open elsewhere (links, external storage, virtual data sets), to
load (filters) or to allocate (chunks, texts, lengths) is looked at before it is read.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from feeder.ragged import RaggedData, Shape
from torchlight.errors import DataError, one_line

FORMAT = b"packed skeletons 1"
SIGNATURE = b"\x89HDF\r\n\x1a\n"
FILTERS = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32, h5py.h5z.FILTER_LZF}
LARGEST_CHUNK = 4 << 20  # bytes: a chunk is unpacked whole, however little of it is wanted
LARGEST_SAMPLE = 1 << 28  # values of a sample, C T V M
MOST_CLIPS = 20_000_000
NAMES = 1024  # that are read at once
CACHE = 64 << 20  # bytes of unpacked chunks that a process keeps: small data sets are unpacked once
SLOTS = 100_003  # of that cache: a prime, far more than there are chunks in it


def read_h5(path: Path, mmap: bool, remedy: str) -> tuple[RaggedData, list[str], list[int], np.ndarray | None]:
    """The clips, names, labels and frame sizes of a file; with mmap the clips are read as they are asked for.

    Raises:
        DataError: it is not what it should be; in one line, with the remedy.
    """
    with _opened(path, remedy) as file:
        shape = _shape(file)
        frames, persons, label = (_integers(file, name) for name in ("num_frame", "num_person", "label"))
        names, size, values = _names(file), _frame_size(file), _dataset(file, "values", np.float32, 1)
        _check(len(label) > 0, "has nothing in it")
        for key, each in (("num_frame", frames), ("num_person", persons), ("name", names), ("frame_size", size)):
            _check(each is None or len(each) == len(label), f"has {len(label)} labels, and {key} of another number")
        for key, each, most in (("num_frame", frames, shape[1]), ("num_person", persons, shape[3])):
            _check(each.min() >= 0 and each.max() <= most, f"has clips whose {key} is not from 0 to {most}")
        data = RaggedData(H5Values(path, len(values), remedy), shape, frames, persons)
        _check(data.begin[-1] == len(values), f"has {len(values)} values where its clips have {data.begin[-1]}")
        if not mmap:
            data.values = values[:]
    return data, names, label.tolist(), size


def read_label(path: Path, remedy: str) -> tuple[list[str], list[int]]:
    """The names and labels alone."""
    with _opened(path, remedy) as file:
        return _names(file), _integers(file, "label").tolist()


def read_info_text(path: Path, remedy: str) -> str | None:
    """The text of dataset.yaml in a file, None if it has none. Raises DataError."""
    with _opened(path, remedy) as file:
        if not _has(file, "dataset.yaml"):
            return None
        texts = _dataset(file, "dataset.yaml", np.bytes_, 1)
        _check(texts.shape == (1,), "has several texts as dataset.yaml")
        return texts[0].decode("utf-8")


class H5Values:
    """The values of all clips, read from the file slice by slice, by any number of processes.

    A process opens the file when it first reads. Only the path is pickled; and a process that was forked opens the file
    for itself, since HDF5 keeps a state of what is open.
    """

    def __init__(self, path: Path, length: int, remedy: str) -> None:
        self.path, self.length, self.remedy = path, length, remedy
        self._values: h5py.Dataset | None = None
        self._process = 0

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: slice) -> np.ndarray:
        if self._process != os.getpid():
            self._open()
        try:
            return self._values[index]
        except OSError as error:
            if error.errno is not None:  # of the disk, not of the file
                raise
            raise DataError(f"{self.path} is damaged ({one_line(error)}); {self.remedy}") from None

    def _open(self) -> None:
        with _opened(self.path, self.remedy, keep=True) as file:
            self._values = _dataset(file, "values", np.float32, 1, chunks=False)  # they were looked at in the beginning
            self._process = os.getpid()
            _check(len(self._values) == self.length, "has changed since it was opened")

    def __getstate__(self) -> dict:
        return self.__dict__ | {"_values": None, "_process": 0}


# ---- a file that is not trusted


class _Wrong(Exception):
    """What is wrong with a file, as the predicate of a sentence."""


def _check(condition: object, problem: str) -> None:
    if not condition:
        raise _Wrong(problem)


@contextmanager
def _opened(path: Path, remedy: str, keep: bool = False) -> Iterator[h5py.File]:
    """The open file; what is wrong with it becomes a DataError. `keep`: it is closed with the last of its data sets."""
    try:
        with path.open("rb") as content:
            start = content.read(len(SIGNATURE))
        _check(start, "is empty")
        _check(start == SIGNATURE[: len(start)], "is not an HDF5 file")
        _check(len(start) == len(SIGNATURE), "has been cut off")
        cache = {"rdcc_nbytes": CACHE, "rdcc_nslots": SLOTS} if keep else {}
        file = h5py.File(
            path, "r", locking=False, **cache
        )  # readers need no locks, which some file systems do not have
        try:
            known = _attribute(file, "format", np.bytes_, ()) == FORMAT
            _check(known, "is an HDF5 file, but not a packed data set")
            yield file
        finally:
            if not keep:
                file.close()
    except _Wrong as error:
        raise DataError(f"{path} {error}; {remedy}") from None
    except FileNotFoundError:
        raise DataError(f"{path} does not exist; {remedy}") from None
    except IsADirectoryError:
        raise DataError(f"{path} is a folder, not an HDF5 file") from None
    except Exception as error:  # HDF5 raises nearly anything for a damaged file
        if isinstance(error, DataError | MemoryError) or getattr(error, "errno", None) is not None:
            raise
        what = "has been cut off" if "truncated file" in str(error) else f"is damaged ({one_line(error)})"
        raise DataError(f"{path} {what}; {remedy}") from None


def _attribute(file: h5py.File, name: str, kind: type, shape: tuple[int, ...]) -> object:
    """A small attribute of the file; None if there is none like that."""
    if name not in file.attrs:
        return None
    found = file.attrs.get_id(name)
    fits = found.shape == shape and np.issubdtype(found.dtype, kind) and found.dtype.itemsize <= 64
    return file.attrs[name] if fits else None


def _has(file: h5py.File, name: str) -> bool:
    return file.id.links.exists(name.encode())


def _dataset(file: h5py.File, name: str, kind: type, ndim: int, chunks: bool = True) -> h5py.Dataset:
    """A data set of the file, if it is all in the file and can be read in little memory.

    Args:
        kind: of its values: numpy.float32, or an abstract type as numpy.integer.
        chunks: look at every chunk.
    """
    link = file.id.links.get_info(name.encode()) if _has(file, name) else None
    _check(link is not None and link.type == h5py.h5l.TYPE_HARD, f"has no {name}")
    found = h5py.h5o.open(file.id, name.encode())
    _check(isinstance(found, h5py.h5d.DatasetID), f"has a {name} that is no data set")
    plan = found.get_create_plist()
    _check(plan.get_layout() == h5py.h5d.CHUNKED, f"has a {name} that is not in chunks")
    filters = [plan.get_filter(i)[0] for i in range(plan.get_nfilters())]
    _check(set(filters) <= FILTERS and len(set(filters)) == len(filters), f"has a {name} packed by other filters")
    found = h5py.Dataset(found)
    fits = np.issubdtype(found.dtype, kind) and found.dtype.isnative and found.ndim == ndim
    _check(fits, f"has a {name} of {found.ndim} dimensions of {one_line(found.dtype)}")
    size, number = found.dtype.itemsize, 1
    for length, step in zip(found.shape, found.chunks):
        size, number = size * step, number * -(-length // step)
    _check(size <= LARGEST_CHUNK, f"has a {name} in chunks of {size:,} bytes")
    if chunks:
        _check_chunks(found, name, size, number)
    return found


def _check_chunks(found: h5py.Dataset, name: str, size: int, number: int) -> None:
    """All chunks are there, and none is larger than what it holds: it would be unpacked to something far larger."""
    largest = seen = 0

    def look(chunk: h5py.h5d.StoreInfo) -> None:
        nonlocal largest, seen
        largest, seen = max(largest, chunk.size), seen + 1

    found.id.chunk_iter(look)
    _check(seen == number, f"lacks parts of {name}")
    _check(largest <= size + 64, f"has a {name} with a chunk of {largest:,} bytes")  # 64: of the filters


def _shape(file: h5py.File) -> Shape:
    found = _attribute(file, "shape", np.integer, (4,))
    _check(found is not None, "does not say the shape (C, T, V, M) of a sample")
    C, T, V, M = (int(size) for size in found)
    _check(min(C, T, V, M) > 0 and C * T * V * M <= LARGEST_SAMPLE, f"has samples of the shape {(C, T, V, M)}")
    return C, T, V, M


def _integers(file: h5py.File, name: str) -> np.ndarray:
    found = _dataset(file, name, np.integer, 1)
    _check(len(found) <= MOST_CLIPS, f"has {len(found):,} clips; {MOST_CLIPS:,} are too many")
    return found[:]


def _frame_size(file: h5py.File) -> np.ndarray | None:
    if not _has(file, "frame_size"):
        return None
    found = _dataset(file, "frame_size", np.float32, 2)
    _check(found.shape[1] == 2 and len(found) <= MOST_CLIPS, f"has a frame_size of the shape {found.shape}")
    return found[:]


def _names(file: h5py.File) -> list[str]:
    found, names = _dataset(file, "name", np.bytes_, 1), []
    _check(len(found) <= MOST_CLIPS, f"has {len(found):,} names; {MOST_CLIPS:,} are too many")
    step, seen = max(1, min(NAMES, LARGEST_CHUNK // found.dtype.itemsize)), set()
    for begin in range(0, len(found), step):
        names += [name.decode("utf-8", "surrogatepass") for name in found[begin : begin + step].tolist()]
        seen.update(names[begin:])
        _check(len(seen) == len(names), "has two clips of one name")  # before more of the same is read
    return names
