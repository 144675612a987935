"""Out-of-sample probabilities: each training clip is judged by a network that was trained on the others, k folds in turn.

Where the names of the clips tell who was recorded, and from where, a fold holds whole sessions: labels are mostly swapped for
a session at once, and then the network that judges it has not learnt them so.
"""

from __future__ import annotations

import copy
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

import numpy as np
from scipy.special import softmax

from processor.protocols import Feeder, unique_names
from processor.training.experiment import Experiment
from processor.training.training import Training
from torchlight.distributed import World
from torchlight.errors import UsageError

LEAST = 2  # folds


class FoldExperiment(Experiment):
    """The training clips of a config in two: those of a fold are the test, prepared as the config prepares test clips."""

    def __init__(self, arg: Namespace, argv: list[str], held_out: np.ndarray):
        self.held_out = held_out
        super().__init__(arg, argv, World())

    def build_feeders(self) -> dict[str, Feeder]:
        feeders = super().build_feeders()
        for part, chosen in (("train", ~self.held_out), ("test", self.held_out)):
            feeders[part].keep(np.flatnonzero(chosen))
        return feeders


def out_of_sample(
    arg: Namespace,
    argv: list[str],
    names: Sequence[str],
    labels: Sequence[int],
    groups: Sequence[str] | None,
    folds: int,
) -> np.ndarray:
    """Train `folds` networks with the config; the probabilities (N, num_class) of its N training clips.

    Args:
        arg: the options of recognition, of a training.
        names, labels, groups: of the training clips; groups are not torn apart, None: folds by chance.
    """
    number, probability = fold_numbers(np.asarray(labels), groups, folds, arg.seed), None
    for k in range(folds):
        found = judge(fold_options(arg, k), argv, names, number == k, folds)
        probability = np.zeros((len(names), found.shape[1])) if probability is None else probability
        probability[number == k] = found
    return probability


def judge(arg: Namespace, argv: list[str], names: Sequence[str], held_out: np.ndarray, folds: int) -> np.ndarray:
    """Train one network without some clips; its probabilities (n, num_class) of these."""
    begin, experiment = perf_counter(), FoldExperiment(arg, argv, held_out)
    feeder = experiment.feeders["test"]
    if unique_names(feeder) != [name for name, chosen in zip(names, held_out) if chosen]:
        raise UsageError(f"--labels: {arg.feeder} does not keep the clips it is told to; it cannot be used for this")
    try:
        training = Training(experiment)
        training.train()
    finally:
        experiment.work_dir.close()
    scores, labels = training.answers
    print(
        f"{Path(arg.work_dir).name} of {folds}: {len(labels):,} clips held out, "
        f"{100 * np.mean(scores.argmax(1) == labels):.1f} % answered as labelled; "
        f"{arg.num_epoch} epochs in {perf_counter() - begin:.0f} s",
        flush=True,
    )
    return softmax(scores.astype(np.float64), axis=1)


def fold_options(arg: Namespace, k: int) -> Namespace:
    """The options of the training of a fold: its test clips are training clips, prepared as test clips are."""
    arg = copy.deepcopy(arg)
    test, train = ({**args} for args in (arg.test_feeder_args or arg.train_feeder_args, arg.train_feeder_args))
    for key in ("data_path", "label_path"):
        test.pop(key, None)  # an .h5 has no label_path
    arg.test_feeder_args = test | {key: train[key] for key in ("data_path", "label_path") if key in train}
    arg.phase, arg.resume, arg.weights, arg.debug = "train", False, None, False
    arg.work_dir = str(Path(arg.work_dir, f"fold{k + 1}"))
    arg.eval_interval = arg.save_interval = arg.num_epoch  # at the end alone
    arg.report, arg.print_log, arg.tensorboard = False, False, False
    return arg


def fold_numbers(labels: np.ndarray, groups: Sequence[str] | None, folds: int, seed: int) -> np.ndarray:
    """(N,) the fold of each sample, 0 to folds - 1; groups stay together and are dealt in the order of their names, without
    groups the samples of each class are dealt.

    Raises:
        UsageError: fewer than two folds, or more than there are groups or samples.
    """
    things, count = ("groups", len(set(groups))) if groups is not None else ("clips", len(labels))
    if not LEAST <= folds <= count:
        raise UsageError(f"--folds {folds}: from {LEAST} to {count}, the number of {things}")
    rng = np.random.default_rng(seed)
    if groups is None:
        order = rng.permutation(len(labels))
        order = order[np.argsort(labels[order], kind="stable")]  # of each class in a row, shuffled
        number = np.empty(len(labels), int)
        number[order] = np.arange(len(labels)) % folds
        return number
    _, member = np.unique(np.asarray(groups), return_inverse=True)
    return member % folds  # neighbours by name, as one person seen from two places, are in different folds
