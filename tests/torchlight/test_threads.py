"""torchlight/threads.py and machine.py: one thread where the others are in use, all of them where they are not."""

import math
import subprocess
import sys
import time

import pytest
import torch

from torchlight import machine, threads
from torchlight.threads import Threads


@pytest.fixture
def two_threads(monkeypatch):
    """A machine of two processors, of which a test sets the load; torch's number of threads comes back afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(threads, "cores", lambda: 2)
    in_use = {"load": 0.0}
    monkeypatch.setattr(threads, "load", lambda: in_use["load"])
    yield in_use
    torch.set_num_threads(before)


def epoch(chooser, seconds, steps=12):
    """The threads with which each step was done; a step takes seconds[threads]."""
    chooser.begin_epoch()
    used = []
    for _ in range(steps):
        with chooser.timed():
            used.append(torch.get_num_threads())
            time.sleep(seconds[used[-1]])
    return used


SLOW_TOGETHER, FAST_TOGETHER = {1: 0.002, 2: 0.01}, {1: 0.01, 2: 0.005}


def test_a_quiet_machine_is_left_alone(two_threads):
    lines = []
    assert set(epoch(Threads(lines.append), SLOW_TOGETHER)) == {2} and not lines


def test_a_busy_machine_is_measured_and_the_faster_way_kept(two_threads):
    two_threads["load"] = 3.0
    lines = []
    chooser = Threads(lines.append)
    assert epoch(chooser, SLOW_TOGETHER)[-3:] == [1, 1, 1]
    assert set(epoch(chooser, SLOW_TOGETHER)) == {1} and len(lines) == 1  # it still is
    two_threads["load"] = 1.0
    assert epoch(chooser, FAST_TOGETHER)[-3:] == [2, 2, 2]
    assert len(lines) == 2 and "using 1" in lines[0] and "using 2" in lines[1]


def test_our_own_threads_are_not_somebody_else(two_threads):
    chooser, lines = Threads(lambda line: lines.append(line)), []
    epoch(chooser, FAST_TOGETHER)
    two_threads["load"] = 2.0
    epoch(chooser, FAST_TOGETHER)
    assert not lines
    two_threads["load"] = 3.0  # a neighbour who came later
    assert epoch(chooser, SLOW_TOGETHER)[-1] == 1
    two_threads["load"] = 1.0  # and went
    assert epoch(chooser, FAST_TOGETHER)[-1] == 2


def test_omp_num_threads_decides(two_threads, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    two_threads["load"] = 5.0
    assert set(epoch(Threads(print), SLOW_TOGETHER)) == {2}


def test_an_epoch_of_few_steps_decides_nothing(two_threads):
    two_threads["load"] = 1.0
    lines = []
    epoch(Threads(lines.append), SLOW_TOGETHER, steps=6)
    assert not lines


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu.max": "max 100000\n"}, math.inf),
        ({"cpu/cpu.cfs_quota_us": "50000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 0.5),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, math.inf),
        ({}, math.inf),
        ({"cpu.max": "nonsense"}, math.inf),
    ],
)
def test_a_limit_of_a_container_is_read(tmp_path, files, expected):
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    assert machine.quota(tmp_path) == expected


def test_cores_are_at_least_one_and_no_more_than_granted(monkeypatch):
    for granted, most in ((0.3, 1), (1.5, 2), (math.inf, 10_000)):
        monkeypatch.setattr(machine, "quota", lambda granted=granted: granted)
        assert 1 <= machine.cores() <= most


def test_torch_is_not_told_to_use_more_than_granted():
    """In a process of its own, for threads once made stay."""
    code = (
        "import torch; from torchlight import threads; torch.set_num_threads(4); threads.cores = lambda: 2; "
        "print(threads.Threads(print, fixed=False).most, torch.get_num_threads())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["2", "2"]
