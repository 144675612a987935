"""One of N parts of many inputs, for the N jobs of a cluster's job array: --shard 3/100.

    mine = [path for path in paths if Shard.of("3/100").has(path.name)]

The part is chosen by a hash of the name, not by the place in the list. The jobs of an array start hours apart, and by then
videos may have come or gone: by place all later ones would move to other jobs, some would be done twice and some by none.
By name each belongs to the same job whatever else there is. The price is that the parts are only about equally large.
"""

from __future__ import annotations

import hashlib
import os
import re
from typing import NamedTuple

from torchlight.errors import UsageError, short


class Shard(NamedTuple):
    """Part `index` of `count`, from 1 on."""

    index: int
    count: int

    @classmethod
    def of(cls, text: str | None) -> Shard:
        """`3/100`; None: all, which is 1/1. Raises UsageError."""
        match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text or "1/1", re.ASCII)
        shard = cls(*map(int, match.groups())) if match else None
        if shard is None or not 1 <= shard.index <= shard.count:
            raise UsageError(f"--shard {short(text)} where a part of all belongs, from 1/100 to 100/100")
        return shard

    def has(self, name: str) -> bool:
        """Whether an input of this name (of a path: relative, with /) is of this part: its SHA-256 modulo count."""
        digest = hashlib.sha256(os.fsencode(name)).digest()
        return int.from_bytes(digest[:8], "big") % self.count == self.index - 1

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"


def shard(text: str) -> str:
    """A type for add_argument: the text, if it names a part."""
    Shard.of(text)
    return text
