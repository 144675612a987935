"""Top-k, mean class accuracy, confusion: numpy in, numbers, CSV and a picture out.

Everywhere: scores are (N, num_class), labels (N,) whole numbers. A label below 0 is unknown: its sample is left out.
A sample with a NaN score is answered wrongly. Of equal scores the lower class comes first.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.special import softmax

from torchlight.errors import UsageError
from torchlight.files import atomic_write
from torchlight.project import located


def top_k(scores: np.ndarray, labels: np.ndarray, k: int) -> float:
    """Share (0..1) of samples whose class is among the k best; NaN if there is no sample.

    Raises:
        ValueError: k is not in 1..num_class, or shapes or labels are wrong.
    """
    scores, labels = _checked(scores, labels)
    if not 1 <= k <= scores.shape[1]:
        raise ValueError(f"top-{k} of {scores.shape[1]} classes: k must be 1 to {scores.shape[1]}")
    return float(np.mean(rank(scores, labels) < k)) if len(labels) else float("nan")


def informative_top_k(ks: Sequence[int], num_class: int) -> tuple[list[int], str | None]:
    """The k that say something: with k >= num_class every answer is right. Also a line about what was left out, or None."""
    kept = [k for k in ks if k == 1 or k < num_class]
    left_out = [f"Top{k}" for k in ks if k not in kept]
    return kept, f"{', '.join(left_out)} left out: of {num_class} classes it is always 100%" if left_out else None


def mean_class_accuracy(scores: np.ndarray, labels: np.ndarray) -> float:
    """The mean of the accuracies (0..1) of the classes that occur; NaN if there is no sample."""
    scores, labels = _checked(scores, labels)
    samples, hits = _count(scores, labels)
    return float(np.mean(hits[samples > 0] / samples[samples > 0])) if len(labels) else float("nan")


def confusion_matrix(scores: np.ndarray, labels: np.ndarray, num_class: int | None = None) -> np.ndarray:
    """(num_class, num_class) int64: how often the row's class was taken for the column's. Samples with NaN are not in it."""
    scores, labels = _checked(scores, labels)
    num_class = num_class or scores.shape[1]
    if num_class < scores.shape[1]:
        raise ValueError(f"scores of {scores.shape[1]} classes do not go into a matrix of {num_class}")
    answered = ~np.isnan(scores).any(1)
    matrix = np.zeros((num_class, num_class), np.int64)
    np.add.at(matrix, (labels[answered], scores[answered].argmax(1)), 1)
    return matrix


def reliability_bins(
    confidence: np.ndarray, correct: np.ndarray, bins: int = 10
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Samples by their confidence, in bins (low, high] of the same width: how many, their accuracy, their mean confidence.

    Accuracy and confidence of an empty bin are NaN. Samples without a confidence (NaN) are left out.

    Shape:
        confidence (N,) probability of the answer 0..1, correct (N,) whether it was right -> (bins,) three times.
    """
    confidence, correct = np.asarray(confidence, np.float64), np.asarray(correct, np.float64)
    if confidence.ndim != 1 or confidence.shape != correct.shape:
        raise ValueError(f"confidence {confidence.shape} and correct {correct.shape}: (N,) twice is needed")
    known = ~np.isnan(confidence)
    confidence, correct = confidence[known], correct[known]
    place = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    count = np.bincount(place, minlength=bins)
    total = np.where(count, count, np.nan)
    return count, np.bincount(place, correct, bins) / total, np.bincount(place, confidence, bins) / total


def expected_calibration_error(confidence: np.ndarray, correct: np.ndarray, bins: int = 10) -> float:
    """ECE: how far accuracy and confidence are apart, the mean over bins weighted by their samples (Guo et al., ICML 2017,
    equation 3). NaN if there is no sample.

    Shape:
        confidence (N,) probability of the answer 0..1, correct (N,) whether it was right.
    """
    count, accuracy, mean = reliability_bins(confidence, correct, bins)
    return float(np.nansum(count * np.abs(accuracy - mean)) / count.sum()) if count.any() else float("nan")


