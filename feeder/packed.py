"""The packed data set of the original ST-GCN: one array on disk, read through a memory map.

    {part}_data.npy         float32 (N, C, T, V, M)
    {part}_label.pkl        pickle of (list of N names, list of N int labels)
    {part}_frame_size.npy   float32 (N, 2): width and height in pixels, 0 where unknown; only where some are known

Writing streams: one row after the other to `{part}_data.npy.part`, and one line a clip to `{part}_data.npy.journal`.
The real names appear only when everything is on disk. A run that was killed goes on where it stopped; the rows are
written, not memory-mapped, because a full disk is then an error instead of a SIGBUS.
"""

from __future__ import annotations

import errno
import json
import os
import pickle
import shutil
import struct
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from feeder.sequence import SkeletonSequence
from torchlight.errors import DataError

DATA_SETS = {  # the folder of a data set in the configs: how to make it
    "NTU-RGB-D": "python tools/ntu_gendata.py --data_path <nturgb+d_skeletons>",
    "ntu60": "python tools/ntu_gendata.py --denoise --out_folder data/ntu60 --data_path <nturgb+d_skeletons>",
    "ntu120": "python tools/ntu_gendata.py --dataset ntu120 --denoise --out_folder data/ntu120 --data_path <skeletons>",
    "Kinetics": "python tools/kinetics_gendata.py --data_path <kinetics-skeleton>",
    "custom": "python tools/video_gendata.py --data_path <folder of label folders>",
    "penn-action": "python tools/gendata.py --format penn-action --data_path <Penn_Action>",
    "nw-ucla": "python tools/gendata.py --format nw-ucla --data_path <all_sqe>",
    "sbu": "python tools/gendata.py --format sbu --data_path <sbu_interaction>",
    "starter": "python tools/starter_gendata.py --penn_action <labels/> --nw_ucla <all_sqe/> --sbu <s01s02/ ...>",
    "synthetic": "python tools/synthetic_gendata.py",
}
HEADER = 128  # bytes; every .npy header written here has this length, whatever N turns out to be


@dataclass
class Packed:
    """A packed data set: data (N, C, T, V, M) float32, N names, N labels and, where known, (N, 2) width and height."""

    data: np.ndarray
    sample_name: list[str]
    label: list[int]
    frame_size: np.ndarray | None = None


# ---------------------------------------------------------------------------------------------------------- writing


def write_packed(
    out_folder: str | Path,
    part: str,
    sequences: Iterable[SkeletonSequence],
    num_sample: int,
    num_frame: int,
    num_person: int,
) -> None:
    """Pack sequences, at most num_sample of them, as they come; each is cut or zero-padded to num_frame and num_person."""
    with PackedWriter(out_folder, part, num_sample, num_frame, num_person) as writer:
        for sequence in sequences:
            writer.add(sequence)
    if not writer.name:
        raise DataError(f"{out_folder}: there is no clip for the {part} part; nothing was written")


