"""How far a clip is from everything that a network was trained on, in the space of its pooled features.

A network of K classes has to choose one of them for anything it is shown. The features before its last layer tell more:
those of the training clips of a class lie around their mean. The score of a clip is its distance from the nearest mean,
measured in the spread within the classes, less that from the mean of all, measured in the spread of all (relative
Mahalanobis distance; Ren et al., "A Simple Fix to Mahalanobis Distance", 2021):

    d(f) = min over known classes c of ||W f - m_c||^2  -  ||W_0 f - m_0||^2

    W^T W: the inverse of the covariance within the classes        W_0^T W_0: of the covariance of all known clips

in standard deviations from the mean of the training clips, so that two networks that were trained alike have scores
alike. W, W_0 (D, D), m (K, D), m_0 (D) and these two numbers are a small file of tensors beside the weights
(`starter.open_set.pt` of `starter.pt`), never part of the network's state dict. From the score to the probability that
a clip is none of the classes goes a logistic curve, whose centre and scale are two numbers of the side-car, found on
held-out clips by `main.py calibrate`:

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
SHAPES = {  # of the tensors in the file, for K classes and D features
    "whiten": lambda K, D: (D, D),
    "means": lambda K, D: (K, D),
    "whiten_all": lambda K, D: (D, D),
    "mean_all": lambda K, D: (D,),
    "trained": lambda K, D: (2,),
}


def open_set_path(weights: str | Path) -> Path:
    return Path(weights).with_suffix(".open_set.pt")


@dataclass
class OpenSet:
    """
    Attributes:
        whiten: W (D, D).
        means: m (K, D), whitened, of the known classes.
        whiten_all: W_0 (D, D).
        mean_all: m_0 (D,), whitened by W_0.
        trained: mean and standard deviation of the score of training windows.
    """

    whiten: np.ndarray
    means: np.ndarray
    whiten_all: np.ndarray
    mean_all: np.ndarray
    trained: np.ndarray

    @classmethod
    def fit(cls, feature: np.ndarray, label: np.ndarray, known: np.ndarray) -> OpenSet:
        """The statistics of training windows: feature (W, D), label (W,); known (num_class,): which classes have a mean."""
        feature, label = feature[known[label]].astype(np.float64), label[known[label]]
        if not len(label):
            raise UsageError("none of the clips is of a class that the network may answer with")
        classes = np.unique(label)
        means, mean = np.stack([feature[label == c].mean(0) for c in classes]), feature.mean(0)
        whiten = whitening(feature - means[np.searchsorted(classes, label)])
        whiten_all = whitening(feature - mean)
        fitted = cls(whiten, means @ whiten.T, whiten_all, whiten_all @ mean, np.array([0.0, 1.0]))
        score = fitted.distance(feature)
        fitted.trained = np.array([score.mean(), max(score.std(), 1e-6)])
        return fitted

    def distance(self, feature: np.ndarray) -> np.ndarray:
        """Features (N, D) -> scores (N,); the larger, the less like any class."""
        feature = feature.astype(np.float64)
        z = feature @ self.whiten.T
        squared = (z**2).sum(1)[:, None] - 2 * z @ self.means.T + (self.means**2).sum(1)
        score = squared.min(1) - ((feature @ self.whiten_all.T - self.mean_all) ** 2).sum(1)
        return (score - self.trained[0]) / self.trained[1]

    def save(self, weights: str | Path) -> Path:
        """Write the file beside these weights."""
        buffer = io.BytesIO()
        torch.save({key: torch.from_numpy(getattr(self, key)).float() for key in SHAPES}, buffer)
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
        K, D = shapes.get("means", ())[:2] if len(shapes.get("means", ())) == 2 else (0, 0)
        if not (0 < D <= MOST and 0 < K <= MOST) or shapes != {key: shape(K, D) for key, shape in SHAPES.items()}:
            raise UsageError(
                f"{path}: not the statistics of features; make them with `main.py calibrate --fit_data_path`"
            )
        if num_feature is not None and num_feature != D:
            raise UsageError(f"{path}: statistics of {D} features, the network beside it has {num_feature}")
        if tensors["trained"][1] <= 0:
            raise UsageError(f"{path}: a standard deviation of {tensors['trained'][1]:.3g}")
        return cls(*(tensors[key].double().numpy() for key in SHAPES))


def whitening(offset: np.ndarray) -> np.ndarray:
    """W (D, D), W^T W the inverse of the covariance of offsets (W, D) from their means."""
    covariance = offset.T @ offset / len(offset)
    ridge = RIDGE * np.trace(covariance) / len(covariance) + 1e-12
    return np.linalg.inv(np.linalg.cholesky(covariance + ridge * np.eye(len(covariance))))


def discount(probability: np.ndarray, unknown: np.ndarray, is_answer: np.ndarray) -> np.ndarray:
    """Probabilities (N, num_class) of which the share unknown (N,) goes to the classes that are no answer.

    Where there are several of these, the first takes it.
    """
    out = probability * (1 - unknown[:, None])
    out[:, np.flatnonzero(~is_answer)[0]] += unknown
    return out


def probability_unknown(distance: np.ndarray, centre: float, scale: float) -> np.ndarray:
    return expit((distance - centre) / scale)
