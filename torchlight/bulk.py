"""Many inputs one after another: one that fails does not stop the others, and is named at once and again at the end.

tally = Tally("videos", folder, Shard.of("3/100"))
for path in paths:
    try: ...
    except DataError as error:
        tally.fail(path, error)
    else:
        tally.done += 1
tally.finish()                          # failed_3of100.txt, a line on stdout; DataError if one has failed
"""

from __future__ import annotations

import sys
from pathlib import Path

from torchlight.errors import DataError, for_terminal, one_line
from torchlight.files import atomic_write
from torchlight.shard import Shard


class Tally:
    """What became of the inputs.

    Args:
        what: they are, in the plural.
        folder: where failed.txt goes; failed_3of100.txt for a shard, so that each has its own.

    Attributes:
        done, skipped: how many were processed, and how many were done before.
        failed: (name, why) of each that was not.
    """

    def __init__(self, what: str, folder: Path, shard: Shard) -> None:
        self.what, self.shard, self.done, self.skipped = what, shard, 0, 0
        self.failed: list[tuple[str, str]] = []
        self.file = folder / ("failed.txt" if shard.count == 1 else f"failed_{shard.index}of{shard.count}.txt")

    def fail(self, name: object, error: object) -> None:
        """Count an input as failed, and say so in a line on stderr that begins with its name."""
        name, why = str(name), one_line(error)
        if isinstance(error, Exception) and not isinstance(error, ValueError | OSError):
            why = f"{type(error).__name__}: {why}" if str(error) else why
        self.failed.append((name, why))
        line = why if name in why else f"{name}: {why}"
        print(for_terminal(f"error: {line}"), file=sys.stderr, flush=True)

    def finish(self) -> None:
        """Write the names of the failed ones (a line each, name, tabulator, why), or remove those of an earlier run; print
        the counts.

        Raises:
            DataError: one has failed.
        """
        total = self.done + self.skipped + len(self.failed)
        part = "" if self.shard.count == 1 else f"shard {self.shard} of the {self.what}: "
        print(f"{part}{total} {self.what}: {self.done} done, {self.skipped} skipped, {len(self.failed)} failed")
        if not self.failed:
            self.file.unlink(missing_ok=True)
            return
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(self.file) as file:
            file.writelines(f"{for_terminal(name)}\t{for_terminal(why)}\n".encode() for name, why in self.failed)
        raise DataError(f"{len(self.failed)} of {total} {self.what} failed, named in {self.file}; the others are done")
