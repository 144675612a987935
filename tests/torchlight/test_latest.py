"""Late is passed over, the last one always comes, errors reach whoever reads."""

import threading
import time

import pytest

from torchlight.latest import latest


def test_a_slow_reader_passes_over_what_is_late_but_gets_the_last():
    made = []

    def items():
        for i in range(100):
            time.sleep(0.002)
            made.append(i)
            yield i

    got = []
    for item in latest(items()):
        assert item >= made[-1] - 1  # at most the one just being handed over is newer
        got.append(item)
        time.sleep(0.02)
    assert got == sorted(set(got)) and got[-1] == 99 and len(got) < 40


def test_a_fast_reader_gets_everything_in_order():
    fetched = threading.Semaphore(1)

    def items():
        for i in range(50):
            fetched.acquire()
            yield i

    got = []
    for item in latest(items()):
        got.append(item)
        fetched.release()
    assert got == list(range(50))


def test_nothing_at_all_ends_at_once():
    assert list(latest([])) == []


def test_silence_is_none_where_that_is_wanted():
    go = threading.Event()

    def items():
        yield 1
        go.wait(5)
        yield 2

    got = []
    for item in latest(items(), idle=0.01):
        got.append(item)
        if got.count(None) == 3:
            go.set()
    assert got[0] == 1 and got[-1] == 2 and got.count(None) >= 3


def test_an_error_of_the_thread_is_raised_here_after_what_came_before():
    def items():
        yield 1
        raise KeyError("lost")

    got = []
    with pytest.raises(KeyError, match="lost"):
        got.extend(latest(items()))
    assert got in ([], [1])  # extend may have thrown it away


def test_stages_in_a_row_all_see_the_end():
    assert list(latest(i + 1 for i in latest(i * 10 for i in latest(range(5)))))[-1] == 41