def _checked(scores: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    scores, labels = np.asarray(scores), np.asarray(labels, dtype=np.int64)
    if scores.ndim != 2 or labels.shape != scores.shape[:1]:
        raise ValueError(f"scores {scores.shape} and labels {labels.shape}: (N, num_class) and (N,) are needed")
    if len(labels) and labels.max() >= scores.shape[1]:
        raise ValueError(f"label {labels.max()} does not go with the scores of {scores.shape[1]} classes")
    return scores[labels >= 0], labels[labels >= 0]


def rank(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(N,) how many classes come before the right one; num_class where there is a NaN."""
    right = scores[np.arange(len(labels)), labels][:, None]  # (N, 1)
    before = np.arange(scores.shape[1]) < labels[:, None]  # (N, num_class)
    found = ((scores > right) | ((scores == right) & before)).sum(1)
    return np.where(np.isnan(scores).any(1), scores.shape[1], found)


def _count(scores: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(num_class,) samples and (num_class,) right answers of each class."""
    right = labels[rank(scores, labels) == 0]
    return np.bincount(labels, minlength=scores.shape[1]), np.bincount(right, minlength=scores.shape[1])


# ---- files


def write_clips_csv(
    path: str | Path, clips: Sequence[str], scores: np.ndarray, labels: np.ndarray, names: Sequence[str] | None = None
) -> None:
    """A row a clip: name, label, class, predicted, predicted_class, score, rank.

    label and predicted are numbers of classes, class and predicted_class their names; score is the probability of the
    prediction (softmax); rank is the place of the right class, from 1: the top-k accuracy is the share of ranks up to k.
    """
    names = _checked_names(names, np.shape(scores)[1])
    places = rank(scores, labels) + 1
    probability = softmax(scores.astype(np.float64), axis=1)
    with atomic_write(path, "w") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["name", "label", "class", "predicted", "predicted_class", "score", "rank"])
        for clip, label, row, place in zip(clips, labels.tolist(), probability, places.tolist()):
            best = int(row.argmax())
            writer.writerow([clip, label, names[label], best, names[best], f"{row[best]:.6f}", place])


def write_per_class_csv(
    path: str | Path, scores: np.ndarray, labels: np.ndarray, names: Sequence[str] | None = None
) -> None:
    """A row a class: class, name, samples, recall, precision, most_confused_with, confused (how often).

    Recall is empty for a class without samples, precision for one that was never the answer.
    """
    scores, labels = _checked(scores, labels)
    names = _checked_names(names, scores.shape[1])
    matrix = confusion_matrix(scores, labels)
    samples, hits = _count(scores, labels)
    answers = matrix.sum(0)
    wrong = matrix - np.diag(np.diag(matrix))
    with atomic_write(path, "w") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["class", "name", "samples", "recall", "precision", "most_confused_with", "confused"])
        for i, name in enumerate(names):
            recall = f"{hits[i] / samples[i]:.4f}" if samples[i] else ""
            precision = f"{hits[i] / answers[i]:.4f}" if answers[i] else ""
            other = [names[wrong[i].argmax()], wrong[i].max()] if wrong[i].any() else ["", ""]
            writer.writerow([i, name, samples[i], recall, precision, *other])


def write_confusion_csv(path: str | Path, matrix: np.ndarray, names: Sequence[str] | None = None) -> None:
    """The counts, a row for each true class and a column for each answer."""
    names = _checked_names(names, len(matrix))
    with atomic_write(path, "w") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["true \\ predicted", *names])
        writer.writerows([name, *row] for name, row in zip(names, matrix.tolist()))


def draw_confusion(path: str | Path, matrix: np.ndarray, names: Sequence[str] | None = None) -> None:
    """A PNG of the matrix, each row in shares of its class; a class without samples is a grey row.

    Up to 60 classes carry their names, up to 20 also the counts.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.colors import PowerNorm
    from matplotlib.figure import Figure

    count = len(matrix)
    names = [name if len(name) <= 32 else f"{name[:31]}…" for name in _checked_names(names, count)]
    total = matrix.sum(1, keepdims=True)  # (num_class, 1)
    share = np.ma.masked_array(matrix / np.maximum(total, 1), np.broadcast_to(total == 0, matrix.shape))

    side = max(4.0, count * (0.5 if count <= 20 else 0.2 if count <= 60 else 0.035))  # inches
    figure = Figure(figsize=(side * 1.1, side), dpi=160)
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_facecolor("0.85")
    picture = axes.imshow(share, cmap="Blues", norm=PowerNorm(0.5, 0, 1), interpolation="nearest")
    bar = figure.colorbar(picture, fraction=0.04, pad=0.02, ticks=[0, 0.01, 0.05, 0.25, 0.5, 1])
    bar.ax.set_yticklabels(["0", "1%", "5%", "25%", "50%", "100%"], fontsize=8)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    if count <= 60:
        size = 9 if count <= 20 else 7
        axes.set_xticks(range(count), names, rotation=90, fontsize=size, parse_math=False)
        axes.set_yticks(range(count), names, fontsize=size, parse_math=False)
    if count <= 20:
        for i, j in zip(*np.nonzero(matrix)):
            dark = share[i, j] > 0.3
            axes.text(j, i, str(matrix[i, j]), ha="center", va="center", fontsize=8, color="w" if dark else "k")
    with atomic_write(path) as file:
        figure.savefig(file, format="png", bbox_inches="tight")


def read_names(path: str | None, num_class: int | None = None) -> list[str]:
    """Class names from a text file, one a line; the numbers of the classes where there is none. Raises UsageError.

    num_class: how many there have to be; None: at least one.
    """
    if path is None:
        return [str(c) for c in range(num_class or 0)]
    try:
        lines = located(path).read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise UsageError(f"label_names: {path} is not a text file") from None
    names = [line.strip() for line in lines if line.strip()]
    if not names:
        raise UsageError(f"label_names: {path} is empty; class names belong there, one a line")
    if num_class is not None and len(names) != num_class:
        raise UsageError(f"label_names: {path} has {len(names)} names where there are {num_class} classes")
    return names


def _checked_names(names: Sequence[str] | None, num_class: int) -> list[str]:
    if names is None:
        return [str(i) for i in range(num_class)]
    if len(names) != num_class:
        raise ValueError(f"{len(names)} class names for {num_class} classes")
    return list(names)
