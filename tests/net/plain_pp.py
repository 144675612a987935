"""ST-GCN++ in the plain formulation, after its description and nothing else: what the fast one must equal.

Keys and order of the input, (N, M, T, V, C), are PYSKL's; the graph convolution projects, then sums over neighbours
with einsum; every branch is a convolution of its own. It imports nothing of the project.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

BLOCKS = ((64, 1), (64, 1), (64, 1), (64, 1), (128, 2), (128, 1), (128, 1), (256, 2), (256, 1), (256, 1))


class PlainSTGCNPP(nn.Module):
    def __init__(self, in_channels: int, num_class: int, A: Tensor, dropout: float = 0.0, blocks=BLOCKS):
        super().__init__()
        self.backbone = PlainBackbone(in_channels, A, dropout, blocks)
        self.cls_head = nn.Module()
        self.cls_head.fc_cls = nn.Linear(blocks[-1][0], num_class)

    def forward(self, x: Tensor) -> Tensor:
        N, M = x.shape[:2]
        x = self.backbone(x)  # (N*M, C', T', V)
        x = x.mean((2, 3)).view(N, M, -1).mean(1)
        return self.cls_head.fc_cls(x)


class PlainBackbone(nn.Module):
    def __init__(self, in_channels, A, dropout, blocks):
        super().__init__()
        self.data_bn = nn.BatchNorm1d(A.shape[1] * in_channels)
        widths = [in_channels] + [width for width, _ in blocks]
        self.gcn = nn.ModuleList(
            PlainBlock(widths[i], width, A, stride, dropout if i else 0.0, i > 0)
            for i, (width, stride) in enumerate(blocks)
        )

    def forward(self, x: Tensor) -> Tensor:
        N, M, T, V, C = x.shape
        x = x.permute(0, 1, 3, 4, 2).contiguous().view(N * M, V * C, T)
        x = self.data_bn(x).view(N, M, V, C, T)
        x = x.permute(0, 1, 3, 4, 2).contiguous().view(N * M, C, T, V)
        for block in self.gcn:
            x = block(x)
        return x


class PlainBlock(nn.Module):
    def __init__(self, in_channels, out_channels, A, stride, dropout, residual):
        super().__init__()
        self.gcn = PlainSpatialUnit(in_channels, out_channels, A)
        self.tcn = PlainTemporalUnit(out_channels, stride, dropout)
        self.with_residual = residual
        if residual and (in_channels != out_channels or stride != 1):
            self.residual = nn.Module()
            self.residual.conv = nn.Conv2d(in_channels, out_channels, 1, (stride, 1))
            self.residual.bn = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        y = self.tcn(self.gcn(x))
        if self.with_residual:
            y = y + (self.residual.bn(self.residual.conv(x)) if hasattr(self, "residual") else x)
        return torch.relu(y)


class PlainSpatialUnit(nn.Module):
    def __init__(self, in_channels, out_channels, A):
        super().__init__()
        self.A = nn.Parameter(A.clone())
        self.conv = nn.Conv2d(in_channels, out_channels * A.shape[0], 1)
        self.bn = nn.BatchNorm2d(out_channels)
        if in_channels != out_channels:
            self.down = nn.Sequential(nn.Conv2d(in_channels, out_channels, 1), nn.BatchNorm2d(out_channels))

    def forward(self, x: Tensor) -> Tensor:
        shortcut = self.down(x) if hasattr(self, "down") else x
        y = self.conv(x)
        B, _, T, V = y.shape
        y = y.view(B, self.A.shape[0], -1, T, V)
        y = torch.einsum("nkctv,kvw->nctw", y, self.A).contiguous()
        return torch.relu(self.bn(y) + shortcut)


class PlainTemporalConv(nn.Module):
    def __init__(self, channels, stride, dilation):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, (3, 1), (stride, 1), (dilation, 0), (dilation, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class PlainTemporalUnit(nn.Module):
    def __init__(self, channels, stride, dropout):
        super().__init__()
        width = channels // 6
        first = channels - 5 * width
        ends = [PlainTemporalConv(first if dilation == 1 else width, stride, dilation) for dilation in (1, 2, 3, 4)]
        ends.append(nn.MaxPool2d((3, 1), (stride, 1), (1, 0)))
        self.branches = nn.ModuleList()
        for i, end in enumerate(ends):
            out = width if i else first
            self.branches.append(nn.Sequential(nn.Conv2d(channels, out, 1), nn.BatchNorm2d(out), nn.ReLU(), end))
        self.branches.append(nn.Conv2d(channels, width, 1, (stride, 1)))
        self.transform = nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(), nn.Conv2d(channels, channels, 1))
        self.bn = nn.BatchNorm2d(channels)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.cat([branch(x) for branch in self.branches], 1)
        return self.drop(self.bn(self.transform(y)))
