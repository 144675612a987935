"""Which samples make up each batch of each epoch: known in advance, the same on every run with the same seed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np


class Batches:
    """A batch sampler for torch's DataLoader whose order depends on (seed, epoch) alone.

    Before each pass call `start(epoch)`; `begin` leaves out the batches already done.

    Args:
        num_sample: size of the data set.
        batch_size: samples a batch.
        shuffle: a new order every epoch; a last, smaller batch is then dropped.
        seed: of the orders.
        with_epoch: yield pairs (epoch, sample) in place of samples, for data sets whose randomness depends on the epoch.
        repeat: every epoch has each sample so many times. To a data set each time is an epoch of its own: the epoch of a pair
            is epoch * repeat + 0, 1 ... repeat - 1.
        rank, world: of `world` processes that share every batch, ask for the share of this one.
    """

    def __init__(
        self,
        num_sample: int,
        batch_size: int,
        shuffle: bool,
        seed: int = 0,
        with_epoch: bool = False,
        repeat: int = 1,
        rank: int = 0,
        world: int = 1,
    ):
        self.num_sample, self.batch_size, self.shuffle, self.seed = num_sample, batch_size, shuffle, seed
        self.repeat, count = repeat, num_sample * repeat
        self.with_epoch, self.rank, self.world = with_epoch, rank, world
        self.per_epoch = count // batch_size if shuffle else -(-count // batch_size)
        self.start(0)

    def start(self, epoch: int, begin: int = 0) -> None:
        """Get ready for one pass, from batch number `begin` on."""
        self.begin = begin
        self.epoch = epoch
        self.order = np.arange(self.num_sample * self.repeat)
        if self.shuffle:
            self.order = np.random.default_rng((self.seed, epoch)).permutation(self.num_sample * self.repeat)

    def samples(self, batch: int) -> np.ndarray:
        """The sample numbers of this process's share of one batch of this epoch."""
        return self.share(batch) % self.num_sample

    def share(self, batch: int) -> np.ndarray:
        """The same, plus num_sample times which of its repetitions it is."""
        return self.order[batch * self.batch_size : (batch + 1) * self.batch_size][self.rank :: self.world]

    def __len__(self) -> int:
        return self.per_epoch - self.begin

    def __iter__(self) -> Iterator[list[int] | list[tuple[int, int]]]:
        for batch in range(self.begin, self.per_epoch):
            if len(share := self.share(batch)):  # the last batch of a test may be smaller than the world
                passes, samples = (part.tolist() for part in np.divmod(share, self.num_sample))
                first = self.epoch * self.repeat
                yield [(first + p, s) for p, s in zip(passes, samples)] if self.with_epoch else samples