class PackedWriter:
    """Writes one part of a packed data set clip by clip.

        with PackedWriter("data/own", "train", len(clips), 300, 2, job=fingerprint) as writer:
            for clip in clips[writer.done:]:
                writer.add(read(clip))      # or writer.skip(name, why)

    Args:
        num_sample: how many clips are to come, at most; only used to see beforehand whether the disk can hold them.
        job: a string that says what is being made. An unfinished run with the same job is continued (`done` clips of
            it are there already), any other is thrown away. None: never continue.

    Leaving the block without an exception puts the files in place, if there was any clip at all. Raises DataError for
    a sequence that does not fit, OSError where the disk does not.
    """

    def __init__(
        self,
        out_folder: str | Path,
        part: str,
        num_sample: int,
        num_frame: int,
        num_person: int,
        job: str | None = None,
    ) -> None:
        self.folder, self.part, self.job = Path(out_folder), part, job
        self.num_sample, self.num_frame, self.num_person = num_sample, num_frame, num_person
        self.name: list[str] = []
        self.label: list[int] = []
        self.frame_size: list[tuple[int, int]] = []
        self.skipped: list[tuple[str, str]] = []  # (name, why)
        self.cut: list[str] = []  # names of clips longer than num_frame
        self.empty: list[str] = []  # names of clips in which no joint is present
        self.row_shape: tuple[int, ...] | None = None  # (C, T, V, M), known with the first sequence
        self.folder.mkdir(parents=True, exist_ok=True)
        self._partial = self.folder / f"{part}_data.npy.part"
        self._journal_path = self.folder / f"{part}_data.npy.journal"
        if not (job is not None and self._resume()):
            self._data = self._partial.open("wb")
            self._data.write(bytes(HEADER))
            self._journal = self._journal_path.open("wb")
            self._note("job", job)
        self._seen = set(self.name)

    @property
    def done(self) -> int:
        """Clips dealt with so far, packed or skipped, by this run and by the one it continues."""
        return len(self.name) + len(self.skipped)

    def add(self, sequence: SkeletonSequence) -> None:
        """Append one clip."""
        if sequence.name in self._seen:
            raise DataError(f"{sequence.name}: two clips have this name; names must be unique within a part")
        if sequence.label < 0:
            raise DataError(f"{sequence.name}: has no label; a packed data set needs one for every clip")
        row = sequence.array(self.num_frame, self.num_person)  # (C, T, V, M)
        if self.row_shape is None:
            self._start(row)
        if row.shape != self.row_shape:
            raise DataError(f"{sequence.name}: shape (C, T, V, M) is {row.shape}, earlier clips have {self.row_shape}")
        if not np.isfinite(row).all():
            raise DataError(f"{sequence.name}: has values that are not finite; a missing joint must be zero")
        size = sequence.frame_size or (0, 0)
        cut, empty = sequence.keypoints.shape[1] > self.num_frame, not row.any()
        _append(self._data, row.astype("<f4", copy=False).tobytes(), self._partial)
        self._note("clip", sequence.name, int(sequence.label), int(size[0]), int(size[1]), cut, bool(empty))
        self._seen.add(sequence.name)

    def skip(self, name: str, why: str) -> None:
        """Count a clip that could not be read."""
        self._note("skip", name, why)

    def __enter__(self) -> PackedWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None and self.name:
                self._finish()
        finally:
            for file in (self._data, self._journal):
                with suppress(OSError):
                    file.close()
            if self.job is None or not self.name:  # nothing that another run could continue
                self._partial.unlink(missing_ok=True)
                self._journal_path.unlink(missing_ok=True)

    def _start(self, row: np.ndarray) -> None:
        """The first clip says how large a row is, so here is the place to see whether the disk can hold them all."""
        need, free = self.num_sample * row.nbytes, shutil.disk_usage(self.folder).free
        if need > free:
            line = f"the {self.part} part needs {need / 2**30:.1f} GiB, {free / 2**30:.1f} GiB are free"
            raise OSError(errno.ENOSPC, line, str(self.folder))
        self._note("shape", *row.shape)

    def _note(self, *entry: object) -> None:
        """One line in the journal, after the row itself: what the journal has, the data file has."""
        _append(self._journal, json.dumps(entry).encode() + b"\n", self._journal_path)
        self._take(entry)

    def _take(self, entry: tuple | list) -> None:
        kind, *rest = entry
        if kind == "shape":
            self.row_shape = tuple(rest)
        elif kind == "skip":
            self.skipped.append((rest[0], rest[1]))
        elif kind == "clip":
            name, label, width, height, cut, empty = rest
            self.name.append(name)
            self.label.append(label)
            self.frame_size.append((width, height))
            self.cut += [name] * cut
            self.empty += [name] * empty

    def _resume(self) -> bool:
        """Take over what an unfinished run with the same job left; False where there is none."""
        try:
            lines = self._journal_path.read_bytes().split(b"\n")[:-1]  # what follows the last newline was torn off
            size = self._partial.stat().st_size
            if not lines or json.loads(lines[0]) != ["job", self.job]:
                return False
        except (OSError, ValueError):
            return False
        keep, row_bytes = 0, 0
        for line in lines:
            try:
                entry = json.loads(line)
                if entry[0] == "clip" and size < HEADER + (len(self.name) + 1) * row_bytes:
                    break
                self._take(entry)
            except (ValueError, TypeError, IndexError):
                break
            keep += len(line) + 1
            row_bytes = 4 * int(np.prod(self.row_shape)) if self.row_shape else 0
        os.truncate(self._journal_path, keep)
        os.truncate(self._partial, HEADER + len(self.name) * row_bytes)
        self._data, self._journal = self._partial.open("r+b"), self._journal_path.open("ab")
        self._data.seek(0, os.SEEK_END)
        return True

    def _finish(self) -> None:
        self._data.seek(0)
        self._data.write(npy_header((len(self.name), *self.row_shape)))
        self._data.flush()
        os.fsync(self._data.fileno())
        label_path, size_path = self.folder / f"{self.part}_label.pkl", self.folder / f"{self.part}_frame_size.npy"
        label_part, size_part = label_path.with_suffix(".pkl.part"), size_path.with_suffix(".npy.part")
        label_part.write_bytes(pickle.dumps((self.name, self.label), protocol=2))
        sizes = np.array(self.frame_size, np.float32)  # (N, 2)
        if sizes.any():
            with size_part.open("wb") as file:
                np.save(file, sizes)
        size_path.unlink(missing_ok=True)  # one of an earlier data set would be wrong now
        if sizes.any():
            size_part.replace(size_path)
        label_part.replace(label_path)
        self._partial.replace(self.folder / f"{self.part}_data.npy")
        self._journal_path.unlink()


