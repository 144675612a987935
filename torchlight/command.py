"""How every command ends: a mistake of the user is one line on stderr and status 2, Ctrl-C is one line and status 130."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable

from torchlight.errors import DataError, UsageError


def run_command(command: Callable[[], object], show_traceback: bool = False) -> int:
    """Call command() and return the exit status; with show_traceback the traceback stands before the line."""
    try:
        command()
    except (UsageError, DataError, OSError, ModuleNotFoundError) as error:
        if show_traceback:
            traceback.print_exc()
        remedy = "; pip install -r requirements.txt" if isinstance(error, ModuleNotFoundError) else ""
        print(f"error: {error}{remedy}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0
