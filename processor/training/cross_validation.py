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
from torchlight.label_errors import find_label_errors

LEAST = 2  # folds
SURELY = -0.5  # a margin that is not believed


class FoldExperiment(Experiment):
    """The training clips of a config in two: `train` and `test` (N,) say which; test clips are prepared as the config prepares
    those of its test.
    """

    def __init__(self, arg: Namespace, argv: list[str], train: np.ndarray, test: np.ndarray):
        self.chosen = {"train": train, "test": test}
        super().__init__(arg, argv, World())

    def build_feeders(self) -> dict[str, Feeder]:
        feeders = super().build_feeders()
        for part, chosen in self.chosen.items():
            feeders[part].keep(np.flatnonzero(chosen))
        return feeders


def out_of_sample(
    arg: Namespace,
    argv: list[str],
    names: Sequence[str],
    labels: Sequence[int],
    groups: Sequence[str] | None,
    folds: int,
    rounds: int = 1,
) -> np.ndarray:
    """Train `folds` networks with the config; the probabilities (N, num_class) of its N training clips.

    Args:
        arg: the options of recognition, of a training.
        names, labels, groups: of the training clips; groups are not torn apart, None: folds by chance.
        rounds: in a second one the networks are trained without the clips whose labels the first one found wrong, so
            that they do not learn these from other folds; and so on.
    """
    labels = np.asarray(labels)
    number, believed = fold_numbers(labels, groups, folds, arg.seed), np.ones(len(labels), bool)
    for i in range(rounds):
        parts, title = [], f"round {i + 1}, " * (rounds > 1)
        for k in range(folds):
            held_out = number == k
            parts.append(
                (held_out, judge(fold_options(arg, k), argv, names, held_out, ~held_out & believed, title, folds))
            )
        probability = np.zeros((len(labels), parts[0][1].shape[1]))
        for held_out, found in parts:
            probability[held_out] = found
        believed = find_label_errors(probability, labels).margin >= SURELY
    return probability


def judge(
    arg: Namespace, argv: list[str], names: Sequence[str], test: np.ndarray, train: np.ndarray, title: str, folds: int
) -> np.ndarray:
    """Train one network on some clips; the probabilities (n, num_class) of the n others."""
    begin, experiment = perf_counter(), FoldExperiment(arg, argv, train, test)
    feeder = experiment.feeders["test"]
    if unique_names(feeder) != [name for name, chosen in zip(names, test) if chosen]:
        raise UsageError(f"--labels: {arg.feeder} does not keep the clips it is told to; it cannot be used for this")
    try:
        training = Training(experiment)
        training.train()
    finally:
        experiment.work_dir.close()
    scores, labels = training.answers
    print(
        f"{title}{Path(arg.work_dir).name} of {folds}: {len(labels):,} clips held out, "
        f"{100 * np.mean(scores.argmax(1) == labels):.1f} % answered as labelled; "
        f"{arg.num_epoch} epochs in {perf_counter() - begin:.0f} s",
        flush=True,
    )
    return softmax(scores.astype(np.float64), axis=1)


def fold_options(arg: Namespace, k: int) -> Namespace:
    """The options of the training of a fold: its test clips are training clips, prepared as test clips are."""
    arg = copy.deepcopy(arg)
    paths = {key: arg.train_feeder_args[key] for key in ("data_path", "label_path") if key in arg.train_feeder_args}
    arg.test_feeder_args = {**(arg.test_feeder_args or arg.train_feeder_args), **paths}
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
