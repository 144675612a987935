"""Fetch a file by its address, continue a download that broke off, and accept nothing but the right content."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path

CHUNK = 1 << 20  # bytes
TIMEOUT = 20  # seconds without an answer


def download(url: str, path: Path, is_right: Callable[[Path], bool]) -> bool:
    """Write the content of `url` to `path`, by way of <path>.part, which is continued if it is there.

    Args:
        is_right: whether a file, which need not exist, is what is wanted.

    Returns:
        Whether the right file is at `path`; if it is not, the address has something else.

    Raises:
        OSError: no answer, cut off (what has come stays in <path>.part), or the disk is full.
    """
    part = path.with_name(f"{path.name}.part")
    start = part.stat().st_size if part.exists() else 0
    if not is_right(part):
        try:
            _fetch(url, part, start)
        except urllib.error.HTTPError:
            if not start:
                raise
        if start and not is_right(part):  # what was left does not fit, or the server cannot continue
            _fetch(url, part, 0)
    if not is_right(part):
        part.unlink(missing_ok=True)
        return False
    part.replace(path)
    return True


def _fetch(url: str, part: Path, start: int) -> None:
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
            continued = start and getattr(response, "status", None) == 206  # Partial Content
            with part.open("ab" if continued else "wb") as file:
                while chunk := response.read(CHUNK):
                    file.write(chunk)
    except HTTPException as error:
        raise OSError(f"{url}: {error or type(error).__name__}") from None
