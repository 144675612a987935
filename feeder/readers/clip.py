"""What a reader finds in a folder: the clips of one part of a data set, and what it had to leave out."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

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
    return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
