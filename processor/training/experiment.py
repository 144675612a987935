"""What a run of recognition needs, built and checked before anything is written: paths, devices, feeders, network, loaders.

The network comes from net/, the clips from feeder/, everything that has never heard of skeletons from torchlight/.
"""

from __future__ import annotations

import inspect
import os
from argparse import Namespace
from pathlib import Path

import torch
from torch.utils.data import DataLoader

from feeder.packed import recipe
from feeder.skeleton import load_skeleton
from net.graph import Graph
from processor.sidecar import describe
from processor.training.batched import BatchedDataset, to_tensors
from torchlight import checkpoint, device, metrics
from torchlight.batches import Batches
from torchlight.classes import build, check_arguments, import_class
from torchlight.distributed import World
from torchlight.errors import UsageError
from torchlight.machine import keep_freed_memory
from torchlight.workdir import WorkDir


def check_paths(arg: Namespace) -> None:
    """Every file that will be read is there, before anything slow begins."""
    feeders = {"test_feeder_args": arg.test_feeder_args}
    if arg.phase == "train":
        feeders["train_feeder_args"] = arg.train_feeder_args
    paths = {
        f"{name}: {key}": path for name, args in feeders.items() for key, path in args.items() if key.endswith("_path")
    }
    paths |= {"weights": arg.weights, "label_names": arg.label_names}
    for key, path in paths.items():
        if path is not None and not Path(path).exists():
            command = recipe(path)
            remedy = f"; make it with:\n       {command}" if command else ""
            remedy = "; get the published ones with: bash tools/get_models.sh" if key == "weights" else remedy
            raise UsageError(f"{key}: {Path(path).absolute()} does not exist{remedy}")


def count_classes(arg: Namespace) -> None:
    """Where num_class is left out, or 0, it is the number of the label_names."""
    given = arg.model_args.get("num_class")
    parameter = inspect.signature(import_class(arg.model)).parameters.get("num_class")
    if given or parameter is None:
        return
    if arg.label_names:
        arg.model_args["num_class"] = len(metrics.read_names(arg.label_names))
    elif given == 0 or parameter.default is parameter.empty:
        raise UsageError("model_args: num_class is not given, and there are no label_names to count")


