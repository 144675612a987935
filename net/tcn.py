"""Temporal convolutional network with residual units (Kim and Reiter, CVPR workshops 2017): the baseline without a graph.

    model = Model(channel=150, num_class=60, use_data_bn=True)      # 150 = 3 coordinates * 25 joints * 2 persons
    logits = model(x)           # (N, C, T, V, M) -> (N, num_class)

All coordinates of a frame are one vector, in which no joint knows its neighbours.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from net.dropout import Dropout
from net.fused import FusedTCN
from net.st_gcn import init_weights

# [channels, stride] of each residual unit
UNITS = ((64, 1), (64, 1), (64, 1), (128, 2), (128, 1), (128, 1), (256, 2), (256, 1), (256, 1))
KERNEL = 9


class Model(nn.Module):
    """Res-TCN.

    Args:
        channel: M * V * C of the clips.
        num_class: number of classes.
        use_data_bn: normalise each of the input channels over clips and frames.
        window_size: frames of a clip; stands in the original's config files and changes nothing, any T will do.
        dropout: probability, before each convolution of a residual unit.

    Shape:
        x (N, C, T, V, M) -> logits (N, num_class).
    """

    def __init__(
        self, channel: int, num_class: int, use_data_bn: bool = False, window_size: int = 300, dropout: float = 0.5
    ):
        super().__init__()
        self.channel = channel
        self.data_bn = nn.BatchNorm1d(channel) if use_data_bn else nn.Identity()
        layers: list[nn.Module] = [nn.Conv1d(channel, UNITS[0][0], KERNEL, padding=KERNEL // 2)]
        width = UNITS[0][0]
        for out_channels, stride in UNITS:
            layers.append(ResidualUnit(width, out_channels, stride, dropout))
            width = out_channels
        self.backbone = nn.Sequential(*layers, nn.BatchNorm1d(width), nn.ReLU(inplace=True))
        self.fcn = nn.Conv1d(width, num_class, 1)
        self.apply(init_weights)

    def forward(self, x: Tensor) -> Tensor:
        x = self.data_bn(self.flatten_joints(x))  # (N, M*V*C, T)
        x = self.backbone(x).mean(2, keepdim=True)  # (N, 256, 1)
        return self.fcn(x).flatten(1)  # (N, num_class)

    def flatten_joints(self, x: Tensor) -> Tensor:
        """(N, C, T, V, M) -> (N, M*V*C, T), index (m * V + v) * C + c."""
        N, C, T, V, M = x.shape
        if self.channel != M * V * C:
            raise ValueError(
                f"the clips have {C} channels * {V} joints * {M} persons = {M * V * C}, but the model's argument "
                f"channel is {self.channel}"
            )
        return x.permute(0, 4, 3, 1, 2).reshape(N, M * V * C, T)

    def fuse(self, dtype: torch.dtype = torch.float32) -> FusedTCN:
        """A new module with this network's present weights, for inference only: see net/fused.py."""
        return FusedTCN(self, dtype)


class ResidualUnit(nn.Module):
    """conv(dropout(ReLU(BN(x)))) + shortcut(x); the shortcut is x itself unless width or stride change.

    Shape:
        x (N, C, T) -> (N, C', ceil(T / stride)).
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, dropout: float):
        super().__init__()
        self.unit = nn.Sequential(
            nn.BatchNorm1d(in_channels),
            nn.ReLU(inplace=True),
            Dropout(dropout),
            nn.Conv1d(in_channels, out_channels, KERNEL, stride, KERNEL // 2),
        )
        if in_channels == out_channels and stride == 1:
            self.shortcut = nn.Identity()
        else:
            self.shortcut = nn.Sequential(
                nn.BatchNorm1d(in_channels), nn.ReLU(inplace=True), nn.Conv1d(in_channels, out_channels, 1, stride)
            )

    def forward(self, x: Tensor) -> Tensor:
        return self.unit(x) + self.shortcut(x)
