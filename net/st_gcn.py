"""Spatial Temporal Graph Convolutional Networks (Yan, Xiong, Lin, AAAI 2018).

    model = Model(in_channels=3, num_class=400, graph_args={"layout": "openpose", "strategy": "spatial"})
    logits = model(x)           # (N, C, T, V, M) -> (N, num_class)
    fast = model.fuse()         # the same function for inference only, batch norms folded; see net/fused.py
    stream = model.stream()     # the same frame by frame; see net/streaming.py

Data flow: clip -> batch norm of every joint's channels -> ten blocks of [graph convolution over V, temporal
convolution over T] -> mean over T, V and persons -> classes. Parameter names are those of the original, whose
checkpoints load strictly.

Inside, a batch is (B, C, T, V) with B = N * M, in channels-last memory, that is (B, T, V, C): all C numbers of a joint
lie side by side, so that every convolution is a matrix product without rearranging.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from net.dropout import Dropout
from net.fused import FusedSTGCN
from net.graph import Graph
from net.pool import mean_over_persons
from net.streaming import Streaming
from net.temporal import TemporalConv
from torchlight.errors import short

# [channels, temporal stride] of each block, section 4 of the paper
BLOCKS = ((64, 1), (64, 1), (64, 1), (64, 1), (128, 2), (128, 1), (128, 1), (256, 2), (256, 1), (256, 1))


class Model(nn.Module):
    """ST-GCN.

    Args:
        in_channels: C of the clips.
        num_class: number of classes.
        graph_args: arguments of `net.graph.Graph`: layout, strategy, max_hop, dilation.
        edge_importance_weighting: learn a weight for every edge in every block (M of the paper, section 3.4).
        dropout: probability, after each temporal convolution but the first.
        temporal_kernel_size: frames that a temporal convolution sees; odd.
        blocks: [channels, stride] of each block; default the ten of the paper.
        masked_pool: average over the persons who appear in a clip, leaving out the empty rows; the original counts them in.

    Shape:
        x (N, C, T, V, M) -> logits (N, num_class); any T, M >= 1, V that of the layout.
    """

    def __init__(
        self,
        in_channels: int,
        num_class: int,
        graph_args: dict,
        edge_importance_weighting: bool = True,
        dropout: float = 0.0,
        temporal_kernel_size: int = 9,
        blocks: Sequence[Sequence[int]] | None = None,
        masked_pool: bool = False,
    ):
        super().__init__()
        blocks = BLOCKS if blocks is None else check_blocks(blocks)
        if temporal_kernel_size % 2 != 1:
            raise ValueError(f"temporal_kernel_size must be odd; found {temporal_kernel_size}")

        self.masked_pool = masked_pool
        self.graph = Graph(**graph_args)
        self.register_buffer("A", torch.tensor(self.graph.A))  # (K, V, V)
        K, V, _ = self.A.shape
        self.data_bn = nn.BatchNorm1d(V * in_channels)  # index v * C + c

        self.st_gcn_networks = nn.ModuleList()
        channels = in_channels
        for i, (width, stride) in enumerate(blocks):
            first = i == 0
            self.st_gcn_networks.append(
                Block(channels, width, K, temporal_kernel_size, stride, 0.0 if first else dropout, residual=not first)
            )
            channels = width

        if edge_importance_weighting:
            self.edge_importance = nn.ParameterList(torch.ones(K, V, V) for _ in blocks)
        else:
            self.edge_importance = [1.0] * len(blocks)

        self.fcn = nn.Conv2d(channels, num_class, 1)
        self.apply(init_weights)

    def forward(self, x: Tensor) -> Tensor:
        person = self.features(x).mean((2, 3)).unflatten(0, (x.shape[0], -1))  # (N, M, C')
        x = mean_over_persons(person, x, self.masked_pool)  # (N, C')
        return self.fcn(x[:, :, None, None]).flatten(1)  # (N, num_class)

    def extract_feature(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Class scores and features of every frame, joint and person, before any mean.

        Shape:
            x (N, C, T, V, M) -> output (N, num_class, T', V, M), feature (N, C', T', V, M); T' = ceil(T / 4) by default.
        """
        N = x.shape[0]
        x = self.features(x)
        output, feature = (y.unflatten(0, (N, -1)).permute(0, 2, 3, 4, 1) for y in (self.fcn(x), x))
        return output, feature

    def features(self, x: Tensor) -> Tensor:
        """The clip normalised and passed through all blocks: (N, C, T, V, M) -> (N*M, C', T', V)."""
        N, C, T, V, M = x.shape
        x = x.permute(0, 4, 2, 3, 1).reshape(N * M * T, V * C)
        x = self.data_bn(x).view(N * M, T, V, C).permute(0, 3, 1, 2)  # (B, C, T, V), channels last
        for block, importance in zip(self.st_gcn_networks, self.edge_importance):
            x = block(x, self.A * importance)
        return x

    def fuse(self, dtype: torch.dtype = torch.float32) -> FusedSTGCN:
        """A new module with this network's present weights, for inference only: see net/fused.py."""
        return FusedSTGCN(self, dtype)

    def stream(self, dtype: torch.dtype = torch.float32, window: int = 64) -> Streaming:
        """The same, fed frame by frame, with predictions over the last `window` frames: see net/streaming.py."""
        return Streaming(self.fuse(dtype), window)


