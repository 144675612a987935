"""torchrun with its own options, but an end like that of every command here: one line and a status, not forty lines.

python -m torchlight.launch --nproc_per_node=4 main.py recognition -c CONFIG
"""

from __future__ import annotations

import logging
import sys

from torch.distributed import run
from torch.distributed.elastic.multiprocessing import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

from torchlight.signals import interruption


def main(argv: list[str]) -> int:
    """Run torchrun with these arguments; the exit status is that of the process that failed first."""
    logging.disable(logging.ERROR)  # of torchrun: that a process has failed, or a signal come, is said below
    try:
        run.run(run.parse_args(argv))
    except ChildFailedError as error:
        _, first = error.get_first_failure()
        told = {failure.local_rank: message_of(failure) for failure in error.failures.values()}
        for rank, message in told.items():  # the first process has printed its own
            if rank != 0 and message not in (None, told.get(0)):
                print(f"process {rank}: {message}", file=sys.stderr)
        return first.exitcode if first.exitcode > 0 else 128 - first.exitcode
    except SignalException as error:
        print(str(interruption(error.sigval)).lower() or "interrupted", file=sys.stderr)
        return 128 + error.sigval
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0


def message_of(failure) -> str | None:
    """The line that torchlight.command left of a process; of one that was killed, by which signal."""
    message = failure.error_file_data.get("message")
    if isinstance(message, dict):
        return message["message"]
    return failure.message if failure.exitcode < 0 else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
