"""Files that appear under their names only once they are whole, and errors that say which file and why."""

from __future__ import annotations

import errno
import glob
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from torchlight.errors import UsageError


@contextmanager
def named_errors(path: str | Path, size: int | None = None) -> Iterator[None]:
    """Errors of the operating system in this block name the file; of a full disk also the sizes.

    Args:
        size: bytes that are to be written, if known.
    """
    try:
        yield
    except OSError as error:
        text = error.strerror or str(error)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            with suppress(OSError):
                text += f", {shutil.disk_usage(Path(path).parent).free / 2**20:.1f} MiB are free"
            text += "" if size is None else f", {size / 2**20:.1f} MiB are needed"
        elif error.filename is not None:
            raise
        raise OSError(error.errno, text, str(path)) from error


@contextmanager
def atomic_write(path: str | Path, mode: str = "wb", size: int | None = None) -> Iterator[IO]:
    """A file that appears under its name only once it is whole: written beside it, synced, renamed; on failure nothing stays.

    Text is UTF-8 with "\n" at the end of lines, on every system. The name is free again, or still that of the older file,
    after any exception, Ctrl-C included.

    Args:
        size: bytes that are to be written, if known; for the error of a full disk.

    Raises:
        OSError: with the name of the file; of a full disk with the space that is free.
    """
    path = Path(path)
    temporary = temporary_name(path)
    text = {} if "b" in mode else {"encoding": "utf-8", "newline": "\n"}
    try:
        with named_errors(path, size), temporary.open(mode.replace("w", "x"), **text) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def temporary_name(path: str | Path) -> Path:
    """Where to write a file until it is whole: beside it, under a name of this process's own that nothing has."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    remove_leftovers(path)
    temporary.unlink(missing_ok=True)  # of an earlier process with this number
    return temporary


def refuse_link(path: str | Path) -> None:
    """UsageError where a file that is to be appended to or changed in place is a symbolic link to another."""
    if Path(path).is_symlink():
        raise UsageError(f"{path} is a symbolic link, through which nothing is written; remove it")


def remove_leftovers(path: str | Path) -> None:
    """Remove what atomic_write left beside a file when its process was killed; that of living processes stays."""
    path = Path(path)
    pattern = re.compile(rf"\.{re.escape(path.name)}\.(\d+)\.tmp")
    for file in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        if (match := pattern.fullmatch(file.name)) and not _is_alive(int(match[1])):
            file.unlink(missing_ok=True)


def _is_alive(pid: int) -> bool:
    if os.name != "posix":  # asking would end the process on Windows
        return True
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # of another user
        return True
    return True


def write_bytes(path: str | Path, content: bytes) -> None:
    """A whole file at once, atomically; where the disk is full, the error says how much is needed."""
    with atomic_write(path, size=len(content)) as file:
        file.write(content)
