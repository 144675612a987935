"""What a reader is, and what it finds in a folder: the clips of one part of a data set, and what it leaves out.

A data format is one file in feeder/readers/ with a function `read` that makes a SkeletonSequence of a path. The formats of
tools/gendata.py, which lists them, have these members too (the protocol Format):

    NUM_PERSON = 1                                              # persons of a sample, M
    OPTIONS = {"--fold": {"type": int, "help": "..."}}          # options that this format alone has, for argparse
    def reader(arg) -> read with the options of the command line in it; importable by name, e.g. a functools.partial
    def list_parts(arg, out_folder) -> [(folder, part, Listing), ...]
    def all_clips(arg) -> every clip, whatever the parts; the longest says how many frames a sample has
    def label_names(data_path) -> class names, [] where they are unknown
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from feeder.sequence import SkeletonSequence

RESOURCE = Path(__file__).resolve().parent.parent.parent / "resource"


class Clip(NamedTuple):
    """One recording on disk; the name is unique in its data set, the first class has label 0."""

    path: Path
    name: str
    label: int


class Listing(NamedTuple):
    """The clips of a part, sorted by name, and (name, why) for everything that lies there and is not used."""

    clips: list[Clip]
    left_out: list[tuple[str, str]]


def read_lines(path: Path) -> list[str]:
    """The lines of a list in resource/, without the empty ones."""
    return [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]


Parts = list[tuple[Path, str, Listing]]  # (folder to write to, "train" or "val", its clips)


class Format(Protocol):
    """A module of feeder/readers/ that tools/gendata.py packs."""

    NUM_PERSON: int
    OPTIONS: dict[str, dict[str, Any]]

    def reader(self, arg: Namespace) -> Callable[[Path], SkeletonSequence]: ...

    def list_parts(self, arg: Namespace, out_folder: Path) -> Parts: ...

    def all_clips(self, arg: Namespace) -> list[Clip]: ...

    def label_names(self, data_path: str | Path) -> list[str]: ...
