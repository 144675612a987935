"""Packing: from clips on disk to the packed parts. Many workers read, one process writes, in order and in little memory."""

from __future__ import annotations

import _thread
import hashlib
import json
import multiprocessing
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from functools import partial
from multiprocessing.synchronize import Event
from pathlib import Path

from tqdm import tqdm

from feeder.dataset import DatasetInfo
from feeder.packed_writer import PackedWriter
from feeder.readers.clip import Clip, Listing
from feeder.sequence import SkeletonSequence
from torchlight.errors import DataError
from torchlight.machine import keep_freed_memory
from torchlight.signals import follow_parent, unsignalled_children

CHUNK = 8  # clips a worker takes at once
QUEUED = 4  # chunks per worker that may wait to be written
MIN_PARALLEL = 512  # with fewer clips, one process is done before others have started
SHOWN = 20  # names of one kind that a summary spells out

Read = Callable[[Path], SkeletonSequence]


def pack_parts(
    parts: Iterable[tuple[str | Path, str, Listing]],
    read: Read,
    num_frame: int,
    num_person: int,
    num_worker: int,
    out_format: str = "npy",
    label_names: Sequence[str] | None = None,
) -> None:
    """Pack every (out_folder, part, listing) and print a summary of each; DataError if not one clip was usable."""
    info = DatasetInfo(label_names=tuple(label_names) if label_names else None)
    usable = 0
    for out_folder, part, listing in parts:
        if not listing.clips:
            print(f"{Path(out_folder) / part}: no clip belongs to this part")
            continue
        lines, count = pack(listing.clips, read, out_folder, part, num_frame, num_person, num_worker, out_format, info)
        print("\n".join(lines), flush=True)
        usable += count
    if not usable:
        raise DataError("not one clip could be used; is --data_path the right folder?")


def pack(
    clips: list[Clip],
    read: Read,
    out_folder: str | Path,
    part: str,
    num_frame: int,
    num_person: int,
    num_worker: int,
    out_format: str = "npy",
    info: DatasetInfo | None = None,
) -> tuple[list[str], int]:
    """Read clips and write {part}_data.npy and its companions, or {part}.h5; the lines of a summary, and the rows written.

    Clips that cannot be read are left out and named in the summary; if none can, nothing is written. The files are the
    same for any num_worker, and whether or not the run was killed and started again in between.

    read: makes a SkeletonSequence of a path; importable by name (a function of a module or a functools.partial of one).
    out_format, info: as of PackedWriter.
    """
    keep_freed_memory()
    started = time.perf_counter()
    job = fingerprint(_reader_name(read), part, num_frame, num_person, [(str(c.path), c.name, c.label) for c in clips])
    with PackedWriter(out_folder, part, len(clips), num_frame, num_person, job, out_format, info) as writer:
        before = writer.done
        with (
            closing(read_all(clips[before:], read, num_worker)) as results,
            tqdm(total=len(clips), initial=before, desc=part, unit="clip", disable=None) as bar,
        ):
            for clip, result in zip(clips[before:], results):
                if isinstance(result, SkeletonSequence) and result.label not in (-1, clip.label):
                    result = f"its own label is {result.label} but it is listed with {clip.label}"
                if isinstance(result, SkeletonSequence):
                    result.name, result.label = clip.name, clip.label
                    writer.add(result)
                else:
                    writer.skip(clip.name, result)
                bar.update()
    return _summary(writer, before, time.perf_counter() - started), len(writer.name)


def longest(clips: Iterable[Clip], read: Read, num_worker: int) -> int:
    """Frames of the longest clip that can be read."""
    with closing(read_all(list(clips), read, num_worker)) as results:
        lengths = [each.keypoints.shape[1] for each in results if isinstance(each, SkeletonSequence)]
    if not lengths:
        raise DataError("not one clip could be read; is --data_path the right folder?")
    return max(lengths)


