"""Tables of measured figures in a Markdown file, between marks: `<!-- name -->`, the table, `<!-- end -->`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from torchlight.errors import DataError
from torchlight.files import atomic_write


def mean_and_std(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean and standard deviation (n - 1) over the seeds; one value has none."""
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else None


def plus_minus(mean: float, std: float | None) -> str:
    """92.8 ± 1.1"""
    return f"{mean:.1f}" + (f" ± {std:.1f}" if std is not None else "")


def table(titles: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """The lines of a Markdown table."""
    lines = [f"| {' | '.join(map(str, row))} |" for row in (titles, *rows)]
    return [lines[0], "|" + "---|" * len(titles), *lines[1:]]


def put(path: Path, name: str, lines: list[str]) -> None:
    """The lines between `<!-- name -->` and `<!-- end -->` of a Markdown file; the rest of it stays as it is."""
    head, tail = _around(path, name)
    with atomic_write(path, "w") as file:
        file.write("\n".join([head, *lines, tail]))


def check_marks(path: Path, name: str) -> None:
    """DataError where the marks are missing: before hours of training, not after them."""
    _around(path, name)


def _around(path: Path, name: str) -> tuple[str, str]:
    """The file up to the first mark, and from the second on."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise DataError(f"{path} does not exist; give a Markdown file with the mark <!-- {name} -->") from None
    head, mark, rest = text.partition(f"<!-- {name} -->")
    _, end, tail = rest.partition("<!-- end -->")
    if not (mark and end):
        raise DataError(f"{path}: the marks <!-- {name} --> and <!-- end --> are not there")
    return head + mark, end + tail
