"""ST-GCN in the plain formulation, after the paper and nothing else: what the fast one must equal, and the 1 of every
ratio in the benchmark.

Activations are (B, C, T, V) in ordinary memory order; the graph convolution projects to K * C' channels, then sums
over neighbours with einsum; nothing is folded. It imports nothing of the project and loads the same state-dict.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

BLOCKS = ((64, 1), (64, 1), (64, 1), (64, 1), (128, 2), (128, 1), (128, 1), (256, 2), (256, 1), (256, 1))


class PlainSTGCN(nn.Module):
    def __init__(
        self,
        in_channels: int,
        num_class: int,
        A: Tensor,
        edge_importance_weighting: bool = True,
        dropout: float = 0.0,
        temporal_kernel_size: int = 9,
        blocks=BLOCKS,
    ):
        super().__init__()
        K, V, _ = A.shape
        self.register_buffer("A", A.clone())
        self.data_bn = nn.BatchNorm1d(V * in_channels)
        widths = [in_channels] + [width for width, _ in blocks]
        self.st_gcn_networks = nn.ModuleList(
            PlainBlock(widths[i], width, K, temporal_kernel_size, stride, dropout if i else 0.0, i > 0)
            for i, (width, stride) in enumerate(blocks)
        )
        self.edge_importance = nn.ParameterList(torch.ones(K, V, V) for _ in blocks if edge_importance_weighting)
        self.fcn = nn.Conv2d(widths[-1], num_class, 1)

    def features(self, x: Tensor) -> Tensor:
        N, C, T, V, M = x.shape
        x = x.permute(0, 4, 3, 1, 2).contiguous().view(N * M, V * C, T)
        x = self.data_bn(x).view(N, M, V, C, T)
        x = x.permute(0, 1, 3, 4, 2).contiguous().view(N * M, C, T, V)
        for i, block in enumerate(self.st_gcn_networks):
            x = block(x, self.A * self.edge_importance[i] if len(self.edge_importance) else self.A)
        return x

    def forward(self, x: Tensor) -> Tensor:
        N, M = x.shape[0], x.shape[4]
        x = self.features(x)
        x = x.mean((2, 3)).view(N, M, -1).mean(1)
        return self.fcn(x[:, :, None, None])[:, :, 0, 0]

    def extract_feature(self, x: Tensor) -> tuple[Tensor, Tensor]:
        N, M = x.shape[0], x.shape[4]
        x = self.features(x)
        _, C, T, V = x.shape
        feature = x.view(N, M, C, T, V).permute(0, 2, 3, 4, 1)
        output = self.fcn(x).view(N, M, -1, T, V).permute(0, 2, 3, 4, 1)
        return output, feature


class PlainBlock(nn.Module):
    def __init__(self, in_channels, out_channels, subsets, kernel, stride, dropout, residual):
        super().__init__()
        self.gcn = PlainGraphConv(in_channels, out_channels, subsets)
        self.tcn = nn.Sequential(
            nn.BatchNorm2d(out_channels),
            nn.ReLU(),
            nn.Conv2d(out_channels, out_channels, (kernel, 1), (stride, 1), ((kernel - 1) // 2, 0)),
            nn.BatchNorm2d(out_channels),
            nn.Dropout(dropout),
        )
        self.with_residual = residual
        if residual and (in_channels != out_channels or stride != 1):
            self.residual = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, (stride, 1)), nn.BatchNorm2d(out_channels)
            )

    def forward(self, x: Tensor, A: Tensor) -> Tensor:
        residual = 0
        if self.with_residual:
            residual = self.residual(x) if hasattr(self, "residual") else x
        return torch.relu(self.tcn(self.gcn(x, A)) + residual)


class PlainGraphConv(nn.Module):
    def __init__(self, in_channels, out_channels, subsets):
        super().__init__()
        self.subsets = subsets
        self.conv = nn.Conv2d(in_channels, out_channels * subsets, 1)

    def forward(self, x: Tensor, A: Tensor) -> Tensor:
        x = self.conv(x)
        B, KC, T, V = x.shape
        x = x.view(B, self.subsets, KC // self.subsets, T, V)
        return torch.einsum("nkctv,kvw->nctw", x, A).contiguous()
