"""Which labels are probably wrong, from out-of-sample probabilities: those of networks that were not trained on the sample.

Confident learning (Northcutt, Jiang, Chuang, JAIR 2021): a sample is suspicious if another class than its own is as likely as
that class is, on average, where it is the label. The most suspicious have the most negative margin: the probability of the
label less that of the best other class.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class LabelErrors:
    """What is suspected of N samples.

    Attributes:
        order: (N,) samples, the most suspicious first.
        margin: (N,) probability of the label less that of the best other class, -1..1.
        suggested: (N,) the best other class.
        suspicious: (N,) bool, of confident learning.
    """

    order: np.ndarray
    margin: np.ndarray
    suggested: np.ndarray
    suspicious: np.ndarray


def find_label_errors(probability: np.ndarray, labels: np.ndarray) -> LabelErrors:
    """Rank N samples by how suspicious their labels are.

    Args:
        probability: (N, num_class), out of sample.
        labels: (N,) as given.
    """
    if probability.ndim != 2 or labels.shape != probability.shape[:1]:
        raise ValueError(f"probabilities {probability.shape} and labels {labels.shape} do not go together")
    rows = np.arange(len(labels))
    own = probability[rows, labels]  # (N,)
    others = probability.copy()
    others[rows, labels] = -1
    suggested = others.argmax(1)
    margin = own - others[rows, suggested]
    confident = np.where(probability >= thresholds(probability, labels), probability, -1)  # (N, num_class)
    best = confident.argmax(1)
    suspicious = (confident[rows, best] >= 0) & (best != labels)
    return LabelErrors(np.argsort(margin, kind="stable"), margin, suggested, suspicious)


def thresholds(probability: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(num_class,): the mean probability of each class where it is the label; 1 for a class that no sample has."""
    count = np.bincount(labels, minlength=probability.shape[1])
    total = np.bincount(labels, probability[np.arange(len(labels)), labels], probability.shape[1])
    return np.where(count > 0, total / np.maximum(count, 1), 1.0)
