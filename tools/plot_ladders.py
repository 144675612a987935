"""Draw the ladders of tools/ablate.py as one picture, from the tables in a Markdown file.

python tools/plot_ladders.py                # docs/accuracy.md -> resource/media/ladders.png
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from tools.command import run
from torchlight.errors import DataError
from torchlight.files import atomic_write

TABLE = re.compile(r"<!-- ablation: (\S+) -->\n(.*?)<!-- end -->", re.S)
ROW = re.compile(r"\| (?P<step>[^|]+?) \| (?P<mean>[\d.]+)(?: ± (?P<std>[\d.]+))? \|[^|]*\| (?P<seeds>\d+) \|")


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw the tables of tools/ablate.py.")
    parser.add_argument("--tables", default="docs/accuracy.md", help="Markdown file (default: docs/accuracy.md)")
    parser.add_argument("--output", default="resource/media/ladders.png", help="(default: resource/media/ladders.png)")
    arg = parser.parse_args()
    ladders = read_ladders(Path(arg.tables))
    draw(ladders, Path(arg.output))
    print(f"{arg.output}: {', '.join(ladders)}")


def read_ladders(path: Path) -> dict[str, list[tuple[str, float, float]]]:
    """{data set: [(step, mean, standard deviation), ...]} of the tables between their marks. Raises DataError."""
    ladders = {}
    for name, table in TABLE.findall(path.read_text(encoding="utf-8")):
        rows = [ROW.match(line) for line in table.splitlines()]
        ladders[name] = [(row["step"], float(row["mean"]), float(row["std"] or 0)) for row in rows if row]
    if not ladders:
        raise DataError(f"{path}: no table between <!-- ablation: ... --> and <!-- end -->")
    return ladders


def draw(ladders: dict[str, list[tuple[str, float, float]]], path: Path) -> None:
    """Top-1 of every step with error bars, a panel for each data set."""
    figure = Figure(figsize=(5.2 * len(ladders), 3.4), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (name, rows) in zip(figure.subplots(1, len(ladders), squeeze=False)[0], ladders.items()):
        steps = [step.split(",")[0] for step, _, _ in rows][::-1]
        means, stds = [mean for _, mean, _ in rows][::-1], [std for _, _, std in rows][::-1]
        axes.errorbar(means, range(len(rows)), xerr=stds, fmt="o", color="#1f5fa8", capsize=3, markersize=6)
        axes.plot(means, range(len(rows)), color="#1f5fa8", alpha=0.3)
        for y, (mean, std) in enumerate(zip(means, stds)):
            axes.annotate(
                f"{mean:.1f} ± {std:.1f}", (mean, y), (0, 7), textcoords="offset points", ha="center", fontsize=8
            )
        axes.set_yticks(range(len(rows)), steps, fontsize=9)
        axes.set_ylim(-0.5, len(rows) - 0.3)
        axes.set_xlim(min(means) - max(stds) - 4, 103)
        axes.set_title(f"{name}, top-1 in %", fontsize=10)
        axes.grid(axis="x", alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    with atomic_write(path) as file:
        figure.savefig(file, format="png")


if __name__ == "__main__":
    run(main)
