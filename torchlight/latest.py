"""An iterator in a thread of its own that gives the latest item: older ones are skipped, nothing queues up."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def latest(items: Iterable[T], idle: float | None = None) -> Iterator[T | None]:
    """The items that are there when one is asked for; one not fetched before the next is made is lost, the last never.

    `idle`: None is yielded whenever nothing new has come for so many seconds. An exception of the thread is raised here.
    The thread runs until the items end.
    """
    change = threading.Condition()
    place: list[T] = []  # one at most
    end: list[BaseException | None] = []

    def work() -> None:
        error = None
        try:
            for item in items:
                with change:
                    place[:] = [item]
                    change.notify()
        except BaseException as raised:
            error = raised
        with change:
            end.append(error)
            change.notify()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    while True:
        with change:
            change.wait_for(lambda: place or end, idle)
            item = place.pop() if place else None
            over = item is None and bool(end)
        if over:
            thread.join()
            if end[0] is not None:
                raise end[0]
            return
        yield item
