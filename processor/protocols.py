"""What recognition expects of a feeder and of a network: the contract for classes of your own, named in a config by
their dotted names (`feeder: my.module.Feeder`, `model: my.module.Model`).

What is optional here is asked for by the functions below and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from feeder.dataset import DatasetInfo
from feeder.preprocess import Preprocess
from net.fused import FusedSTGCN
from net.streaming import Streaming
from torchlight.classes import build
from torchlight.errors import UsageError


class Feeder(Protocol):
    """A data set. Its constructor takes train_feeder_args or test_feeder_args, and `debug` and `seed` if it has them.

    Optional members:
        sample_name: list of N unique names; test_result.pkl is keyed by them.
        get_batch(indices): data (N, C, T, V, M) float32 and label (N,) int64 at once; an index is a clip, or a pair
            (epoch, clip) in training.
        preprocess: feeder.preprocess.Preprocess, whose evaluation form goes into the side-car of the weights.
        info: feeder.dataset.DatasetInfo, facts of the data that a config need not repeat.
        recorded(clips): clips (C, T, V, M) as they were recorded, to be shown; for_test(clips): the same (N, C, T, V, M)
            as the network gets them; aspect: (N,) width over height of the frames.
    """

    label: Sequence[int]  # the class of every clip, from 0

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        """The sample (C, T, V, M) float32, or several of one clip (num_clips, C, T, V, M), and its class."""


class Network(Protocol):
    """A torch.nn.Module. Its constructor takes model_args.

    Optional members:
        fuse(dtype): the same function for inference, e.g. with folded batch norms; see net/fused.py.
        extract_feature(x): scores (N, num_class, T', V, M) and features (N, C', T', V, M), for the demo's attention.
        masked_pool: scores are not the mean of extract_feature's.
    """

    def __call__(self, x: Tensor) -> Tensor:
        """(N, C, T, V, M) -> (N, num_class)."""


def build_feeder(dotted: str, args: dict[str, Any], where: str, **extra: Any) -> Feeder:
    """Import and call a feeder class; UsageError in one line if it is not one."""
    return build(dotted, args, where, _check_feeder, **extra)


def build_network(dotted: str, args: dict[str, Any], where: str = "model_args") -> nn.Module:
    """Import and call a network class; UsageError in one line if it is not a torch.nn.Module."""
    return build(dotted, args, where, _check_network)


def _check_feeder(found: type, dotted: str) -> None:
    missing = [name for name in ("__len__", "__getitem__") if not hasattr(found, name)]
    if missing:
        raise UsageError(f"feeder: {dotted} has no {missing[0]}; docs/config.md says what a feeder needs")


def _check_network(found: type, dotted: str) -> None:
    if not issubclass(found, nn.Module):
        raise UsageError(f"model: {dotted} is not a network, a torch.nn.Module")


# ---- optional members


def labels_of(feeder: Feeder) -> Sequence[int]:
    """The classes of all clips; empty if the feeder has no list of them."""
    return getattr(feeder, "label", ())


def names_of(feeder: Feeder, clips: Iterable[int]) -> list[str]:
    """The names of some clips, or their numbers."""
    names = getattr(feeder, "sample_name", None)
    return [f"clip {i}" if names is None else str(names[i]) for i in clips]


def unique_names(feeder: Feeder) -> list[str] | None:
    """A name for every clip; None if there is none, or two clips share one."""
    names = getattr(feeder, "sample_name", None)
    return list(names) if names is not None and len(set(names)) == len(feeder) else None


def gives_batches(feeder: Feeder) -> bool:
    return hasattr(feeder, "get_batch")


def preprocess_of(feeder: Feeder) -> Preprocess | None:
    return getattr(feeder, "preprocess", None)


def can_be_shown(feeder: Feeder) -> bool:
    """Whether the feeder can give clips as they were recorded."""
    return all(hasattr(feeder, name) for name in ("recorded", "for_test", "aspect"))


def info_of(feeder: Feeder) -> DatasetInfo:
    return getattr(feeder, "info", None) or DatasetInfo()


def inference_form(network: nn.Module, dtype: torch.dtype) -> tuple[nn.Module, bool]:
    """The network's fused form in this dtype, and True; or the network itself, to be run under autocast, and False."""
    network = network.eval()
    return (network.fuse(dtype), True) if hasattr(network, "fuse") else (network, False)


def streaming_form(fused: nn.Module, window: int) -> Streaming | None:
    """A network's fused form, fed frame by frame, with predictions over `window` frames; None: it cannot be."""
    return Streaming(fused, window) if isinstance(fused, FusedSTGCN) else None


def scores_and_features(network: nn.Module, x: Tensor) -> tuple[Tensor, Tensor | None]:
    """Class scores (N, num_class) of clips (N, C, T, V, M), and features (N, C', T', V, M) if the network gives them."""
    if not hasattr(network, "extract_feature"):
        return network(x), None
    output, feature = network.extract_feature(x)
    scores = network(x) if getattr(network, "masked_pool", False) else output.mean((2, 3, 4))
    return scores, feature
