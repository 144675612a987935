"""Train and test an action recognition network.

    python main.py recognition -c config/quickstart/train.yaml
    python main.py recognition -c config/quickstart/test.yaml
    python main.py recognition -c config/st_gcn/sbu/train.yaml --fold 1 2 3 4 5 --repeat 3

series.py says which runs there are, experiment.py builds one, training.py and evaluation.py do it.
"""

from __future__ import annotations

from argparse import Namespace

import torch

from processor.training.evaluation import test
from processor.training.experiment import Experiment, check_paths
from processor.training.series import summarise, variants
from processor.training.training import Training
from torchlight.distributed import start
from torchlight.errors import DataError, UsageError


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
        raise DataError(str(error).strip().splitlines()[-1].removeprefix("torchlight.errors.DataError: ")) from error
    if len(runs) > 1 and world.chief:
        summarise(arg, runs, results)
    world.close()
