"""Plots of a page as inline SVG, drawn by matplotlib: curves, bars, a histogram, a reliability diagram, a body.

Their colours are the variables of page.css, so that they follow light and dark; text stays text, in the page's font. Equal
input gives equal bytes. Identifiers begin with a digest of the content: those of two plots do not collide.
"""

from __future__ import annotations

import hashlib
import io
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from feeder.skeleton import Skeleton
from processor.page.motion import TURN, up_axis
from torchlight.metrics import reliability_bins

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, QUIET, GRID, CARD, WARN = (f"#0102{i:02x}" for i in range(5))  # stand for variables until the SVG is there
SERIES = [f"#0103{i:02x}" for i in range(1, 9)]
VARIABLES = {INK: "ink", QUIET: "quiet", GRID: "grid", CARD: "card", WARN: "error"} | {
    colour: f"series-{i}" for i, colour in enumerate(SERIES, 1)
}
MOST_POINTS = 300  # of a curve
MOST_BARS = 60  # that have a name each; more are one outline
LETTERS = 26  # of a name
LEAST = 0.001  # a share that is worth a mark
STYLE = {
    "svg.fonttype": "none", "svg.hashsalt": "st-gcn", "text.parse_math": False, "font.size": 10, "text.color": INK,
    "axes.facecolor": "none", "axes.edgecolor": QUIET, "axes.labelcolor": QUIET, "axes.linewidth": 0.8, "axes.axisbelow": True,
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.color": GRID, "grid.linewidth": 0.8,
    "xtick.color": QUIET, "ytick.color": QUIET, "xtick.labelcolor": INK, "ytick.labelcolor": INK, "xtick.major.size": 0,
    "ytick.major.size": 0, "legend.frameon": False, "lines.linewidth": 1.8,
}  # fmt: skip


class Plot:
    """Axes to draw on, and, once the block is left, the SVG."""

    axes: Axes
    svg: str = ""


@contextmanager
def plot(width: float, height: float) -> Iterator[Plot]:
    """Axes of that many inches, 72 units each."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # the browser has its own fonts
        figure, made, file = (
            Figure((width, height), dpi=72, facecolor="none", layout="constrained"),
            Plot(),
            io.StringIO(),
        )
        made.axes = figure.add_subplot()
        yield made
        figure.savefig(file, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
        made.svg = inline(file.getvalue())


def inline(svg: str) -> str:
    """An SVG file of matplotlib's as part of a page: small, coloured by variables, with identifiers of its own."""
    svg = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<[^>]+>", lambda tag: _small(tag[0]), svg)
    svg = re.sub(r">\s*\n\s*<", "><", svg)
    used = dict.fromkeys(re.findall(r'(?:href="|url\()#(\w+)', svg))
    prefix = f"plot-{hashlib.sha256(svg.encode()).hexdigest()[:12]}"
    names = {name: f"{prefix}-{i}" for i, name in enumerate(used)}
    svg = re.sub(r' id="([^"]*)"', lambda found: f' id="{names[found[1]]}"' if found[1] in names else "", svg)
    svg = re.sub(r'((?:href="|url\()#)(\w+)', lambda found: found[1] + names[found[2]], svg)
    for _ in range(3):  # groups that are left with nothing to say
        svg = re.sub(r"<g>((?:(?!</?g\b).)*)</g>", r"\1", svg, flags=re.DOTALL)
    return svg


def _small(tag: str) -> str:
    """A tag without what it does not need: digits, fonts, units, turns by nothing; its colours as variables."""
    tag = re.sub(
        r"\s+", " ", re.sub(r"-?\d+\.\d{2,}", lambda number: f"{float(number[0]):.1f}".removesuffix(".0"), tag)
    )
    tag = re.sub(r"font-family: [^;\"]*;? ?|stroke-(?:linejoin: miter|linecap: square);? ?", "", tag)
    tag = re.sub(r' transform="rotate\(-?0 [^"]*"', "", tag)
    tag = re.sub(
        r"#0[0-9a-f]{5}", lambda found: f"var(--{VARIABLES[found[0]]})" if found[0] in VARIABLES else found[0], tag
    )
    if tag.startswith("<svg"):
        box = re.search(r'viewBox="[^"]*"', tag)[0]
        return f'<svg xmlns:xlink="http://www.w3.org/1999/xlink" {box} role="img" stroke-linejoin="round" fill="none">'
    return tag


