"""Write a packed data set (feeder/packed.py), clip by clip and so that a killed run can be continued.

Writing streams: one row after the other to `{part}_data.npy.part`, and one line a clip to `{part}_data.npy.journal`.
The real names appear only when everything is on disk. A run that was killed goes on where it stopped; the rows are
written, not memory-mapped, because a full disk is then an error instead of a SIGBUS.

An .h5 is written in the same way: rows without their padding to `{part}.h5.part`, which are compressed in the end.
"""

from __future__ import annotations

import errno
import json
import os
import pickle
import shutil
import struct
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import numpy as np

from feeder.dataset import DatasetInfo, info_text, read_info, write_info
from feeder.packed import HEADER, LOCK
from feeder.ragged import without_padding
from feeder.sequence import SkeletonSequence
from feeder.skeleton import known_layouts, load_skeleton
from torchlight.errors import DataError
from torchlight.files import atomic_write, named_errors, refuse_link, temporary_name
from torchlight.lock import exclusive

OUT_FORMATS = ("npy", "h5")


def packing(out_folder: str | Path) -> AbstractContextManager[None]:
    """A block in which this process alone writes to a folder of packed data, and nobody reads it; see torchlight/lock.py."""
    return exclusive(out_folder, LOCK, "another --out_folder")


def write_packed(
    out_folder: str | Path,
    part: str,
    sequences: Iterable[SkeletonSequence],
    num_sample: int,
    num_frame: int,
    num_person: int,
    out_format: str = "npy",
    label_names: Sequence[str] | None = None,
) -> None:
    """Pack sequences, at most num_sample of them, as they come; each is cut or zero-padded to num_frame and num_person.

    out_format, label_names: as of PackedWriter.
    """
    info = DatasetInfo(label_names=label_names and tuple(label_names))
    with PackedWriter(out_folder, part, num_sample, num_frame, num_person, None, out_format, info) as writer:
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
        out_format: "npy", or "h5" for one file without the padding.
        info: facts that the clips do not tell, or that are known better, e.g. label_names.

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
        out_format: str = "npy",
        info: DatasetInfo | None = None,
    ) -> None:
        self.folder, self.part, self.job = Path(out_folder), part, job
        self.out_format, self.info = out_format, info or DatasetInfo()
        self.path = self.folder / (f"{part}.h5" if out_format == "h5" else f"{part}_data.npy")
        self.num_sample, self.num_frame, self.num_person = num_sample, num_frame, num_person
        self.name: list[str] = []
        self.label: list[int] = []
        self.frame_size: list[tuple[int, int]] = []
        self.skipped: list[tuple[str, str]] = []  # (name, why)
        self.cut: list[str] = []  # names of clips longer than num_frame
        self.empty: list[str] = []  # names of clips in which no joint is present
        self.stored: list[tuple[int, int]] = []  # (T, M) of each clip as it is stored
        self.row_shape: tuple[int, ...] | None = None  # (C, T, V, M), known with the first sequence
        self.layout: str | None = None  # so are these
        self.dimension: int | None = None
        self.fps: float | None = None
        self.folder.mkdir(parents=True, exist_ok=True)
        self._partial = self.path.with_name(f"{self.path.name}.part")
        self._journal_path = self.path.with_name(f"{self.path.name}.journal")
        for path in (self._partial, self._journal_path):
            refuse_link(path)
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
        if sequence.label < 0:
            raise DataError(f"{sequence.name}: has no label; a packed data set needs one for every clip")
        row = sequence.array(self.num_frame, self.num_person)  # (C, T, V, M)
        if self.row_shape is None:
            self._start(row)
            self._note("layout", sequence.layout, sequence.keypoints.shape[-1])
            self._note("fps", sequence.fps)
        if sequence.layout != self.layout and self.layout is not None:
            raise DataError(f"{sequence.name}: layout is {sequence.layout}, earlier clips have {self.layout}")
        if self.fps is not None and sequence.fps != self.fps:
            self._note("fps", None)  # not the same for all
        if not np.isfinite(row).all():
            raise DataError(f"{sequence.name}: has values that are not finite; a missing joint must be zero")
        cut, (width, height) = sequence.keypoints.shape[1] > self.num_frame, sequence.frame_size or (0, 0)
        self.add_row(row, sequence.name, sequence.label, (int(width), int(height)), cut)

    def add_row(
        self, row: np.ndarray, name: str, label: int, frame_size: tuple[float, float] = (0, 0), cut: bool = False
    ) -> None:
        """Append one clip as it is, (C, T, V, M) float32."""
        if name in self._seen:
            raise DataError(f"{name}: two clips have this name; names must be unique within a part")
        if self.out_format == "h5":
            from feeder.h5_writer import encoded  # here, so that .npy files need no h5py

            encoded(name)  # while it is not too late
        if self.row_shape is None:
            self._start(row)
        if row.shape != self.row_shape:
            raise DataError(f"{name}: shape (C, T, V, M) is {row.shape}, earlier clips have {self.row_shape}")
        empty = not row.any()
        row = row.astype("<f4", copy=False)
        row = without_padding(row) if self.out_format == "h5" else row
        _append(self._data, row.tobytes(), self._partial)
        self._note("clip", name, int(label), *frame_size, cut, bool(empty), row.shape[1], row.shape[3])
        self._seen.add(name)

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
        """The first clip says how large a row is, so it is checked here whether the disk can hold all of them."""
        need, free = self.num_sample * row.nbytes, shutil.disk_usage(self.folder).free
        if need > free and self.out_format == "npy":  # nobody knows how much padding is left out
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
        elif kind == "layout":
            self.layout, self.dimension = rest
        elif kind == "fps":
            (self.fps,) = rest
        elif kind == "skip":
            self.skipped.append((rest[0], rest[1]))
        elif kind == "clip":
            name, label, width, height, cut, empty, frames, persons = rest
            self.stored.append((frames, persons))
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
        keep, written = 0, HEADER
        for line in lines:
            try:
                entry = json.loads(line)
                end = written + (self._row_bytes(*entry[-2:]) if entry[0] == "clip" else 0)
                if end > size:
                    break
                self._take(entry)
            except (ValueError, TypeError, IndexError):
                break
            keep, written = keep + len(line) + 1, end
        os.truncate(self._journal_path, keep)
        os.truncate(self._partial, written)
        self._data, self._journal = self._partial.open("r+b"), self._journal_path.open("ab")
        self._data.seek(0, os.SEEK_END)
        return True

    def _row_bytes(self, frames: int, persons: int) -> int:
        C, _, V, _ = self.row_shape
        return 4 * C * V * frames * persons

    def _finish(self) -> None:
        if self.out_format == "h5":
            self._finish_h5()
        else:
            self._finish_npy()
        self._journal.close()  # Windows neither removes nor renames an open file
        self._journal_path.unlink()

    def _finish_h5(self) -> None:
        from feeder.h5_writer import write_h5

        self._data.close()
        with self._partial.open("rb") as values:
            values.seek(HEADER)
            sizes, text = np.array(self.frame_size, np.float32), info_text(self._info())
            write_h5(self.path, values, self.row_shape, *zip(*self.stored), self.name, self.label, sizes, text)
        self._partial.unlink()

    def _finish_npy(self) -> None:
        self._data.seek(0)
        self._data.write(npy_header((len(self.name), *self.row_shape)))
        self._data.flush()
        os.fsync(self._data.fileno())
        self._data.close()
        label_path, size_path = self.folder / f"{self.part}_label.pkl", self.folder / f"{self.part}_frame_size.npy"
        label_part, size_part = temporary_name(label_path), temporary_name(size_path)
        sizes = np.array(self.frame_size, np.float32)  # (N, 2)
        try:
            with named_errors(label_path), label_part.open("xb") as file:
                pickle.dump((self.name, self.label), file, protocol=2)
            if sizes.any():
                with named_errors(size_path), size_part.open("xb") as file:
                    np.save(file, sizes)
            for path in (self.path, size_path):  # those of an earlier data set would be wrong beside the new labels
                path.unlink(missing_ok=True)
            label_part.replace(label_path)
            if sizes.any():
                size_part.replace(size_path)
        finally:
            label_part.unlink(missing_ok=True)
            size_part.unlink(missing_ok=True)
        write_info(self.folder, self._info())
        self._partial.replace(self.path)

    def _info(self) -> DatasetInfo:
        """What the clips say of the data set; a layout that is not one of resource/skeleton is written down whole."""
        layout = self.layout
        if layout is not None and layout not in known_layouts():
            layout = load_skeleton(layout).description
        told = DatasetInfo(layout, self.dimension, self.fps, None, self.num_person)
        return replace(told, **{key: value for key, value in vars(self.info).items() if value is not None})


def write_label_names(out_folder: str | Path, names: list[str]) -> None:
    """The class names in the order of the labels: label_names.txt, one a line, and in dataset.yaml where there is one."""
    folder = Path(out_folder)
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(folder / "label_names.txt", "w") as file:
        file.write("".join(f"{name}\n" for name in names))
    if info := read_info(folder):
        write_info(folder, replace(info, label_names=tuple(names)))


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
