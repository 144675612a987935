"""Everything written under --work_dir: config.yaml, log.txt, metrics.csv; and atomic_write(), through which every writer goes.

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
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from time import strftime
from typing import Any

from torchlight.command import discard_stdout
from torchlight.config import dump_yaml
from torchlight.errors import UsageError
from torchlight.files import atomic_write, named_errors, refuse_link
from torchlight.lock import exclusive


class WorkDir:
    """The folder of one run. Lines and metrics are appended to what an earlier run left.

    Args:
        path: made if it is not there.
        save_log: write lines to log.txt.
        print_log: print them, above a progress bar if there is one.
        lock: what this run does there, which no other process may do at the same time; until close().

    Raises:
        UsageError: the folder cannot be made or written to, or another process holds the lock.
    """

    def __init__(
        self, path: str | Path, save_log: bool = True, print_log: bool = True, lock: str | None = None
    ) -> None:
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
        self._locks = ExitStack()
        if lock:
            self._locks.enter_context(exclusive(self.path, lock, "another --work_dir"))

    def close(self) -> None:
        """Release the lock."""
        self._locks.close()

    def save_config(self, arg: argparse.Namespace | Mapping, argv: Sequence[str], name: str = "config.yaml") -> None:
        """The merged arguments as YAML that --config reads again, under the command line they came from."""
        content = dict(arg) if isinstance(arg, Mapping) else vars(arg)
        with atomic_write(self.path / name, "w") as file:
            file.write(f"# command line: {' '.join(shlex.join(argv).splitlines())}\n\n")
            dump_yaml(content, file, indent=4, default_flow_style=False)

    def log(self, line: str, time: bool = True) -> None:
        """Print a line and append it to log.txt, after the time of day."""
        self.log_to_file(line, time)
        if self.print_log:
            bars = sys.modules.get("tqdm")  # not imported: there is no bar
            try:
                (bars.tqdm.write if bars else print)(_stamp(line, time))
                sys.stdout.flush()
            except BrokenPipeError:  # nobody reads any more; the run goes on
                self.print_log = False
                discard_stdout()
                self.log_to_file("stdout was closed; from here on the log is in this file alone")

    def log_to_file(self, line: str, time: bool = True) -> None:
        """Append a line to log.txt without printing it."""
        if self.save_log:
            path = self.path / "log.txt"
            refuse_link(path)
            with named_errors(path), path.open("a", encoding="utf-8", newline="\n") as file:
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
        with atomic_write(path, "w") as file:
            writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
            writer.writeheader()
            writer.writerows(self._rows)

    def last_metrics(self) -> dict[str, float]:
        """The last row of metrics.csv, of an earlier run too; empty if there is none."""
        path = self.path / "metrics.csv"
        rows = _read_rows(path, before=sys.maxsize)
        try:
            return {key: float(value) for key, value in rows[-1].items() if value} if rows else {}
        except (TypeError, ValueError):
            raise UsageError(f"{path}: the last row has something that is not a number; move it away") from None


def _stamp(line: str, time: bool) -> str:
    return f"{strftime('[%m.%d.%y|%X] ')}{line}" if time else line


def _read_rows(path: Path, before: int) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        return [row for row in rows if int(row["epoch"]) < before]
    except (KeyError, TypeError, ValueError, csv.Error):
        raise UsageError(
            f"{path}: not the metrics of an earlier run (no whole number as epoch); move it away"
        ) from None