def curves(series: Mapping[str, tuple[Sequence[float], Sequence[float]]], xlabel: str, ylabel: str) -> str:
    """Lines, one a name: its x (N,) and y (N,). Where y is not finite the line has a gap; long lines are thinned out."""
    from matplotlib.ticker import MaxNLocator

    with plot(5.4, 3.2) as made:
        axes, lines = made.axes, []
        for i, (x, y) in enumerate(series.values()):
            x, y = _thinned(np.asarray(x, float), np.asarray(y, float))
            look = {"linestyle": ("-", "--", ":")[i // len(SERIES) % 3], "marker": "o" if len(x) == 1 else ""}
            lines += axes.plot(x, y, color=SERIES[i % len(SERIES)], markersize=4, **look)
        if all(np.equal(np.mod(line.get_xdata(), 1), 0).all() for line in lines):
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set(xlabel=_plain(xlabel), ylabel=_plain(ylabel))
        if len(lines) > 1:
            axes.legend(lines, [_plain(name) for name in series], fontsize=9)
    return made.svg


def bars(names: Sequence[str], values: Sequence[float], ylabel: str, errors: np.ndarray | None = None) -> str:
    """A bar a name, lying where the names are many or long; more than 60 are one outline without names.

    Args:
        errors: (N,), or (2, N) below and above: lines on the bars.
    """
    values = np.nan_to_num(np.asarray(values, float))
    names, count, ylabel = [_plain(name) for name in names], len(values), _plain(ylabel)
    line = {"ecolor": INK, "elinewidth": 1}
    if count > MOST_BARS:
        with plot(5.4, 3.1) as made:
            made.axes.stairs(values, np.arange(count + 1) + 0.5, fill=True, color=SERIES[0], linewidth=0)
            made.axes.set(ylabel=ylabel, xlabel=f"1 to {count}", xlim=(0.5, count + 0.5))
    elif count > 10 or sum(map(len, names)) > 60:
        with plot(5.4, 0.7 + 0.215 * count) as made:
            made.axes.barh(range(count), values, 0.72, color=SERIES[0], xerr=errors, error_kw=line)
            made.axes.set_yticks(range(count), names, fontsize=9)
            made.axes.set(xlabel=ylabel, ylim=(count - 0.4, -0.6))
            made.axes.grid(False, axis="y")
    else:
        with plot(5.4, 3.1) as made:
            made.axes.bar(range(count), values, 0.68, color=SERIES[0], yerr=errors, error_kw=line)
            made.axes.set_xticks(range(count), names)
            made.axes.set(ylabel=ylabel)
            made.axes.grid(False, axis="x")
    return made.svg


def histogram(values: Sequence[float], bins: int | Sequence[float], xlabel: str, ylabel: str = "clips") -> str:
    """How many of the finite values are in each bin.

    Args:
        bins: how many of the same width, or their edges.
    """
    values = np.asarray(values, float).ravel()
    counts, edges = np.histogram(values[np.isfinite(values)], bins)
    with plot(5.4, 2.9) as made:
        made.axes.stairs(counts, edges, fill=True, color=SERIES[0], linewidth=0)
        made.axes.set(xlabel=_plain(xlabel), ylabel=_plain(ylabel), xlim=(edges[0], edges[-1]))
        made.axes.grid(False, axis="x")
    return made.svg


def reliability(confidence: np.ndarray, correct: np.ndarray, bins: int = 10) -> str:
    """Accuracy over confidence: a calibrated network is on the diagonal. The outline is the share of clips of each bin.

    Args:
        confidence: (N,) probability of the answer, 0..1.
        correct: (N,) whether the answer was right.
    """
    edges = np.linspace(0, 1, bins + 1)
    count, accuracy, _ = reliability_bins(confidence, correct, bins)
    with plot(5.4, 3.8) as made:
        axes, middle = made.axes, (edges[:-1] + edges[1:]) / 2
        axes.bar(middle[count > 0], accuracy[count > 0], 0.94 / bins, color=SERIES[0], alpha=0.8, linewidth=0)
        share = axes.stairs(count / max(count.sum(), 1), edges, color=SERIES[1], linewidth=1.4)
        (ideal,) = axes.plot([0, 1], [0, 1], "--", color=QUIET, linewidth=1.2)
        axes.set(xlabel="confidence", ylabel="accuracy", xlim=(0, 1), ylim=(0, 1), box_aspect=1)
        axes.legend([ideal, share], ["calibrated", "share of clips"], fontsize=9, loc="upper left")
    return made.svg


def body(skeleton: Skeleton, values: np.ndarray, pose: np.ndarray) -> str:
    """A share for each joint, drawn on a body: the larger, the redder and larger its dot; the six largest in figures.

    Args:
        values: (V,) 0..1.
        pose: (V, 2), x right and y down, or (V, 3); where the joints are, e.g. a mean pose.
    """
    values = np.clip(np.nan_to_num(np.asarray(values, float)), 0, 1)
    pose = np.asarray(pose, float)
    if pose.shape[1] == 3:
        pose = pose @ np.array(TURN[up_axis(skeleton, [pose.T[:, None, :, None]])], float).T
    with plot(5.4, 3.8) as made:
        axes = made.axes
        for a, b in skeleton.bones:
            axes.plot(pose[[a, b], 0], pose[[a, b], 1], color=GRID, linewidth=5, solid_capstyle="round", zorder=1)
        axes.scatter(pose[:, 0], pose[:, 1], 22, color=QUIET, linewidths=0, zorder=2)
        for joint in np.flatnonzero(values >= LEAST):
            look = {"alpha": 0.35 + 0.6 * values[joint], "linewidths": 0, "zorder": 3}
            axes.scatter(*pose[joint, :2, None], 30 + 420 * values[joint], color=WARN, **look)
        told, near = [], 0.05 * np.ptp(pose[:, :2], axis=0).max()  # a figure that would lie on another is left out
        for joint in np.argsort(-values, kind="stable")[:6]:
            if values[joint] >= LEAST and all(np.linalg.norm(pose[joint, :2] - pose[j, :2]) > near for j in told):
                told.append(joint)
                text = f"{values[joint]:.1%}" if values[joint] < 0.1 else f"{values[joint]:.0%}"
                side = -1 if pose[joint, 0] < np.median(pose[:, 0]) else 1
                look = {"textcoords": "offset points", "ha": "left" if side > 0 else "right", "va": "center"}
                axes.annotate(text, pose[joint, :2], (side * (8 + 5 * values[joint]), 0), fontsize=9, zorder=4, **look)
        axes.set_aspect("equal", "datalim")
        axes.margins(0.05)
        axes.invert_yaxis()
        axes.axis("off")
    return made.svg


def _thinned(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """At most 300 points of a curve: of each stretch its lowest and its highest, so that no peak is lost."""
    if len(x) <= MOST_POINTS:
        return x, y
    keep = {0, len(x) - 1}
    for part in np.array_split(np.arange(len(x)), MOST_POINTS // 2 - 1):
        if np.isfinite(y[part]).any():
            keep |= {int(part[np.nanargmin(y[part])]), int(part[np.nanargmax(y[part])])}
        else:
            keep.add(int(part[0]))
    keep = sorted(keep)
    return x[keep], y[keep]


def _plain(text: object) -> str:
    """A name in one line of a plot, at most 26 letters, without characters that SVG does not have."""
    text = re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]", " ", str(text))
    return text if len(text) <= LETTERS else f"{text[: LETTERS - 1]}…"
