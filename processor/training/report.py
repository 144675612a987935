"""What a run leaves when it has ended: its manifest, and a page to look at.

manifest.json   how it was made and what came out (torchlight/manifest.py)
report.html     accuracies, curves, the confusion matrix, and the clips themselves, with the network's attention
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.special import softmax

from feeder.skeleton import load_skeleton
from processor.page import plots
from processor.page.page import Clip, Clips, Facts, Group, Matrix, Page, Plots, Section, Table, Text
from processor.protocols import (
    can_be_shown,
    inference_form,
    info_of,
    names_of,
    preprocess_of,
    scores_and_features,
)
from processor.training.experiment import Experiment
from torchlight import intervals, metrics
from torchlight.config import dump_yaml
from torchlight.errors import UsageError
from torchlight.manifest import differences, read_manifest, write_manifest

MOST_ERRORS, MOST_HITS = 24, 12  # that are shown under a heading of their own
MOST_MOVING, HITS_A_CLASS = 200, 2  # clips that move in the cells of the matrix: errors, and right answers
BATCH = 32  # clips that the network looks at together
CURVES = {"loss": "training loss", "test_loss": "test loss"}, {"top1": "top-1", "mean_class_accuracy": "mean class"}


def conclude(
    experiment: Experiment,
    results: Mapping[str, float],
    scores: np.ndarray | None,
    labels: np.ndarray | None,
    weights: str | Path,
) -> None:
    """Write report.html, unless --report is False, and manifest.json; log what differs from the run that --from repeats.

    Args:
        results: top1, ... in per cent, of a test; the last row of metrics.csv, of a training.
        scores, labels: of the test clips (N, num_class), (N,); None where a training has no test clips.
        weights: those that were tested, or trained.
    """
    folder, log = experiment.work_dir.path, experiment.log
    manifest = experiment.manifest.content(
        {key: float(value) for key, value in results.items()}, {"weights": weights}, training=made_by(weights)
    )
    if experiment.repeats:
        log(f"Against the run of {experiment.repeats['began']}:")
        for line in differences(experiment.repeats, manifest):
            log(f"\t{line}")
    if experiment.arg.report:
        report(experiment, results, scores, labels, manifest).write(folder / "report.html")
        log(f"The report is in {folder / 'report.html'}")
    write_manifest(folder / "manifest.json", manifest)  # at last: where it is, all is


def made_by(weights: str | Path) -> dict[str, Any] | None:
    """The manifest of the training that left these weights, where it lies beside them."""
    try:
        manifest = read_manifest(Path(weights).with_name("manifest.json"))
    except UsageError:
        return None
    return manifest if manifest["phase"] == "train" else manifest.get("training")


def report(
    experiment: Experiment,
    results: Mapping[str, float],
    scores: np.ndarray | None,
    labels: np.ndarray | None,
    manifest: Mapping[str, Any],
) -> Page:
    """The page."""
    title = (
        f"{'Training' if experiment.arg.phase == 'train' else 'Test'} of {Path(experiment.arg.work_dir).resolve().name}"
    )
    answers = Answers(scores, labels, experiment.label_names) if scores is not None else None
    shown = ClipsOf(experiment, answers.probability) if answers else None
    skeleton, dimension = (shown.skeleton, shown.dimension) if shown else (None, 2)
    page = Page(
        title, "report", skeleton, dimension, f"{experiment.arg.model}, {manifest['began'][:16].replace('T', ' ')}"
    )
    if answers:
        page.add(key_figures(answers, results))
        page.add(mistakes(answers, shown))
        page.add(unsure(answers, shown))
        page.add(matrix(answers, shown))
        page.add(classes(answers))
        page.add(confidence(answers))
    if curves := learning_curves(Path(experiment.arg.weights or "").parent, experiment.work_dir.path):
        page.add(curves)
    page.add(how_it_was_made(manifest))
    return page


class Answers:
    """Scores (N, num_class) and labels (N,), and what follows from them."""

    def __init__(self, scores: np.ndarray, labels: np.ndarray, names: Sequence[str]):
        self.names, self.labels, self.scores = list(names), labels, scores
        self.probability = softmax(scores.astype(np.float64), axis=1)  # (N, num_class)
        self.answer = scores.argmax(1)  # (N,)
        self.confidence = self.probability.max(1)  # (N,)
        self.right = self.answer == labels
        self.matrix = metrics.confusion_matrix(scores, labels)


class ClipsOf:
    """The moving skeletons of a test, each made once, where the feeder can show its clips."""

    def __init__(self, experiment: Experiment, probability: np.ndarray):
        self.experiment, self.feeder, self.probability = experiment, experiment.feeders["test"], probability
        preprocess, info = preprocess_of(self.feeder), info_of(self.feeder)
        layout = (experiment.arg.model_args.get("graph_args") or {}).get("layout")
        self.skeleton = preprocess.skeleton if preprocess else None
        self.skeleton = self.skeleton or (load_skeleton(layout) if layout else None)
        dimension = (preprocess.dimension if preprocess else None) or info.dimension
        self.possible = can_be_shown(self.feeder) and self.skeleton is not None
        self.dimension = dimension or (self._guess() if self.possible else 2)
        self.network = None
        self.clips: dict[int, Clip] = {}

    def _guess(self) -> int:
        """2 where the third channel can be a score."""
        third = self.feeder.recorded([0])[0][2:]
        return 2 if not len(third) or (third.min() >= 0 and third.max() <= 1) else 3

    def name(self, i: int) -> str:
        return names_of(self.feeder, [i])[0]

    def moving(self, which: Sequence[int]) -> list[Clip]:
        """The clips of these numbers, moving, with the network's attention; none where the feeder cannot show them."""
        if not self.possible:
            return []
        missing = [int(i) for i in which if int(i) not in self.clips]
        for k in range(0, len(missing), BATCH):
            some = missing[k : k + BATCH]
            for i, keypoints, attention in zip(some, self.feeder.recorded(some), self._attention(some)):
                self.clips[i] = self._clip(i, keypoints, attention)
        return [self.clips[int(i)] for i in which]

    def _clip(self, i: int, keypoints: np.ndarray, attention: np.ndarray | None) -> Clip:
        names, true, probability = self.experiment.label_names, int(self.feeder.label[i]), self.probability[i]
        best = np.argsort(-probability, kind="stable")[:5]
        answer = int(best[0])
        sure = f"{100 * probability[answer]:.0f}\u00a0%"  # not torn apart
        is_right = answer == true
        return Clip(
            self.name(i),
            keypoints,
            f"{names[true]}, {sure}" if is_right else f"{names[answer]}, {sure}; is {names[true]}",
            [("class", names[true])]
            + [(f"answer {k + 1}", f"{names[c]} {probability[c]:.3f}") for k, c in enumerate(best)],
            attention=attention,
            aspect=float(self.feeder.aspect[i]) if self.dimension == 2 else 1.0,
        )

    @torch.no_grad()
    def _attention(self, which: Sequence[int]) -> list[np.ndarray | None]:
        """For each clip (T', V) in 0..1: the length of the feature vectors, of the person where it is largest."""
        experiment = self.experiment
        if self.network is None:
            network, _ = inference_form(experiment.network, torch.float32)
            self.network = network.to(experiment.devices.main)
        x = torch.from_numpy(self.feeder.for_test(which)).to(experiment.devices.main)
        _, feature = scores_and_features(self.network, x)
        if feature is None:
            return [None] * len(which)
        attention = feature.float().norm(dim=1).amax(-1)  # (N, C, T', V, M) -> (N, T', V)
        return list((attention / attention.amax((1, 2), keepdim=True).clamp_min(1e-9)).cpu().numpy())


