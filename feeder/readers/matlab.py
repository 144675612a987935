"""MATLAB 5 files (`.mat`): arrays of numbers and texts, compressed or not.

fields = read_mat("0001.mat", ["x", "y"])

scipy.io.loadmat reads more kinds of values, but one damaged file in a few thousand ends the whole process with a
segmentation fault. Here every length is checked before anything is read, and cells, structs, objects and sparse arrays are
refused. Source: MathWorks, "MAT-File Format", level 5.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from torchlight.errors import DataError, one_line

HEADER = 128  # bytes
LARGEST = 1 << 28  # bytes of one value, decompressed
MATRIX, COMPRESSED = 14, 15
NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
ENCODINGS = {16: "utf-8", 17: "utf-16", 18: "utf-32"}
CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
CHAR = 4  # a class too
COMPLEX = 0x0800  # a flag of an array


def read_mat(path: str | Path, keys: Collection[str] | None = None) -> dict[str, np.ndarray]:
    """The arrays of a file by their names, at least two-dimensional; a text is an array (1,) of str.

    Args:
        keys: those that are wanted; None: all.

    Raises:
        DataError: not a MATLAB 5 file, cut off, damaged, or a wanted value that is neither numbers nor text.
        OSError: the file cannot be read.
    """
    content = Path(path).read_bytes()
    try:
        return dict(_values(content, keys))
    except (_Damaged, zlib.error, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not a MATLAB 5 file, cut off or damaged ({one_line(error)})") from None


class _Damaged(Exception):
    """What is wrong with a file, without its name."""


class _Element(NamedTuple):
    kind: int
    content: memoryview


def _values(content: bytes, keys: Collection[str] | None) -> Iterator[tuple[str, np.ndarray]]:
    order = {b"IM": "<", b"MI": ">"}.get(content[126:HEADER])
    if order is None:
        raise _Damaged("the header is another one")
    for element in _elements(memoryview(content)[HEADER:], order):
        if element.kind == COMPRESSED:
            inside = zlib.decompressobj()
            unpacked = memoryview(inside.decompress(element.content, LARGEST))
            if inside.unconsumed_tail:
                raise _Damaged("a value is too large")
            element = next(_elements(unpacked, order), element)  # not all streams have an end mark; lengths are checked
        if element.kind != MATRIX:
            raise _Damaged(f"a value of kind {element.kind}")
        parts = list(_elements(element.content, order))
        if len(parts) < 3:
            raise _Damaged("a value without flags, sizes or name")
        name = _numbers(parts[2], order).astype(np.uint8).tobytes().decode("latin-1")
        if keys is None or name in keys:
            yield name, _array(parts, name, order)


def _elements(content: memoryview, order: str) -> Iterator[_Element]:
    """Elements: kind and length in 8 bytes, then the content; of up to 4 bytes of content all in 8 bytes."""
    at = 0
    while at < len(content):
        if len(content) - at < 8:
            raise _Damaged("cut off")
        kind, length = np.frombuffer(content, f"{order}u4", 2, at).tolist()
        begin = at + 8
        if kind >> 16:
            kind, length, begin = kind & 0xFFFF, kind >> 16, at + 4
            if length > 4:
                raise _Damaged(f"{length} bytes where 4 have room")
        if begin + length > len(content):
            raise _Damaged("cut off")
        yield _Element(kind, content[begin : begin + length])
        at = max(begin + length, at + 8)
        at += -at % 8 if kind != COMPRESSED else 0


def _array(parts: list[_Element], name: str, order: str) -> np.ndarray:
    """From flags, sizes, name and numbers of a value."""
    flags, shape = _numbers(parts[0], order), _numbers(parts[1], order).tolist()
    kind = int(flags[0]) & 0xFF if len(flags) else 0
    if kind not in (CHAR, *CLASSES) or int(flags[0]) & COMPLEX:
        raise _Damaged(f"{name!r:.40} is neither numbers nor text")
    if len(parts) != 4 or not 2 <= len(shape) <= 8 or min(shape) < 0:
        raise _Damaged(f"{name!r:.40} has no sizes or no numbers")
    if kind == CHAR:
        return np.array([_text(parts[3], order)])
    values = _numbers(parts[3], order)
    if len(values) != math.prod(shape):
        raise _Damaged(f"{name!r:.40} has {len(values)} numbers where its sizes are {shape}")
    with np.errstate(invalid="ignore"):  # NaN as a whole number, in a damaged file
        return values.astype(CLASSES[kind]).reshape(shape, order="F")


def _numbers(element: _Element, order: str) -> np.ndarray:
    if element.kind not in NUMBERS:
        raise _Damaged(f"numbers of kind {element.kind}")
    dtype = np.dtype(order + NUMBERS[element.kind])
    if len(element.content) % dtype.itemsize:
        raise _Damaged("half a number")
    return np.frombuffer(element.content, dtype)


def _text(element: _Element, order: str) -> str:
    if element.kind in ENCODINGS:
        side = "" if element.kind == 16 else "-le" if order == "<" else "-be"
        return bytes(element.content).decode(ENCODINGS[element.kind] + side)
    codes = _numbers(element, order)
    if codes.dtype.kind != "u" or (len(codes) and codes.max() > 0xFFFF):
        raise _Damaged("a text of other numbers than those of letters")
    return "".join(map(chr, codes.tolist()))
