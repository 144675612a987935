"""A trained network that classifies windows of keypoints; what it needs is in the side-car of its weights (sidecar.py).

recognizer = Recognizer.from_checkpoint("resource/models/starter.pt")
prediction = recognizer(clips, aspect)  # clips (C, T, V, M) of any length
label, score = recognizer.decide(prediction.probability.mean(0))
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from feeder.rng import ClipRNG
from feeder.skeleton import Skeleton, load_skeleton
from processor.open_set import OpenSet, discount, open_set_path, probability_unknown
from processor.protocols import build_network, inference_form, scores_and_features
from processor.sidecar import preprocess_of, read_sidecar, sidecar_path
from torchlight import checkpoint, device
from torchlight.errors import UsageError

UNKNOWN = "unknown"
NOT_AN_ANSWER = ("other", UNKNOWN)  # class names that mean: none of the others


@dataclass
class Prediction:
    """probability (N, num_class); attention (N, T', V) in 0..1, the attention on each joint of person 1, or None; feature
    (N, C'), the mean over frames, joints and persons, or None.
    """

    probability: np.ndarray
    attention: np.ndarray | None
    feature: np.ndarray | None = None


def load_network(weights: str | Path, description: Mapping) -> tuple[nn.Module, Skeleton]:
    """The network of a checkpoint, as the keys of a side-car describe it, and the layout of its joints.

    Raises:
        UsageError: something is missing, or the weights are not of this network.
    """
    for key in ("model", "model_args"):
        if not description.get(key):
            raise UsageError(
                f"{weights}: which network is it? {sidecar_path(weights)}, which a training writes beside its weights, "
                "is not there; give --config with model, model_args and label_names"
            )
    model_args = dict(description["model_args"])
    layout = description.get("skeleton") or (model_args.get("graph_args") or {}).get("layout")
    if not layout:
        raise UsageError(f"{weights}: no skeleton layout; give one in graph_args of model_args")
    skeleton = load_skeleton(layout)
    if "graph_args" in model_args:
        model_args["graph_args"] = {**model_args["graph_args"], "layout": layout}
    with torch.device("meta"):  # no memory: a network that these weights are not of could be of any size
        checkpoint.check_weights(build_network(description["model"], model_args), weights)
    network = build_network(description["model"], model_args)
    checkpoint.load_weights(network, weights, log=lambda line: None)
    return network, skeleton


class Recognizer:
    """A network for inference, with all it has to know.

    Args:
        weights: a checkpoint.
        description: the keys of a side-car.
        devices: of torchlight.device.select.
        precision: of torchlight.device.precision.

    Attributes:
        label_names: of the classes.
        skeleton: the layout of the joints.
        dimension: 2 (x, y, score) or 3 (x, y, z).
        num_person: M of a clip.
        window, fps: frames of a clip (None: any number), and frames per second.
        threshold: a best score below it is answered with "unknown".

    Raises:
        UsageError: something is missing, or does not fit together.
    """

    def __init__(self, weights: str | Path, description: Mapping, devices: device.Devices, precision: device.Precision):
        network, self.skeleton = load_network(weights, description)
        feeder_args = dict(description.get("feeder_args") or {})
        self.weights, self.dimension = weights, int(feeder_args.get("dimension") or 2)
        self.num_person = int(description.get("num_person") or 2)  # the original's clips have two
        self.window: int | None = description.get("window")  # frames, at fps
        self.fps = float(description.get("fps") or 30.0)
        self.preprocess = preprocess_of(feeder_args, self.skeleton)
        network, fused = inference_form(network, precision.dtype)
        self.autocast = nullcontext if fused else precision.autocast
        self.network, self.device = network.to(devices.main), devices.main
        self.temperature = float(description.get("temperature") or 1.0)
        self.threshold = float(description.get("threshold") or 0.0)
        self.open_set: OpenSet | None = None
        self.curve: Mapping | None = None  # centre and scale; None: the score is not used
        self.stream_curve: Mapping | None = None  # the same for features of a stream; None: as for windows
        self.num_class, num_feature = self.count_classes()
        names = description.get("label_names") or [str(c) for c in range(self.num_class)]
        if len(names) != self.num_class:
            raise UsageError(f"{len(names)} label_names for a network of {self.num_class} classes ({weights})")
        self.label_names = [str(name) for name in names]
        self.is_answer = np.array([name not in NOT_AN_ANSWER for name in self.label_names])
        if num_feature is not None:
            self.open_set = OpenSet.load(weights, num_feature)
        if description.get("open_set"):
            if self.open_set is None:
                raise UsageError(f"{weights}: open_set needs {open_set_path(weights)}, which is not there")
            if self.is_answer.all():
                raise UsageError(f"{weights}: open_set needs a class named {' or '.join(NOT_AN_ANSWER)}")
            self.curve = description["open_set"]
            self.stream_curve = description.get("open_set_streaming")

    @classmethod
    def from_checkpoint(
        cls,
        weights: str | Path,
        use_gpu: bool | None = None,
        precision: str = "fp32",
        device_ids: Sequence[int] = (0,),
        **overrides: Any,
    ) -> Recognizer:
        """The network of a checkpoint with a side-car.

        Args:
            overrides: keys of the side-car with other values, which the caller trusts: a side-car names networks of net/
                alone, an override of `model` any class.
        """
        devices = device.select(list(device_ids), use_gpu)
        description = {**read_sidecar(weights), **overrides}
        return cls(weights, description, devices, device.precision(precision, devices.main))

    def count_classes(self) -> tuple[int, int | None]:
        """Number of classes, and of features where the network gives them."""
        V = self.skeleton.num_joint
        try:
            prediction = self(np.ones((1, 3, 8, V, self.num_person), np.float32), [1.0])
        except (RuntimeError, ValueError) as error:
            line = str(error).splitlines()[0]
            raise UsageError(f"the network cannot take clips of {V} joints: {line}") from error
        num_feature = None if prediction.feature is None else prediction.feature.shape[1]
        return prediction.probability.shape[1], num_feature

    def require_2d(self) -> None:
        """UsageError if the network wants joints in 3-D."""
        if self.dimension == 3:
            raise UsageError(f"{self.weights}: the network wants joints in 3-D, a video gives x, y and a score")

    @torch.no_grad()
    def __call__(self, clips: Sequence[np.ndarray], aspect: Sequence[float]) -> Prediction:
        """Clips (C, T, V, M) as a reader gives them, and width over height of their frames (N,)."""
        no_rng = ClipRNG(0, np.zeros(len(clips)), np.zeros(len(clips)))
        x = self.preprocess(list(clips), np.asarray(aspect, np.float64), no_rng)
        x = torch.from_numpy(x).to(self.device)
        with self.autocast():
            logits, feature = scores_and_features(self.network, x)
        if feature is None:
            return Prediction(self.softmax(logits), None)
        return self.prediction(logits, feature[..., 0], feature.float().mean((2, 3, 4)))

    def prediction(
        self, logits: torch.Tensor, first: torch.Tensor, pooled: torch.Tensor, streaming: bool = False
    ) -> Prediction:
        """From what a network gives: logits (N, num_class), the features of person 1 (N, C', T', V), the mean of all
        features (N, C').
        """
        curve = (streaming and self.stream_curve) or self.curve
        attention = first.float().norm(dim=1)  # (N, T', V)
        attention = attention / attention.amax((1, 2), keepdim=True).clamp_min(1e-9)
        pooled, probability = pooled.float().cpu().numpy(), self.softmax(logits)
        if self.open_set is not None and curve is not None:
            unknown = probability_unknown(self.open_set.distance(pooled), **curve)
            probability = discount(probability, unknown, self.is_answer)
        return Prediction(probability, attention.cpu().numpy(), pooled)

    def softmax(self, logits: torch.Tensor) -> np.ndarray:
        return (logits.float() / self.temperature).softmax(-1).cpu().numpy()

    def decide(self, probability: np.ndarray) -> tuple[str, float]:
        """The answer to mean probabilities (num_class,): a label and its score, or "unknown" and the score of "other" or,
        where that is not it, of the best label.
        """
        none = float(probability[~self.is_answer].sum())
        best = int(np.where(self.is_answer, probability, -1).argmax())
        label, score = self.label_names[best], float(probability[best])
        if none > 0.5:
            return UNKNOWN, none
        return (label if score >= self.threshold else UNKNOWN), score

    def top(self, probability: np.ndarray, k: int = 5) -> list[tuple[str, float]]:
        """The k best labels and their scores."""
        best = np.argsort(-probability, kind="stable")[:k]
        return [(self.label_names[c], float(probability[c])) for c in best]
