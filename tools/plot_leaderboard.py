"""Draw the table of tools/leaderboard.py: accuracy against speed, a panel for each data set.

python tools/plot_leaderboard.py                # docs/accuracy.md -> resource/media/accuracy_speed.png
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, ScalarFormatter

from tools.command import run
from torchlight.errors import DataError
from torchlight.files import atomic_write

TABLE = re.compile(r"<!-- leaderboard -->\n(.*?)<!-- end -->", re.S)
COLOURS = ("#1f5fa8", "#d1495b", "#3a8f5c", "#e0a020", "#7b4fa3", "#4bacc6", "#8a5a3b", "#555555", "#c05fa0", "#90a010")
MARKERS = "osD^vPX*<>"

Point = tuple[str, float, float, float]  # network, clips/s, top-1, its standard deviation


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw the table of tools/leaderboard.py.")
    parser.add_argument("--tables", default="docs/accuracy.md", help="Markdown file (default: docs/accuracy.md)")
    parser.add_argument(
        "--output", default="resource/media/accuracy_speed.png", help="(default: resource/media/accuracy_speed.png)"
    )
    arg = parser.parse_args()
    panels = read_points(Path(arg.tables))
    draw(panels, Path(arg.output))
    print(f"{arg.output}: {', '.join(panels)}")


def read_points(path: Path) -> dict[str, list[Point]]:
    """{data set: its networks} of the table between its marks; clips/s are those in float32. Raises DataError."""
    panels: dict[str, list[Point]] = {}
    title = ""
    found = TABLE.search(path.read_text(encoding="utf-8"))
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in found[1].splitlines()] if found else []
    for cells in lines[2:]:
        row = dict(zip(lines[0], cells))
        title = row["data set"] or title
        mean, _, std = row["last epoch"].partition(" ± ")
        panels.setdefault(title, []).append((row["network"], float(row["clips/s, fp32"]), float(mean), float(std or 0)))
    if not panels:
        raise DataError(f"{path}: no table between <!-- leaderboard --> and <!-- end -->")
    return panels


def draw(panels: dict[str, list[Point]], path: Path) -> None:
    """Top-1 of the last epoch over clips/s (log), with error bars over the seeds; two panels side by side."""
    figure, columns = figure_of(panels)
    handles = {}
    for i, axes in enumerate(figure.axes):
        if i % columns == 0:
            axes.set_ylabel("top-1 of the last epoch in %", fontsize=9)
        if i >= len(panels) - columns:
            axes.set_xlabel("clips/s on one core, float32, one pass", fontsize=9)
        handles |= dict(zip(*reversed(axes.get_legend_handles_labels())))
    figure.legend(handles.values(), handles, loc="outside lower center", ncols=1 + columns, fontsize=9, frameon=False)
    with atomic_write(path) as file:
        figure.savefig(file, format="png")


def figure_of(panels: dict[str, list[Point]]) -> tuple[Figure, int]:
    """The panels, and how many stand side by side; a network has the same mark in all."""
    columns = min(2, len(panels))
    lines = -(-len(panels) // columns)
    figure = Figure(figsize=(2 + 3.6 * columns, 1.4 + 2.9 * lines), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    names = list(dict.fromkeys(network for points in panels.values() for network, *_ in points))
    for i, (title, points) in enumerate(panels.items()):
        panel(figure.add_subplot(lines, columns, i + 1), title, points, names)
    return figure, columns


def panel(axes: Axes, title: str, points: list[Point], names: list[str]) -> None:
    for network, speed, mean, std in points:
        i = names.index(network)
        style = {"color": COLOURS[i % len(COLOURS)], "fmt": MARKERS[i % len(MARKERS)]}
        axes.errorbar([speed], [mean], yerr=[std], label=network, capsize=3, markersize=7, **style)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.margins(0.12)
    axes.tick_params(labelsize=9)
    axes.set_title(title, fontsize=10)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


if __name__ == "__main__":
    run(main)