def read_all(clips: list[Clip], read: Read, num_worker: int, slow: bool = False) -> Iterator[SkeletonSequence | str]:
    """The sequence of every clip in order, or in one line why there is none. Close it if not all is taken.

    slow: a clip takes seconds, so that workers pay from the second clip on, one clip at a time.
    """
    chunk, fewest = (1, 2) if slow else (CHUNK, MIN_PARALLEL)
    chunks = [clips[i : i + chunk] for i in range(0, len(clips), chunk)]
    if num_worker <= 1 or len(clips) < fewest:
        for clip in clips:
            yield from _read_chunk(read, [clip])
        return
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    pool = ProcessPoolExecutor(min(num_worker, len(chunks)), context, _begin_worker, [stop])
    queued: deque = deque()
    try:
        for chunk in chunks:
            with unsignalled_children():  # the pool starts them as they are needed
                queued.append(pool.submit(_read_chunk, read, chunk))
            if len(queued) >= QUEUED * num_worker:
                yield from queued.popleft().result()
        while queued:
            yield from queued.popleft().result()
    except BrokenProcessPool:
        raise OSError(
            "a worker died (out of memory?); the same command, with a smaller --num_worker, goes on"
        ) from None
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)


class _Stop(Exception):
    """The parent has no use for what is being read."""


_reading = False  # whether this worker may be interrupted: a pool hangs where one is cut off while it sends its result


def _begin_worker(stop: Event) -> None:
    """The first thing in a worker; after stop.set() it reads no further."""
    keep_freed_memory()
    follow_parent()
    signal.signal(signal.SIGINT, _stop_reading)
    threading.Thread(target=lambda: (stop.wait(), _thread.interrupt_main()), daemon=True).start()


def _stop_reading(signum: int, frame: object) -> None:
    if _reading:
        raise _Stop


def _read_chunk(read: Read, clips: list[Clip]) -> list[SkeletonSequence | str]:
    global _reading
    results: list[SkeletonSequence | str] = []
    try:
        _reading = True
        for clip in clips:
            try:
                results.append(read(clip.path))
            except (DataError, OSError) as error:
                results.append(str(error).removeprefix(f"{clip.path}: "))
        _reading = False
    except _Stop:
        _reading = False
    return results


def _reader_name(read: Read) -> list:
    """The name of a reader and its options."""
    if isinstance(read, partial):
        return [
            *_reader_name(read.func),
            [str(x) for x in read.args],
            {k: str(v) for k, v in sorted(read.keywords.items())},
        ]
    return [read.__module__, read.__qualname__]


def fingerprint(*job: object) -> str:
    """A text that stands for a job, for PackedWriter."""
    return hashlib.sha256(json.dumps(job).encode()).hexdigest()


def _summary(writer: PackedWriter, before: int, seconds: float) -> list[str]:
    path, shape = writer.path, (len(writer.name), *(writer.row_shape or ()))
    resumed = f", {before} clips of an earlier run kept" if before else ""
    lines = [f"{path}: {shape} (N, C, T, V, M){resumed}, {(writer.done - before) / seconds:.0f} clips/s"]
    if not writer.name:
        lines = [f"{path}: not written, no clip of this part could be used"]
    if writer.cut:
        lines.append(f"  cut to {writer.num_frame} frames: {_some(writer.cut)}")
    if writer.empty:
        lines.append(f"  kept though no joint is present: {_some(writer.empty)}")
    if writer.skipped:
        lines.append(f"  SKIPPED, could not be read: {len(writer.skipped)}")
        lines += [f"    {name}: {why}" for name, why in writer.skipped]
    return lines


def show_left_out(listing: Listing) -> None:
    """Print what lies in the folder and is not used, counted and named by reason."""
    for why in dict.fromkeys(why for _, why in listing.left_out):
        print(f"not used, {why}: {_some([name for name, w in listing.left_out if w == why])}")


def _some(names: list[str]) -> str:
    more = ", ..." if len(names) > SHOWN else ""
    return f"{len(names)} ({', '.join(names[:SHOWN])}{more})"
