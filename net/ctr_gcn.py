"""CTR-GCN (Chen, Zhang, Yuan, Li, Deng, Hu: ICCV 2021): a graph of its own for every channel and every clip.

    model = Model(in_channels=3, num_class=60, graph_args={"layout": "ntu-rgb+d", "strategy": "directed"}, num_person=2)
    logits = model(x)           # (N, C, T, V, M) -> (N, num_class)
    fast = model.fuse()         # the same function for inference only, batch norms folded; see net/fused_ctr.py

What differs from net/st_gcn.py, block by block: each subset's adjacency, a parameter that the skeleton only initialises, is
refined for each channel by how the joints of this clip differ from each other, in the mean over its frames (section 3.3 of
the paper); in place of one temporal convolution four narrow branches. There is no form that is fed frame by frame: the
refinement needs all frames.

Parameter names are those of the authors' release, whose checkpoints load strictly. As there, the batch norm of the input
knows every person's joints apart, so a network is made for a number of persons.

Inside, a batch is (B, C, T, V) with B = N * M, in channels-last memory, as in net/st_gcn.py; only the sum over the neighbours
is done in contiguous memory, where it is one small matrix product for each clip and channel.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from net.dropout import Dropout
from net.fused_ctr import FusedCTRGCN, channel_graph_conv, check_persons
from net.graph import Graph
from net.pool import mean_over_persons
from net.st_gcn import BLOCKS, check_blocks

KERNEL, DILATIONS = 5, (1, 2)  # of the branches that convolve over time
BRANCHES = len(DILATIONS) + 2  # and one that takes the maximum, one that looks at a single frame
REDUCTION = 8  # C / R: how much narrower the features are in which two joints are compared


class Model(nn.Module):
    """CTR-GCN.

    Args:
        in_channels: C of the clips.
        num_class: number of classes.
        graph_args: arguments of `net.graph.Graph`; the release has strategy: directed.
        num_person: M of the clips.
        dropout: probability, before the classes.
        blocks: [channels, stride] of each block, channels a multiple of 4; default the ten of the release.
        masked_pool: average over the persons who appear in a clip, leaving out the empty rows; the release counts them in.

    Shape:
        x (N, C, T, V, M) -> logits (N, num_class); any T, M = num_person, V that of the layout.
    """

    def __init__(
        self,
        in_channels: int,
        num_class: int,
        graph_args: dict,
        num_person: int,
        dropout: float = 0.0,
        blocks: Sequence[Sequence[int]] | None = None,
        masked_pool: bool = False,
    ):
        super().__init__()
        blocks = BLOCKS if blocks is None else check_blocks(blocks)
        for i, (width, _) in enumerate(blocks):
            if width % BRANCHES:
                raise ValueError(
                    f"blocks[{i}] needs as many channels for each of {BRANCHES} branches; found {width} channels"
                )

        self.num_person, self.masked_pool = num_person, masked_pool
        self.graph = Graph(**graph_args)
        A = torch.tensor(self.graph.A)  # (K, V, V)
        self.data_bn = nn.BatchNorm1d(num_person * A.shape[1] * in_channels)  # index (m * V + v) * C + c
        channels = in_channels
        for i, (width, stride) in enumerate(blocks):
            setattr(self, f"l{i + 1}", Block(channels, width, A, stride, residual=i > 0))
            channels = width
        self.num_block = len(blocks)
        self.drop_out = Dropout(dropout)
        self.fc = nn.Linear(channels, num_class)
        nn.init.normal_(self.fc.weight, 0.0, math.sqrt(2 / num_class))

    @property
    def blocks(self) -> list[Block]:
        return [getattr(self, f"l{i + 1}") for i in range(self.num_block)]

    def forward(self, x: Tensor) -> Tensor:
        person = self.features(x).mean((2, 3)).unflatten(0, (x.shape[0], -1))  # (N, M, C')
        x = mean_over_persons(person, x, self.masked_pool)  # (N, C')
        return self.fc(self.drop_out(x))  # (N, num_class)

    def extract_feature(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Class scores and features of every frame, joint and person, before any mean.

        Shape:
            x (N, C, T, V, M) -> output (N, num_class, T', V, M), feature (N, C', T', V, M); T' = ceil(T / 4) by default.
        """
        N = x.shape[0]
        x = self.features(x).permute(0, 2, 3, 1)  # (N*M, T', V, C')
        output, feature = (y.unflatten(0, (N, -1)).permute(0, 4, 2, 3, 1) for y in (self.fc(x), x))
        return output, feature

    def features(self, x: Tensor) -> Tensor:
        """The clip normalised and passed through all blocks: (N, C, T, V, M) -> (N*M, C', T', V)."""
        N, C, T, V, M = x.shape
        check_persons(x, self.num_person)
        x = x.permute(0, 2, 4, 3, 1).reshape(N * T, M * V * C)
        x = self.data_bn(x).view(N, T, M, V, C).transpose(1, 2).reshape(N * M, T, V, C)
        x = x.permute(0, 3, 1, 2)  # (B, C, T, V), channels last
        for block in self.blocks:
            x = block(x)
        return x

    def fuse(self, dtype: torch.dtype = torch.float32) -> FusedCTRGCN:
        """A new module with this network's present weights, for inference only: see net/fused_ctr.py."""
        return FusedCTRGCN(self, dtype)


