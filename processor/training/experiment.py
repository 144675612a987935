"""What a training or a test needs, built and checked before anything is written: devices, feeders, network, work folder.

The network comes from net/, the clips from feeder/, everything that has never heard of skeletons from torchlight/.
"""

from __future__ import annotations

import inspect
import os
from argparse import Namespace
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader

from feeder.dataset import DatasetInfo
from feeder.packed import read_label, recipe
from feeder.skeleton import load_skeleton
from net.graph import Graph
from processor.protocols import (
    Feeder,
    build_feeder,
    build_network,
    gives_batches,
    info_of,
    labels_of,
    preprocess_of,
)
from processor.sidecar import describe
from processor.training.batched import BatchedDataset, begin_worker, to_tensors
from torchlight import checkpoint, device, metrics
from torchlight.batches import Batches
from torchlight.classes import check_arguments, import_class
from torchlight.distributed import World
from torchlight.errors import UsageError, short
from torchlight.manifest import Manifest
from torchlight.seed import seed_all
from torchlight.workdir import WorkDir


def files_read(arg: Namespace) -> dict[str, str]:
    """The files that a run will read, by the keys that name them."""
    parts = ("train_feeder_args", "test_feeder_args") if arg.phase == "train" else ("test_feeder_args",)
    paths = {
        f"{part}: {key}": path for part in parts for key, path in getattr(arg, part).items() if key.endswith("_path")
    }
    paths |= {"weights": arg.weights, "label_names": arg.label_names}
    return {key: path for key, path in paths.items() if path is not None}


def check_paths(arg: Namespace) -> None:
    """Every file that will be read exists, before anything slow begins."""
    for key, path in files_read(arg).items():
        if not Path(path).exists():
            command = recipe(path)
            remedy = f"; make it with:\n       {command}" if command else ""
            remedy = "; get the published ones with: python tools/get_models.py st_gcn" if key == "weights" else remedy
            raise UsageError(f"{key}: {Path(path).absolute()} does not exist{remedy}")


def complete_model_args(
    arg: Namespace,
    info: DatasetInfo,
    channels: int | None = None,
    persons: int | None = None,
    classes: int | None = None,
) -> list[str] | None:
    """Fill in what the config leaves out and the network takes: num_class, graph_args: layout, in_channels and num_person.

    Args:
        info: dataset.yaml beside the data.
        channels, persons: C and M of a clip.
        classes: number of classes of the training labels, for where nobody names them.

    Returns:
        The class names, or None where nothing says them.

    Raises:
        UsageError: the config and dataset.yaml contradict each other, or num_class is nowhere.
    """
    takes, args = inspect.signature(import_class(arg.model)).parameters, arg.model_args
    names = metrics.read_names(arg.label_names) if arg.label_names else None
    for i, (ours, stored) in enumerate(zip_longest(names or (), info.label_names or ())):
        if names and info.label_names and ours != stored:
            raise UsageError(
                f"label_names: {arg.label_names} has {short(ours)} as class {i}, dataset.yaml beside the data has "
                f"{short(stored)}; leave label_names out, or pack the data again"
            )
    names = names or (list(info.label_names) if info.label_names else None)
    if "num_class" in takes and not args.get("num_class"):
        if names or classes:
            args["num_class"] = len(names) if names else classes
        elif args.get("num_class") == 0 or takes["num_class"].default is inspect.Parameter.empty:
            raise UsageError("model_args: num_class is not given, and there are no label_names to count")
    if info.label_names and args.get("num_class", len(names)) != len(names):
        raise UsageError(
            f"num_class: {args['num_class']} in model_args, but dataset.yaml beside the data has {len(names)} class names"
        )
    for key, value in (("in_channels", channels), ("num_person", persons)):
        if key in takes and key not in args and value:
            args[key] = value
    if "graph_args" in takes:
        graph_args = dict(args.get("graph_args") or {})
        layout = graph_args.get("layout")
        parts = arg.train_feeder_args, arg.test_feeder_args
        told = info.layout or next((part["layout"] for part in parts if part.get("layout")), None)
        if layout is None and told is not None:
            graph_args["layout"] = told if isinstance(told, str) else dict(told)
        elif layout and info.layout and load_skeleton(layout).joints != info.skeleton.joints:
            raise UsageError(
                f"graph_args: layout: {short(layout)} in model_args, but dataset.yaml beside the data says {info.skeleton.name}"
            )
        args["graph_args"] = graph_args
        check_arguments(Graph, graph_args, "model_args: graph_args")
    return names


