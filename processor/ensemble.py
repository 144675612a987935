"""Fuse the scores of several networks: joints, bones, motion; other seeds; other networks.

    python main.py ensemble --results work_dir/joint/test_result.pkl work_dir/bone/test_result.pkl --stream_weights 2 1
    python main.py ensemble --results joint/test_result.pkl bone/test_result.pkl \\
        --search --search_on joint-holdout/test_result.pkl bone-holdout/test_result.pkl
    python main.py ensemble --fold 1 2 3 4 5 --results joint/fold{fold}/test_result.pkl bone/fold{fold}/test_result.pkl

A result is what `recognition --phase test --save_result True` writes: {sample name: scores (num_class,)}, logits or log
probabilities; the softmax of either is the probabilities. The fusion is their weighted mean. Clips are matched by name,
so their order does not matter. torch is not needed.
"""

from __future__ import annotations

import csv
import math
import pickle
from argparse import Namespace
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from scipy.special import softmax

from feeder.dataset import is_h5
from feeder.packed import read_label
from feeder.pickles import load_pickle
from processor.training.series import expand_runs, summarise
from torchlight import metrics
from torchlight.config import load_config
from torchlight.errors import DataError, UsageError, short
from torchlight.files import atomic_write
from torchlight.workdir import WorkDir

REMEDY = "make it with: python main.py recognition -c <config> --phase test --save_result True"
GRID = 4  # --search tries the weights 0, 1, 2, 3
MOST_STREAMS = 6  # of a search: 4 ** 6 combinations


def run(arg: Namespace, argv: list[str]) -> None:
    """The processor `ensemble`, once, or once for every fold and seed; see options.ensemble for arg."""
    runs = expand_runs(arg)
    results = [fusion(each, argv) for each in runs]
    if len(runs) > 1:
        summarise(arg, runs, results)


def fusion(arg: Namespace, argv: list[str]) -> dict[str, float]:
    """Fuse, write and print; the accuracies of the fusion."""
    check(arg)
    names, probability = read_results(arg.results)
    arg.labels = arg.labels or labels_beside(arg.results[0], "--labels")
    labels = read_labels(arg.labels, names, arg.results[0], probability.shape[2])
    arg.label_names = arg.label_names or label_names_beside(arg.results[0])
    classes = metrics.read_names(arg.label_names, probability.shape[2])
    weights, lines = arg.stream_weights or [1.0] * len(arg.results), []
    if arg.search:
        weights, lines = search_elsewhere(arg, names, probability.shape[2])
    fused = fuse(probability, weights)

    work_dir = WorkDir(arg.work_dir, lock="test")  # it writes what a test writes
    work_dir.save_config(arg, argv)
    rows = [
        {"result": path, "weight": f"{weight:g}", **accuracies(scores, labels)}
        for path, weight, scores in zip(arg.results, weights, probability)
    ]
    rows.append({"result": "fusion", "weight": "", **accuracies(fused, labels)})
    best = max(range(len(arg.results)), key=lambda i: (rows[i]["top1"], rows[i]["mean_class_accuracy"]))
    lines += [*table(rows), "", *changes(probability[best], fused, labels, classes, arg.results[best])]
    for line in lines:
        work_dir.log(line, time=False)
    write(work_dir.path, names, fused, labels, classes, rows)
    work_dir.log(
        f"Results are in {work_dir.path}: test_result.pkl, summary.csv, per_class.csv, confusion_matrix.csv, "
        "confusion_matrix.png",
        time=False,
    )
    work_dir.close()
    return rows[-1]


