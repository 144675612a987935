"""Where the time of an epoch goes."""

from __future__ import annotations

from time import perf_counter


class Stopwatch:
    """Where the time of an epoch goes: `lap("model")` adds the time since the last lap to that portion.

    A GPU works on after the call that set it to work: synchronise before a lap that should contain it.
    """

    def __init__(self) -> None:
        self.portions: dict[str, float] = {}  # seconds
        self._last = perf_counter()

    def lap(self, name: str) -> None:
        now = perf_counter()
        self.portions[name] = self.portions.get(name, 0.0) + now - self._last
        self._last = now

    def lines(self) -> list[str]:
        """`Time consumption:` and under it a line for each portion: its name, per cent, seconds."""
        total = sum(self.portions.values()) or 1.0
        return ["Time consumption:"] + [
            f"\t[{name}][{100 * seconds / total:02.0f}%]: {seconds:.4f}" for name, seconds in self.portions.items()
        ]