# ---- sections


def per_cent(interval: intervals.Interval) -> str:
    return f"95 % interval {100 * interval.low:.1f} to {100 * interval.high:.1f}"


def key_figures(answers: Answers, results: Mapping[str, float]) -> Section:
    right, labels, count = answers.right, answers.labels, len(answers.labels)
    rows = [("top-1", f"{100 * right.mean():.1f} %", per_cent(intervals.wilson(int(right.sum()), count)))]
    for k in metrics.informative_top_k([5], len(answers.names))[0]:
        share = metrics.top_k(answers.scores, labels, k)
        rows.append((f"top-{k}", f"{100 * share:.1f} %", per_cent(intervals.wilson(round(share * count), count))))
    mean = metrics.mean_class_accuracy(answers.scores, labels)
    interval = intervals.accuracy_interval(right[None], strata=labels)
    rows.append(("mean class accuracy", f"{100 * mean:.1f} %", per_cent(interval)))
    error = metrics.expected_calibration_error(answers.confidence, right)
    rows.append(("calibration error", f"{100 * error:.1f} %", "ECE: confidence against accuracy"))
    wrong = count - int(right.sum())
    rows.append(("test clips", f"{count:,}", f"{wrong:,} wrong, {len(answers.names)} classes"))
    if "loss" in results:
        rows.append(("epochs", f"{results['epoch']:.0f}", f"training loss {results['loss']:.3f}"))
    return Facts("Accuracy", rows, tiles=True)


def mistakes(answers: Answers, shown: ClipsOf) -> Section:
    wrong = np.flatnonzero(~answers.right)
    order = wrong[np.argsort(-answers.confidence[wrong], kind="stable")]
    text = (
        "The wrong answers that the network was most sure of. A wrong label, a broken clip, or a hard one? "
        "Its attention is on the large, bright joints."
    )
    if not len(wrong):
        return Section("No errors", text="All clips were answered rightly.", level="ok")
    return Clips("Most confident errors", shown.moving(order[:MOST_ERRORS]), total=len(wrong), text=text)


def unsure(answers: Answers, shown: ClipsOf) -> Section:
    right = np.flatnonzero(answers.right)
    order = right[np.argsort(answers.confidence[right], kind="stable")]
    text = "Right answers that might as well have been wrong."
    return Clips("Least sure hits", shown.moving(order[:MOST_HITS]), total=len(right), text=text)