class Experiment:
    """Everything a run needs, built and checked: devices, feeders, network, work folder."""

    def __init__(self, arg: Namespace, argv: list[str], world: World):
        self.arg, self.world = arg, world
        if arg.phase == "test" and not arg.weights:
            raise UsageError("the test phase needs --weights, the network to test")
        if arg.model is None:
            raise UsageError("no network: give --model net.st_gcn.Model, or a config with -c")
        count_classes(arg)
        if "graph_args" in arg.model_args:
            check_arguments(Graph, arg.model_args["graph_args"], "model_args: graph_args")
        self.devices = device.select([world.local_rank] if world.size > 1 else arg.device, arg.use_gpu)
        self.precision = device.precision(arg.precision, self.devices.main)
        self.feeders = self.load_data()
        torch.manual_seed(arg.seed)
        self.network = build(arg.model, arg.model_args, "model_args")
        self.num_class = self.check_data()
        self.names = metrics.read_names(arg.label_names, self.num_class)
        feeder = self.feeders.get("test") or self.feeders["train"]
        preprocess, info = getattr(feeder, "preprocess", None), getattr(feeder, "info", None)
        fps, persons = info.fps if info else None, feeder[0][0].shape[-1]
        layout = (arg.model_args.get("graph_args") or {}).get("layout")
        skeleton = load_skeleton(layout) if layout else None
        self.description = describe(arg.model, arg.model_args, preprocess, self.names, persons, fps, skeleton)
        lines, details = [], []  # for the log, which does not exist yet
        if arg.weights:
            checkpoint.load_weights(self.network, arg.weights, arg.ignore_weights, lines.append, details.append)

        training = arg.phase == "train"  # everything asked for is there and fits: from here on files are written
        chief = self.world.chief
        self.work_dir = WorkDir(arg.work_dir, print_log=arg.print_log and chief, save_log=arg.save_log and chief)
        self.log = self.work_dir.log
        if chief:
            self.work_dir.save_config(arg, argv, "config.yaml" if training else "config_test.yaml")
        self.log(f"Parameters:\n{vars(arg)}\n")
        if self.devices.note:
            lines.insert(0, self.devices.note)
        if arg.precision == "auto":
            lines.insert(0, f"Precision: {self.precision.name}")
        if self.world.size > 1:
            lines.append(f"{self.world.size} processes share each batch, over {self.precision.device}")
        for line in lines:
            self.log(line)
        for line in details:
            self.work_dir.note(line)

    # ---- data

    def load_data(self) -> dict[str, object]:
        """{"train": feeder, "test": feeder}: those this phase needs and the config has arguments for."""
        arg = self.arg
        wanted = {"train": arg.train_feeder_args} if arg.phase == "train" else {}
        if arg.test_feeder_args or arg.phase == "test":
            wanted["test"] = arg.test_feeder_args
        for args in wanted.values():
            args |= {"stream": arg.stream} if arg.stream else {}
        return {
            part: build(
                arg.feeder, args, f"{part}_feeder_args", **({"debug": True} if arg.debug else {}), seed=arg.seed
            )
            for part, args in wanted.items()
        }

    def check_data(self) -> int:
        """The network takes a clip of every part, labels fit it, the batch fits the data; the number of classes."""
        num_class = 0
        for part, feeder in self.feeders.items():
            if not len(feeder) or not len(getattr(feeder, "label", ())):
                raise UsageError(
                    f"{part}_feeder_args: {self.arg.feeder} has no clips, or no list `label` of their classes"
                )
            clip = torch.as_tensor(feeder[0][0])[None]
            try:
                with torch.no_grad():
                    num_class = self.network.eval()(clip if clip.dim() == 5 else clip.flatten(0, 1)).shape[1]
            except (RuntimeError, ValueError) as error:
                raise UsageError(
                    f"the network cannot take the {part} data, clips of shape (C, T, V, M) = {tuple(clip.shape[-4:])}: "
                    f"{str(error).splitlines()[0]}; look at in_channels, layout and window_size"
                ) from error
            low, high = min(feeder.label), max(feeder.label)
            if low < 0 or high >= num_class:
                raise UsageError(
                    f"{part}_feeder_args: labels {low} to {high} where the network has classes 0 to {num_class - 1} "
                    "(num_class in model_args)"
                )
        if "train" in self.feeders and self.arg.batch_size % self.world.size:
            raise UsageError(
                f"batch_size {self.arg.batch_size} cannot be shared equally by {self.world.size} processes; "
                f"give --batch_size {self.arg.batch_size // self.world.size * self.world.size or self.world.size}"
            )
        if "train" in self.feeders and len(self.feeders["train"]) < self.arg.batch_size:
            raise UsageError(
                f"batch_size {self.arg.batch_size} is larger than the training set ({len(self.feeders['train'])} clips); "
                f"give --batch_size {max(1, len(self.feeders['train']) // 4)} or so"
            )
        return num_class

    def loader(self, part: str) -> tuple[DataLoader, Batches]:
        """The loader of one part and the sampler that says which clips are in its batches."""
        arg, feeder = self.arg, self.feeders[part]
        training, batched = part == "train", hasattr(feeder, "get_batch")
        batches = Batches(
            len(feeder),
            arg.batch_size if training else arg.test_batch_size,
            shuffle=training,
            seed=arg.seed,
            with_epoch=training and batched,
            rank=self.world.rank,
            world=self.world.size,
        )
        workers = arg.num_worker
        if workers is None:  # on a CPU the network needs the cores more than the feeder does
            on_gpu = self.devices.main.type == "cuda"
            cores = (os.cpu_count() or 1) // self.world.local_size
            workers = max(1, min(4 * len(self.devices.ids), cores)) if on_gpu else 0
        return DataLoader(
            BatchedDataset(feeder) if batched else feeder,
            batch_sampler=batches,
            collate_fn=to_tensors if batched else None,
            num_workers=workers,
            persistent_workers=workers > 0,
            worker_init_fn=keep_freed_memory,
            pin_memory=self.devices.main.type == "cuda",
            generator=torch.Generator(),  # else it draws from torch's own, and a resumed epoch would differ
        ), batches
