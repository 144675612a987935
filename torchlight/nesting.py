"""Values that contain one another many times over: a file of a few hundred bytes can unfold into more than any memory holds."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any


def check_unfolded(root: Any, children: Callable[[Any], Collection[Any]], most: int) -> None:
    """ValueError where what is inside of root, counted as often as it occurs, is more than `most` values, or without end.

    Args:
        children: what is directly inside of a value.
    """
    sizes: dict[int, int] = {}  # of a value that has been counted, by its id
    open_values: set[int] = set()  # those that the one that is being counted is inside of
    stack = [root]
    while stack:
        value = stack[-1]
        inside = children(value)
        if id(value) in open_values:
            sizes[id(value)] = 1 + sum(sizes[id(each)] for each in inside)
            if sizes[id(value)] > most:
                raise ValueError(f"unfolded it has more than {most:,} values")
            open_values.remove(id(value))
            stack.pop()
        elif id(value) in sizes:
            stack.pop()
        else:
            open_values.add(id(value))
            if any(id(each) in open_values for each in inside):
                raise ValueError("something in it contains itself")
            stack += [each for each in inside if id(each) not in sizes]