def matrix(answers: Answers, shown: ClipsOf) -> Section:
    cells: dict[tuple[int, int], tuple[list[str], list[Clip]]] = {}
    wrong = np.flatnonzero(~answers.right)
    moving = set(wrong[np.argsort(-answers.confidence[wrong], kind="stable")][:MOST_MOVING].tolist())
    for c in range(len(answers.names)):
        hits = np.flatnonzero(answers.right & (answers.labels == c))
        moving |= set(hits[np.argsort(answers.confidence[hits], kind="stable")][:HITS_A_CLASS].tolist())
    by_number = dict(zip(sorted(moving), shown.moving(sorted(moving))))
    for i, cell in enumerate(zip(answers.labels.tolist(), answers.answer.tolist())):
        names, clips = cells.setdefault(cell, ([], []))
        names.append(shown.name(i))
        if i in by_number:
            clips.append(by_number[i])
    text = "Rows are the classes, columns the answers. A click on a cell shows its clips."
    return Matrix("Confusion matrix", answers.names, answers.matrix, cells, text=text)


def classes(answers: Answers) -> Section:
    counts = answers.matrix
    samples, hits, given = counts.sum(1), np.diag(counts), counts.sum(0)
    wrong = counts - np.diag(hits)
    rows = []
    for c, name in enumerate(answers.names):
        recall = 100 * hits[c] / samples[c] if samples[c] else None
        interval = intervals.wilson(int(hits[c]), int(samples[c])) if samples[c] else None
        low, high = (100 * interval.low, 100 * interval.high) if interval else (None, None)
        precision = 100 * hits[c] / given[c] if given[c] else None
        other = f"{answers.names[wrong[c].argmax()]} ({wrong[c].max()})" if wrong[c].any() else ""
        rows.append([name, int(samples[c]), recall, low, high, precision, other])
    head = ["class", "clips", "recall %", "from", "to", "precision %", "most often taken for"]
    text = "from, to: 95 % interval of the recall. A click on a heading sorts."
    return Table("Classes", head, rows, ["", "", ".1f", ".1f", ".1f", ".1f", ""], text=text)


def confidence(answers: Answers) -> Section:
    error = metrics.expected_calibration_error(answers.confidence, answers.right)
    text = f"How often the network is right when it is that sure. Expected calibration error {100 * error:.1f} % (ten bins)."
    svg = plots.reliability(answers.confidence, answers.right)
    return Plots("Confidence", [("A calibrated network is on the diagonal.", svg)], text=text)


def learning_curves(*folders: Path) -> Section | None:
    """The curves in metrics.csv of the first folder that has one."""
    for path in (folder / "metrics.csv" for folder in folders):
        try:
            with path.open(encoding="utf-8", newline="") as file:
                rows = list(csv.DictReader(file))
            figures = [{key: float(value) for key, value in row.items() if value} for row in rows]
        except (OSError, ValueError, TypeError, csv.Error):
            continue
        shown = []
        for chosen, ylabel in zip(CURVES, ("loss", "%")):
            series = {
                title: tuple(zip(*((row["epoch"], row[key]) for row in figures if key in row and "epoch" in row)))
                for key, title in chosen.items()
            }
            series = {title: points for title, points in series.items() if points}
            if series:
                shown.append((ylabel.replace("%", "accuracy"), plots.curves(series, "epoch", ylabel)))
        if shown:
            return Plots("Training", shown)
    return None


def how_it_was_made(manifest: Mapping[str, Any]) -> Section:
    git, machine = manifest["git"] or {}, manifest["machine"]
    commit = git.get("commit", "not a git checkout") + (" and changes" if git.get("changed") else "")
    rows = [
        ("command", " ".join(manifest["command"])),
        ("seed", str(manifest["config"].get("seed"))),
        ("git commit", commit),
        ("device", machine["device"]),
        ("machine", f"{machine['processor']}, {machine['cores']} cores, {machine['system']}"),
        ("began", manifest["began"]),
        ("took", f"{manifest['seconds']:.1f} s"),
        ("packages", ", ".join(f"{name} {version}" for name, version in manifest["versions"].items())),
    ]
    for name, facts in manifest["files"].items():
        rows.append((name, facts["path"], f"SHA-256 {facts['sha256']}" if "sha256" in facts else "not hashed"))
    sections: list[Section] = [Facts("", rows), Text("Settings", as_yaml(manifest["config"]))]
    if manifest.get("training"):
        sections.append(
            Text("Manifest of the training", json.dumps(manifest["training"], indent=1, ensure_ascii=False))
        )
    text = "The same is in manifest.json; python main.py recognition --from manifest.json repeats the run."
    return Group("How it was made", sections, text=text)


def as_yaml(config: Mapping[str, Any]) -> str:
    out = io.StringIO()
    dump_yaml(dict(config), out, default_flow_style=None, width=120)
    return out.getvalue()
