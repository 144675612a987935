"""The packed data set of the original ST-GCN: one array on disk, read through a memory map. Or all of it in one file.

{part}_data.npy         float32 (N, C, T, V, M)
{part}_label.pkl        pickle of (list of N names, list of N int labels)
{part}_frame_size.npy   float32 (N, 2): width and height in pixels, 0 where unknown; only where some are known
dataset.yaml            layout, dimension, frame rate, class names (feeder/dataset.py)

{part}.h5               all of these, without the padding and compressed (feeder/h5.py)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from feeder.dataset import is_h5
from feeder.pickles import load_pickle
from feeder.ragged import RaggedData
from torchlight.errors import DataError, one_line, short
from torchlight.lock import lock_path

DATA_SETS = {  # the folder of a data set in the configs: how to make it
    "NTU-RGB-D": "python tools/ntu_gendata.py --data_path <nturgb+d_skeletons>",
    "ntu60": "python tools/ntu_gendata.py --denoise --out_folder data/ntu60 --data_path <nturgb+d_skeletons>",
    "ntu120": "python tools/ntu_gendata.py --dataset ntu120 --denoise --out_folder data/ntu120 --data_path <skeletons>",
    "Kinetics": "python tools/kinetics_gendata.py --data_path <kinetics-skeleton>",
    "custom": "python tools/video_gendata.py --data_path <folder of label folders>",
    "penn-action": "python tools/gendata.py --format penn-action --data_path <Penn_Action>",
    "nw-ucla": "python tools/gendata.py --format nw-ucla --data_path <all_sqe>",
    "sbu": "python tools/gendata.py --format sbu --data_path <sbu_interaction>",
    "utd-mhad": "python tools/gendata.py --format utd-mhad --data_path <Skeleton>",
    "starter": "python tools/starter_gendata.py --penn_action <labels/> --nw_ucla <all_sqe/> --sbu <s01s02/ ...>",
    "synthetic": "python tools/synthetic_gendata.py",
}
LOCK = "packing"  # the lock of a folder that is being packed; where packing was cut off, its file is still there
HEADER = 128  # bytes; every .npy header written here has this length, whatever N turns out to be


@dataclass
class Packed:
    """A packed data set: data (N, C, T, V, M) float32, N names, N labels and, where known, (N, 2) width and height.

    Of an .h5 the data are a RaggedData, which has shape, len() and [i] as an array, and reads clips as they are asked for.
    """

    data: np.ndarray | RaggedData
    sample_name: list[str]
    label: list[int]
    frame_size: np.ndarray | None = None


def read_packed(data_path: str | Path, label_path: str | Path | None = None, mmap: bool = True) -> Packed:
    """Open a packed data set; with mmap the data stay on disk until they are used. Raises DataError.

    Args:
        label_path: of a .npy; an .h5 has its labels inside.
    """
    data_path, label_path = Path(data_path), check_label_path(data_path, label_path)
    _check_finished(data_path)
    if label_path is None:
        from feeder.h5 import read_h5  # here, so that .npy files need no h5py

        data, name, label, frame_size = read_h5(data_path, mmap, _remedy(data_path))
        return Packed(data, *_checked_label(data_path, name, label), frame_size)
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


def check_label_path(data_path: str | Path, label_path: str | Path | None) -> Path | None:
    """The label file of a .npy, None for an .h5. Raises DataError where it is missing, or one too many."""
    if is_h5(data_path):
        if label_path is not None and Path(label_path) != Path(data_path):
            raise DataError(f"label_path: {label_path}: {data_path} has its labels inside; leave label_path out (null)")
        return None
    if label_path is None:
        raise DataError(f"label_path is missing: the labels of {data_path}, a .pkl")
    return Path(label_path)


def shape_of(data_path: str | Path) -> tuple[int, ...]:
    """(N, C, T, V, M) of a packed data set. Raises DataError."""
    return clips_of(data_path).shape


def clips_of(data_path: str | Path) -> np.ndarray | RaggedData:
    """The data of a packed data set alone, opened anew: a memory map keeps all pages that were read through it."""
    data_path = Path(data_path)
    if not is_h5(data_path):
        return _read_data(data_path, mmap=True)
    stat = data_path.stat()
    return _open_h5(data_path, stat.st_mtime_ns, stat.st_ino)


@lru_cache(4)
def _open_h5(data_path: Path, *version: int) -> RaggedData:
    """The data of an .h5; not opened anew, since it has names and lengths to be read, and keeps no pages."""
    from feeder.h5 import read_h5

    return read_h5(data_path, True, _remedy(data_path))[0]


def _check_finished(data_path: Path) -> None:
    """DataError where clips may be of one packing and labels of another."""
    for folder in (data_path.parent, data_path.parent.parent):  # NTU's parts are in folders of what is packed at once
        if (lock := lock_path(folder, LOCK)).exists():
            raise DataError(
                f"{data_path}: is being packed, or packing was cut off; the same command goes on, "
                f"and packing anew removes {lock.name}"
            )


def recipe(path: str | Path) -> str | None:
    """The command that makes a file of a data set, known by its folder."""
    command = next((command for folder, command in DATA_SETS.items() if folder in Path(path).parts), None)
    return f"{command} --out_format h5" if command and is_h5(path) else command


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
    except (DataError, OSError):
        raise
    except Exception as error:  # a damaged header can raise nearly anything
        what = "has been cut off" if _is_cut(path) else f"cannot be read ({one_line(error)})"
        raise DataError(f"{path} {what}; {_remedy(path)}") from None


def _is_cut(path: Path) -> bool:
    """Does the header of this .npy file promise more bytes than there are?"""
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, dtype = header(file)
            return path.stat().st_size < file.tell() + dtype.itemsize * int(np.prod(shape))
    except Exception:  # the header is damaged, not cut
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
    """The names and labels of a `*_label.pkl` or of an .h5, checked."""
    if is_h5(path):
        from feeder import h5

        return _checked_label(path, *h5.read_label(path, _remedy(path)))
    content = load_pickle(path, _remedy(path))
    if not isinstance(content, (tuple, list)) or len(content) != 2:
        raise DataError(f"{path} is not a pair (names, labels); {_remedy(path)}")
    name, label = (x.tolist() if isinstance(x, np.ndarray) else x for x in content)
    if not isinstance(name, (list, tuple)) or not isinstance(label, (list, tuple)):
        raise DataError(f"{path} is not a pair of lists (names, labels); {_remedy(path)}")
    return _checked_label(path, name, label)


def _checked_label(path: Path, name: Sequence, label: Sequence) -> tuple[list[str], list[int]]:
    if len(name) != len(label):
        raise DataError(f"{path} has {len(name)} names but {len(label)} labels; {_remedy(path)}")
    for i, (n, k) in enumerate(zip(name, label)):
        if not isinstance(n, str):
            raise DataError(f"{path}: name {i} is {short(n)}, not text; {_remedy(path)}")
        if isinstance(k, (bool, np.bool_)) or not isinstance(k, (int, np.integer)) or not 0 <= k < 2**31:
            raise DataError(f"{path}: the label of {short(n)} is {short(k)}; labels are integers, the first class is 0")
    if len(set(name)) < len(name):
        seen: set[str] = set()
        twice = next(n for n in name if n in seen or seen.add(n))
        raise DataError(f"{path}: {short(twice)} is there twice; scores are kept by name, so names must be unique")
    return list(name), [int(k) for k in label]
