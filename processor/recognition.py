"""Train and test an action recognition network.

    python main.py recognition -c config/quickstart/train.yaml
    python main.py recognition -c config/quickstart/test.yaml
    python main.py recognition -c config/st_gcn/sbu/train.yaml --fold 1 2 3 4 5 --repeat 3

Here it is decided which runs there are; experiment.py builds one, training.py and evaluation.py do it.
"""

from __future__ import annotations

import copy
import csv
from argparse import Namespace
from pathlib import Path

import numpy as np
import torch

from feeder.sequence import DataError
from processor.evaluation import test
from processor.experiment import Experiment, check_paths
from processor.training import Training
from torchlight.arguments import UsageError
from torchlight.distributed import start
from torchlight.workdir import atomic


def run(arg: Namespace, argv: list[str]) -> None:
    """The processor `recognition`, once, or once for every fold and seed; see options.recognition for arg."""
    runs = variants(arg)
    for each in runs:
        check_paths(each)
    world = start(arg.use_gpu)
    results = []
    try:
        for each in runs:
            experiment = Experiment(each, argv, world)
            results.append(Training(experiment).train() if arg.phase == "train" else test(experiment))
    except torch.OutOfMemoryError as error:
        line = "the GPU's memory is too small for this batch; try half of --batch_size with twice --accumulate"
        raise UsageError(line) from error
    except DataError as error:  # from a worker it comes with the worker's traceback
        raise DataError(str(error).strip().splitlines()[-1].removeprefix("feeder.sequence.DataError: ")) from error
    if len(runs) > 1 and world.chief:
        summarise(arg, runs, results)
    world.close()


def variants(arg: Namespace) -> list[Namespace]:
    """The arguments of every run: for each of --fold and each of --repeat seeds, in a work folder of its own.

    `{fold}` and `{seed}` in the feeders' paths and in `weights` are filled in.
    """
    runs = []
    for fold in arg.fold or [""]:
        for seed in range(arg.seed, arg.seed + arg.repeat):
            each = copy.deepcopy(arg)
            each.seed, each.fold, each.repeat = seed, [fold] if arg.fold else [], 1
            for args in (each.train_feeder_args, each.test_feeder_args, vars(each)):
                for key in [key for key in args if key.endswith("_path") or key == "weights"]:
                    args[key] = args[key] and args[key].replace("{fold}", str(fold)).replace("{seed}", str(seed))
            folders = [f"fold{fold}"] * bool(arg.fold) + [f"seed{seed}"] * (arg.repeat > 1)
            each.work_dir = str(Path(arg.work_dir, *folders))
            runs.append(each)
    return runs


def summarise(arg: Namespace, runs: list[Namespace], results: list[dict[str, float]]) -> None:
    """summary.csv, a row a run; printed: the mean over folds, and its mean and standard deviation (n - 1) over seeds."""
    path = Path(arg.work_dir, "summary.csv")
    with atomic(path, "w") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["work_dir", "seed", "top1", "mean_class_accuracy"])
        for each, result in zip(runs, results):
            writer.writerow([each.work_dir, each.seed, result.get("top1"), result.get("mean_class_accuracy")])
    for key, title in [("top1", "Top1"), ("mean_class_accuracy", "Mean class accuracy")]:
        by_seed: dict[int, list[float]] = {}
        for each, result in zip(runs, results):
            by_seed.setdefault(each.seed, []).append(result.get(key, np.nan))
        means = [np.mean(values) for values in by_seed.values()]
        spread = f" ± {np.std(means, ddof=1):.2f} over {len(means)} seeds" if len(means) > 1 else ""
        folds = f", mean of {len(arg.fold)} folds" if len(arg.fold) > 1 else ""
        print(f"{title}: {np.mean(means):.2f}%{spread}{folds}")
    print(f"Every run is in {path}")
