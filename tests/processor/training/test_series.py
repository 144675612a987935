"""The runs of a series: what fills their paths, and series whose runs would all be the same."""

from argparse import Namespace

import pytest

from processor.training.series import expand_runs, first_run
from torchlight.errors import UsageError


def series(**changes) -> Namespace:
    return Namespace(
        **{"work_dir": "out", "phase": "train", "seed": 0, "repeat": 1, "fold": [], "paths": ["a"], **changes}
    )


def test_one_run_alone_keeps_its_work_folder():
    (only,) = expand_runs(series())
    assert (only.work_dir, only.seed, only.paths) == ("out", 0, ["a"])


def test_every_fold_and_seed_is_a_run_with_its_own_paths():
    args = {"data_path": "fold{fold}/data.npy", "window_size": 8}
    runs = expand_runs(series(fold=[2, 5], repeat=2, seed=3, paths=["{seed}/x"], args=args))
    assert [each.work_dir for each in runs] == [f"out/fold{fold}/seed{seed}" for fold in (2, 5) for seed in (3, 4)]
    assert [each.paths for each in runs] == [["3/x"], ["4/x"]] * 2
    assert [each.args["data_path"] for each in runs] == ["fold2/data.npy"] * 2 + ["fold5/data.npy"] * 2
    assert args["data_path"] == "fold{fold}/data.npy"
    assert [each.seed for each in runs] == [3, 4, 3, 4]
    for each in runs:  # whose saved config is run again
        assert expand_runs(each) == [each]


def test_every_stream_is_a_run_of_its_own():
    runs = expand_runs(series(repeat=2, stream=["joint", "bone"]))
    assert [each.work_dir for each in runs] == [f"out/seed{k}/{name}" for k in (0, 1) for name in ("joint", "bone")]
    assert [each.stream for each in runs] == ["joint", "bone"] * 2
    for stream, folder in ((["bone"], "bone"), ("bone", "bone"), ([], None), (None, None)):  # one has no folder
        (only,) = expand_runs(series(stream=stream))
        assert (only.work_dir, only.stream) == ("out", folder)


@pytest.mark.parametrize(("stream", "first"), [(["bone", "joint"], "bone"), ("auto", None), (None, None)])
def test_the_first_run_stands_for_a_series(stream, first):
    run = first_run(series(fold=[2, 5], repeat=3, seed=4, stream=stream, paths=["fold{fold}"]))
    assert (run.stream, run.seed, run.paths, run.work_dir) == (first, 4, ["fold2"], "out/fold2")


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"stream": ["bone", "joint", "bone"]}, "--stream: bone is given twice"),
        ({"fold": [1, 2]}, "--fold: {fold} stands in no path"),
        ({"paths": ["fold{fold}/a"]}, "give --fold"),
        ({"repeat": 2, "phase": "test"}, "--repeat: {seed} stands in no path"),
    ],
)
def test_runs_that_would_be_the_same_are_refused(changes, words):
    with pytest.raises(UsageError, match=words.replace("{", r"\{")):
        expand_runs(series(**changes))


def test_a_training_draws_from_its_seed_and_a_test_of_each_is_a_run():
    assert len(expand_runs(series(repeat=3))) == 3
    assert len(expand_runs(series(repeat=3, phase="test", paths=["seed{seed}/w.pt"]))) == 3
