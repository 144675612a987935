"""A short form of `python -m tests.kills 100`, with another seed each time; the seed is in the failure."""

import time

from tests.kills import run


def test_killed_runs_end_as_if_nothing_had_happened():
    assert run(8, seed=int(time.time())) == []
