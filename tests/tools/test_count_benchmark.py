"""tools/count_benchmark.py: sequences are what they are said to be, and its table is printed."""

import sys

import numpy as np
import pytest

from tools import count_benchmark
from torchlight.errors import DataError


def test_every_repetition_is_the_whole_clip_and_takes_as_long_as_said():
    clip = np.ones((31, 13, 3))
    clip[:, :, 0] = np.arange(31)[:, None]
    for seed in range(20):
        rng = np.random.default_rng(seed)
        long = count_benchmark.repeated(clip, 5, rng)
        starts = np.flatnonzero(np.diff(long[:, 0, 0]) < -15) + 1
        assert len(starts) == 4
        lengths = np.diff([0, *starts, len(long)])
        assert lengths.min() >= 0.7 * 31 - 1 and lengths.max() <= 1.4 * 31 + 1
        for part in np.split(long[:, 0, 0], starts):
            assert part.min() < 2 and part.max() > 27 and (np.diff(part) > 0).all()


def test_a_missing_joint_stays_missing_between_frames():
    clip = np.ones((3, 13, 3))
    clip[1, 4] = 0
    first, second = count_benchmark.between(clip, [0.25, 0.75])
    assert first[4].tolist() == [1, 1, 1] and second[4].tolist() == [0, 0, 0]
    assert (second[[3, 5]] == 1).all()


def test_real_squats_are_counted_and_the_table_is_printed(real_data, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["count_benchmark.py", "--utd_mhad", str(real_data / "utd_mhad"), "--moving"])
    count_benchmark.main()
    table = capsys.readouterr().out
    assert "| squat | 15 | 100.0 % | 100.0 % | 0.0 % | 0.0 % |" in table
    assert "| squat, detected | 15 | 100.0 %" in table


@pytest.mark.parametrize("options", [[], ["--penn_action", "nowhere"], ["--utd_mhad", ".", "--times", "0"]])
def test_what_is_missing_or_wrong_is_said(options, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["count_benchmark.py", *options])
    with pytest.raises(DataError):
        count_benchmark.main()