def check(arg: Namespace) -> None:
    """The options go together, before anything is read."""
    if not arg.results:
        raise UsageError("no results: give --results with the test_result.pkl of every stream")
    if arg.stream_weights:
        if len(arg.stream_weights) != len(arg.results):
            raise UsageError(
                f"--stream_weights: {len(arg.stream_weights)} for {len(arg.results)} results; each needs one"
            )
        if not all(math.isfinite(weight) and weight >= 0 for weight in arg.stream_weights):
            raise UsageError(
                f"--stream_weights: {' '.join(f'{w:g}' for w in arg.stream_weights)}: only numbers from 0 on"
            )
        if not any(arg.stream_weights):
            raise UsageError("--stream_weights: all are 0; one at least must be more")
    if arg.search:
        if arg.stream_weights:
            raise UsageError("--search looks for the weights that --stream_weights gives; leave one of them out")
        if not arg.search_on:
            raise UsageError(
                "--search needs --search_on: results of the same streams on clips held out of the training, "
                "since weights found on a set must not be reported on that same set"
            )
        if len(arg.search_on) != len(arg.results):
            raise UsageError(
                f"--search_on: {len(arg.search_on)} for {len(arg.results)} results; the same streams, in their order"
            )
        if len(arg.results) > MOST_STREAMS:
            raise UsageError(f"--search: {len(arg.results)} streams are too many to try; {MOST_STREAMS} at most")
        if same := {Path(path).resolve() for path in arg.results} & {Path(path).resolve() for path in arg.search_on}:
            raise UsageError(
                f"--search_on: {min(same)} is among --results; weights found on a set must not be reported on it"
            )
    elif arg.search_on or arg.search_labels:
        raise UsageError("--search_on and --search_labels are for --search; give that too")
    target = Path(arg.work_dir, "test_result.pkl").resolve()
    if target in [Path(path).resolve() for path in (*arg.results, *arg.search_on)]:
        raise UsageError(f"--work_dir {arg.work_dir} holds one of the streams, which would be written over")


# ---- reading


def labels_beside(result: str, option: str) -> str:
    """The label file of the test, or the fusion, that wrote a result."""
    path, config = config_beside(result)
    args = config.get("test_feeder_args")
    args = args if isinstance(args, dict) else {}
    inside = isinstance(args.get("data_path"), str) and is_h5(args["data_path"])
    label_path = config.get("labels") or args.get("data_path" if inside else "label_path")
    if not isinstance(label_path, str):
        raise UsageError(f"no config beside {result} says where its labels are; give {option} <..._label.pkl>")
    if not Path(label_path).is_file():
        raise UsageError(f"{label_path}, the labels in {path}, does not exist; give {option}")
    return label_path


def label_names_beside(result: str) -> str | None:
    """The class names of the test, or the fusion, that wrote a result, if they are still there."""
    path = config_beside(result)[1].get("label_names")
    return path if isinstance(path, str) and Path(path).is_file() else None


def config_beside(result: str) -> tuple[Path | None, dict]:
    """The config in a result's folder, that of a test before that of a training; (None, {}) where there is none."""
    for name in ("config_test.yaml", "config.yaml"):
        path = Path(result).with_name(name)
        if path.is_file():
            return path, load_config(path)
    return None, {}


def read_results(paths: Sequence[str]) -> tuple[list[str], np.ndarray]:
    """The clips of every file, by name, and their probabilities (S, N, num_class) float64."""
    names, streams = [], []
    for path in paths:
        content = read_result(path)
        if streams:
            same_names(path, content, paths[0], names)
        names = names or sorted(content)
        streams.append(softmax(np.stack([content[name] for name in names]).astype(np.float64), axis=1))
        if streams[-1].shape != streams[0].shape:
            raise DataError(
                f"{path} has scores of {streams[-1].shape[1]} classes, {paths[0]} of {streams[0].shape[1]}; "
                "only networks with the same classes can be fused"
            )
    return names, np.stack(streams)


