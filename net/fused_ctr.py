"""CTR-GCN for inference only, as net/fused.py has the others; and its graph convolution, which training shares.

    fused = model.eval().fuse()                 # or fuse(torch.bfloat16)
    logits = fused(x)                           # float32 clips in, float32 logits out

What is folded, exactly: a batch norm after a convolution into its weights; that of the graph convolution into the weights from
which the topology is made, alpha with it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from net.fused import FusedNetwork, add_residual, batch_norm_affine, fold, register_constant


def channel_graph_conv(
    x: Tensor,
    A: Tensor,
    compare: Tensor,
    compare_bias: Tensor,
    project: Tensor,
    project_bias: Tensor,
    refine: Tensor,
) -> Tensor:
    """Channel-wise topology refinement graph convolution (section 3.3 of Chen et al., ICCV 2021), summed over the K subsets.

    For each clip, subset k and channel c, joint v feeds joint u with the weight
    refine . [tanh(phi_u - psi_v), A_uv, 1], where phi and psi are R features of a joint, of the mean over the frames of x.

    Args:
        A: (K, V, V), index [k, u, v].
        compare, compare_bias: (2 * K * R, C), (2 * K * R), of phi of all subsets, then of psi.
        project, project_bias: (K * C', C, 1, 1), (K * C'), of what is summed over the neighbours.
        refine: (K, C', R + 2), the last two of A and a bias.

    Shape:
        x (B, C, T, V), channels last -> (B, C', T, V), channels last.
    """
    B, C, T, V = x.shape
    K = len(A)
    mean = x.permute(0, 2, 3, 1).flatten(2).mean(1).view(B, V, C)  # over rows that are contiguous: a tenth of x.mean(2)
    phi, psi = F.linear(mean, compare, compare_bias).unflatten(2, (2, K, -1)).permute(2, 3, 0, 4, 1)  # (K, B, R, V)
    pair = torch.tanh(phi[..., None, :] - psi[..., :, None]).flatten(3)  # (K, B, R, V*V), index v * V + u
    shared = A.mT.reshape(K, 1, 1, V * V).to(pair.dtype).expand(-1, B, -1, -1)
    pair = torch.cat([pair, shared, torch.ones_like(shared)], 2)  # (K, B, R+2, V*V)
    topology = (refine[:, None] @ pair).view(K, -1, V, V)  # (K, B*C', V, V), index v, u

    # As B * T pictures of one row: for fewer than 16 on a single thread torch leaves oneDNN for a slower product.
    x = x.permute(0, 2, 3, 1).reshape(B * T, 1, V, C).permute(0, 3, 1, 2)  # (B*T, C, 1, V), channels last
    x = F.conv2d(x, project, project_bias).permute(0, 2, 3, 1).reshape(B, T, V, K, -1)
    x = x.permute(3, 0, 4, 1, 2).contiguous()  # (K, B, C', T, V)
    y = (x.flatten(1, 2) @ topology).sum(0)  # (B*C', T, V)
    return y.view(B, -1, T, V).permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)


def check_persons(x: Tensor, num_person: int) -> None:
    """ValueError where clips (N, C, T, V, M) have another number of persons than the batch norm of the input."""
    if x.shape[4] != num_person:
        raise ValueError(f"the clips have {x.shape[4]} persons, but the model's argument num_person is {num_person}")


class FusedCTRGCN(FusedNetwork):
    """`net.ctr_gcn.Model` folded; see FusedNetwork."""

    def __init__(self, model: nn.Module, dtype: torch.dtype = torch.float32):
        super().__init__(model, dtype)
        self.num_person = model.num_person

    def normalise(self, x: Tensor) -> Tensor:
        check_persons(x, self.num_person)
        return super().normalise(x)

    @staticmethod
    def fold_blocks(model: nn.Module, dtype: torch.dtype) -> list[nn.Module]:
        return [FusedCTRBlock(block, dtype) for block in model.blocks]

    @staticmethod
    def last_layer(model: nn.Module) -> nn.Module:
        return model.fc


class FusedCTRBlock(nn.Module):
    """`net.ctr_gcn.Block` with constants in place of parameters.

    Shape:
        x (B, C, T, V), channels last -> (B, C', ceil(T / stride), V).
    """

    def __init__(self, block: nn.Module, dtype: torch.dtype):
        super().__init__()
        gcn = block.gcn1
        scale, shift = batch_norm_affine(gcn.bn)  # (C')
        *weights, refine = gcn.stacked()
        for name, value in zip(("A", "compare", "compare_bias", "project", "project_bias"), weights):
            register_constant(self, name, value, dtype)
        register_constant(self, "refine", refine * scale[:, None], dtype)
        down_W, down_bias = (None, 0) if isinstance(gcn.down, nn.Identity) else fold(*gcn.down)
        register_constant(self, "down_W", down_W, dtype)
        register_constant(self, "gcn_bias", (shift + down_bias).view(-1, 1, 1), dtype)

        *dilated, pooled, single = block.tcn1.branches
        self.width, self.stride = gcn.bn.num_features, single[0].stride
        self.widths = [branch[0].out_channels for branch in (*dilated, pooled)]
        reduce = [fold(*branch[:2]) for branch in (*dilated, pooled)]
        for name, parts in zip(("reduce_W", "reduce_bias"), zip(*reduce)):
            register_constant(self, name, torch.cat(parts), dtype)
        self.dilations = [branch[3].conv.dilation for branch in dilated]
        self.paddings = [branch[3].conv.padding for branch in dilated]
        for i, branch in enumerate(dilated):
            conv_W, conv_bias = fold(branch[3].conv, branch[3].bn)
            register_constant(self, f"conv{i}_W", conv_W, dtype)
            register_constant(self, f"conv{i}_bias", conv_bias, dtype)
        for name, value in zip(("pool_scale", "pool_shift"), batch_norm_affine(pooled[4])):
            register_constant(self, name, value.view(-1, 1, 1), dtype)
        for name, value in zip(("single_W", "single_bias"), fold(*single)):
            register_constant(self, name, value, dtype)

        self.residual = block.residual is not None
        residual_W, residual_bias = None, torch.zeros_like(shift)
        if self.residual and not isinstance(block.residual, nn.Identity):
            residual_W, residual_bias = fold(block.residual.conv, block.residual.bn)
        register_constant(self, "residual_W", residual_W, dtype)
        register_constant(self, "residual_bias", residual_bias.view(-1, 1, 1), dtype)

    def forward(self, x: Tensor) -> Tensor:
        y = self.temporal(self.spatial(x)).add_(self.residual_bias)
        return add_residual(self, y, x).relu_()

    def spatial(self, x: Tensor) -> Tensor:
        y = channel_graph_conv(
            x, self.A, self.compare, self.compare_bias, self.project, self.project_bias, self.refine
        ).add_(self.gcn_bias)
        return y.add_(x if self.down_W is None else F.conv2d(x, self.down_W)).relu_()

    def temporal(self, x: Tensor) -> Tensor:
        *parts, pooled = F.conv2d(x, self.reduce_W, self.reduce_bias).relu_().split(self.widths, 1)
        ends = []
        for i, (part, padding, dilation) in enumerate(zip(parts, self.paddings, self.dilations)):
            W, bias = getattr(self, f"conv{i}_W"), getattr(self, f"conv{i}_bias")
            ends.append(F.conv2d(part, W, bias, self.stride, padding, dilation))
        pooled = F.max_pool2d(pooled, (3, 1), self.stride, (1, 0))
        ends.append(torch.addcmul(self.pool_shift, pooled, self.pool_scale))
        ends.append(F.conv2d(x, self.single_W, self.single_bias, self.stride))
        return torch.cat(ends, 1)
