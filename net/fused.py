"""The same functions for inference only: constants folded, and the batch taken tile by tile.

    fused = model.eval().fuse()                 # or fuse(torch.bfloat16)
    logits = fused(x)                           # float32 clips in, float32 logits out

What is folded, exactly: a batch norm after a convolution into its weights; the edge importance into A; the bias of the
graph convolution, gathered over the neighbours, with its batch norm into one constant for each joint. The batch norm
of the input stays a separate step in float32, for raw coordinates are too large for bfloat16.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from net.pool import mean_over_persons

TILE_BYTES = 4 << 20  # of one activation, on a CPU: a long batch then needs no more memory than a tile


class FusedNetwork(nn.Module):
    """A network of blocks folded: the same logits and features, no gradients. Made by `Model.fuse`.

    Args:
        model: the network; it is read, not changed.
        dtype: of the arithmetic between the input and the last mean, float32 or bfloat16.

    Shape:
        x (N, C, T, V, M) -> logits (N, num_class) float32.
    """

    def __init__(self, model: nn.Module, dtype: torch.dtype = torch.float32):
        super().__init__()
        self.dtype, self.masked_pool = dtype, model.masked_pool
        with torch.no_grad():
            scale, shift = batch_norm_affine(model.data_bn)  # (V * C), or (M * V * C) where it knows the persons apart
            self.register_buffer("scale", scale.clone())
            self.register_buffer("shift", shift.clone())
            self.blocks = nn.ModuleList(self.fold_blocks(model, dtype))
            classes = self.last_layer(model)
            self.register_buffer("class_weight", classes.weight.flatten(1).clone())  # (num_class, C')
            self.register_buffer("class_bias", classes.bias.clone())

    @staticmethod
    def fold_blocks(model: nn.Module, dtype: torch.dtype) -> list[nn.Module]:
        raise NotImplementedError

    @staticmethod
    def last_layer(model: nn.Module) -> nn.Module:
        return model.fcn

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        person = torch.cat([tile.mean((2, 3), dtype=self.scale.dtype) for tile in self.tiles(x)])  # (N*M, C')
        x = mean_over_persons(person.unflatten(0, (x.shape[0], -1)), x, self.masked_pool)  # (N, C')
        return F.linear(x, self.class_weight, self.class_bias)

    @torch.no_grad()
    def extract_feature(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """As `Model.extract_feature`: output (N, num_class, T', V, M), feature (N, C', T', V, M)."""
        N = x.shape[0]
        x = torch.cat([tile.to(self.scale.dtype) for tile in self.tiles(x)]).permute(0, 2, 3, 1)  # (N*M, T', V, C')
        output = F.linear(x, self.class_weight, self.class_bias)
        output, feature = (y.unflatten(0, (N, -1)).permute(0, 4, 2, 3, 1) for y in (output, x))
        return output, feature

    def tiles(self, x: Tensor):
        """The features (rows, C', T', V) of a few of the N * M skeleton sequences at a time."""
        x = self.normalise(x)
        for tile in self.split(x):
            for block in self.blocks:
                tile = block(tile)
            yield tile

    def normalise(self, x: Tensor) -> Tensor:
        """The batch norm of the input: (N, C, T, V, M) -> (B, C, T, V), channels last."""
        N, C, T, V, M = x.shape
        x = x.permute(0, 4, 2, 3, 1).reshape(N, M, T, V * C)
        scale, shift = (each.view(-1, 1, V * C) for each in (self.scale, self.shift))  # of each person, or of all alike
        x = torch.addcmul(shift, x, scale).to(self.dtype)
        return x.reshape(N * M, T, V, C).permute(0, 3, 1, 2)

    def split(self, x: Tensor) -> tuple[Tensor, ...]:
        _, _, T, V = x.shape
        if x.device.type != "cpu" or torch.compiler.is_compiling():  # an exported program has no loop over tiles
            return (x,)
        return x.split(max(1, TILE_BYTES // (T * V * self.blocks[0].width * x.element_size())))


class FusedSTGCN(FusedNetwork):
    """`net.st_gcn.Model` folded; see FusedNetwork."""

    @staticmethod
    def fold_blocks(model: nn.Module, dtype: torch.dtype) -> list[nn.Module]:
        return [
            FusedBlock(block, model.A * importance, dtype)
            for block, importance in zip(model.st_gcn_networks, model.edge_importance)
        ]


class FusedBlock(nn.Module):
    """`net.st_gcn.Block` with constants in place of parameters.

    Shape:
        x (B, C, T, V) -> (B, C', ceil(T / stride), V).
    """

    def __init__(self, block: nn.Module, A: Tensor, dtype: torch.dtype):
        super().__init__()
        K, V, _ = A.shape
        _, _, conv, bn_after, _ = block.tcn
        self.width, self.stride, self.padding = conv.out_channels, conv.stride, conv.padding

        scale, shift = batch_norm_affine(block.tcn[0])  # (C')
        W = block.gcn.conv.weight.view(K, self.width, -1)  # (K, C', C)
        W = (W * scale[:, None]).transpose(0, 1).reshape(self.width, -1, 1, 1)
        bias = A.sum(1).T @ block.gcn.conv.bias.view(K, -1)  # (V, C')
        bias = bias * scale + shift

        tcn_W, tcn_bias = fold(conv, bn_after)
        self.residual = block.residual is not None
        residual_W = None
        if isinstance(block.residual, nn.Sequential):
            residual_W, residual_bias = fold(*block.residual)
            tcn_bias = tcn_bias + residual_bias

        self.register_buffer("gather", A.permute(2, 0, 1).reshape(1, V * K, V).to(dtype))
        self.register_buffer("W", W.to(dtype))
        self.register_buffer("bias", bias.to(dtype).T[:, None])  # (C', 1, V), channels last as what it is added to
        self.register_buffer("tcn_W", tcn_W.to(dtype, memory_format=torch.channels_last))
        self.register_buffer("tcn_bias", tcn_bias.to(dtype))
        self.register_buffer("residual_W", None if residual_W is None else residual_W.to(dtype))

    def forward(self, x: Tensor) -> Tensor:
        y = F.conv2d(self.spatial(x), self.tcn_W, self.tcn_bias, self.stride, self.padding)
        return add_residual(self, y, x).relu_()

    def spatial(self, x: Tensor) -> Tensor:
        B, C, T, V = x.shape
        y = x.permute(0, 2, 3, 1).reshape(B * T, V, C)
        y = self.gather.expand(B * T, -1, -1).bmm(y)  # (B*T, V*K, C)
        # As B * T pictures of one row: for fewer than 16 on a single thread torch leaves oneDNN for a slower product.
        y = y.view(B * T, 1, V, -1).permute(0, 3, 1, 2)  # (B*T, K*C, 1, V), channels last
        y = F.conv2d(y, self.W).add_(self.bias).relu_()
        return y.permute(0, 2, 3, 1).reshape(B, T, V, -1).permute(0, 3, 1, 2)  # (B, C', T, V), channels last


class FusedSTGCNPP(FusedSTGCN):
    """`net.st_gcn_pp.Model` folded; see FusedNetwork."""

    @staticmethod
    def fold_blocks(model: nn.Module, dtype: torch.dtype) -> list[nn.Module]:
        return [FusedMultiBranchBlock(block, dtype) for block in model.blocks]


class FusedMultiBranchBlock(nn.Module):
    """`net.st_gcn_pp.Block` with constants in place of parameters.

    A projected shortcut of the spatial unit is one more subset, in which every joint feeds itself: part of the same
    matrix product. The batch norm after the six branches folds into those that end in a convolution.

    Shape:
        x (B, C, T, V) -> (B, C', ceil(T / stride), V).
    """

    def __init__(self, block: nn.Module, dtype: torch.dtype):
        super().__init__()
        gcn, tcn = block.gcn, block.tcn
        A = gcn.A
        K, V, _ = A.shape
        *dilated, pooled, single = tcn.branches
        self.width, self.stride = gcn.conv.out_channels // K, single.stride
        self.widths = [branch.reduce.out_channels for branch in (*dilated, pooled)]

        scale, shift = batch_norm_affine(gcn.bn)  # (C')
        W = gcn.conv.weight.view(K, self.width, -1) * scale[:, None]  # (K, C', C)
        bias = A.sum(1).T @ gcn.conv.bias.view(K, -1) * scale + shift  # (V, C')
        self.shortcut = isinstance(gcn.shortcut, nn.Identity)
        if not self.shortcut:
            shortcut_W, shortcut_bias = fold(*gcn.shortcut)
            A = torch.cat([A, torch.eye(V).to(A)[None]])
            W = torch.cat([W, shortcut_W.flatten(1)[None]])
            bias = bias + shortcut_bias
            K += 1
        gather = A.permute(2, 0, 1).reshape(1, V * K, V)
        W = W.transpose(0, 1).reshape(self.width, -1, 1, 1)

        reduce = [fold(branch.reduce, branch.bn) for branch in (*dilated, pooled)]
        reduce_W, reduce_bias = (torch.cat(parts) for parts in zip(*reduce))
        scale, shift = (part.split([*self.widths, single.out_channels]) for part in batch_norm_affine(tcn.merge.bn))
        ends = [(branch.conv.weight, branch.conv.bias) for branch in dilated]
        self.dilations = [branch.conv.dilation for branch in dilated]
        for i, (conv_W, conv_bias) in enumerate(ends):
            register_constant(self, f"conv{i}_W", conv_W * scale[i].view(-1, 1, 1, 1), dtype)
            register_constant(self, f"conv{i}_bias", conv_bias * scale[i] + shift[i], dtype)
        register_constant(self, "pool_scale", scale[-2].view(-1, 1, 1), dtype)
        register_constant(self, "pool_shift", shift[-2].view(-1, 1, 1), dtype)
        register_constant(self, "single_W", single.weight * scale[-1].view(-1, 1, 1, 1), dtype)
        register_constant(self, "single_bias", single.bias * scale[-1] + shift[-1], dtype)

        merge_W, merge_bias = fold(tcn.merge.conv, tcn.bn)
        self.residual = block.residual is not None
        residual_W = None
        if isinstance(block.residual, nn.Sequential):
            residual_W, residual_bias = fold(*block.residual)
            merge_bias = merge_bias + residual_bias

        register_constant(self, "gather", gather, dtype)
        register_constant(self, "W", W, dtype)
        self.register_buffer("bias", bias.to(dtype).T[:, None])  # (C', 1, V), channels last as what it is added to
        register_constant(self, "reduce_W", reduce_W, dtype)
        register_constant(self, "reduce_bias", reduce_bias, dtype)
        register_constant(self, "merge_W", merge_W, dtype)
        register_constant(self, "merge_bias", merge_bias, dtype)
        register_constant(self, "residual_W", residual_W, dtype)

    def forward(self, x: Tensor) -> Tensor:
        return add_residual(self, self.temporal(self.spatial(x)), x).relu_()

    def spatial(self, x: Tensor) -> Tensor:
        B, C, T, V = x.shape
        y = x.permute(0, 2, 3, 1).reshape(B * T, V, C)
        y = self.gather.expand(B * T, -1, -1).bmm(y)  # (B*T, V*K, C)
        y = y.view(B * T, 1, V, -1).permute(0, 3, 1, 2)  # (B*T, K*C, 1, V), pictures of one row as in FusedBlock
        y = F.conv2d(y, self.W).add_(self.bias)
        y = y.permute(0, 2, 3, 1).reshape(B, T, V, -1).permute(0, 3, 1, 2)  # (B, C', T, V), channels last
        return (y.add_(x) if self.shortcut else y).relu_()

    def temporal(self, x: Tensor) -> Tensor:
        *parts, pooled = F.conv2d(x, self.reduce_W, self.reduce_bias).relu_().split(self.widths, 1)
        ends = []
        for i, (part, dilation) in enumerate(zip(parts, self.dilations)):
            W, bias = getattr(self, f"conv{i}_W"), getattr(self, f"conv{i}_bias")
            ends.append(F.conv2d(part, W, bias, self.stride, (dilation[0], 0), dilation))
        pooled = F.max_pool2d(pooled, (3, 1), self.stride, (1, 0))
        ends.append(torch.addcmul(self.pool_shift, pooled, self.pool_scale))
        ends.append(F.conv2d(x, self.single_W, self.single_bias, self.stride))
        return F.conv2d(torch.cat(ends, 1).relu_(), self.merge_W, self.merge_bias)


def add_residual(block: FusedBlock | FusedMultiBranchBlock, y: Tensor, x: Tensor) -> Tensor:
    """y, in place, plus what goes around the block whose input is x."""
    if block.residual_W is not None:
        y += F.conv2d(x, block.residual_W, None, block.stride)
    elif block.residual:
        y += x
    return y


class FusedTCN(nn.Module):
    """`net.tcn.Model` for inference. Its batch norms come before a ReLU and after a sum that the shortcut needs too, so
    none folds into a convolution exactly; each becomes one multiply-add, and the rest of the network runs in dtype.

    Shape:
        x (N, C, T, V, M) -> logits (N, num_class) float32.
    """

    def __init__(self, model: nn.Module, dtype: torch.dtype = torch.float32):
        super().__init__()
        self.dtype = dtype
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        for module in list(self.model.modules()):
            for name, child in module.named_children():
                if isinstance(child, nn.BatchNorm1d):
                    setattr(module, name, Affine(*batch_norm_affine(child)))
        self.model.backbone.to(dtype)

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        model = self.model
        x = model.data_bn(model.flatten_joints(x)).to(self.dtype)
        x = model.backbone(x).mean(2, keepdim=True, dtype=model.fcn.weight.dtype)
        return model.fcn(x).flatten(1)


class Affine(nn.Module):
    """x * scale + shift for each channel of (N, C, T)."""

    def __init__(self, scale: Tensor, shift: Tensor):
        super().__init__()
        self.register_buffer("scale", scale.detach()[:, None])
        self.register_buffer("shift", shift.detach()[:, None])

    def forward(self, x: Tensor) -> Tensor:
        return torch.addcmul(self.shift, x, self.scale)


def register_constant(module: nn.Module, name: str, value: Tensor | None, dtype: torch.dtype) -> None:
    """A buffer with a copy of value in this dtype, channels last if it has four dimensions."""
    if value is not None:
        layout = torch.channels_last if value.dim() == 4 else torch.contiguous_format
        value = value.detach().to(dtype, copy=True).contiguous(memory_format=layout)
    module.register_buffer(name, value)


def batch_norm_affine(bn: nn.Module) -> tuple[Tensor, Tensor]:
    """scale and shift (C) such that the batch norm in evaluation is x * scale + shift."""
    scale = bn.weight * torch.rsqrt(bn.running_var + bn.eps)
    return scale, bn.bias - bn.running_mean * scale


def fold(conv: nn.Module, bn: nn.Module) -> tuple[Tensor, Tensor]:
    """Weight and bias of the one convolution that equals conv, then bn in evaluation."""
    scale, shift = batch_norm_affine(bn)
    return conv.weight * scale.view(-1, *[1] * (conv.weight.dim() - 1)), conv.bias * scale + shift
