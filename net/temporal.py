"""The temporal convolution of ST-GCN, with a backward pass that chips with AMX do faster.

The gradient of its input is a convolution as well: of the gradient of the output with the kernel flipped in time and its
channels exchanged. oneDNN has a fast path for that as a forward convolution, in bfloat16 on AMX, and none as a backward one.
Elsewhere both take the same time (docs/speed.md), and nn.Conv2d is left alone.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class TemporalConv(nn.Conv2d):
    """nn.Conv2d over k frames, k odd: kernel (k, 1), padding (k // 2, 0), any stride in time."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int = 1):
        super().__init__(in_channels, out_channels, (kernel, 1), (stride, 1), (kernel // 2, 0))

    def forward(self, x: Tensor) -> Tensor:
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
        pays = x.device.type == "cpu" and dtype == torch.bfloat16 and self.stride == (1, 1) and has_amx()
        if not pays or not torch.is_grad_enabled() or torch.compiler.is_compiling():
            return super().forward(x)
        return FlippedBackward.apply(x.to(dtype), self.weight.to(dtype), self.bias.to(dtype))


class FlippedBackward(torch.autograd.Function):
    """x (B, C, T, V), weight (C', C, k, 1), bias (C') -> (B, C', T, V), stride 1."""

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return F.conv2d(x, weight, bias, 1, (weight.shape[2] // 2, 0))

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        padding = weight.shape[2] // 2, 0
        grad = grad.contiguous(memory_format=torch.channels_last)
        grad_x = None
        if ctx.needs_input_grad[0]:
            flipped = weight.flip(2).transpose(0, 1).contiguous(memory_format=torch.channels_last)
            grad_x = F.conv2d(grad, flipped, None, 1, padding)
        _, grad_weight, _ = torch.ops.aten.convolution_backward(
            grad, x, weight, None, (1, 1), padding, (1, 1), False, (0, 0), 1, (False, True, False)
        )
        return grad_x, grad_weight, grad.sum((0, 2, 3))


def has_amx() -> bool:
    """Whether the CPU multiplies tiles of bfloat16 (Intel AMX)."""
    return bool(getattr(torch.cpu, "_is_amx_tile_supported", bool)())  # private to torch: absent from some versions
