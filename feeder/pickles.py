"""Pickles that hold nothing but plain data: containers, numbers, text and numpy arrays. Nothing else is ever unpickled."""

from __future__ import annotations

import mmap
import pickle
from pathlib import Path

import numpy as np

from torchlight.errors import DataError, one_line
from torchlight.nesting import check_unfolded

CONTAINERS = list, tuple, dict, set, frozenset, np.ndarray
LARGEST = 5_000_000  # containers in a file, counted as often as they occur


class PlainUnpickler(pickle._Unpickler):
    """Unpickles plain containers, numbers, text and numpy arrays, and refuses everything that could run code.

    It is the unpickler in Python: a file of a few bytes can make the one in C allocate all memory (an index of its memo is the
    length of an array). 114,000 labels take 0.2 seconds.
    """

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


def _children(value: object) -> list:
    """The containers in a container."""
    if isinstance(value, dict):
        value = [*value, *value.values()]
    elif isinstance(value, np.ndarray):
        value = value.ravel().tolist() if value.dtype.hasobject else []
    elif not isinstance(value, list | tuple | set | frozenset):
        return []
    return [each for each in value if isinstance(each, CONTAINERS)]


def load_pickle(path: str | Path, remedy: str = "make it again") -> object:
    """The content of a pickle, of Python 2 too, that holds nothing but plain data. Raises DataError."""
    path = Path(path)
    try:
        with path.open("rb") as file:
            if not path.stat().st_size:
                raise EOFError
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:  # read(n) gives no more than there is
                value = PlainUnpickler(content, encoding="latin1").load()
        check_unfolded(value, _children, LARGEST)
        return value
    except FileNotFoundError:
        raise DataError(f"{path} does not exist; {remedy}") from None
    except OSError:
        raise
    except EOFError:
        what = "is empty" if path.stat().st_size == 0 else "has been cut off"
        raise DataError(f"{path} {what}; {remedy}") from None
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise DataError(f"{path} cannot be read as plain data ({one_line(error)}); {remedy}") from None
