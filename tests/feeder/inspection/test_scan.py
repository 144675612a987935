"""feeder/inspection/scan.py: any number of processes gives the same, in bounded memory, and leaves nobody behind."""

import dataclasses

import numpy as np
import pytest

from feeder.inspection import scan as module
from feeder.inspection.body import Body
from feeder.inspection.measure import Setting
from feeder.inspection.scan import read_chunk, scan
from feeder.packed_writer import npy_header
from feeder.skeleton import load_skeleton
from torchlight.machine import peak_memory

SETTING = Setting(Body.of(load_skeleton("openpose"), 18), 3)


def test_any_number_of_processes_gives_the_same(solid, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MIN_PARALLEL", 1)
    monkeypatch.setattr(module, "CHUNK_CLIPS", 7)
    data = solid.copy()
    data[30, :, 20:25] = data[30, :, 20:25][:, :, load_skeleton("openpose").flip]
    data[33, 0, 4, 4] = np.nan
    np.save(tmp_path / "x_data.npy", data)
    counts = []
    several = scan(tmp_path / "x_data.npy", np.ones(40), SETTING, 3, counts.append)
    alone = scan(tmp_path / "x_data.npy", np.ones(40), SETTING, 1, lambda count: None)
    assert sum(counts) == 40 and len(counts) == 6
    for field in dataclasses.fields(alone):
        np.testing.assert_equal(getattr(several, field.name), getattr(alone, field.name))
    assert [i for i, _ in alone.spots] == [30, 33]


def test_a_chunk_is_what_the_file_has(solid, tmp_path):
    np.save(tmp_path / "x_data.npy", solid)
    np.testing.assert_array_equal(read_chunk(tmp_path / "x_data.npy", 12, 5), solid[12:17])


def test_a_large_file_is_not_kept_in_memory(tmp_path):
    shape = (4096, 3, 300, 18, 2)  # 0.5 GB, of which a sparse file has nothing on the disk
    path = tmp_path / "x_data.npy"
    with path.open("wb") as file:
        file.write(npy_header(shape))
        file.truncate(128 + 4 * int(np.prod(shape)))
    before = peak_memory()
    if not before:
        pytest.skip("the system does not say how much memory is used")
    measures = scan(path, np.ones(4096), SETTING, 1, lambda count: None)
    assert (measures.length == 0).all() and len(measures.spots) == 4096
    assert peak_memory() - before < 200  # MiB
