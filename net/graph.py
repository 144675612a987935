"""The graph of a skeleton: its joints, its bones, and the K subsets of neighbours of the paper's section 3.3."""

from __future__ import annotations

import numpy as np
from scipy.sparse.csgraph import shortest_path

from feeder.skeleton import Skeleton, load_skeleton
from torchlight.errors import did_you_mean, short

STRATEGIES = ("uniform", "distance", "spatial", "spatial_exact", "directed")


class Graph:
    """Adjacency subsets A of a skeleton layout; A[k, v, w] is the weight with which joint v feeds joint w.

    Joints are linked where their hop distance is 0, dilation, 2 * dilation ... up to max_hop. Each column of the sum
    over k is 1, but for `directed`: a joint takes the mean of those linked to it. The strategies part the links into K subsets:

    * `uniform`: one subset (figure 3b of the paper).
    * `distance`: one per hop (3c).
    * `spatial`: root and, per hop, the joints nearer to the centre than w is and those farther (3d). As in the original,
      distances to the centre beyond max_hop count as equal, which puts links out in the limbs into one subset in both
      directions: published checkpoints were trained so.
    * `spatial_exact`: the same with the true distances.
    * `directed`: every joint itself, every joint to its parent, every joint to its children, the last shared out equally among
      them. Each row is 1: a joint gives itself away, and a parent takes the sum of its children (CTR-GCN and others).

    For the two spatial ones: hop 0 gives the root subset; every other hop two, first v as far from the centre as w or farther,
    then v nearer.

    Args:
        layout: a name in resource/skeleton or the path of such a file.
        strategy: one of the five above; directed knows bones alone, max_hop and dilation 1.
        max_hop: the largest hop distance of a link.
        dilation: spacing of the hops.

    Attributes:
        skeleton: the layout, see feeder/skeleton.py.
        hop: (V, V) number of bones between two joints.
        A: (K, V, V) float32.

    Raises:
        ValueError: unknown layout or strategy, max_hop or dilation out of range.
    """

    def __init__(self, layout: str = "openpose", strategy: str = "uniform", max_hop: int = 1, dilation: int = 1):
        if strategy not in STRATEGIES:
            hint = did_you_mean(strategy, STRATEGIES) or f"; expected one of {', '.join(STRATEGIES)}"
            raise ValueError(f"unknown graph strategy '{strategy}'{hint}")
        for name, value, least in (("max_hop", max_hop, 0), ("dilation", dilation, 1)):
            if not isinstance(value, int) or not least <= value <= 100:
                raise ValueError(
                    f"graph argument {name} must be a whole number from {least} to 100; found {short(value)}"
                )
        self.layout, self.strategy, self.max_hop, self.dilation = layout, strategy, max_hop, dilation
        self.skeleton = load_skeleton(layout)
        self.hop = hop_distance(self.skeleton)
        self.A = self._subsets().astype(np.float32)

    def __str__(self) -> str:
        K, V, _ = self.A.shape
        links = "/".join(str(np.count_nonzero(subset)) for subset in self.A)
        return f"{self.layout}, {self.strategy}: {V} joints, {K} subsets of {links} links"

    def _subsets(self) -> np.ndarray:
        if self.strategy == "directed":
            return self._directed()
        hops = range(0, self.max_hop + 1, self.dilation)
        linked = np.isin(self.hop, hops)  # (V, V)
        weight = linked / linked.sum(0)  # A D^-1: each column sums to 1
        if self.strategy == "uniform":
            return weight[None]
        by_hop = [weight * (self.hop == hop) for hop in hops]
        if self.strategy == "distance":
            return np.stack(by_hop)

        distance = self.hop[:, self.skeleton.centre]  # (V,)
        if self.strategy == "spatial":
            distance = np.where(distance <= self.max_hop, distance, np.inf)
        nearer = distance[:, None] < distance[None, :]  # [v, w]: v is nearer to the centre than w
        root, *others = by_hop
        return np.stack([root] + [subset for A in others for subset in (A * ~nearer, A * nearer)])

    def _directed(self) -> np.ndarray:
        if (self.max_hop, self.dilation) != (1, 1):
            raise ValueError(
                f"graph strategy directed needs max_hop 1 and dilation 1; found {self.max_hop}, {self.dilation}"
            )
        V = self.skeleton.num_joint
        child, parent = np.array(self.skeleton.bones, int).reshape(-1, 2).T
        inward = np.zeros((V, V))
        inward[child, parent] = 1
        return np.stack([np.eye(V), inward, inward.T / np.maximum(inward.sum(0), 1)[:, None]])


def hop_distance(skeleton: Skeleton) -> np.ndarray:
    """(V, V) float: the number of bones on the shortest way from joint to joint; infinite where there is none."""
    bones = np.zeros((skeleton.num_joint, skeleton.num_joint))
    for child, parent in skeleton.bones:
        bones[child, parent] = 1
    return shortest_path(bones, directed=False, unweighted=True)
