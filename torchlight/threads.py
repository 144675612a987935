"""How many threads torch computes with on the CPU: as many as help.

    threads = Threads(log)              # once, before the training
    threads.begin_epoch()
    for batch in batches:
        with threads.timed():           # a training step
            ...

All threads of a step wait for the slowest. Where another process takes the processor of one of them, a step with several
threads can take ten times as long as with one. So when the machine is busy at the beginning of an epoch, its first steps
are done with all threads and with one in turn, and the faster way is kept until an epoch finds things changed.

OMP_NUM_THREADS decides by itself. A sum of floats depends on the number of threads by a rounding error: set it, where runs
are to be equal to the bit on a machine that is shared.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch

from torchlight.machine import cores, load

WARM_UP, TURNS = 1, 3  # steps of an epoch that are not measured; steps measured with each number of threads
BUSY = 0.5  # processors in use beyond our own threads
CLEARLY = 0.8  # of the other's time that the faster way takes at most


class Threads:
    """
    Args:
        log: gets a line when the number changes.
        fixed: leave everything as it is; default: if OMP_NUM_THREADS is set.

    Attributes:
        most: threads of a machine that is ours alone: torch's number, within what a container grants.
    """

    def __init__(self, log: Callable[[str], None], fixed: bool | None = None):
        self.log, self.most = log, min(torch.get_num_threads(), cores())
        self.fixed = bool(os.environ.get("OMP_NUM_THREADS")) if fixed is None else fixed
        if not self.fixed and self.most < torch.get_num_threads():
            torch.set_num_threads(self.most)
        self.computed = False  # whether some of the load is our own
        self.plan: list[int] = []  # the number of threads of each step to come
        self.times: dict[int, list[float]] = {}

    def begin_epoch(self) -> None:
        """Measure in this epoch if somebody else is busy; after one thread was chosen, if nobody is any more."""
        own, self.computed = torch.get_num_threads() if self.computed else 0, True
        self.plan, self.times = [], {}
        others = load() > own + BUSY
        if not self.fixed and self.most > 1 and others == (own != 1):
            self.plan = [self.most] * WARM_UP + [self.most, 1] * TURNS

    @contextmanager
    def timed(self) -> Iterator[None]:
        """A training step."""
        if not self.plan:
            yield
            return
        number = self.plan.pop(0)
        torch.set_num_threads(number)
        begin = time.perf_counter()
        yield
        self.times.setdefault(number, []).append(time.perf_counter() - begin)
        if not self.plan:
            self.choose()

    def choose(self) -> None:
        """The faster way; one thread only if it is clearly faster."""
        several, one = (float(np.median(self.times[number][-TURNS:])) for number in (self.most, 1))
        chosen = 1 if one < CLEARLY * several else self.most
        torch.set_num_threads(chosen)
        self.log(
            f"The machine is busy: a step takes {several:.3g} s with {self.most} threads and {one:.3g} s with one; "
            f"using {chosen} (OMP_NUM_THREADS sets it)"
        )
