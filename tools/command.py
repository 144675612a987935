"""How every tool runs: its errors end as those of main.py do, `--traceback` shows where they come from. And how a tool runs
main.py itself.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from torchlight.command import run_command
from torchlight.errors import DataError
from torchlight.project import ROOT


def add_out_format(parser: argparse.ArgumentParser) -> None:
    """--out_format of every tool that packs."""
    parser.add_argument(
        "--out_format",
        choices=["npy", "h5"],
        default="npy",
        help="npy: the original's files; h5: all of a part in one file, smaller by far (default: npy)",
    )


def run(main: Callable[[], None]) -> None:
    """Call main(); where it fails, exit with the status of its error."""
    show_traceback = "--traceback" in sys.argv
    sys.argv = [word for word in sys.argv if word != "--traceback"]
    if status := run_command(main, show_traceback):
        sys.exit(status)


def call(work_dir: Path, processor: str, *options: str, **environment: str) -> None:
    """`main.py` in a process of its own, with these environment variables too; its time goes into seconds.txt."""
    print(f"{processor}: {work_dir}", flush=True)
    began = time.perf_counter()
    command = [sys.executable, str(ROOT / "main.py"), processor, *options, "-w", str(work_dir)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, env={**os.environ, **environment})
    if done.returncode:
        raise DataError(f"{' '.join(command)} ended with status {done.returncode}; what was done before is kept")
    (work_dir / "seconds.txt").write_text(f"{time.perf_counter() - began:.0f}\n", encoding="utf-8")
