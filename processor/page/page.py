"""A page: one HTML file that needs nothing else, with moving skeletons, plots and tables. It opens by file:// and asks
nobody for anything.

page = Page("NW-UCLA", kind="inspect", skeleton=load_skeleton("nw-ucla"), dimension=3)
page.add(Facts("What is there", [("clips", "1,484"), ("classes", "10")]))
page.add(Clips("Walk around", [Clip("a04_s01_e00_v01", keypoints)]))
page.write("inspect.html")

All text is escaped where it is shown: a class name of `<script>` is a class name. The look is resource/page/page.html (one
Jinja2 template), page.css and page.js; motion.py makes clips small, render.py fills in the template.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from feeder.skeleton import Skeleton
from torchlight.files import write_bytes

BUDGET = 9_000_000  # bytes of moving skeletons: a page stays below 10 MB


@dataclass(eq=False)
class Clip:
    """A moving skeleton.

    Attributes:
        name: of the clip.
        keypoints: (C, T, V, M) as packed; frames without anybody at the end are left out, long clips thinned out.
        caption: one line under it.
        details: rows of the large view.
        attention: (T', V) in 0..1 over the same time as keypoints, or None.
        aspect: width over height of the frame, for x and y in fractions of it.
        fps: frames per second of keypoints, or None (30).
        marks: frames of keypoints (first, last) to point out, e.g. where a joint jumps.
        level: "error", "warning" or "" for a coloured edge.
    """

    name: str
    keypoints: np.ndarray
    caption: str = ""
    details: Sequence[tuple[str, str]] = ()
    attention: np.ndarray | None = None
    aspect: float = 1.0
    fps: float | None = None
    marks: Sequence[tuple[int, int]] = ()
    level: str = ""


@dataclass
class Section:
    """A part of a page, under its heading.

    Attributes:
        title: the heading; "" for none.
        text: a sentence or two under it.
        level: "error", "warning", "ok" or "" for the colour of the heading.
    """

    title: str
    text: str = field(default="", kw_only=True)
    level: str = field(default="", kw_only=True)


@dataclass
class Facts(Section):
    """Names and their values, e.g. ("top-1", "96.5 %", "95 % interval 94.1 to 98.0"): the third is small, under the value.

    tiles: large figures side by side, else a plain table of two columns.
    """

    rows: Sequence[tuple[str, ...]]
    tiles: bool = False


@dataclass
class Table(Section):
    """A table that a click on a heading sorts. A cell is a text, a number (aligned right), a Clip or a list of Clips that it
    opens, or None (empty, last in every order).

    formats: for each column a format of its numbers, e.g. ".1f", or "".
    """

    head: Sequence[str]
    rows: Sequence[Sequence[str | int | float | None | Clip | Sequence[Clip]]]
    formats: Sequence[str] = ()


@dataclass
class Plots(Section):
    """Plots side by side: (caption, SVG) of plots.py."""

    plots: Sequence[tuple[str, str]]


@dataclass
class Clips(Section):
    """A grid of moving skeletons; a click opens the large view.

    total: how many there are, where not all are shown.
    """

    clips: Sequence[Clip]
    total: int | None = None


@dataclass
class Matrix(Section):
    """A confusion matrix; a cell opens its clips.

    names: of the K classes.
    counts: (K, K), a row for each true class.
    cells: {(true, predicted): (names of clips, those of them that can be shown moving)}.
    """

    names: Sequence[str]
    counts: np.ndarray
    cells: dict[tuple[int, int], tuple[Sequence[str], Sequence[Clip]]]


@dataclass
class Text(Section):
    """Preformatted text, folded up until it is clicked: a config, a log."""

    content: str


@dataclass
class Timeline(Section):
    """A video and what was recognised in it when; a click on a bar jumps there.

    video: file name, relative to the page.
    seconds: length of the video.
    tracks: (name of the person, [(first second, last second, label, score)]).
    top: [(second, [(label, score), ...])]: the best labels from that moment on.
    """

    video: str
    seconds: float
    tracks: Sequence[tuple[str, Sequence[tuple[float, float, str, float]]]]
    top: Sequence[tuple[float, Sequence[tuple[str, float]]]]


@dataclass
class Group(Section):
    """Sections that are folded up under one heading until it is clicked."""

    sections: Sequence[Section]
    open: bool = True


class Page:
    """An HTML file of sections, one after the other; with more than four it begins with a table of contents.

    Args:
        title, subtitle: its heading and the line under it.
        kind: "inspect", "report", "compare" or "demo".
        skeleton: the layout of all clips; None: their joints are dots.
        dimension: 2 or 3, how many channels of the clips are coordinates.
        budget: bytes that the clips may take. Those of the first sections come first; the others are only named.
    """

    def __init__(
        self,
        title: str,
        kind: str,
        skeleton: Skeleton | None = None,
        dimension: int = 2,
        subtitle: str = "",
        budget: int = BUDGET,
    ):
        self.title, self.kind, self.subtitle = title, kind, subtitle
        self.skeleton, self.dimension, self.budget = skeleton, dimension, budget
        self.sections: list[Section] = []

    def add(self, section: Section) -> None:
        self.sections.append(section)

    def render(self) -> str:
        """The HTML; the same sections make the same text."""
        from processor.page.render import render

        return render(self)

    def write(self, path: str | Path) -> None:
        """Write the HTML, UTF-8; the file appears once it is whole. Raises OSError."""
        write_bytes(path, self.render().encode())


def all_sections(sections: Sequence[Section]) -> Iterator[Section]:
    """The sections and those within groups, in the order of the page."""
    for section in sections:
        yield section
        if isinstance(section, Group):
            yield from all_sections(section.sections)


def clips_of(section: Section) -> Iterator[Clip]:
    """The clips that a section itself shows or opens; a group has none of its own."""
    if isinstance(section, Clips):
        yield from section.clips
    elif isinstance(section, Matrix):
        for _, clips in section.cells.values():
            yield from clips
    elif isinstance(section, Table):
        for row in section.rows:
            for cell in row:
                yield from clips_in(cell)


def clips_in(cell: object) -> Sequence[Clip]:
    """The clips of a cell of a Table."""
    if isinstance(cell, Clip):
        return [cell]
    return cell if isinstance(cell, Sequence) and not isinstance(cell, str) else []