def read_result(path: str) -> dict[str, np.ndarray]:
    """{sample name: scores (num_class,)}, all of one length, with a highest score that is a finite number."""
    content = load_pickle(path, REMEDY)
    if not isinstance(content, dict) or not content:
        raise DataError(f"{path} is not the scores of clips by name; {REMEDY}")
    shape = np.shape(next(iter(content.values())))
    for name, scores in content.items():
        if not isinstance(name, str):
            raise DataError(f"{path}: the name {short(name)} is not text; {REMEDY}")
        if not isinstance(scores, np.ndarray) or scores.dtype.kind not in "fiu" or scores.ndim != 1 or not len(scores):
            raise DataError(f"{path}: the scores of {short(name)} are not a row of numbers; {REMEDY}")
        if scores.shape != shape:
            raise DataError(f"{path}: {short(name)} has {len(scores)} scores, other clips {shape[0]}; {REMEDY}")
    if bad := [name for name, scores in content.items() if not np.isfinite(scores.max())]:  # max() hands NaN on
        raise DataError(f"{path}: the scores of {listed(bad)} are not finite numbers; that network went astray")
    return content


def read_labels(path: str, names: list[str], result: str, num_class: int) -> np.ndarray:
    """(N,) the label of every name, which are just those of the label file."""
    label = dict(zip(*read_label(Path(path))))
    same_names(result, names, path, label)
    labels = np.array([label[name] for name in names], np.int64)
    if labels.max() >= num_class:
        raise DataError(f"{path} has the label {labels.max()}, {result} the classes 0 to {num_class - 1}")
    return labels


def same_names(path: str, here: Iterable[str], other: str, there: Iterable[str]) -> None:
    """DataError with the names that only one of two files has."""
    lacks, more = sorted(set(there) - set(here)), sorted(set(here) - set(there))
    parts = [f"lacks {listed(lacks)}"] * bool(lacks) + [f"has {listed(more)} more"] * bool(more)
    if parts:
        raise DataError(f"against {other}, {path} {' and '.join(parts)}; all files must be of the same clips")


def listed(names: list[str]) -> str:
    """`5 clips ('a', 'b', 'c', ...)`."""
    first = ", ".join(map(repr, names[:3])) + (", ..." if len(names) > 3 else "")
    return f"{len(names)} clip{'s' * (len(names) > 1)} ({first})"


# ---- fusing


def fuse(probability: np.ndarray, weights: Sequence[float]) -> np.ndarray:
    """Weighted mean (N, num_class) of S probabilities (S, N, num_class). The order of the streams changes no bit."""
    weights = np.asarray(weights, np.float64) / max(weights)
    weights = weights / math.fsum(weights)
    return np.sort(weights[:, None, None] * probability, axis=0).sum(0)  # sorted: a sum of floats depends on its order


