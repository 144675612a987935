"""Pickles that hold nothing but plain data: containers, numbers, text and numpy arrays. Nothing else is ever unpickled.

numpy's own functions are not called with what a pickle says: the state of a forged dtype can declare an array of raw
memory to be one of Python objects. Arrays are made here, from dtypes of numbers, texts and objects, and bytes whose number
fits.
"""

from __future__ import annotations

import math
import mmap
import pickle
import re
import sys
from pathlib import Path

import numpy as np

from torchlight.errors import DataError, one_line
from torchlight.nesting import check_unfolded

CONTAINERS = list, tuple, dict, set, frozenset, np.ndarray
LARGEST = 5_000_000  # containers in a file, counted as often as they occur
LARGEST_DIMENSION = 2**40


class PlainUnpickler(pickle._Unpickler):
    """Unpickles plain containers, numbers, text and numpy arrays, and refuses everything that could run code.

    It is the unpickler in Python: a file of a few bytes can make the one in C allocate all memory (an index of its memo is the
    length of an array). 114,000 labels take 0.2 seconds.
    """

    def find_class(self, module: str, name: str) -> object:
        module = module.replace("numpy.core.", "numpy._core.").replace("__builtin__", "builtins")
        if (module, name) not in ADMITTED:
            raise pickle.UnpicklingError(f"it holds {module}.{name}, which is not plain data")
        return ADMITTED[module, name]

    def load_build(self) -> None:
        """The state of the object on top of the stack: an array or a dtype, as numpy pickles them."""
        state, built = self.stack.pop(), self.stack[-1]
        if type(built) is np.ndarray:
            fill(built, state)
        elif type(built) is Dtype:
            built.complete(state)
        else:
            raise pickle.UnpicklingError(f"a {type(built).__name__} with a state")

    dispatch = {**pickle._Unpickler.dispatch, pickle.BUILD[0]: load_build}


class Dtype:
    """A dtype while its pickle is read: of numbers, texts or objects."""

    def __init__(self, kind: object, align: object = False, copy: object = True) -> None:
        if not isinstance(kind, str) or not re.fullmatch(r"[?biufcSUO]\d{0,9}", kind):
            raise pickle.UnpicklingError("an array of something else than numbers and texts")
        self.dtype = np.dtype(kind)

    def complete(self, state: object) -> None:
        """The byte order; all else that numpy writes into the state follows from the dtype."""
        if not isinstance(state, tuple) or len(state) < 2 or state[1] not in ("<", ">", "|", "="):
            raise pickle.UnpicklingError("a dtype without its byte order")
        self.dtype = self.dtype.newbyteorder(state[1])


def new_array(*_: object) -> np.ndarray:
    """An empty array, which fill() gives its shape, dtype and values."""
    return np.empty(0, np.int8)


def fill(array: np.ndarray, state: object) -> None:
    """What ndarray.__setstate__ does, checked: (version, shape, dtype, Fortran order, bytes or list of objects)."""
    if array.shape != (0,) or not isinstance(state, tuple) or len(state) != 5:
        raise pickle.UnpicklingError("an array with a strange state")
    _, shape, dtype, fortran, content = state
    content = content.encode("latin1") if isinstance(content, str) else content  # of Python 2
    array.__setstate__((1, *checked(shape, dtype, content), bool(fortran), content))


def checked(shape: object, dtype: object, content: object) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and dtype of an array, where this content fits them."""
    if not isinstance(dtype, Dtype) or not isinstance(shape, tuple) or len(shape) > 32:
        raise pickle.UnpicklingError("an array without shape or dtype")
    if not all(type(size) is int and 0 <= size < LARGEST_DIMENSION for size in shape):
        raise pickle.UnpicklingError("an array with a strange shape")
    count, dtype = math.prod(shape), dtype.dtype
    if dtype.hasobject:
        fits = type(content) is list and len(content) == count
    else:
        fits = type(content) in (bytes, bytearray) and len(content) == count * dtype.itemsize
    if fits and dtype.kind == "U":
        fits = (np.frombuffer(content, dtype.str[0] + "u4") <= sys.maxunicode).all()
    if not fits:
        raise pickle.UnpicklingError("an array whose values do not fit its shape")
    return shape, dtype


def array_of_buffer(content: object, dtype: object, shape: object, order: object) -> np.ndarray:
    """An array as protocol 5 pickles it; a copy, so that nothing else holds its memory."""
    shape, dtype = checked(shape, dtype, content)
    return np.frombuffer(bytes(content), dtype).reshape(shape, order="F" if order == "F" else "C").copy("K")


def scalar(dtype: object, content: object = b"") -> np.generic:
    """One number of numpy's."""
    number = new_array()
    fill(number, (1, (), dtype, False, content))
    return number[()]


def latin1(text: object, encoding: object = "latin1") -> bytes:
    """Bytes, as protocol 2 spells them."""
    if not isinstance(text, str) or encoding != "latin1":
        raise pickle.UnpicklingError(f"it holds bytes spelt in {encoding}")
    return text.encode("latin1")


def no_bytes() -> bytes:
    """Empty bytes, as protocols 0 to 2 spell them."""
    return b""


def byte_array(content: object = b"") -> bytearray:
    if not isinstance(content, bytes):
        raise pickle.UnpicklingError("a bytearray of something else than bytes")
    return bytearray(content)


ADMITTED = {
    ("numpy", "ndarray"): "numpy.ndarray",  # only ever an argument of _reconstruct
    ("numpy", "dtype"): Dtype,
    ("numpy._core.multiarray", "_reconstruct"): new_array,
    ("numpy._core.multiarray", "scalar"): scalar,
    ("numpy._core.numeric", "_frombuffer"): array_of_buffer,
    ("builtins", "set"): set,
    ("builtins", "frozenset"): frozenset,
    ("builtins", "bytes"): no_bytes,
    ("builtins", "bytearray"): byte_array,
    ("builtins", "complex"): complex,
    ("collections", "OrderedDict"): dict,
    ("_codecs", "encode"): latin1,
}


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
