"""Fetch a file by its address, continue a download that broke off, and accept nothing but the right content."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path

from tqdm import tqdm

CHUNK = 1 << 16  # bytes
TIMEOUT = 20  # seconds without an answer


class TooLargeError(OSError):
    """The address has more bytes than were asked for; nothing is kept."""


def download(url: str, path: Path, is_right: Callable[[Path], bool] | None = None, limit: int | None = None) -> bool:
    """Write the content of `url` to `path`, by way of <path>.part, which is continued if it is there.

    <path>.part.tag beside it says of which version of the file the part is (ETag or Last-Modified), so that a server whose
    file has changed sends the new one from its beginning.

    Args:
        is_right: whether a file, which need not exist, is what is wanted; None: not known, so that whatever has come
            whole is taken, and a part is continued only where the server says that its file is still the same.
        limit: most bytes.

    Returns:
        Whether the right file is at `path`; if it is not, the address has something else.

    Raises:
        TooLargeError: more than `limit` bytes.
        OSError: no answer, cut off (what has come stays in <path>.part), or the disk is full.
    """
    part = path.with_name(f"{path.name}.part")
    if not (is_right and is_right(part)):
        start = part.stat().st_size if part.exists() and (is_right or _tag_of(part).exists()) else 0
        try:
            _fetch(url, part, start, limit)
            fits = not start or is_right is None or is_right(part)
        except urllib.error.HTTPError:
            if not start:
                raise
            fits = False
        if not fits:  # what was left does not fit, or the server cannot continue
            _fetch(url, part, 0, limit)
    right = is_right is None or is_right(part)
    if right:
        part.replace(path)
    _remove(part)
    return right


def _fetch(url: str, part: Path, start: int, limit: int | None) -> None:
    tag = _tag_of(part)
    headers = {"Range": f"bytes={start}-"} if start else {}
    if start and tag.exists():
        headers["If-Range"] = tag.read_text(encoding="latin-1")
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT) as response:
            continued = bool(start) and getattr(response, "status", None) == 206  # Partial Content
            done = start if continued else 0
            length = response.headers.get("Content-Length", "")
            whole = done + int(length) if length.isdecimal() else None
            if not continued:
                part.unlink(missing_ok=True)  # before the tag is that of another file
                _sign(tag, response.headers)
            done = _receive(response, part, done, whole, limit)
    except TooLargeError:
        _remove(part)
        raise
    except HTTPException as error:
        raise OSError(f"{url}: {error or type(error).__name__}") from None
    if whole is not None and done != whole:  # http.client does not say it
        raise OSError(f"cut off after {done:,} of {whole:,} bytes; run it again to go on")


def _receive(response, part: Path, done: int, whole: int | None, limit: int | None) -> int:
    """Append the answer to the part, of which `done` bytes are there; the bytes that are there then."""

    def check(size: int) -> None:
        if limit is not None and size > limit:
            raise TooLargeError(f"it has more than {limit / 1e6:,.0f} MB")

    check(whole or 0)
    bar = tqdm(desc=part.stem, total=whole, initial=done, unit="B", unit_scale=True, leave=False, disable=None)
    with bar, part.open("ab" if done else "wb") as file:
        while chunk := response.read(CHUNK):
            done += len(chunk)
            check(done)
            file.write(chunk)
            bar.update(len(chunk))
    return done


def _sign(tag: Path, headers) -> None:
    """Note the version of the file that comes now, if the server says it. A weak ETag (W/...) cannot be continued."""
    etag = headers.get("ETag", "")
    version = headers.get("Last-Modified") if not etag or etag.startswith("W/") else etag
    if version:
        tag.write_text(version, encoding="latin-1")
    else:
        tag.unlink(missing_ok=True)


def _tag_of(part: Path) -> Path:
    return part.with_name(f"{part.name}.tag")


def _remove(part: Path) -> None:
    part.unlink(missing_ok=True)
    _tag_of(part).unlink(missing_ok=True)
