"""torchlight/ahead.py: the same items, made earlier, and no thread left behind."""

import threading
import time

import pytest

from torchlight.prefetch import prefetch


def test_items_come_in_order():
    assert list(prefetch(range(100), depth=3)) == list(range(100))
    assert list(prefetch([])) == []


def test_an_exception_is_raised_where_the_items_are_used():
    def items():
        yield 1
        raise ValueError("broken in the middle")

    got = []
    with pytest.raises(ValueError, match="broken in the middle"):
        for item in prefetch(items()):
            got.append(item)
    assert got == [1]


def test_no_more_than_depth_items_wait_and_a_caller_who_stops_ends_the_thread():
    made, before = [], threading.active_count()

    def items():
        for i in range(1000):
            made.append(i)
            yield i

    iterator = prefetch(items(), depth=4)
    assert next(iterator) == 0
    time.sleep(0.2)
    assert len(made) <= 7
    iterator.close()
    assert threading.active_count() == before
