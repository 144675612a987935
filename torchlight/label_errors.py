"""Which labels are probably wrong, from out-of-sample probabilities: those of networks that were not trained on the sample.

One by one, by confident learning (Northcutt, Jiang, Chuang, JAIR 2021): a sample is suspicious if another class than its own
is as likely as that class is, on average, where it is the label. The most suspicious have the most negative margin: the
probability of the label less that of the best other class.

And together, where it is known which samples were labelled at one time: if two classes were exchanged in one session, their
samples agree with each other's labels. One hard class alone, whose samples are all taken for another one, is no exchange.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

EXCHANGED = (
    0.25  # mean of (probability of the other label - of the own) over both classes: from there on it is an exchange
)
LEAST = 2  # samples of each of the two classes


@dataclass(frozen=True)
class Exchange:
    """Two classes whose labels are exchanged in one group.

    Attributes:
        group: its name.
        classes: the two.
        samples: (n,) of both classes in the group.
        evidence: -1..1, see EXCHANGED.
    """

    group: str
    classes: tuple[int, int]
    samples: np.ndarray
    evidence: float


@dataclass(frozen=True)
class LabelErrors:
    """What is suspected of N samples.

    Attributes:
        order: (N,) samples, the most suspicious first: exchanges, then by margin.
        margin: (N,) probability of the label less that of the best other class, -1..1.
        suggested: (N,) the best other class; in an exchange the other one of it.
        suspicious: (N,) bool: of confident learning, or in an exchange.
        exchanges: the surest first.
    """

    order: np.ndarray
    margin: np.ndarray
    suggested: np.ndarray
    suspicious: np.ndarray
    exchanges: list[Exchange]


def find_label_errors(probability: np.ndarray, labels: np.ndarray, groups: Sequence[str] | None = None) -> LabelErrors:
    """Rank N samples by how suspicious their labels are.

    Args:
        probability: (N, num_class), out of sample.
        labels: (N,) as given.
        groups: (N,) of every sample the session that it was labelled in, or None.
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
    score, exchanges = -margin, find_exchanges(probability, labels, groups) if groups is not None else []
    for each in reversed(exchanges):  # a sample that is in two belongs to the surer one
        first, second = each.classes
        suggested[each.samples] = np.where(labels[each.samples] == first, second, first)
        suspicious[each.samples] = True
        score[each.samples] = 2 + each.evidence  # above all margins
    return LabelErrors(np.lexsort((margin, -score)), margin, suggested, suspicious, exchanges)


def find_exchanges(probability: np.ndarray, labels: np.ndarray, groups: Sequence[str]) -> list[Exchange]:
    """The pairs of classes that are exchanged in one group, the surest first."""
    found, groups = [], np.asarray(groups)
    for group in np.unique(groups):
        members = np.flatnonzero(groups == group)
        classes, count = np.unique(labels[members], return_counts=True)
        for first, second in combinations(classes[count >= LEAST].tolist(), 2):
            samples = members[np.isin(labels[members], (first, second))]
            other = np.where(labels[samples] == first, second, first)
            evidence = float(np.mean(probability[samples, other] - probability[samples, labels[samples]]))
            if evidence >= EXCHANGED:
                found.append(Exchange(str(group), (first, second), samples, evidence))
    return sorted(found, key=lambda each: -each.evidence)


def thresholds(probability: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(num_class,): the mean probability of each class where it is the label; 1 for a class that no sample has."""
    count = np.bincount(labels, minlength=probability.shape[1])
    total = np.bincount(labels, probability[np.arange(len(labels)), labels], probability.shape[1])
    return np.where(count > 0, total / np.maximum(count, 1), 1.0)
