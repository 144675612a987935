"""Packed data from .npy files to .h5 files and back, clip by clip and without loss: the same values, names, labels and facts.

A run that was killed goes on where it stopped; see feeder/packed_writer.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from feeder.dataset import DatasetInfo, is_h5, read_info
from feeder.gendata import fingerprint
from feeder.packed import Packed, read_packed
from feeder.packed_writer import PackedWriter, packing, write_label_names
from torchlight.errors import DataError

SOURCES = {"npy": "*.h5", "h5": "*_data.npy"}  # what is converted, by the format it is converted to


class Source(NamedTuple):
    """A part: its file, the folder it lies in below that which is converted, its content and the facts of it."""

    path: Path
    folder: Path
    packed: Packed
    info: DatasetInfo

    @property
    def part(self) -> str:
        return self.path.stem if is_h5(self.path) else self.path.name.removesuffix("_data.npy")


def convert(data_path: str | Path, out_folder: str | Path, out_format: str) -> list[str]:
    """Convert the parts in a folder and in the folders in it, or one file; a line for each. Raises DataError."""
    sources = [_open(path, folder) for path, folder in find(Path(data_path), out_format)]
    with packing(out_folder):
        lines = [_convert(source, Path(out_folder), out_format) for source in sources]
        if out_format == "npy":
            _write_names(sources, Path(out_folder))
    return lines


def find(data_path: Path, out_format: str) -> list[tuple[Path, Path]]:
    """The files to be converted, each with its folder relative to data_path."""
    if data_path.is_file():
        if is_h5(data_path) == (out_format == "h5"):
            raise DataError(f"{data_path} is {out_format} already; give another --out_format")
        return [(data_path, Path())]
    pattern = SOURCES[out_format]
    paths = sorted([*data_path.glob(pattern), *data_path.glob(f"*/{pattern}")])
    if not paths:
        raise DataError(f"{data_path}: no {pattern} is here, nor in a folder of it, that could become {out_format}")
    return [(path, path.parent.relative_to(data_path)) for path in paths]


def _open(path: Path, folder: Path) -> Source:
    label_path = None if is_h5(path) else path.with_name(path.name.replace("_data.npy", "_label.pkl"))
    return Source(path, folder, read_packed(path, label_path), read_info(path) or DatasetInfo())


def _convert(source: Source, out_folder: Path, out_format: str) -> str:
    packed, path = source.packed, source.path
    N, _, T, _, M = packed.data.shape
    stat = path.stat()
    job = fingerprint("convert", str(path.resolve()), stat.st_size, stat.st_mtime_ns, out_format)
    folder = out_folder / source.folder
    with PackedWriter(folder, source.part, N, T, M, job, out_format, source.info) as writer:
        kept = writer.done
        for i in tqdm(range(kept, N), source.part, N, initial=kept, unit="clip", disable=None):
            size = (0.0, 0.0) if packed.frame_size is None else tuple(map(float, packed.frame_size[i]))
            writer.add_row(packed.data[i], packed.sample_name[i], packed.label[i], size)
    before, after = path.stat().st_size / 2**20, writer.path.stat().st_size / 2**20
    resumed = f", {kept} of an earlier run kept" if kept else ""
    return f"{writer.path}: {N} clips{resumed}, {after:.3g} MiB from {before:.3g} MiB"


def _write_names(sources: Sequence[Source], out_folder: Path) -> None:
    """label_names.txt beside the parts; above folders of parts, as the packers do, where all have the same classes."""
    names = {source.folder: source.info.label_names for source in sources}
    if len(set(names.values())) == 1:
        names[Path()] = sources[0].info.label_names
    for folder, each in names.items():
        if each:
            write_label_names(out_folder / folder, list(each))
