"""How every tool runs: its errors end as those of main.py do, `--traceback` shows where they come from."""

from __future__ import annotations

import sys
from collections.abc import Callable

from torchlight.command import run_command


def run(main: Callable[[], None]) -> None:
    """Call main() and exit with its status."""
    show_traceback = "--traceback" in sys.argv
    sys.argv = [word for word in sys.argv if word != "--traceback"]
    sys.exit(run_command(main, show_traceback))