def _append(file: BinaryIO, content: bytes, path: Path) -> None:
    try:
        file.write(content)
        file.flush()
    except OSError as error:  # the system's message does not say which file
        raise OSError(error.errno, error.strerror, str(path)) from error


def npy_header(shape: tuple[int, ...]) -> bytes:
    """The header of a .npy file (format 1.0) of float32 in C order, always HEADER bytes long."""
    fields = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape!r}, }}".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", HEADER - 10) + fields.ljust(HEADER - 11) + b"\n"


# ---------------------------------------------------------------------------------------------------------- reading


def read_packed(data_path: str | Path, label_path: str | Path, mmap: bool = True) -> Packed:
    """Open a packed data set; with mmap the data stay on disk until they are looked at. Raises DataError."""
    data_path, label_path = Path(data_path), Path(label_path)
    data = _read_data(data_path, mmap)
    name, label = read_label(label_path)
    if len(name) != len(data):
        raise DataError(
            f"{label_path} names {len(name)} clips but {data_path} holds {len(data)}; the two are not of one run, "
            f"{_remedy(data_path)}"
        )
    frame_size = None
    size_path = data_path.with_name(data_path.name.replace("_data.npy", "_frame_size.npy"))
    if size_path != data_path and size_path.exists():
        frame_size = _load_npy(size_path, None)
        if frame_size.shape != (len(data), 2):
            raise DataError(f"{size_path} has shape {frame_size.shape}, not ({len(data)}, 2); {_remedy(data_path)}")
    return Packed(data, name, label, frame_size)


def recipe(path: str | Path) -> str | None:
    """The command that makes a file of a data set, known by its folder."""
    return next((command for folder, command in DATA_SETS.items() if folder in Path(path).parts), None)


def _remedy(path: Path) -> str:
    return f"make it with: {recipe(path)}" if recipe(path) else "make it with one of tools/*gendata.py"


def _load_npy(path: Path, mmap_mode: str | None) -> np.ndarray:
    try:
        with path.open("rb") as file:
            start = file.read(6)
        if not start:
            raise DataError(f"{path} is empty; {_remedy(path)}")
        if start != b"\x93NUMPY"[: len(start)]:
            raise DataError(f"{path} is not a .npy file; {_remedy(path)}")
        return np.load(path, mmap_mode=mmap_mode, allow_pickle=False)
    except FileNotFoundError:
        raise DataError(f"{path} does not exist; {_remedy(path)}") from None
    except IsADirectoryError:
        raise DataError(f"{path} is a folder, not a .npy file") from None
    except DataError:
        raise
    except (ValueError, EOFError, SyntaxError, TypeError) as error:
        what = "has been cut off" if _is_cut(path) else f"cannot be read ({_one_line(error)})"
        raise DataError(f"{path} {what}; {_remedy(path)}") from None


