"""Testing: scores of every clip, the accuracies they make, and the tables and pictures a person wants afterwards."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable
from contextlib import nullcontext

import numpy as np
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader
from tqdm import tqdm

from processor.training.experiment import Experiment
from torchlight import device, metrics
from torchlight.errors import UsageError
from torchlight.files import atomic_write


@torch.no_grad()
def evaluate(run: Experiment, loader: DataLoader) -> tuple[np.ndarray, np.ndarray]:
    """Scores (N, num_class) float32 and labels (N,) of every clip, in the feeder's order.

    The score of a clip is the network's output; of several samples of one clip, the logarithm of their mean softmax.
    """
    model, autocast = inference_form(run)
    scores, labels = [], []
    bar = tqdm(loader, desc="evaluation", leave=False, disable=not (sys.stderr.isatty() and run.world.chief))
    for data, label in bar:
        data = data.float().to(run.devices.main, non_blocking=True)
        several = data.dim() == 6  # (N, num_clips, C, T, V, M)
        with autocast():
            output = model(data.flatten(0, 1) if several else data).float()  # (N * num_clips, num_class)
        if several:
            output = output.unflatten(0, data.shape[:2]).softmax(-1).mean(1).log()
        scores.append(output.cpu().numpy())
        labels.append(label.numpy())
    clips = [clip for batch in loader.batch_sampler for clip in batch]  # of this process
    scores = np.concatenate([np.zeros((0, run.num_class), np.float32), *scores])
    labels = np.concatenate([np.zeros(0, np.int64), *labels])
    clips, scores, labels = (np.concatenate(shares) for shares in zip(*run.world.gather((clips, scores, labels))))
    order = np.argsort(clips)
    return scores[order], labels[order]


def inference_form(run: Experiment) -> tuple[torch.nn.Module, Callable]:
    """What to evaluate with, and the context to do it in: the network's fused form if it has one."""
    network = run.network.to(run.devices.main).eval()
    if hasattr(network, "fuse"):
        return device.wrap(network.fuse(run.precision.dtype), run.devices), nullcontext
    return device.wrap(network, run.devices), run.precision.autocast


def report(run: Experiment, scores: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Log and return loss and accuracies, in per cent."""
    loss = F.cross_entropy(torch.from_numpy(scores), torch.from_numpy(labels).long()).item()
    run.log(f"\tmean_loss: {loss:.4f}")
    result = {"test_loss": loss, "top1": 100 * metrics.top_k(scores, labels, 1)}
    shown, left_out = metrics.telling_top_k(run.arg.show_topk, run.num_class)
    for k in shown:
        result[f"top{k}"] = 100 * metrics.top_k(scores, labels, k)
        run.log(f"\tTop{k}: {result[f'top{k}']:.2f}%")
    if left_out:
        run.log(f"\t{left_out}")
    result["mean_class_accuracy"] = 100 * metrics.mean_class_accuracy(scores, labels)
    run.log(f"\tMean class accuracy: {result['mean_class_accuracy']:.2f}%")
    return result


def test(run: Experiment) -> dict[str, float]:
    """Evaluate once and write the tables and pictures a person wants afterwards."""
    arg = run.arg
    run.log(f"Model:   {arg.model}.")
    run.log(f"Weights: {arg.weights}.")
    run.log("Evaluation Start:")
    scores, labels = evaluate(run, run.loader("test")[0])
    result = report(run, scores, labels)
    if not run.world.chief:
        return result
    folder = run.work_dir.path
    matrix = metrics.confusion_matrix(scores, labels, run.num_class)
    metrics.write_per_class_csv(folder / "per_class.csv", scores, labels, run.names)
    metrics.write_confusion_csv(folder / "confusion_matrix.csv", matrix, run.names)
    metrics.draw_confusion(folder / "confusion_matrix.png", matrix, run.names)
    if arg.save_result:
        save_result(run, scores)
    run.log(f"Results are in {folder}: per_class.csv, confusion_matrix.csv, confusion_matrix.png")
    run.log("Done.\n")
    return result


def save_result(run: Experiment, scores: np.ndarray) -> None:
    """test_result.pkl: {sample name: scores (num_class,) float32}."""
    feeder = run.feeders["test"]
    names = getattr(feeder, "sample_name", None)
    if names is None or len(set(names)) != len(scores):
        found = len(set(names or []))
        raise UsageError(f"--save_result needs a name for every clip; {run.arg.feeder} has {found} for {len(scores)}")
    with atomic_write(run.work_dir.path / "test_result.pkl", "wb") as file:
        pickle.dump(dict(zip(names, scores.astype(np.float32))), file)