class Block(nn.Module):
    """One spatial-temporal unit: ReLU(tcn1(gcn1(x)) + residual(x)).

    Shape:
        x (B, C, T, V) -> (B, C', ceil(T / stride), V).
    """

    def __init__(self, in_channels: int, out_channels: int, A: Tensor, stride: int, residual: bool):
        super().__init__()
        self.gcn1 = SpatialUnit(in_channels, out_channels, A)
        self.tcn1 = TemporalUnit(out_channels, stride)
        if not residual:
            self.residual = None
        elif in_channels == out_channels and stride == 1:
            self.residual = nn.Identity()
        else:
            self.residual = ConvNorm(in_channels, out_channels, 1, stride)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.tcn1(self.gcn1(x))
        if self.residual is not None:
            y = y + self.residual(x)
        return self.relu(y)


class SpatialUnit(nn.Module):
    """ReLU(BN(sum over the subsets k of their channel-wise graph convolutions) + down(X)).

    Args:
        in_channels, out_channels: C and C'.
        A: (K, V, V), what the shared adjacency is before training; A[k, v, w] is how joint v feeds joint w.

    Shape:
        x (B, C, T, V) -> (B, C', T, V).
    """

    def __init__(self, in_channels: int, out_channels: int, A: Tensor):
        super().__init__()
        self.convs = nn.ModuleList(ChannelGraphConv(in_channels, out_channels) for _ in A)
        self.PA = nn.Parameter(A.transpose(1, 2).clone())  # as in the release: [k, u, v] is how joint v feeds joint u
        self.alpha = nn.Parameter(torch.zeros(1))  # strength of the refinement: none before training
        self.bn = nn.BatchNorm2d(out_channels)
        if in_channels == out_channels:
            self.down = nn.Identity()
        else:
            self.down = nn.Sequential(nn.Conv2d(in_channels, out_channels, 1), nn.BatchNorm2d(out_channels))
            init_conv(self.down[0])
        self.relu = nn.ReLU(inplace=True)
        nn.init.constant_(self.bn.weight, 1e-6)  # a block begins as its shortcuts

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.bn(channel_graph_conv(x, *self.stacked())) + self.down(x))

    def stacked(self) -> tuple[Tensor, ...]:
        """The weights of all subsets side by side, as `channel_graph_conv` takes them; PA and a bias are two more features."""
        convs = self.convs
        compare = torch.cat([conv.conv1.weight for conv in convs] + [conv.conv2.weight for conv in convs]).flatten(1)
        compare_bias = torch.cat([conv.conv1.bias for conv in convs] + [conv.conv2.bias for conv in convs])
        project = torch.cat([conv.conv3.weight for conv in convs])
        project_bias = torch.cat([conv.conv3.bias for conv in convs])
        refine = torch.stack([conv.conv4.weight for conv in convs]).flatten(2) * self.alpha  # (K, C', R)
        bias = torch.stack([conv.conv4.bias for conv in convs])[:, :, None] * self.alpha
        refine = torch.cat([refine, torch.ones_like(bias), bias], 2)
        return self.PA, compare, compare_bias, project, project_bias, refine


class ChannelGraphConv(nn.Module):
    """One subset's channel-wise topology refinement graph convolution (CTR-GC, section 3.3 of the paper): its parameters.

    conv1 and conv2 are phi and psi, which make the R features in which joints are compared; conv3 projects what is summed over
    the neighbours; conv4 leads from the R features of a pair of joints to its weight in each of the C' channels.
    """

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        features = REDUCTION if in_channels in (3, 9) or in_channels < REDUCTION else in_channels // REDUCTION
        self.conv1 = nn.Conv2d(in_channels, features, 1)
        self.conv2 = nn.Conv2d(in_channels, features, 1)
        self.conv3 = nn.Conv2d(in_channels, out_channels, 1)
        self.conv4 = nn.Conv2d(features, out_channels, 1)
        for conv in (self.conv1, self.conv2, self.conv3, self.conv4):
            init_conv(conv)


class TemporalUnit(nn.Module):
    """Four branches over time, each a quarter of the channels, side by side.

    Every branch first reduces the width. Two then convolve five frames that lie 1 and 2 apart, one takes the maximum of
    three neighbours, one leaves it at that.

    Shape:
        x (B, C, T, V) -> (B, C, ceil(T / stride), V).
    """

    def __init__(self, channels: int, stride: int):
        super().__init__()
        width = channels // BRANCHES
        self.branches = nn.ModuleList(
            nn.Sequential(*reduced(channels, width), ConvNorm(width, width, KERNEL, stride, dilation))
            for dilation in DILATIONS
        )
        pool = nn.MaxPool2d((3, 1), (stride, 1), (1, 0))
        self.branches.append(nn.Sequential(*reduced(channels, width), pool, nn.BatchNorm2d(width)))
        self.branches.append(nn.Sequential(nn.Conv2d(channels, width, 1, (stride, 1)), nn.BatchNorm2d(width)))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                init_conv(module)
            elif isinstance(module, nn.BatchNorm2d):
                nn.init.normal_(module.weight, 1.0, 0.02)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.branches], 1)


class ConvNorm(nn.Module):
    """A convolution over time and its batch norm."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int, dilation: int = 1):
        super().__init__()
        padding = (kernel - 1) * dilation // 2
        self.conv = nn.Conv2d(in_channels, out_channels, (kernel, 1), (stride, 1), (padding, 0), (dilation, 1))
        self.bn = nn.BatchNorm2d(out_channels)
        init_conv(self.conv)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.conv(x))


def reduced(channels: int, width: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(channels, width, 1), nn.BatchNorm2d(width), nn.ReLU(inplace=True)


def init_conv(conv: nn.Conv2d) -> None:
    nn.init.kaiming_normal_(conv.weight, mode="fan_out")
    nn.init.zeros_(conv.bias)
