"""ST-GCN++ (Duan, Wang, Chen, Lin: PYSKL, ACM Multimedia 2022): ST-GCN with a learned graph and six temporal scales.

    model = Model(in_channels=3, num_class=60, graph_args={"layout": "ntu-rgb+d", "strategy": "spatial"})
    logits = model(x)           # (N, C, T, V, M) -> (N, num_class)
    fast = model.fuse()         # the same function for inference only, batch norms folded; see net/fused.py
    stream = model.stream()     # the same frame by frame; see net/streaming.py

What differs from net/st_gcn.py, block by block: the adjacency is a parameter of its own, which the skeleton only
initialises; a shortcut around the graph convolution; in place of one temporal convolution of kernel 9, six narrow
branches side by side, 1.4 instead of 3.1 million parameters. Checkpoints of PYSKL and MMAction2 are brought here by
tools/convert_weights.py.

Inside, a batch is (B, C, T, V) with B = N * M, in channels-last memory, as in net/st_gcn.py.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from net.dropout import Dropout
from net.fused import FusedSTGCNPP
from net.graph import Graph
from net.pool import mean_over_persons
from net.st_gcn import BLOCKS, SpatialGraphConv, check_blocks
from net.streaming import Streaming

DILATIONS = (1, 2, 3, 4)  # of the branches that convolve over time
BRANCHES = len(DILATIONS) + 2  # and one that takes the maximum, one that looks at a single frame


class Model(nn.Module):
    """ST-GCN++.

    Args:
        in_channels: C of the clips.
        num_class: number of classes.
        graph_args: arguments of `net.graph.Graph`: layout, strategy, max_hop, dilation.
        dropout: probability, after each temporal unit but the first.
        blocks: [channels, stride] of each block, 6 channels or more; default the ten of ST-GCN.
        masked_pool: average over the persons who appear in a clip, leaving out the empty rows; the original counts them in.

    Shape:
        x (N, C, T, V, M) -> logits (N, num_class); any T, M >= 1, V that of the layout.
    """

    def __init__(
        self,
        in_channels: int,
        num_class: int,
        graph_args: dict,
        dropout: float = 0.0,
        blocks: Sequence[Sequence[int]] | None = None,
        masked_pool: bool = False,
    ):
        super().__init__()
        blocks = BLOCKS if blocks is None else check_blocks(blocks)
        for i, (width, _) in enumerate(blocks):
            if width < BRANCHES:
                raise ValueError(f"blocks[{i}] needs a channel for each of {BRANCHES} branches; found {width} channels")

        self.masked_pool = masked_pool
        self.graph = Graph(**graph_args)
        A = torch.tensor(self.graph.A)  # (K, V, V)
        self.data_bn = nn.BatchNorm1d(A.shape[1] * in_channels)  # index v * C + c
        self.blocks = nn.ModuleList()
        channels = in_channels
        for i, (width, stride) in enumerate(blocks):
            first = i == 0
            self.blocks.append(Block(channels, width, A, stride, 0.0 if first else dropout, residual=not first))
            channels = width
        self.fcn = nn.Linear(channels, num_class)
        nn.init.normal_(self.fcn.weight, 0.0, 0.01)  # convolutions as torch initialises them: a batch norm follows each
        nn.init.zeros_(self.fcn.bias)

    def forward(self, x: Tensor) -> Tensor:
        person = self.features(x).mean((2, 3)).unflatten(0, (x.shape[0], -1))  # (N, M, C')
        x = mean_over_persons(person, x, self.masked_pool)  # (N, C')
        return self.fcn(x)  # (N, num_class)

    def extract_feature(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Class scores and features of every frame, joint and person, before any mean.

        Shape:
            x (N, C, T, V, M) -> output (N, num_class, T', V, M), feature (N, C', T', V, M); T' = ceil(T / 4) by default.
        """
        N = x.shape[0]
        x = self.features(x).permute(0, 2, 3, 1)  # (N*M, T', V, C')
        output, feature = (y.unflatten(0, (N, -1)).permute(0, 4, 2, 3, 1) for y in (self.fcn(x), x))
        return output, feature

    def features(self, x: Tensor) -> Tensor:
        """The clip normalised and passed through all blocks: (N, C, T, V, M) -> (N*M, C', T', V)."""
        N, C, T, V, M = x.shape
        x = x.permute(0, 4, 2, 3, 1).reshape(N * M * T, V * C)
        x = self.data_bn(x).view(N * M, T, V, C).permute(0, 3, 1, 2)  # (B, C, T, V), channels last
        for block in self.blocks:
            x = block(x)
        return x

    def fuse(self, dtype: torch.dtype = torch.float32) -> FusedSTGCNPP:
        """A new module with this network's present weights, for inference only: see net/fused.py."""
        return FusedSTGCNPP(self, dtype)

    def stream(self, dtype: torch.dtype = torch.float32, window: int = 64) -> Streaming:
        """The same, fed frame by frame, with predictions over the last `window` frames: see net/streaming.py."""
        return Streaming(self.fuse(dtype), window)


