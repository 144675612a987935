"""SIGINT (Ctrl-C), SIGTERM and SIGHUP: one process of a command takes them, its workers leave them to it.

with terminable():                       # SIGTERM and SIGHUP raise Terminated, as Ctrl-C raises KeyboardInterrupt
    with uninterrupted():                # not before the end of this block
        import ...
    with unsignalled_children():         # processes that are started here do not get them ...
        pool = ...                       # ... and call follow_parent() as the first thing
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

NAMES = "SIGTERM", "SIGHUP"


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP; whoever cleans up after Ctrl-C cleans up after these as well.

    Attributes:
        signum: which one.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(signal.strsignal(signum))
        self.signum = signum


def interruption(signum: int) -> KeyboardInterrupt:
    """The exception of a signal."""
    return KeyboardInterrupt() if signum == signal.SIGINT else Terminated(signum)


def ours(*names: str) -> list[int]:
    """The signals of these names that this thread may handle: those that the system has, in the main thread."""
    is_main = threading.current_thread() is threading.main_thread()
    return [getattr(signal, name) for name in names if is_main and hasattr(signal, name)]


@contextmanager
def terminable() -> Iterator[None]:
    """SIGTERM and SIGHUP raise Terminated in this block, unless something else was arranged for them (nohup)."""

    def terminate(signum: int, frame: object) -> None:
        raise Terminated(signum)

    numbers = [number for number in ours(*NAMES) if signal.getsignal(number) is signal.SIG_DFL]
    for number in numbers:
        signal.signal(number, terminate)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """A signal that comes in this block takes effect at its end: compiled modules that are being imported do not survive an
    exception in between.
    """
    handlers = {number: signal.getsignal(number) for number in ours("SIGINT", *NAMES)}
    handlers = {number: handler for number, handler in handlers.items() if callable(handler)}
    came: list[int] = []
    for number in handlers:
        signal.signal(number, lambda signum, frame: came.append(signum))
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    if came:
        signal.raise_signal(came[0])


@contextmanager
def unsignalled_children() -> Iterator[None]:
    """Processes that are started in this block have SIGINT and SIGTERM blocked, from their first moment on.

    A signal that comes meanwhile waits for the end of the block, unless another thread of this process takes it.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # starting it would unblock the signals
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT, signal.SIGTERM])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def follow_parent() -> None:
    """In a worker: SIGINT and SIGTERM that are sent to the whole group are the parent's; the parent's own SIGTERM ends
    the worker, and so does the end of the parent, however that comes.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()
    if hasattr(signal, "sigwaitinfo"):  # Linux; elsewhere SIGTERM ends the worker, whoever sent it
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        threading.Thread(target=_wait_for_parents_sigterm, args=[parent.pid], daemon=True).start()
    elif hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])


def _wait_for_parents_sigterm(parent: int) -> None:
    while True:
        if signal.sigwaitinfo([signal.SIGTERM]).si_pid == parent:
            os._exit(0)