def _is_cut(path: Path) -> bool:
    """Does the header of this .npy file promise more bytes than there are?"""
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, dtype = header(file)
            return path.stat().st_size < file.tell() + dtype.itemsize * int(np.prod(shape))
    except (ValueError, SyntaxError, TypeError):
        return path.stat().st_size < HEADER


def _read_data(path: Path, mmap: bool) -> np.ndarray:
    data = _load_npy(path, "r" if mmap else None)
    if data.ndim != 5:
        raise DataError(f"{path} has shape {data.shape}; five dimensions (N, C, T, V, M) are needed")
    if data.dtype != np.float32:
        raise DataError(f"{path} holds {data.dtype}, float32 is needed; convert it with numpy's astype('float32')")
    if 0 in data.shape:
        raise DataError(f"{path} has shape {data.shape}: there is nothing in it; {_remedy(path)}")
    return data


def read_label(path: Path) -> tuple[list[str], list[int]]:
    """The names and labels of a `*_label.pkl`, checked."""
    content = load_pickle(path, _remedy(path))
    if not isinstance(content, (tuple, list)) or len(content) != 2:
        raise DataError(f"{path} is not a pair (names, labels); {_remedy(path)}")
    name, label = (x.tolist() if isinstance(x, np.ndarray) else x for x in content)
    if not isinstance(name, (list, tuple)) or not isinstance(label, (list, tuple)):
        raise DataError(f"{path} is not a pair of lists (names, labels); {_remedy(path)}")
    if len(name) != len(label):
        raise DataError(f"{path} has {len(name)} names but {len(label)} labels; {_remedy(path)}")
    for i, (n, k) in enumerate(zip(name, label)):
        if not isinstance(n, str):
            raise DataError(f"{path}: name {i} is {n!r}, not text; {_remedy(path)}")
        if isinstance(k, (bool, np.bool_)) or not isinstance(k, (int, np.integer)) or k < 0:
            raise DataError(f"{path}: the label of {n!r} is {k!r}; labels are integers, the first class is 0")
    if len(set(name)) < len(name):
        seen: set[str] = set()
        twice = next(n for n in name if n in seen or seen.add(n))
        raise DataError(f"{path}: {twice!r} is there twice; scores are kept by name, so names must be unique")
    return list(name), [int(k) for k in label]


class PlainUnpickler(pickle.Unpickler):
    """Unpickles plain containers, numbers, text and numpy arrays, and refuses everything that could run code."""

    def find_class(self, module: str, name: str) -> object:
        if module in ("numpy.core.multiarray", "numpy._core.multiarray") and name in ("_reconstruct", "scalar"):
            return getattr(np._core.multiarray, name)
        if module in ("numpy.core.numeric", "numpy._core.numeric") and name == "_frombuffer":
            return np._core.numeric._frombuffer
        if module == "numpy" and name in ("ndarray", "dtype"):
            return getattr(np, name)
        if module in ("builtins", "__builtin__") and name in ("set", "frozenset", "bytearray", "complex"):
            return {"set": set, "frozenset": frozenset, "bytearray": bytearray, "complex": complex}[name]
        if (module, name) == ("collections", "OrderedDict"):
            return dict
        if (module, name) == ("_codecs", "encode"):  # how protocol 2 spells bytes
            return _latin1
        raise pickle.UnpicklingError(f"it holds {module}.{name}, which is not plain data")


def _latin1(text: str, encoding: str = "latin1") -> bytes:
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it holds bytes spelt in {encoding}")
    return text.encode("latin1")


def load_pickle(path: str | Path, remedy: str = "make it again") -> object:
    """The content of a pickle, of Python 2 too, that holds nothing but plain data. Raises DataError."""
    path = Path(path)
    try:
        with path.open("rb") as file:
            return PlainUnpickler(file, encoding="latin1").load()
    except FileNotFoundError:
        raise DataError(f"{path} does not exist; {remedy}") from None
    except OSError:
        raise
    except EOFError:
        what = "is empty" if path.stat().st_size == 0 else "has been cut off"
        raise DataError(f"{path} {what}; {remedy}") from None
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise DataError(f"{path} cannot be read as plain data ({_one_line(error)}); {remedy}") from None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
