"""The machine: how many processors this process may use, how busy they are, and how glibc hands out memory."""

from __future__ import annotations

import ctypes
import math
import os
import sys
from pathlib import Path

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of malloc.h
LARGEST = 32 << 20  # bytes; the largest that glibc takes for the second


def keep_freed_memory(*_: object) -> None:
    """For a process that reads clips in a loop: freed memory is kept for the next one; for glibc, else nothing is done.

    glibc hands a freed block of 100 kB upwards back to the system at once and asks for a new one, page by page, the
    next time, which costs more than the work on it. Without that, the .skeleton reader and the feeder are up to twice
    as fast; the process stays as large as it once was.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, LARGEST)
        mallopt(M_TRIM_THRESHOLD, 8 * LARGEST)


def cores() -> int:
    """Processors that this process may use: of the machine, or what a container grants it of their time."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(count, quota())))


def quota(root: Path = Path("/sys/fs/cgroup")) -> float:
    """Processors' time that a container's limit allows (Linux control groups, both versions); infinite without one."""
    try:
        if (root / "cpu.max").exists():
            allowed, period = (root / "cpu.max").read_text(encoding="utf-8").split()
        else:
            files = (root / "cpu" / f"cpu.cfs_{name}_us" for name in ("quota", "period"))
            allowed, period = (file.read_text(encoding="utf-8") for file in files)
        return float(allowed) / float(period) if float(allowed) > 0 else math.inf
    except (OSError, ValueError, ZeroDivisionError):  # "max" is no number, and no limit
        return math.inf


def load() -> float:
    """Processors in use, a mean of the last minute; 0 where the system does not say (Windows)."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


def peak_memory() -> int:
    """MiB: the most memory that this process has held; 0 where the system does not say."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    unit = 20 if sys.platform == "darwin" else 10  # bytes there, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> unit
