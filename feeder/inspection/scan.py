"""All clips of a packed file measured: by several processes, a chunk of clips at a time, in little memory.

A chunk is read from the file and not kept: a memory map of all of it would stay in memory page by page.
"""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np

from feeder.inspection.measure import Measures, Setting, measure
from feeder.packed import clips_of, shape_of
from torchlight.machine import keep_freed_memory
from torchlight.signals import follow_parent, unsignalled_children

CHUNK_BYTES, CHUNK_CLIPS = 8 << 20, 256  # the most of a chunk
QUEUED = 3  # chunks per worker that are under way
MIN_PARALLEL = 1024  # with fewer clips, one process is done before others have started

Progress = Callable[[int], None]


def scan(path: str | Path, aspect: np.ndarray, setting: Setting, workers: int, progress: Progress) -> Measures:
    """Measure every clip of a packed file.

    Args:
        aspect: (N,) width over height of each clip's frame.
        workers: processes; the measures are the same for any number.
        progress: called with the number of clips that were measured since the last call.
    """
    N, *shape = shape_of(path)
    clip_bytes = 4 * int(np.prod(shape))
    chunk = int(np.clip(CHUNK_BYTES // clip_bytes, 1, CHUNK_CLIPS))
    tasks = [(str(path), first, aspect[first : first + chunk], setting) for first in range(0, N, chunk)]
    measured = []
    for each in _run(tasks, workers if N >= MIN_PARALLEL else 1):
        measured.append(each)
        progress(len(each))
    return Measures.concatenate(measured)


def read_chunk(path: str | Path, first: int, count: int) -> np.ndarray:
    """Clips first to first + count of a packed file, (count, C, T, V, M), in memory."""
    return np.array(clips_of(path)[first : first + count])


def _run(tasks: list[tuple], workers: int) -> Iterator[Measures]:
    """The measures of every task, in order."""
    if workers <= 1 or len(tasks) < 2:
        yield from map(_measure, tasks)
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(workers, len(tasks)), context, _begin_worker)
    queued: deque = deque()
    try:
        for task in tasks:
            with unsignalled_children():  # the pool starts them as they are needed
                queued.append(pool.submit(_measure, task))
            if len(queued) >= QUEUED * workers:
                yield queued.popleft().result()
        while queued:
            yield queued.popleft().result()
    except BrokenProcessPool:
        raise OSError("a worker died (out of memory?); try again with --num_worker 1") from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _begin_worker() -> None:
    keep_freed_memory()
    follow_parent()


def _measure(task: tuple) -> Measures:
    path, first, aspect, setting = task
    return measure(read_chunk(path, first, len(aspect)), aspect, setting, first)
