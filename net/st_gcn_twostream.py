"""Two ST-GCNs, one on the joints and one on their motion; the scores are summed.

    model = Model(in_channels=3, num_class=60, graph_args={"layout": "ntu-rgb+d", "strategy": "spatial"})

What the original calls motion is how far a joint is from the middle of its places one frame before and one frame
after: the negative of half its acceleration.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from net import st_gcn


class TwoStream(nn.Module):
    """The sum of two networks, the second of which sees the motion.

    Args:
        origin_stream, motion_stream: modules (N, C, T, V, M) -> (N, num_class), with extract_feature and fuse.
    """

    def __init__(self, origin_stream: nn.Module, motion_stream: nn.Module):
        super().__init__()
        self.origin_stream = origin_stream
        self.motion_stream = motion_stream

    def forward(self, x: Tensor) -> Tensor:
        return self.origin_stream(x) + self.motion_stream(motion(x))

    def extract_feature(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Summed class scores and concatenated features of every frame, joint and person.

        Shape:
            x (N, C, T, V, M) -> output (N, num_class, T', V, M), feature (N, 2 * C', T', V, M).
        """
        output, feature = self.origin_stream.extract_feature(x)
        motion_output, motion_feature = self.motion_stream.extract_feature(motion(x))
        return output + motion_output, torch.cat([feature, motion_feature], 1)


class Model(TwoStream):
    """Two-stream ST-GCN; arguments and shapes are those of `net.st_gcn.Model`."""

    def __init__(
        self,
        in_channels: int,
        num_class: int,
        graph_args: dict,
        edge_importance_weighting: bool = True,
        dropout: float = 0.0,
        temporal_kernel_size: int = 9,
        blocks: Sequence[Sequence[int]] | None = None,
    ):
        args = (in_channels, num_class, graph_args, edge_importance_weighting, dropout, temporal_kernel_size, blocks)
        super().__init__(st_gcn.Model(*args), st_gcn.Model(*args))
        self.graph = self.origin_stream.graph

    def fuse(self, dtype: torch.dtype = torch.float32) -> TwoStream:
        """A new module with this network's present weights, for inference only: see net/fused.py."""
        return TwoStream(self.origin_stream.fuse(dtype), self.motion_stream.fuse(dtype))


def motion(x: Tensor) -> Tensor:
    """x[t] - (x[t - 1] + x[t + 1]) / 2 along T; zero in the first and the last frame. (N, C, T, V, M) -> the same."""
    m = torch.zeros_like(x)
    m[:, :, 1:-1] = x[:, :, 1:-1] - 0.5 * x[:, :, 2:] - 0.5 * x[:, :, :-2]
    return m
