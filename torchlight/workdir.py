"""Everything written under --work_dir: config.yaml, log.txt, metrics.csv; and atomic(), through which every writer goes.

work = WorkDir(arg.work_dir, save_log=arg.save_log, print_log=arg.print_log)
work.save_config(arg, sys.argv)
work.log("Training epoch: 0")
work.metrics({"epoch": 0, "loss": 4.09, "lr": 0.1})
"""

from __future__ import annotations

import argparse
import csv
import os
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter, strftime
from typing import IO, Any

import yaml

from torchlight.arguments import UsageError


@contextmanager
def atomic(path: str | Path, mode: str = "wb") -> Iterator[IO]:
    """A file that appears under its name only once it is whole: written beside it, synced, renamed; on failure nothing stays.

    Text is UTF-8. The name is free again, or still that of the older file, after any exception, Ctrl-C included.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open(mode, encoding=None if "b" in mode else "utf-8") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


class WorkDir:
    """The folder of one run. Lines and metrics are appended to what an earlier run left.

    Args:
        path: made if it is not there.
        save_log: write lines to log.txt.
        print_log: print them, above a progress bar if there is one.

    Raises:
        UsageError: the folder cannot be made or written to.
    """

    def __init__(self, path: str | Path, save_log: bool = True, print_log: bool = True) -> None:
        self.path, self.save_log, self.print_log = Path(path), save_log, print_log
        self._rows: list[dict[str, Any]] | None = None  # of metrics.csv, once it has been read
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except FileExistsError:
            raise UsageError(f"work_dir {path} is a file; a folder is needed") from None
        except OSError as error:
            raise UsageError(f"work_dir {path} cannot be made: {error.strerror} ({error.filename})") from None
        if not os.access(self.path, os.W_OK | os.X_OK):
            raise UsageError(f"work_dir {path} is read-only; choose another with --work_dir")

    def save_config(self, arg: argparse.Namespace | Mapping, argv: Sequence[str], name: str = "config.yaml") -> None:
        """The merged arguments as YAML that --config reads again, under the command line they came from."""
        content = dict(arg) if isinstance(arg, Mapping) else vars(arg)
        with atomic(self.path / name, "w") as file:
            file.write(f"# command line: {' '.join(shlex.join(argv).splitlines())}\n\n")
            yaml.safe_dump(content, file, indent=4, default_flow_style=False, allow_unicode=True)

    def log(self, line: str, time: bool = True) -> None:
        """Print a line and append it to log.txt, after the time of day."""
        self.note(line, time)
        if self.print_log:
            bars = sys.modules.get("tqdm")  # nobody else imported it: there is no bar
            (bars.tqdm.write if bars else print)(_stamp(line, time))
            sys.stdout.flush()

    def note(self, line: str, time: bool = True) -> None:
        """Append a line to log.txt without printing it."""
        if self.save_log:
            with (self.path / "log.txt").open("a", encoding="utf-8") as file:
                file.write(f"{_stamp(line, time)}\n")

    def metrics(self, row: Mapping[str, Any]) -> None:
        """Append a row to metrics.csv; a new key becomes a new column, what a row lacks is empty.

        The first row of a run drops what an earlier run left for that epoch and later ones, so a resumed run has each
        epoch once.
        """
        path = self.path / "metrics.csv"
        if self._rows is None:
            self._rows = _read_rows(path, before=row["epoch"])
        self._rows.append(dict(row))
        columns = dict.fromkeys(key for each in self._rows for key in each)
        with atomic(path, "w") as file:
            writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
            writer.writeheader()
            writer.writerows(self._rows)

    def last_metrics(self) -> dict[str, float]:
        """The last row of metrics.csv, of an earlier run too; empty if there is none."""
        rows = _read_rows(self.path / "metrics.csv", before=sys.maxsize)
        return {key: float(value) for key, value in rows[-1].items() if value} if rows else {}


def _stamp(line: str, time: bool) -> str:
    return f"{strftime('[%m.%d.%y|%X] ')}{line}" if time else line


def _read_rows(path: Path, before: int) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    try:
        return [row for row in rows if int(row["epoch"]) < before]
    except (KeyError, TypeError, ValueError):
        raise UsageError(
            f"{path}: not the metrics of an earlier run (no whole number as epoch); move it away"
        ) from None


class Stopwatch:
    """Where the time of an epoch goes: `lap("model")` adds the time since the last lap to that portion.

    A GPU works on after the call that set it to work: synchronise before a lap that should contain it.
    """

    def __init__(self) -> None:
        self.portions: dict[str, float] = {}  # seconds
        self._last = perf_counter()

    def lap(self, name: str) -> None:
        now = perf_counter()
        self.portions[name] = self.portions.get(name, 0.0) + now - self._last
        self._last = now

    def lines(self) -> list[str]:
        """`Time consumption:` and under it a line for each portion: its name, per cent, seconds."""
        total = sum(self.portions.values()) or 1.0
        return ["Time consumption:"] + [
            f"\t[{name}][{100 * seconds / total:02.0f}%]: {seconds:.4f}" for name, seconds in self.portions.items()
        ]
