"""Failures are named at once and in a file, and end the command only at the end."""

import pytest

from torchlight.bulk import Tally
from torchlight.errors import DataError
from torchlight.shard import Shard


def test_failures_are_a_line_each_at_once_and_in_a_file(tmp_path, capsys):
    tally = Tally("videos", tmp_path / "out", Shard(3, 100))
    tally.done, tally.skipped = 5, 2
    tally.fail("a.mp4", DataError("a.mp4 is not a video"))
    tally.fail("b.mp4", "none of its pictures\ncan be decoded")
    tally.fail("c.mp4", RuntimeError("boom"))
    assert capsys.readouterr().err.splitlines() == [
        "error: a.mp4 is not a video",
        "error: b.mp4: none of its pictures can be decoded",
        "error: c.mp4: RuntimeError: boom",
    ]
    with pytest.raises(DataError, match=r"3 of 10 videos failed, named in .*failed_3of100.txt; the others are done"):
        tally.finish()
    assert capsys.readouterr().out == "shard 3/100 of the videos: 10 videos: 5 done, 2 skipped, 3 failed\n"
    rows = [line.split("\t") for line in (tmp_path / "out/failed_3of100.txt").read_text().splitlines()]
    assert [name for name, why in rows] == ["a.mp4", "b.mp4", "c.mp4"] and rows[2][1] == "RuntimeError: boom"


def test_the_file_of_an_earlier_run_goes_when_nothing_fails_any_more(tmp_path, capsys):
    (tmp_path / "failed.txt").write_text("a.mp4\tis not a video\n")
    tally = Tally("videos", tmp_path, Shard(1, 1))
    tally.done = 1
    tally.finish()
    assert not list(tmp_path.iterdir())
    assert capsys.readouterr().out == "1 videos: 1 done, 0 skipped, 0 failed\n"


def test_a_name_with_a_line_break_stays_one_line(tmp_path):
    tally = Tally("videos", tmp_path, Shard(1, 1))
    tally.fail("a\nb\tc.mp4", "why")
    with pytest.raises(DataError):
        tally.finish()
    assert (tmp_path / "failed.txt").read_text() == "a b\\tc.mp4\twhy\n"
