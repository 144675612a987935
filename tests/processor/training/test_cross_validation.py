"""Out-of-sample probabilities: every clip is judged once, by a network that has not seen it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feeder.packed import read_label
from processor import options
from processor.recognition import share_feeder_args
from processor.training import cross_validation
from processor.training.cross_validation import fold_numbers, out_of_sample
from torchlight.arguments import parse
from torchlight.errors import UsageError
from torchlight.label_errors import find_label_errors


def arguments(small, work_dir, *argv):
    arg = parse(options.recognition(), ["-c", str(small / "config.yaml"), "-w", str(work_dir), *argv])
    del arg.from_manifest
    share_feeder_args(arg)
    return arg


@given(st.lists(st.integers(0, 4), min_size=2, max_size=60), st.integers(2, 10), st.integers(0, 9))
@settings(max_examples=100, deadline=None)
def test_classes_are_shared_out_among_the_folds(labels, folds, seed):
    labels = np.array(labels)
    if folds > len(labels):
        with pytest.raises(UsageError, match="the number of clips"):
            fold_numbers(labels, None, folds, seed)
        return
    number = fold_numbers(labels, None, folds, seed)
    sizes = np.bincount(number, minlength=folds)
    assert sizes.max() - sizes.min() <= 1
    for label in set(labels.tolist()):
        of_class = np.bincount(number[labels == label], minlength=folds)
        assert of_class.max() - of_class.min() <= 1


@given(st.lists(st.sampled_from("abcdefg"), min_size=2, max_size=60), st.integers(2, 5))
@settings(max_examples=100, deadline=None)
def test_groups_stay_together(groups, folds):
    labels = np.zeros(len(groups), int)
    if folds > len(set(groups)):
        with pytest.raises(UsageError, match="the number of groups"):
            fold_numbers(labels, groups, folds, 0)
        return
    number = fold_numbers(labels, groups, folds, 0)
    assert set(number) == set(range(folds))
    for group in set(groups):
        assert len({n for n, g in zip(number, groups) if g == group}) == 1


def test_every_clip_is_judged_by_a_network_that_was_trained_on_the_others(small, tmp_path, monkeypatch, capsys):
    arg = arguments(small, tmp_path, "--num_epoch", "4")
    names, labels = read_label(small / "train_label.pkl")
    seen = []

    class Watched(cross_validation.Training):
        def train(self):
            train, test = self.experiment.feeders["train"], self.experiment.feeders["test"]
            assert train.data_path == test.data_path == str(small / "train_data.npy")
            assert not set(train.sample_name) & set(test.sample_name)
            assert set(train.sample_name) | set(test.sample_name) == set(names)
            assert test.preprocess.evaluation().to_config() == test.preprocess.to_config()  # nothing at random
            seen.extend(test.sample_name)
            return super().train()

    monkeypatch.setattr(cross_validation, "Training", Watched)
    probability = out_of_sample(arg, [], names, labels, None, folds=3)
    assert sorted(seen) == sorted(names)
    np.testing.assert_allclose(probability.sum(1), 1)
    assert np.mean(probability.argmax(1) == labels) > 0.6  # a quarter by chance
    assert capsys.readouterr().out.count("16 clips held out") == 3


def test_a_clip_that_is_labelled_wrongly_is_found(small, tmp_path):
    arg = arguments(small, tmp_path, "--num_epoch", "30", "--step", "20")
    names, labels = read_label(small / "train_label.pkl")
    probability = out_of_sample(arg, [], names, labels, None, folds=2)
    wrong = np.array(labels)
    wrong[5] = (wrong[5] + 1) % 4
    assert 5 in find_label_errors(probability, wrong).order[:5]
