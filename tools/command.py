"""How every tool runs: its errors end as those of main.py do, `--traceback` shows where they come from."""

from __future__ import annotations

import sys
from collections.abc import Callable

from torchlight.command import run_command


def run(main: Callable[[], None]) -> None:
    """Call main(); where it fails, exit with the status of its error."""
    show_traceback = "--traceback" in sys.argv
    sys.argv = [word for word in sys.argv if word != "--traceback"]
    if status := run_command(main, show_traceback):
        sys.exit(status)
