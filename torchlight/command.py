"""How every command ends: a mistake of the user is one line on stderr and status 2, Ctrl-C one line and 130, SIGTERM 143."""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from torchlight.errors import DataError, UsageError, for_terminal
from torchlight.signals import Terminated, terminable


def run_command(command: Callable[[], object], show_traceback: bool = False) -> int:
    """Call command() and return the exit status; with show_traceback the traceback stands before the line."""
    open_closed_streams()
    print_anything()
    try:
        with terminable():
            command()
        sys.stdout.flush()  # here and not at the very end, where an error could only be ignored
    except BrokenPipeError:  # as in `| head`: who read the output has enough of it
        discard_stdout()
        return 141  # 128 + SIGPIPE
    except (UsageError, DataError, OSError, ModuleNotFoundError, MemoryError) as error:
        if show_traceback:
            traceback.print_exc()
        remedy = "; pip install -r requirements.txt" if isinstance(error, ModuleNotFoundError) else ""
        error = f"out of memory ({error})" if isinstance(error, MemoryError) else error
        tell(for_terminal(f"error: {error}{remedy}"))
        return 2
    except Terminated as signal:
        tell_interruption(str(signal).lower())
        return 128 + signal.signum
    except KeyboardInterrupt:
        tell_interruption("interrupted")
        return 130
    return 0


def tell(line: str) -> None:
    """A line on stderr; of the processes of a torchrun the first one prints, the others leave theirs to torchrun."""
    file = os.environ.get("TORCHELASTIC_ERROR_FILE")
    if file is not None:
        content = {"message": {"message": line, "extraInfo": {"timestamp": str(int(time.time()))}}}
        with suppress(OSError):
            Path(file).write_text(json.dumps(content), encoding="utf-8")
    if file is None or os.environ.get("RANK") == "0":
        print(line, file=sys.stderr)


def tell_interruption(line: str) -> None:
    """Of the processes of a torchrun none says it: the signal was for torchrun, or comes from it."""
    if "TORCHELASTIC_ERROR_FILE" not in os.environ:
        print(line, file=sys.stderr)


def discard_stdout() -> None:
    """After a BrokenPipeError: what else is printed, and what still waits to be, goes nowhere."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)


def open_closed_streams() -> None:
    """Where stdin, stdout or stderr is closed, the null device: else the next file that is opened would take its place,
    and what somebody prints would go into that.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("r" if name == "stdin" else "w", encoding="utf-8"))  # noqa: SIM115


def print_anything() -> None:
    """Names and class names may have letters that the terminal's encoding has not; they are spelt out then. On Windows what
    goes to a file or another program is UTF-8, as elsewhere.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # not that of a notebook
            stream.reconfigure(encoding="utf-8" if os.name == "nt" else None, errors="backslashreplace")
