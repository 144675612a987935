"""dataset.yaml: what is known of a data set when it is packed, beside the packed files, or in its .h5 file.

So no config need repeat it:

layout: penn-action                 # a name, or a whole layout as in resource/skeleton
dimension: 2                        # 2: channels x, y, score; 3: x, y, z
fps: 30.0                           # frames per second; left out where it is unknown
num_person: 1                       # M of a sample
label_names: [baseball pitch, ...]  # in the order of the labels
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from feeder.skeleton import Skeleton, load_skeleton
from torchlight.config import dump_yaml, load_yaml, parse_yaml
from torchlight.errors import DataError, UsageError, did_you_mean, is_plain_name, short
from torchlight.files import atomic_write

FILE = "dataset.yaml"


@dataclass(frozen=True)
class DatasetInfo:
    """Facts of a packed data set; None where a fact is unknown.

    Attributes:
        layout: name of a skeleton layout, or the description of one (Skeleton.description).
        dimension: 2 (channels x, y, score) or 3 (x, y, z).
        fps: frames per second.
        label_names: class names in the order of the labels.
        num_person: M of a sample.
    """

    layout: str | Mapping[str, Any] | None = None
    dimension: int | None = None
    fps: float | None = None
    label_names: tuple[str, ...] | None = None
    num_person: int | None = None

    @property
    def skeleton(self) -> Skeleton | None:
        """The layout's skeleton. Raises LayoutError."""
        return None if self.layout is None else load_skeleton(self.layout)


def write_info(folder: str | Path, info: DatasetInfo) -> None:
    """Write folder/dataset.yaml, without the facts that are unknown."""
    with atomic_write(Path(folder) / FILE, "w") as file:
        file.write(info_text(info))


def info_text(info: DatasetInfo) -> str:
    """The text of a dataset.yaml, without the facts that are unknown."""
    content = {key: getattr(info, key) for key in _CHECKS if getattr(info, key) is not None}
    content = {key: list(value) if isinstance(value, tuple) else value for key, value in content.items()}
    file = io.StringIO()
    dump_yaml(content, file, sort_keys=False, default_flow_style=None, width=120)
    return file.getvalue()


def is_h5(path: str | Path) -> bool:
    """Whether a packed file is one of HDF5 (feeder/h5.py), by its name."""
    return Path(path).suffix in (".h5", ".hdf5")


def read_info(data_path: str | Path) -> DatasetInfo | None:
    """The dataset.yaml of a data set, by its folder or one of its files, of an .h5 the one inside; None if there is none.

    Raises:
        DataError: it is not a dataset.yaml; the line names the key.
    """
    path = Path(data_path)
    try:
        if is_h5(path) and path.is_file():
            from feeder.h5 import read_info_text  # here, so that .npy files need no h5py

            text = read_info_text(path, "make it again")
            return None if text is None else _checked(parse_yaml(text, f"{path}: {FILE}"), f"{path}: {FILE}")
        path = (path if path.is_dir() else path.parent) / FILE
        return _checked(load_yaml(path), path) if path.is_file() else None
    except UsageError as error:
        raise DataError(str(error)) from None


def _checked(content: Any, path: str | Path) -> DatasetInfo:
    if not isinstance(content, dict):
        raise DataError(f"{path}: {short(content)} where `key: value` lines belong")
    for key, value in content.items():
        if key not in _CHECKS:
            raise DataError(f"{path}: unknown key {short(key)}{did_you_mean(key, _CHECKS)}")
        valid, expected = _CHECKS[key]
        if not valid(value):
            raise DataError(f"{path}: {key}: {short(value)} where {expected} belongs")
    content = {key: tuple(value) if isinstance(value, list) else value for key, value in content.items()}
    return DatasetInfo(**content)


def _is_number(value: object, kind: type | tuple[type, ...] = int) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool) and 0 < value < 1e9


_CHECKS = {  # key: (is the value valid?, what belongs there)
    "layout": (lambda v: isinstance(v, str | dict), "the name of a layout, or a layout"),
    "dimension": (lambda v: v in (2, 3) and not isinstance(v, bool), "2 (x, y, score) or 3 (x, y, z)"),
    "fps": (lambda v: _is_number(v, (int, float)), "frames per second"),
    "num_person": (_is_number, "a number of persons"),
    "label_names": (lambda v: isinstance(v, list) and v and all(map(is_plain_name, v)), "a list of class names"),
}
