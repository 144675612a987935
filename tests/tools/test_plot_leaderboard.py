import subprocess
import sys
from pathlib import Path

import pytest

from tools.leaderboard_table import table_of
from tools.plot_leaderboard import draw, figure_of, read_points
from torchlight.errors import DataError

ROOT = Path(__file__).resolve().parents[2]
POINTS = {
    "One, official": [("Net A", 40.0, 90.1, 1.2), ("Net B", 4.5, 95.0, 0.0)],
    "Two, cross-view": [("Net B", 8.0, 80.0, 0.5)],
}


def table():
    rows = []
    for title, points in POINTS.items():
        for name, speed, top1, std in points:
            row = {"title": title, "data_set": "x", "network": "n", "name": name, "parameters": 5e5, "gflop": 1.0}
            row |= {"fp32": speed, "bf16": None, "passes": 10, "top1": top1, "top1_std": std or None, "fresh": None}
            rows.append(row | {"best": 99.0, "best_std": None, "published": "", "seeds": 3})
    return table_of(rows, 3)


def test_the_points_are_those_of_the_table(tmp_path):
    (tmp_path / "a.md").write_text(
        "\n".join(["text", "<!-- leaderboard -->", *table(), "<!-- end -->", "| no | row |"])
    )
    assert read_points(tmp_path / "a.md") == POINTS


def test_every_panel_has_its_points_with_error_bars_and_a_network_one_mark(tmp_path):
    figure, columns = figure_of(POINTS)
    assert columns == 2 and [axes.get_title() for axes in figure.axes] == list(POINTS)
    marks = {}
    for axes, points in zip(figure.axes, POINTS.values()):
        assert axes.get_xscale() == "log"
        for drawn, (network, speed, mean, std) in zip(axes.containers, points, strict=True):
            line, _, (bar,) = drawn
            assert (line.get_xdata()[0], line.get_ydata()[0]) == (speed, mean)
            bottom, top = bar.get_segments()[0][:, 1]
            assert (bottom, top) == pytest.approx((mean - std, mean + std))
            assert marks.setdefault(network, line.get_marker()) == line.get_marker()
    assert len(set(marks.values())) == 2
    draw(POINTS, tmp_path / "x.png")
    assert (tmp_path / "x.png").read_bytes()[:4] == b"\x89PNG"


def test_a_file_without_a_table_is_one_line(tmp_path):
    (tmp_path / "a.md").write_text("<!-- leaderboard -->\n<!-- end -->\n")
    with pytest.raises(DataError, match="no table between"):
        read_points(tmp_path / "a.md")
    command = [sys.executable, str(ROOT / "tools/plot_leaderboard.py"), "--tables", str(tmp_path / "a.md")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
