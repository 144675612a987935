"""docs/tour.ipynb: it runs, here with few clips and epochs, and what it shows is stored in it."""

import os
import re
from pathlib import Path

import pytest

nbclient = pytest.importorskip("nbclient", reason="nbclient runs the notebook; pip install -r tests/requirements.txt")
nbformat = pytest.importorskip("nbformat")
pytest.importorskip("ipykernel")

ROOT = Path(__file__).resolve().parents[1]
TOUR = ROOT / "docs/tour.ipynb"


def read():
    return nbformat.read(TOUR, as_version=4)


def test_every_cell_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", "1"))
    tour = read()
    (parameters,) = (cell for cell in tour.cells if "parameters" in cell.metadata.get("tags", ()))
    parameters.source = 'CLIPS, EPOCHS = {"train": 32, "val": 20}, 1'
    for cell in tour.cells:
        if cell.cell_type == "code":
            cell.outputs = []
    nbclient.NotebookClient(tour, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    text = "".join(output.get("text", "") for cell in tour.cells for output in cell.get("outputs", ()))
    assert re.search(r"top-1 \d+\.\d %", text) and "label_names: [standing" in text
    assert not list(tmp_path.iterdir())  # it leaves nothing behind


def test_what_it_shows_is_stored_and_small():
    tour = read()
    nbformat.validate(tour)
    outputs = [output for cell in tour.cells for output in cell.get("outputs", ())]
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(pictures) == 3 and TOUR.stat().st_size < 300_000
    assert not any(output.output_type == "error" or output.get("name") == "stderr" for output in outputs)
    top1 = float(re.search(r"top-1 (\d+\.\d) %", str(outputs))[1])
    assert top1 > 90  # of the whole run
    text = TOUR.read_text(encoding="utf-8")
    assert not re.search(r"/(home|tmp|root|work|Users)/|[A-Z]:\\\\", text)  # no path of the machine that it was run on


def test_its_links_lead_to_files():
    for cell in read().cells:
        if cell.cell_type == "markdown":
            for path in re.findall(r"\]\(([^)#]+)\)", cell.source):
                assert (TOUR.parent / path).exists(), path
