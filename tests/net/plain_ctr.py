"""CTR-GCN as its paper and the names of the weights of the release say it: subset by subset, whatever that costs."""

import torch
from torch import Tensor
from torch.nn import functional as F


def plain_ctr_gcn(state: dict[str, Tensor], x: Tensor, blocks, training: bool = False) -> Tensor:
    """x (N, C, T, V, M) -> logits (N, num_class)."""

    def norm(name, x):  # of the channels, the second dimension
        mean, var = state[f"{name}.running_mean"], state[f"{name}.running_var"]
        if training:
            mean, var = (
                f(x.transpose(0, 1).flatten(1)) for f in (lambda y: y.mean(1), lambda y: y.var(1, unbiased=False))
            )
        weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
        scale, shift = (y.view(1, -1, *[1] * (x.dim() - 2)) for y in (weight / (var + 1e-5).sqrt(), bias))
        return (x - mean.view(shift.shape)) * scale + shift

    def conv(name, x, **how):
        return F.conv2d(x, state[f"{name}.weight"], state[f"{name}.bias"], **how)

    N, C, T, V, M = x.shape
    x = norm("data_bn", x.permute(0, 4, 3, 1, 2).reshape(N, M * V * C, T))
    x = x.view(N, M, V, C, T).permute(0, 1, 3, 4, 2).reshape(N * M, C, T, V)
    for i, (_, stride) in enumerate(blocks):
        block, before, along = f"l{i + 1}", x, {"stride": (stride, 1)}
        total = 0
        for k, A in enumerate(state[f"{block}.gcn1.PA"]):
            name = f"{block}.gcn1.convs.{k}"
            phi, psi = conv(f"{name}.conv1", x).mean(2), conv(f"{name}.conv2", x).mean(2)  # (B, R, V)
            Q = torch.tanh(phi[:, :, :, None] - psi[:, :, None, :])
            R = state[f"{block}.gcn1.alpha"] * conv(f"{name}.conv4", Q) + A  # (B, C', V, V)
            total = total + torch.einsum("bcuv,bctv->bctu", R, conv(f"{name}.conv3", x))
        projected = f"{block}.gcn1.down.0.weight" in state
        down = norm(f"{block}.gcn1.down.1", conv(f"{block}.gcn1.down.0", x)) if projected else x
        y = F.relu(norm(f"{block}.gcn1.bn", total) + down)

        ends, branch = [], f"{block}.tcn1.branches"
        for b, dilation in enumerate((1, 2)):
            z = F.relu(norm(f"{branch}.{b}.1", conv(f"{branch}.{b}.0", y)))
            z = conv(f"{branch}.{b}.3.conv", z, padding=(2 * dilation, 0), dilation=(dilation, 1), **along)
            ends.append(norm(f"{branch}.{b}.3.bn", z))
        z = F.relu(norm(f"{branch}.2.1", conv(f"{branch}.2.0", y)))
        ends.append(norm(f"{branch}.2.4", F.max_pool2d(z, (3, 1), (stride, 1), (1, 0))))
        ends.append(norm(f"{branch}.3.1", conv(f"{branch}.3.0", y, **along)))
        x = torch.cat(ends, 1)
        if i > 0:
            projected = f"{block}.residual.conv.weight" in state
            x = x + (
                norm(f"{block}.residual.bn", conv(f"{block}.residual.conv", before, **along)) if projected else before
            )
        x = F.relu(x)
    x = x.view(N, M, x.shape[1], -1).mean((1, 3))
    return F.linear(x, state["fc.weight"], state["fc.bias"])
