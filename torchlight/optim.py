"""Optimisers, from torch's own parts, and the learning rate as a plain function of time.

optimizer = build_optimizer(model.parameters(), "SGD", base_lr=0.1)
for epoch in range(num_epoch):
    for i, batch in enumerate(loader):
        lr = learning_rate("step", 0.1, step=[10, 50], num_epoch=num_epoch, epoch=epoch, fraction=i / len(loader))
        set_learning_rate(optimizer, lr)
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch

from torchlight.errors import UsageError, did_you_mean, short

OPTIMIZERS = ("SGD", "Adam", "AdamW")
SCHEDULES = ("step", "cosine")


def build_optimizer(
    parameters: Iterable[torch.nn.Parameter],
    name: str = "SGD",
    base_lr: float = 0.01,
    weight_decay: float = 0.0001,
    nesterov: bool = True,
) -> torch.optim.Optimizer:
    """SGD with momentum 0.9, Adam or AdamW; Adam's weight decay is L2, AdamW's is decoupled."""
    if name == "SGD":
        return torch.optim.SGD(parameters, lr=base_lr, momentum=0.9, nesterov=nesterov, weight_decay=weight_decay)
    if name == "Adam":
        return torch.optim.Adam(parameters, lr=base_lr, weight_decay=weight_decay)
    if name == "AdamW":
        return torch.optim.AdamW(parameters, lr=base_lr, weight_decay=weight_decay)
    raise UsageError(f"optimizer {short(name)} is not one of {', '.join(OPTIMIZERS)}{did_you_mean(name, OPTIMIZERS)}")


def learning_rate(
    schedule: str,
    base_lr: float,
    step: Sequence[int] = (),
    num_epoch: int = 80,
    warm_up_epoch: float = 0,
    epoch: int = 0,
    fraction: float = 0.0,
) -> float:
    """The learning rate at `fraction` (0 <= fraction < 1) of `epoch` (from 0), whatever the optimiser.

    step: base_lr * 0.1 ** (number of steps that are <= epoch), as the original.
    cosine: half a cosine from base_lr, at the end of the warm-up, to 0 at the end of num_epoch, iteration by iteration.
    Warm-up, before either: linear from a tenth to the whole over the first warm_up_epoch epochs, iteration by iteration.
    """
    if schedule not in SCHEDULES:
        raise UsageError(
            f"schedule {short(schedule)} is not one of {', '.join(SCHEDULES)}{did_you_mean(schedule, SCHEDULES)}"
        )
    now = epoch + fraction
    warmth = 0.1 + 0.9 * now / warm_up_epoch if now < warm_up_epoch else 1.0
    if schedule == "step":
        return base_lr * warmth * 0.1 ** sum(epoch >= each for each in step)
    if now < warm_up_epoch:
        return base_lr * warmth
    progress = min((now - warm_up_epoch) / max(num_epoch - warm_up_epoch, 1e-9), 1.0)
    return base_lr * 0.5 * (1 + math.cos(math.pi * progress))


def set_learning_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """The same rate for every group of parameters."""
    for group in optimizer.param_groups:
        group["lr"] = lr