class Experiment:
    """Everything a training or a test needs, built and checked.

    Attributes:
        arg: the options, with what was left out filled in.
        world: this process among those of torchrun.
        devices, precision: where and in which numbers to compute.
        feeders: {"train": feeder, "test": feeder}, those that are needed.
        network: with the weights of --weights, if there are any.
        num_class, label_names: of the network and the data.
        description: the content of the side-car of the weights.
        work_dir: the folder that results are written to.
        manifest: how the run is made.
        repeats: the manifest of the run that this one repeats (--from), or None.

    `notes` are lines for the log.
    """

    def __init__(
        self,
        arg: Namespace,
        argv: list[str],
        world: World,
        repeats: Mapping[str, Any] | None = None,
        notes: Sequence[str] = (),
    ):
        self.arg, self.world, self.repeats = arg, world, repeats
        if arg.model is None:
            raise UsageError("no network: give --model net.st_gcn.Model, or a config with -c")
        self.devices = device.select([world.local_rank] if world.size > 1 else arg.device, arg.use_gpu)
        self.precision = device.precision(arg.precision, self.devices.main)
        self.feeders = self.build_feeders()
        seed_all(arg.seed)
        self.network, self.num_class, self.label_names = self.build_network()
        self.description = self.describe()
        messages, details = [*notes], []  # for the log, which does not exist yet
        if arg.weights:
            checkpoint.load_weights(self.network, arg.weights, arg.ignore_weights, messages.append, details.append)
        self.work_dir = self.open_work_dir(
            argv, messages, details
        )  # all is there and fits: from here on files are written
        self.log = self.work_dir.log
        computes_on = f"{self.devices.name}, {self.precision.name}"
        self.manifest = Manifest(arg.phase, argv, vars(arg), files_read(arg) if world.is_main else {}, computes_on)

    # ---- data

    def build_feeders(self) -> dict[str, Feeder]:
        """The feeders that this phase needs and the config has arguments for; each has at least one clip."""
        arg = self.arg
        wanted = {"train": arg.train_feeder_args} if arg.phase == "train" else {}
        if arg.test_feeder_args or arg.phase == "test":
            wanted["test"] = arg.test_feeder_args
        feeders = {}
        for part, args in wanted.items():
            if arg.stream:
                args["stream"] = arg.stream
            debug = {"debug": True} if arg.debug else {}
            feeder = build_feeder(arg.feeder, args, f"{part}_feeder_args", **debug, seed=arg.seed)
            if not len(feeder) or not len(labels_of(feeder)):
                raise UsageError(f"{part}_feeder_args: {arg.feeder} has no clips, or no list `label` of their classes")
            feeders[part] = feeder
        return feeders

    @property
    def any_feeder(self) -> Feeder:
        """The feeder that says how clips are prepared for a test: that of the test, if there is one."""
        return self.feeders.get("test") or self.feeders["train"]

    def loader(self, part: str) -> tuple[DataLoader, Batches]:
        """The loader of one part and the sampler that says which clips are in its batches."""
        arg, feeder = self.arg, self.feeders[part]
        training, batched = part == "train", gives_batches(feeder)
        batches = Batches(
            len(feeder),
            arg.batch_size if training else arg.test_batch_size,
            shuffle=training,
            seed=arg.seed,
            with_epoch=training and batched,
            repeat=arg.repeat_clips if training else 1,
            rank=self.world.rank,
            world=self.world.size,
        )
        workers = arg.num_worker
        if workers is None:  # on a CPU the network needs the cores more than the feeder does
            on_gpu = self.devices.main.type == "cuda"
            cores = (os.cpu_count() or 1) // self.world.local_size
            workers = max(1, min(4 * len(self.devices.ids), cores)) if on_gpu else 0
        generator = torch.Generator().manual_seed(
            arg.seed
        )  # of the workers; not torch's own, which a resumed epoch needs
        return DataLoader(
            BatchedDataset(feeder) if batched else feeder,
            batch_sampler=batches,
            collate_fn=to_tensors if batched else None,
            num_workers=workers,
            persistent_workers=workers > 0,
            worker_init_fn=begin_worker,
            pin_memory=self.devices.main.type == "cuda",
            generator=generator,
        ), batches

    # ---- network

    def build_network(self) -> tuple[nn.Module, int, list[str]]:
        """The network, its number of classes and their names; it takes a clip of every part, and the labels fit it."""
        arg, info = self.arg, info_of(self.any_feeder)
        channels, *_, persons = self.any_feeder[0][0].shape[-4:]
        names = complete_model_args(arg, info, channels, persons, self.count_classes())
        network = build_network(arg.model, arg.model_args)
        num_class = 0
        for part, feeder in self.feeders.items():
            num_class = self.check_clip(network, part, torch.as_tensor(feeder[0][0]))
            low, high = min(feeder.label), max(feeder.label)
            if low < 0 or high >= num_class:
                raise UsageError(
                    f"{part}_feeder_args: labels {low} to {high} where the network has classes 0 to {num_class - 1} "
                    "(num_class in model_args)"
                )
        if "train" in self.feeders:
            self.check_batch_size(len(self.feeders["train"]) * arg.repeat_clips)
        if names is None or arg.label_names:
            names = metrics.read_names(arg.label_names, num_class)
        return network, num_class, names

    def count_classes(self) -> int | None:
        """By the labels of the training, which a test looks up; None where they are not there."""
        path = self.arg.train_feeder_args.get("label_path")
        if "train" in self.feeders:
            return max(self.feeders["train"].label) + 1
        return max(read_label(path)[1]) + 1 if path and Path(path).is_file() else None

    @staticmethod
    def check_clip(network: nn.Module, part: str, clip: torch.Tensor) -> int:
        """Pass one sample through the network; the number of classes."""
        try:
            with torch.no_grad():
                return network.eval()(clip[None] if clip.dim() == 4 else clip).shape[1]
        except (RuntimeError, ValueError) as error:
            raise UsageError(
                f"the network cannot take the {part} data, clips of shape (C, T, V, M) = {tuple(clip.shape[-4:])}: "
                f"{str(error).splitlines()[0]}; look at in_channels, layout and window_size"
            ) from error

    def check_batch_size(self, num_clip: int) -> None:
        batch, world = self.arg.batch_size, self.world.size
        if batch % world:
            raise UsageError(
                f"batch_size {batch} cannot be shared equally by {world} processes; "
                f"give --batch_size {batch // world * world or world}"
            )
        if num_clip < batch:
            raise UsageError(
                f"batch_size {batch} is larger than the training set ({num_clip} clips); "
                f"give --batch_size {max(1, num_clip // 4)} or so"
            )

    def describe(self) -> dict[str, Any]:
        """The content of the side-car."""
        arg, feeder = self.arg, self.any_feeder
        layout = (arg.model_args.get("graph_args") or {}).get("layout")
        return describe(
            arg.model,
            arg.model_args,
            preprocess_of(feeder),
            self.label_names,
            num_person=feeder[0][0].shape[-1],
            fps=info_of(feeder).fps,
            skeleton=load_skeleton(layout) if layout else None,
        )

    # ---- work folder

    def open_work_dir(self, argv: list[str], messages: list[str], details: list[str]) -> WorkDir:
        """Make the folder, save the merged config in it, and log what has happened so far."""
        arg, is_main = self.arg, self.world.is_main
        work_dir = WorkDir(
            arg.work_dir, arg.save_log and is_main, arg.print_log and is_main, lock=arg.phase if is_main else None
        )
        if is_main:
            work_dir.save_config(arg, argv, "config.yaml" if arg.phase == "train" else "config_test.yaml")
        work_dir.log(f"Parameters:\n{vars(arg)}\n")
        if arg.precision == "auto":
            work_dir.log(f"Precision: {self.precision.name}")
        if self.devices.note:
            work_dir.log(self.devices.note)
        for message in messages:
            work_dir.log(message)
        if self.world.size > 1:
            work_dir.log(f"{self.world.size} processes share each batch, over {self.precision.device}")
        for detail in details:
            work_dir.log_to_file(detail)
        return work_dir
