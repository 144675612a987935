"""How every tool runs: its errors end as those of main.py do, `--traceback` shows where they come from."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from torchlight.command import run_command


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