class Block(nn.Module):
    """One spatial-temporal unit: ReLU(tcn(gcn(x)) + residual(x)).

    Shape:
        x (B, C, T, V) -> (B, C', ceil(T / stride), V).
    """

    def __init__(self, in_channels: int, out_channels: int, A: Tensor, stride: int, dropout: float, residual: bool):
        super().__init__()
        self.gcn = SpatialUnit(in_channels, out_channels, A)
        self.tcn = TemporalUnit(out_channels, stride, dropout)
        if not residual:
            self.residual = None
        elif in_channels == out_channels and stride == 1:
            self.residual = nn.Identity()
        else:
            self.residual = conv_bn(in_channels, out_channels, stride)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.tcn(self.gcn(x))
        if self.residual is not None:
            y = y + self.residual(x)
        return self.relu(y)


class SpatialUnit(SpatialGraphConv):
    """ReLU(BN(sum over k of A_k^T (X W_k + b_k)) + shortcut(X)), A learned.

    Args:
        in_channels, out_channels: C and C'.
        A: (K, V, V), what the adjacency is before training.

    Shape:
        x (B, C, T, V) -> (B, C', T, V).
    """

    def __init__(self, in_channels: int, out_channels: int, A: Tensor):
        super().__init__(in_channels, out_channels, subsets=A.shape[0])
        self.A = nn.Parameter(A.clone())
        self.bn = nn.BatchNorm2d(out_channels)
        self.shortcut = nn.Identity() if in_channels == out_channels else conv_bn(in_channels, out_channels)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.bn(super().forward(x, self.A)) + self.shortcut(x))


class TemporalUnit(nn.Module):
    """Six branches over time, each a sixth of the channels (the first takes what is left over), and their mixture.

    Every branch first reduces the width. Four then convolve three frames that lie 1, 2, 3, 4 apart, one takes the
    maximum of three neighbours, one leaves it at that.

    Shape:
        x (B, C, T, V) -> (B, C, ceil(T / stride), V).
    """

    def __init__(self, channels: int, stride: int, dropout: float):
        super().__init__()
        width = channels // BRANCHES
        first = channels - width * (BRANCHES - 1)
        self.branches = nn.ModuleList()
        for dilation in DILATIONS:
            out = first if dilation == 1 else width
            conv = nn.Conv2d(out, out, (3, 1), (stride, 1), (dilation, 0), (dilation, 1))
            self.branches.append(named(reduce=nn.Conv2d(channels, out, 1), **norm_relu(out), conv=conv))
        pool = nn.MaxPool2d((3, 1), (stride, 1), (1, 0))
        self.branches.append(named(reduce=nn.Conv2d(channels, width, 1), **norm_relu(width), pool=pool))
        self.branches.append(nn.Conv2d(channels, width, 1, (stride, 1)))
        self.merge = named(**norm_relu(channels), conv=nn.Conv2d(channels, channels, 1))
        self.bn = nn.BatchNorm2d(channels)
        self.dropout = Dropout(dropout, inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([branch(x) for branch in self.branches], 1)
        return self.dropout(self.bn(self.merge(x)))


def named(**modules: nn.Module) -> nn.Sequential:
    """A sequence whose members are called by name in the state dict."""
    return nn.Sequential(OrderedDict(modules))


def norm_relu(channels: int) -> dict[str, nn.Module]:
    return {"bn": nn.BatchNorm2d(channels), "relu": nn.ReLU(inplace=True)}


def conv_bn(in_channels: int, out_channels: int, stride: int = 1) -> nn.Sequential:
    return named(conv=nn.Conv2d(in_channels, out_channels, 1, (stride, 1)), bn=nn.BatchNorm2d(out_channels))
