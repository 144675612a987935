"""Fills in the template of a page, resource/page/page.html: what each macro of it needs, ready to be shown."""

from __future__ import annotations

import base64
import hashlib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from urllib.parse import quote

import numpy as np

from processor.page.motion import Motions
from processor.page.page import Matrix, Page, Plots, Section, Table, Timeline, all_sections, clips_in, clips_of

RESOURCE = Path(__file__).resolve().parents[2] / "resource" / "page"
SCRIPTS = ("motion.js", "page.js")
KINDS = {"inspect": "Data inspection", "report": "Test report", "compare": "Comparison", "demo": "Recognised actions"}
LEVELS = ("error", "warning", "ok")
CONTENTS = 4  # sections; with more there is a table of contents
MOST_NAMES = 200  # names of clips listed where they cannot be shown moving
NAMES_ROOM = 300_000  # letters for the names of clips in the cells of a matrix
SMALL_MATRIX = 60  # classes; a larger matrix is drawn by the script from its non-empty cells
CONFUSIONS = (10, 50)  # most frequent ones listed under a small and a large matrix
HUES = 8  # colours of the labels of a timeline


@dataclass
class Cell:
    """A cell of a table: what is shown, what it is sorted by, the clips that it opens, and names of those that do not move."""

    text: str
    value: float | None = None
    moving: Sequence[int] = ()
    names: Sequence[str] = ()


def render(page: Page) -> str:
    """The HTML of a page."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(RESOURCE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    sections = list(all_sections(page.sections))
    clips = [clip for section in sections for clip in clips_of(section)]
    motions = Motions(page.skeleton, page.dimension, page.budget, clips)
    matrices = {id(section): matrix_view(section, motions) for section in sections if isinstance(section, Matrix)}
    timelines = {id(section): timeline_view(section) for section in sections if isinstance(section, Timeline)}
    for views in (matrices, timelines):
        for number, view in enumerate(views.values()):
            view["number"] = number
    script = "\n".join((RESOURCE / name).read_text(encoding="utf-8") for name in SCRIPTS)
    data = motions.json(matrices=[view["data"] for view in matrices.values()],
                        timelines=[view["data"] for view in timelines.values()])  # fmt: skip
    html = environment.get_template("page.html").render(
        page=page,
        kind=KINDS.get(page.kind, page.kind),
        policy=policy(script, bool(timelines)),
        style=Markup((RESOURCE / "page.css").read_text(encoding="utf-8")),
        script=Markup(script),
        data=Markup(data),
        has_clips=bool(clips),
        has_attention=any(clip.attention is not None for clip in clips),
        contents=[s for s in page.sections if s.title] if len(page.sections) > CONTENTS else [],
        numbers={id(section): number for number, section in enumerate(sections)},
        plots=own_plots(sections),
        matrices=matrices,
        timelines=timelines,
        index=motions.index,
        kind_of=lambda section: type(section).__name__,
        level=lambda thing: thing.level if thing.level in LEVELS else "",
        table=lambda section: table_view(section, motions),
        note=lambda section: note(section, motions, page.budget),
        id=id,
        most_names=MOST_NAMES,
    )
    return html.lstrip().encode("utf-8", "backslashreplace").decode()  # file names may hold halves of characters


def policy(script: str, has_video: bool) -> str:
    """What a browser lets the page do: its own script, its own style, the video beside it. No request to anywhere."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    media = " media-src 'self' file: data:;" if has_video else ""
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data:;{media}"
        " base-uri 'none'; form-action 'none'"
    )


def own_plots(sections: Sequence[Section]) -> dict[int, list[tuple[str, str]]]:
    """Captions and SVG of each section of plots; where a plot comes twice, the second has identifiers of its own."""
    from markupsafe import Markup

    seen: dict[str, int] = {}

    def own(svg: str) -> str:
        found = re.search(r'\bid="(plot-[0-9a-f]+)-', svg)
        if found:
            times = seen[found[1]] = seen.get(found[1], 0) + 1
            svg = svg if times == 1 else svg.replace(found[1], f"{found[1]}x{times}")
        return Markup(svg)

    return {id(s): [(caption, own(svg)) for caption, svg in s.plots] for s in sections if isinstance(s, Plots)}


def table_view(table: Table, motions: Motions) -> tuple[list[bool], list[list[Cell]]]:
    """For each column whether it is of numbers, and the cells."""
    formats = [*table.formats, *[""] * (len(table.head) - len(table.formats))]
    rows = [[cell(value, formats[column], motions) for column, value in enumerate(row)] for row in table.rows]
    numeric = [any(row[c].value is not None for row in rows if c < len(row)) for c in range(len(table.head))]
    return numeric, rows


