"""How far a clip is from everything that a network was trained on, in the space of its pooled features.

A network of K classes has to choose one of them for anything it is shown. The features before its last layer tell more: those
of the training clips of a class lie around their mean, and the distance of a clip from the nearest mean, measured in
the spread within the classes, is the score (Mahalanobis distance; Lee et al., NeurIPS 2018):

    d(f) = min over known classes c of  ||W f - m_c||^2,   W^T W the inverse of the covariance within the classes

The statistics W (D, D) and m (K, D) are a small file of tensors beside the weights (`starter.open_set.pt` of `starter.pt`),
never part of the network's state dict. From distance to probability that a clip is none of the classes: a logistic curve, whose
centre and scale are two numbers of the side-car, found on held-out clips by `main.py calibrate`:

    u = 1 / (1 + exp(-(d - centre) / scale));   the classes keep 1 - u of their probabilities, and "other" gets the rest
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.special import expit

from torchlight.checkpoint import read_weights
from torchlight.errors import UsageError
from torchlight.files import write_bytes

RIDGE = 1e-3  # of the mean variance, added to every direction: features that are always zero have none
MOST = 4096  # features, classes


def open_set_path(weights: str | Path) -> Path:
    return Path(weights).with_suffix(".open_set.pt")


@dataclass
class OpenSet:
    """
    Attributes:
        whiten: W (D, D).
        means: m (K, D), whitened, of the known classes.
    """

    whiten: np.ndarray
    means: np.ndarray

    @classmethod
    def fit(cls, feature: np.ndarray, label: np.ndarray, known: np.ndarray) -> OpenSet:
        """The statistics of training windows: feature (W, D), label (W,); known (num_class,): which classes have a mean."""
        feature = feature.astype(np.float64)
        classes = [c for c in np.unique(label) if known[c]]
        if not classes:
            raise UsageError("none of the clips is of a class that the network may answer with")
        means = np.stack([feature[label == c].mean(0) for c in classes])
        within = np.concatenate([feature[label == c] - mean for c, mean in zip(classes, means)])
        covariance = within.T @ within / len(within)
        covariance += RIDGE * np.trace(covariance) / len(covariance) * np.eye(len(covariance)) + 1e-12 * np.eye(
            len(covariance)
        )
        whiten = np.linalg.inv(np.linalg.cholesky(covariance))  # W^T W is the inverse
        return cls(whiten, means @ whiten.T)

    def distance(self, feature: np.ndarray) -> np.ndarray:
        """Features (N, D) -> squared distances (N,), about D for a clip like those of the training."""
        z = feature.astype(np.float64) @ self.whiten.T
        squared = (z**2).sum(1)[:, None] - 2 * z @ self.means.T + (self.means**2).sum(1)
        return squared.min(1).clip(0)

    def save(self, weights: str | Path) -> Path:
        """Write the file beside these weights."""
        buffer = io.BytesIO()
        torch.save({key: torch.from_numpy(getattr(self, key)).float() for key in ("whiten", "means")}, buffer)
        write_bytes(open_set_path(weights), buffer.getvalue())
        return open_set_path(weights)

    @classmethod
    def load(cls, weights: str | Path, num_feature: int | None = None) -> OpenSet | None:
        """The statistics beside these weights, None if there are none.

        Raises:
            UsageError: the file is not one of these, or of another network.
        """
        path = open_set_path(weights)
        if not path.is_file():
            return None
        tensors = read_weights(path)
        shapes = {key: tuple(tensor.shape) for key, tensor in tensors.items()}
        D = shapes.get("whiten", (0,))[0]
        right = set(shapes) == {"whiten", "means"} and shapes["whiten"] == (D, D) and 0 < D <= MOST
        if not right or len(shapes["means"]) != 2 or shapes["means"][1] != D or not 0 < shapes["means"][0] <= MOST:
            raise UsageError(
                f"{path}: not the statistics of features; make them with `main.py calibrate --fit_data_path`"
            )
        if num_feature is not None and num_feature != D:
            raise UsageError(f"{path}: statistics of {D} features, the network beside it has {num_feature}")
        return cls(*(tensors[key].double().numpy() for key in ("whiten", "means")))


def discount(probability: np.ndarray, unknown: np.ndarray, is_answer: np.ndarray) -> np.ndarray:
    """Probabilities (N, num_class) of which the share unknown (N,) goes to the classes that are no answer.

    Where there are several of these, the first takes it.
    """
    out = probability * (1 - unknown[:, None])
    out[:, np.flatnonzero(~is_answer)[0]] += unknown
    return out


def probability_unknown(distance: np.ndarray, centre: float, scale: float) -> np.ndarray:
    return expit((distance - centre) / scale)
