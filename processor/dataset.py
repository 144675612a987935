"""A packed data set as a torch Dataset, for training loops of your own.

dataset = Dataset("data/synthetic/train_data.npy", window_size=32, random_choose=True)
for clip, label in DataLoader(dataset, batch_size=32, shuffle=True):  # (N, C, T, V, M) float32, (N,) int64
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from processor.protocols import build_feeder, gives_batches, info_of


class Dataset(torch.utils.data.Dataset):
    """Clips (C, T, V, M) float32, made ready as a training or a test makes them, and their classes.

    Args:
        data_path: `*_data.npy`, or another file that the feeder takes.
        label_path: default: `*_label.pkl` beside `*_data.npy`.
        feeder: dotted name of the feeder class.
        feeder_args: the rest of a config's train_feeder_args or test_feeder_args: preprocessing, layout, seed ...

    Attributes:
        feeder: with `label` and `sample_name` of every clip.
        label_names: of the classes, or None where dataset.yaml beside the data does not say them.

    Raises:
        UsageError, DataError: the arguments or the files are not what they should be.
    """

    def __init__(
        self,
        data_path: str | Path,
        label_path: str | Path | None = None,
        feeder: str = "feeder.feeder.Feeder",
        **feeder_args: Any,
    ):
        path = Path(data_path)
        if label_path is None and path.name.endswith("_data.npy"):
            label_path = path.with_name(path.name.removesuffix("_data.npy") + "_label.pkl")
        paths = {"data_path": str(path)} | ({} if label_path is None else {"label_path": str(label_path)})
        self.feeder = build_feeder(feeder, paths | feeder_args, "feeder_args")
        self.batches, self.epoch = gives_batches(self.feeder), 0
        names = info_of(self.feeder).label_names
        self.label_names = None if names is None else list(names)

    def set_epoch(self, epoch: int) -> None:
        """Random transforms of a clip depend on (seed, epoch, clip): call this before each epoch, or all are alike.

        The persistent workers of a DataLoader do not hear of it.
        """
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.feeder)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        if not 0 <= index < len(self):
            raise IndexError(f"clip {index} of {len(self)}")
        data, label = self.feeder[(self.epoch, index) if self.batches else index]
        return torch.as_tensor(data), int(label)

    def __getitems__(self, indices: Sequence[int]) -> list[tuple[Tensor, int]]:
        """A batch that is read and transformed at once, as a DataLoader asks for it."""
        if not self.batches:
            return [self[index] for index in indices]
        data, label = self.feeder.get_batch([(self.epoch, index) for index in indices])
        return list(zip(torch.from_numpy(data), label.tolist()))
