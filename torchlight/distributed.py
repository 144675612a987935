"""Several processes that train one model together, as torchrun starts them; a run without torchrun is a world of one.

world = start(use_gpu=True)                 # reads what torchrun put into the environment
model = world.wrap(model, device)           # DistributedDataParallel, or the model itself
rows = world.gather(own_rows)               # what every process has, in the order of the ranks
"""

from __future__ import annotations

import os
import warnings
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import distributed, nn


@dataclass(frozen=True)
class World:
    """This process among those that train together.

    Attributes:
        rank: 0 is the main process, which writes files and prints.
        size: number of processes, over all machines.
        local_rank, local_size: the same on this machine; local_rank is the GPU to use.
        restarted: torchrun has started this process anew after another one died.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1
    restarted: bool = False

    @property
    def is_main(self) -> bool:
        return self.rank == 0

    def wrap(self, model: nn.Module, device: torch.device) -> nn.Module:
        """DistributedDataParallel around the model where there are several processes."""
        if self.size == 1:
            return model
        warnings.filterwarnings("ignore", "Grad strides do not match")  # channels-last gradients; they are right
        return nn.parallel.DistributedDataParallel(model, [device] if device.type == "cuda" else None)

    def no_sync(self, model: nn.Module) -> AbstractContextManager:
        """A context in which gradients are not exchanged: for all but the last of several accumulated batches."""
        return model.no_sync() if self.size > 1 else nullcontext()

    def gather(self, value: Any) -> list[Any]:
        """The value of every process, in the order of the ranks; every process must call it."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        distributed.all_gather_object(values, value)
        return values

    def close(self) -> None:
        if self.size > 1:
            distributed.destroy_process_group()


def start(use_gpu: bool) -> World:
    """Join the other processes, if torchrun has started several: NCCL between GPUs, gloo between CPUs."""
    if int(os.environ.get("WORLD_SIZE", 1)) == 1:
        return World(restarted=int(os.environ.get("TORCHELASTIC_RESTART_COUNT", 0)) > 0)
    cuda = use_gpu and torch.cuda.is_available()
    if cuda:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count())
    restarts = int(os.environ.get("TORCHELASTIC_RESTART_COUNT", 0))
    store, rank, size = next(distributed.rendezvous("env://"))
    store = distributed.PrefixStore(
        f"restart {restarts}", store
    )  # else processes may find the addresses of those that died
    distributed.init_process_group("nccl" if cuda else "gloo", store=store, rank=rank, world_size=size)
    return World(rank, size, int(os.environ["LOCAL_RANK"]), int(os.environ.get("LOCAL_WORLD_SIZE", 1)), restarts > 0)