def search(probability: np.ndarray, labels: np.ndarray) -> tuple[list[float], np.ndarray]:
    """The weights out of 0, 1, 2, 3 of the highest top-1, of equally good ones the most equal; and its fusion."""
    streams, clips, num_class = probability.shape
    grid = np.indices((GRID,) * streams).reshape(streams, -1).T[1:]  # (K, S), without all 0
    grid = grid[np.gcd.reduce(grid, axis=1) == 1]  # 2 2 is 1 1
    share = grid / grid.sum(1, keepdims=True)
    grid = grid[np.lexsort((grid.sum(1), share.var(1).round(12)))].astype(np.float64)
    hits = np.zeros(len(grid), np.int64)
    step = max(1, 2**23 // (len(grid) * num_class))  # clips that are tried at once: 64 MiB
    for i in range(0, clips, step):
        some = probability[:, i : i + step].reshape(streams, -1)
        answers = (grid @ some).reshape(len(grid), -1, num_class).argmax(2)  # (K, n)
        hits += (answers == labels[i : i + step]).sum(1)
    weights = grid[hits.argmax()].tolist()
    return weights, fuse(probability, weights)


def search_elsewhere(arg: Namespace, names: list[str], num_class: int) -> tuple[list[float], list[str]]:
    """Weights found on --search_on, and what to say about them. Clips that are reported are refused."""
    held_out, probability = read_results(arg.search_on)
    if both := sorted(set(names) & set(held_out)):
        raise DataError(
            f"{arg.search_on[0]} and {arg.results[0]} share {listed(both)}; "
            "weights found on a set must not be reported on that same set"
        )
    if probability.shape[2] != num_class:
        raise DataError(
            f"{arg.search_on[0]} has scores of {probability.shape[2]} classes, {arg.results[0]} {num_class}"
        )
    arg.search_labels = arg.search_labels or labels_beside(arg.search_on[0], "--search_labels")
    labels = read_labels(arg.search_labels, held_out, arg.search_on[0], num_class)
    weights, found = search(probability, labels)
    equal = fuse(probability, [1.0] * len(weights))
    return weights, [
        f"Weights {' '.join(f'{w:g}' for w in weights)}: Top1 {100 * metrics.top_k(found, labels, 1):.2f}% of the "
        f"{len(held_out)} clips of --search_on, equal weights {100 * metrics.top_k(equal, labels, 1):.2f}%",
        "Weights found on a set must not be reported on that same set: report the table below, not the line above",
        "",
    ]


# ---- reporting


def accuracies(scores: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """top1, top5 where it says something, and mean class accuracy, in per cent."""
    ks, _ = metrics.informative_top_k([1, 5], scores.shape[1])
    result = {f"top{k}": 100 * metrics.top_k(scores, labels, k) for k in ks}
    return {**result, "mean_class_accuracy": 100 * metrics.mean_class_accuracy(scores, labels)}


def table(rows: list[dict]) -> list[str]:
    """A line a stream and one for the fusion, under their heads."""
    keys = [key for key in rows[0] if key not in ("result", "weight")]
    heads = {"top1": "Top1", "top5": "Top5", "mean_class_accuracy": "Mean class"}
    width = max(len(row["result"]) for row in rows)
    lines = [f"{'stream':<{width}}  {'weight':>8}" + "".join(f"  {heads[key]:>10}" for key in keys)]
    for row in rows:
        figures = "".join(f"  {row[key]:>9.2f}%" for key in keys)
        lines.append(f"{row['result']:<{width}}  {row['weight']:>8}{figures}")
    return lines


def changes(
    single: np.ndarray, fused: np.ndarray, labels: np.ndarray, classes: list[str], path: str, count: int = 5
) -> list[str]:
    """The classes whose accuracy differs most between one stream and the fusion, the gains before the losses."""
    before, after = (np.diag(metrics.confusion_matrix(scores, labels)) for scores in (single, fused))  # right answers
    samples = np.bincount(labels, minlength=len(classes))
    gain = 100 * (after - before) / np.maximum(samples, 1)
    order = np.argsort(-gain, kind="stable")
    lost = [c for c in order[::-1] if gain[c] < 0][:count]
    chosen = [c for c in order if gain[c] > 0][:count] + lost
    if not chosen:
        return [f"Against the best stream, {path}: no class gains or loses"]
    width = max(len(classes[c]) for c in chosen)
    lines = [f"Against the best stream, {path}:"]
    for c in chosen:
        old, new = 100 * before[c] / samples[c], 100 * after[c] / samples[c]
        lines.append(f"  {classes[c]:<{width}}  {old:6.2f}% -> {new:6.2f}%  ({gain[c]:+.2f})")
    return lines


def write(
    folder: Path, names: list[str], fused: np.ndarray, labels: np.ndarray, classes: list[str], rows: list[dict]
) -> None:
    """test_result.pkl (log probabilities, to be fused again), summary.csv and the tables that a test writes."""
    log = np.log(np.maximum(fused, np.finfo(np.float32).tiny)).astype(np.float32)  # (N, num_class), none is -inf
    with atomic_write(folder / "test_result.pkl") as file:
        pickle.dump(dict(zip(names, log)), file)
    with atomic_write(folder / "summary.csv", "w") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    matrix = metrics.confusion_matrix(fused, labels)
    metrics.write_per_class_csv(folder / "per_class.csv", fused, labels, classes)
    metrics.write_confusion_csv(folder / "confusion_matrix.csv", matrix, classes)
    metrics.draw_confusion(folder / "confusion_matrix.png", matrix, classes)
