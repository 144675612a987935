import subprocess
import sys
from pathlib import Path

import pytest

from tools.plot_ladders import draw, read_ladders
from torchlight.errors import DataError

ROOT = Path(__file__).resolve().parents[2]


def test_the_tables_of_the_docs_are_read_as_they_stand():
    ladders = read_ladders(ROOT / "docs/accuracy.md")
    assert set(ladders) == {"penn-action", "nw-ucla"} and all(len(rows) == 7 for rows in ladders.values())
    assert ladders["penn-action"][0] == ("original", 76.7, 3.6) and ladders["nw-ucla"][3] == ("augmentation", 91.5, 1.2)


def test_a_picture_is_drawn_and_one_seed_has_no_error_bar(tmp_path):
    (tmp_path / "a.md").write_text(
        "<!-- ablation: x -->\n| step | top-1 | change | seeds |\n| one | 50.0 |  | 1 |\n<!-- end -->"
    )
    ladders = read_ladders(tmp_path / "a.md")
    assert ladders == {"x": [("one", 50.0, 0.0)]}
    draw(ladders, tmp_path / "x.png")
    assert (tmp_path / "x.png").read_bytes()[:4] == b"\x89PNG"


def test_a_file_without_tables_is_one_line(tmp_path):
    (tmp_path / "a.md").write_text("nothing")
    with pytest.raises(DataError, match="no table between"):
        read_ladders(tmp_path / "a.md")
    command = [sys.executable, str(ROOT / "tools/plot_ladders.py"), "--tables", str(tmp_path / "a.md")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
