"""Joint, bone, joint motion, bone motion: the four views of one skeleton that the strongest results average.

`joint+bone` is both side by side, as the channels of one network (early fusion; EfficientGCN, Song et al. 2022).
Pure functions on a batch (N, C, T, V, M), computed as it is read: nothing is stored beside the joints. Where one of the
two ends of a difference is missing the difference is zero, so no stream invents a bone or a jump that was not seen.
The score of a difference (dimension 2) is the smaller one of its ends.
Source: two-stream AGCN (Shi et al., CVPR 2019) for bones, PYSKL and CTR-GCN for the motions.
"""

from __future__ import annotations

import numpy as np

from feeder.transforms import present

STREAMS = ("joint", "bone", "joint_motion", "bone_motion")


def stream(batch: np.ndarray, name: str, parents: np.ndarray, dimension: int) -> np.ndarray:
    """The stream `name` of a batch (N, C, T, V, M); of `a+b` the channels of both, (N, 2 * C, T, V, M).

    `parents`: Skeleton.parents, (V,), the centre its own parent.
    """
    if "+" in name:
        return np.concatenate([stream(batch, each, parents, dimension) for each in name.split("+")], 1)
    if name.startswith("bone"):
        batch = bone(batch, parents, dimension)
    return motion(batch, dimension) if name.endswith("motion") else batch


def bone(batch: np.ndarray, parents: np.ndarray, dimension: int) -> np.ndarray:
    """Each joint as seen from its parent; the centre joint, its own parent, is the zero vector."""
    return _difference(batch, batch[:, :, :, parents], dimension)


def motion(batch: np.ndarray, dimension: int) -> np.ndarray:
    """Where each joint goes until the next frame; zero in the last frame and beside a gap."""
    out = np.zeros_like(batch)
    out[:, :, :-1] = _difference(batch[:, :, 1:], batch[:, :, :-1], dimension)
    return out


def _difference(end: np.ndarray, start: np.ndarray, dimension: int) -> np.ndarray:
    out = end - start
    out[:, dimension:] = np.minimum(end, start)[:, dimension:]
    return out * (present(end) & present(start))
