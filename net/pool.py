"""From the features of each person to those of the clip."""

from __future__ import annotations

from torch import Tensor


def mean_over_persons(feature: Tensor, x: Tensor, masked: bool) -> Tensor:
    """The mean over all M persons, as the original takes it; masked: over those who appear in the clip at all.

    Shape:
        feature (N, M, C'), x (N, C, T, V, M), the clips it came from -> (N, C').
    """
    if not masked:
        return feature.mean(1)
    there = (x != 0).flatten(1, 3).any(1).to(feature.dtype)  # (N, M)
    return (feature * there[:, :, None]).sum(1) / there.sum(1).clamp(min=1)[:, None]
