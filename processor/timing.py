"""Time and work of several ways to do the same, for the benchmarks."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import torch
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm


def alternate(contestants: dict, rounds: int, main: torch.device, what: str) -> dict:
    """Median seconds of each contestant: one run to warm up, then `rounds` turns in which each runs once."""
    seconds: dict = {key: [] for key in contestants}
    for turn in tqdm(range(rounds + 1), desc=what, leave=False, disable=None):
        for key, once in contestants.items():
            begin = time.perf_counter()
            once()
            if main.type == "cuda":
                torch.cuda.synchronize(main)
            if turn:
                seconds[key].append(time.perf_counter() - begin)
    return {key: median(values) for key, values in seconds.items()}


def flops(once: Callable[[], object]) -> int:
    """Operations of all matrix products and convolutions; a multiply-add is two."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        once()
    return counter.get_total_flops()
