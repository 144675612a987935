"""Dropout whose masks cost less on a CPU.

nn.Dropout draws a word of the Mersenne twister for every element, on one thread: a fifth of a training step. One of 64 bits is
enough for four.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

STEPS = 1 << 16  # probabilities are multiples of 1 / STEPS


class Dropout(nn.Dropout):
    """nn.Dropout; on a CPU with a probability that is rounded to a 65,536th, and other random numbers of the same seed."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0 or x.device.type != "cpu" or torch.compiler.is_compiling():
            return super().forward(x)
        mask = keep_mask(x, self.p)
        return x.mul_(mask) if self.inplace else x * mask


def keep_mask(x: Tensor, p: float) -> Tensor:
    """0 with probability p, else 1 / (1 - p): a tensor like x."""
    lost = round(p * STEPS)
    if lost == STEPS:
        return torch.zeros_like(x)
    words = torch.empty((x.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
    kept = words.view(torch.int16)[: x.numel()] >= lost - STEPS // 2
    mask = torch.empty_like(x)  # in the layout of x
    mask.as_strided((x.numel(),), (1,)).copy_(kept).mul_(STEPS / (STEPS - lost))
    return mask
