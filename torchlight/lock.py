"""One writer for each output: a second run that would write the same files ends in one line that names the first.

with exclusive("data/own", "packing", "another --out_folder"):
    ...

The lock is the operating system's, on the file <folder>/.<name>.lock, so it ends with its process, however that ends.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import strftime

from filelock import FileLock, Timeout

from torchlight.errors import UsageError, short

MOMENT = 0.2  # seconds; a lock that is being released may look held for as long


@contextmanager
def exclusive(folder: str | Path, name: str, remedy: str, wait: float = MOMENT) -> Iterator[None]:
    """Hold the lock `name` of a folder, which is made if need be and removed if it is empty in the end.

    Args:
        remedy: what a person could give for the two not to meet, e.g. "another --work_dir".
        wait: seconds after which to give up.

    Raises:
        UsageError: another process holds it; the line says which one, and since when.
    """
    folder = Path(folder)
    made = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    path = lock_path(folder, name)
    lock = FileLock(path, on_acquired=_sign)
    try:
        lock.acquire(timeout=wait)
    except Timeout:
        line = f"{folder} is in use ({name}) by {_holder(path)}; wait until it ends, or give {remedy}"
        raise UsageError(line) from None
    try:
        yield
    finally:
        with suppress(OSError):  # Windows removes it with the release
            path.unlink()  # before the release: whoever waits for this file sees that it is gone, and makes a new one
        lock.release()
        for each in made:
            with suppress(OSError):
                each.rmdir()


def lock_path(folder: Path, name: str) -> Path:
    """The file of a lock; it is gone when the block has ended, and stays when its process was killed."""
    return folder / f".{name}.lock"


def _sign(descriptor: int) -> None:
    """Write into the lock file who holds it."""
    os.ftruncate(descriptor, 0)
    os.write(descriptor, f"process {os.getpid()} on {platform.node()} since {strftime('%Y-%m-%d %H:%M:%S')}".encode())
    os.lseek(descriptor, 0, os.SEEK_SET)  # Windows locks and unlocks from the position on


def _holder(path: Path) -> str:
    try:
        text = path.read_bytes()[:200].decode(errors="replace")
    except OSError:  # Windows: a locked file cannot be read
        text = ""
    return short(text)[1:-1] or "another process"