class Block(nn.Module):
    """One spatial-temporal unit: ReLU(tcn(gcn(x)) + residual(x)).

    Shape:
        x (B, C, T, V), A (K, V, V) -> (B, C', ceil(T / stride), V).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        subsets: int,
        kernel: int,
        stride: int,
        dropout: float,
        residual: bool,
    ):
        super().__init__()
        self.gcn = SpatialGraphConv(in_channels, out_channels, subsets)
        self.tcn = nn.Sequential(
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
            TemporalConv(out_channels, out_channels, kernel, stride),
            nn.BatchNorm2d(out_channels),
            Dropout(dropout, inplace=True),
        )
        if not residual:
            self.residual = None
        elif in_channels == out_channels and stride == 1:
            self.residual = nn.Identity()
        else:
            self.residual = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, (stride, 1)), nn.BatchNorm2d(out_channels)
            )
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor, A: Tensor) -> Tensor:
        y = self.tcn(self.gcn(x, A))
        if self.residual is not None:
            y = y + self.residual(x)
        return self.relu(y)


class SpatialGraphConv(nn.Module):
    """Sum over the K subsets of A_k^T (X W_k + b_k): equation 10 of the paper, A_k including the edge importance.

    The neighbours are gathered before the projection, A (X W) = (A X) W: the K-fold wider tensor of the projection
    first is made of C instead of C' channels, and the sum over k becomes part of one matrix product. The bias, which
    the gathering would have spread, is a constant of each joint.

    Args:
        in_channels, out_channels: C and C'.
        subsets: K, the first dimension of A.

    Shape:
        x (B, C, T, V), A (K, V, V) -> (B, C', T, V); B is N * M.
    """

    def __init__(self, in_channels: int, out_channels: int, subsets: int):
        super().__init__()
        self.subsets = subsets
        self.conv = nn.Conv2d(in_channels, out_channels * subsets, 1)  # holds W and b, output channel k * C' + c'

    def forward(self, x: Tensor, A: Tensor) -> Tensor:
        B, C, T, V = x.shape
        K = self.subsets
        gather = A.permute(2, 0, 1).reshape(1, V * K, V)  # row w * K + k
        x = x.permute(0, 2, 3, 1).reshape(B * T, V, C)
        x = gather.expand(B * T, -1, -1).bmm(x)  # (B*T, V*K, C)
        x = x.view(B, T, V, K * C).permute(0, 3, 1, 2)  # (B, K*C, T, V), channels last

        W = self.conv.weight.view(K, -1, C).transpose(0, 1).reshape(-1, K * C, 1, 1)
        bias = A.sum(1).T @ self.conv.bias.view(K, -1)  # (V, C')
        return F.conv2d(x, W) + bias.T[:, None]  # (B, C', T, V)


def check_blocks(blocks: Sequence[Sequence[int]]) -> list[tuple[int, int]]:
    """[[channels, stride], ...] as tuples; ValueError says which entry is not two whole numbers from 1."""
    if not isinstance(blocks, (list, tuple)) or len(blocks) == 0:
        raise ValueError(f"blocks must be a list of at least one [channels, stride]; found {short(blocks)}")
    for i, block in enumerate(blocks):
        if not (
            isinstance(block, (list, tuple)) and len(block) == 2 and all(isinstance(n, int) and n > 0 for n in block)
        ):
            raise ValueError(f"blocks[{i}] must be [channels, stride], two whole numbers from 1; found {short(block)}")
    return [(channels, stride) for channels, stride in blocks]


def init_weights(module: nn.Module) -> None:
    """Convolutions N(0, 0.02), batch norms N(1, 0.02), biases 0, as the original trains."""
    if isinstance(module, (nn.Conv1d, nn.Conv2d)):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
        nn.init.normal_(module.weight, 1.0, 0.02)
    else:
        return
    nn.init.zeros_(module.bias)
