"""Train and test an action recognition network.

    python main.py recognition -c config/quickstart/train.yaml
    python main.py recognition -c config/quickstart/train.yaml --phase test     # the last epoch of the training
    python main.py recognition -c config/st_gcn/sbu/train.yaml --fold 1 2 3 4 5 --repeat 3
    python main.py recognition -c config/st_gcn_pp/utd-mhad/train.yaml --stream joint bone joint_motion bone_motion
    python main.py recognition --from work_dir/quickstart/manifest.json         # the same run again

training/series.py says which runs there are, experiment.py builds one, training.py trains and evaluation.py tests it.
"""

from __future__ import annotations

import copy
import re
from argparse import Namespace
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch

from processor import options
from processor.ensemble import fusion
from processor.training.automatic import settle, settle_stream
from processor.training.evaluation import test
from processor.training.experiment import Experiment, check_paths
from processor.training.series import expand_runs, streams_of, summarise
from processor.training.training import Training
from processor.training.tuning import tune
from torchlight.config import merge
from torchlight.distributed import start
from torchlight.errors import DataError, UsageError
from torchlight.manifest import read_manifest
from torchlight.project import located


def run(arg: Namespace, argv: list[str]) -> list[tuple[Namespace, dict[str, float]]]:
    """The processor `recognition`, once, or once for every fold, seed and stream; see options.recognition for arg.

    Returns:
        The arguments of every run, and its figures: of a training the last row of metrics.csv, of a test its accuracies.
    """
    repeats = run_to_repeat(arg)
    share_feeder_args(arg)
    for key in ("weights", "label_names"):  # of the project's own configs: in its folder
        value = getattr(arg, key)
        if value and (found := located(value)) != Path(value):
            setattr(arg, key, str(found))
    stream = settle_stream(arg)
    several = len(streams_of(arg)) > 1
    if several and arg.weights:
        raise UsageError(
            f"--weights is of one network, but there are {len(arg.stream)} streams; name its own: --stream {arg.stream[0]}"
        )
    arg.save_result |= several and bool(arg.test_feeder_args)
    runs = expand_runs(arg)
    notes = []
    for each in runs:
        if each.phase == "test":
            each.weights = weights_to_test(each)
        check_paths(each)
        notes.append(stream + settle(each))
    if arg.tune and (len(arg.fold) > 1 or arg.repeat > 1 or arg.phase == "test" or arg.resume):
        raise UsageError(
            "--tune is for the beginning of one training; its config.yaml then has what was found, for others"
        )
    world = start(arg.use_gpu)
    results = []
    try:
        if arg.tune:
            notes[0] += tune(runs[0], argv, world)
            for each in runs[1:]:  # the other streams
                each.tune, each.num_epoch = False, runs[0].num_epoch
                each.train_feeder_args = copy.deepcopy(runs[0].train_feeder_args)
                each.test_feeder_args = copy.deepcopy(runs[0].test_feeder_args)
        with ExitStack() as locks:  # of all runs, until the last one has ended: two such series must not mix
            for each, chosen in zip(runs, notes):
                experiment = Experiment(each, argv, world, repeats, chosen)
                locks.callback(experiment.work_dir.close)
                results.append(Training(experiment).train() if arg.phase == "train" else test(experiment))
    except torch.OutOfMemoryError as error:
        line = "the GPU's memory is too small for this batch; try half of --batch_size with twice --accumulate"
        raise UsageError(line) from error
    except DataError as error:  # from a worker it comes with the worker's traceback
        raise DataError(str(error).strip().splitlines()[-1].removeprefix("torchlight.errors.DataError: ")) from error
    if len(runs) > 1 and world.is_main:
        if not several:
            summarise(arg, runs, results)
        elif arg.test_feeder_args:  # else nothing is there to be averaged
            summarise(arg, *fused(arg, argv))
    world.close()
    return list(zip(runs, results))


def fused(arg: Namespace, argv: list[str]) -> tuple[list[Namespace], list[dict[str, float]]]:
    """The mean of the scores of all streams, for every fold and seed: in the folder that theirs are in.

    Returns:
        In place of the runs of the streams one for each fusion, and its figures.
    """
    whole = expand_runs(Namespace(**{**vars(arg), "stream": None}))
    results = []
    for each in whole:
        own = options.ensemble().parse_args(["-w", each.work_dir])
        own.results = [str(Path(each.work_dir, stream, "test_result.pkl")) for stream in arg.stream]
        results.append(fusion(own, argv))
    return whole, results


def run_to_repeat(arg: Namespace) -> dict[str, Any] | None:
    """The manifest of --from, if it is given; its files stay as they are, since the work folder is another one."""
    path = vars(arg).pop("from_manifest")
    if path is None:
        return None
    manifest = read_manifest(path, arg.phase)
    if arg.work_dir == manifest["config"].get("work_dir"):
        arg.work_dir = f"{Path(arg.work_dir)}-repeated"
    return manifest


def share_feeder_args(arg: Namespace) -> None:
    """feeder_args become part of train_feeder_args and test_feeder_args, whose own keys win."""
    for part in ("train_feeder_args", "test_feeder_args"):
        own = getattr(arg, part)
        if own:
            setattr(arg, part, merge({"_": arg.feeder_args}, {"_": own})["_"])
    arg.feeder_args = {}


def weights_to_test(arg: Namespace) -> str:
    """--weights; without them, or where they were the beginning of a training, the last epoch in the work folder."""
    if arg.weights and not arg.ignore_weights:
        return arg.weights
    epochs = {
        int(match[1]): path
        for path in Path(arg.work_dir).glob("epoch*_model.pt")
        if (match := re.fullmatch(r"epoch(\d+)_model\.pt", path.name))
    }
    if not epochs:
        raise UsageError(f"no weights to test: {arg.work_dir} has no epochN_model.pt; train first, or give --weights")
    arg.ignore_weights = []
    return str(epochs[max(epochs)])
