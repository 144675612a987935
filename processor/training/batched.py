"""Batches from a feeder that builds a whole batch at once (`get_batch`): one array, neither split into samples nor stacked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from torchlight.machine import keep_freed_memory
from torchlight.signals import follow_parent, unsignalled_children


class BatchedDataset:
    """A feeder as torch's DataLoader asks for batches; use it with collate_fn=to_tensors.

    Args:
        feeder: has get_batch(indices) -> data (N, C, T, V, M), label (N,); an index is a clip or a pair (epoch, clip).
    """

    def __init__(self, feeder: Any):
        self.feeder = feeder

    def __len__(self) -> int:
        return len(self.feeder)

    def __getitems__(self, indices: Sequence[int | tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
        return self.feeder.get_batch(indices)


def to_tensors(batch: tuple[np.ndarray, np.ndarray]) -> tuple[Tensor, Tensor]:
    """The arrays of a batch as tensors that share their memory."""
    data, label = batch
    return torch.from_numpy(data), torch.from_numpy(label)


def begin_worker(number: int) -> None:
    """The first thing that a worker of a loader does."""
    keep_freed_memory()
    follow_parent()


def batches_of(loader: DataLoader) -> Iterator:
    """iter(loader), whose workers leave signals to this process."""
    with unsignalled_children() if loader.num_workers else nullcontext():
        return iter(loader)