def cell(value: object, form: str, motions: Motions) -> Cell:
    if value is None:
        return Cell("")
    if isinstance(value, Real) and not isinstance(value, bool | np.bool_):
        return Cell(format(value, form), float(value)) if math.isfinite(value) else Cell("–")
    if clips := clips_in(value):
        places = [motions.index(clip) for clip in clips]
        names = [clip.name for clip, place in zip(clips, places) if place is None]
        names = names[:MOST_NAMES] + [f"and {len(names) - MOST_NAMES:,} more"] * (len(names) > MOST_NAMES)
        text = clips[0].name if len(clips) == 1 else f"{len(clips)} clips"
        return Cell(text, None, [place for place in places if place is not None], names)
    return Cell("" if isinstance(value, Sequence) and not isinstance(value, str) else str(value))


def note(section: Section, motions: Motions, budget: int) -> str:
    """A sentence about the clips of a section that are only named, or nothing."""
    left = len({id(clip) for clip in clips_of(section) if motions.index(clip) is None})
    if not left:
        return ""
    return f"{left:,} of the clips here are only named: moving skeletons have {budget / 1e6:g} MB of a page."


def matrix_view(matrix: Matrix, motions: Motions) -> dict:
    """Of a confusion matrix its non-empty cells, for the script, and the rows of the table or the list of confusions.

    A cell of the script's is [true, predicted, count, clips that move, names of others]; the last two only if there are any.
    """
    counts = np.asarray(matrix.counts)
    total, room = counts.sum(1), NAMES_ROOM
    cells = [[row, column, int(counts[row, column])] for row, column in np.argwhere(counts).tolist()]
    for cell in sorted(cells, key=lambda cell: cell[0] == cell[1]):  # names of errors first, as long as there is room
        names, clips = matrix.cells.get((cell[0], cell[1]), ((), ()))
        moving = [clip for clip in clips if motions.index(clip) is not None]
        shown = {clip.name for clip in moving}
        others = [name for name in names if name not in shown][:MOST_NAMES] if room > 0 else []
        room -= sum(len(name) + 3 for name in others)
        if moving or others:
            cell += [motions.index(clip) for clip in moving], others
    small = len(matrix.names) <= SMALL_MATRIX
    wrong = sorted((i for i, each in enumerate(cells) if each[0] != each[1]), key=lambda i: -cells[i][2])
    share = [each[2] / total[each[0]] for each in cells]
    return {
        "data": {"names": [str(name) for name in matrix.names], "cells": cells},
        "small": small,
        "cells": {(each[0], each[1]): (i, each[2], share[i]) for i, each in enumerate(cells)} if small else {},
        "confusions": [(i, *cells[i][:3], share[i]) for i in wrong[: CONFUSIONS[not small]]],
        "num_confusion": len(wrong),
    }


def timeline_view(timeline: Timeline) -> dict:
    """Of a timeline its bars in shares of its length, a hue for each label, and the best labels for the script."""
    hues = {}
    for _, bars in timeline.tracks:
        for bar in bars:
            hues.setdefault(bar[2], len(hues) % HUES)
    seconds = max(float(timeline.seconds), 1e-3)
    step = next((s for s in (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800) if seconds / s <= 10), 3600)
    names = list(dict.fromkeys(label for _, best in timeline.top for label, _ in best))
    place = {name: i for i, name in enumerate(names)}
    top = [
        [float(second), [[place[label], round(float(score), 4)] for label, score in best]]
        for second, best in timeline.top
    ]
    return {
        "data": {"names": names, "top": top, "seconds": seconds, "hues": [hues.get(name) for name in names]},
        "source": address(timeline.video),
        "hues": hues,
        "tracks": [(name, [bar_view(bar, seconds) for bar in bars]) for name, bars in timeline.tracks],
        "ticks": [(second / seconds, clock(second)) for second in range(0, int(seconds) + 1, step)],
    }


def address(name: str) -> str:
    """A file name as an address relative to the page; bytes that are no UTF-8 are those of the file system."""
    try:
        return quote(name, errors="surrogateescape")
    except UnicodeEncodeError:
        return quote(name, errors="replace")


def bar_view(bar: tuple[float, float, str, float], seconds: float) -> dict:
    first, last, label, score = bar
    text = f"{label}, {score:.0%}, {clock(first)} to {clock(last)}"
    left = min(max(first / seconds, 0), 1)
    return {"first": first, "left": left, "width": min(max(last / seconds, 0), 1) - left, "label": label, "text": text}


def clock(seconds: float) -> str:
    """Minutes and seconds; tenths below a minute where there are some."""
    seconds = round(seconds, 1)
    if seconds < 60 and seconds % 1:
        return f"0:{seconds:04.1f}"
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
