"""Testing: the scores of every clip, accuracies, and the tables and pictures of a test."""

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

from processor import protocols
from processor.training.batched import batches_of
from processor.training.experiment import Experiment
from processor.training.report import conclude
from torchlight import device, metrics
from torchlight.errors import UsageError
from torchlight.files import atomic_write


@torch.no_grad()
def evaluate(experiment: Experiment, loader: DataLoader) -> tuple[np.ndarray, np.ndarray]:
    """Scores (N, num_class) float32 and labels (N,) of every clip, in the feeder's order.

    The score of a clip is the network's output; of several samples of one clip, the logarithm of their mean softmax.
    """
    model, autocast = inference_model(experiment)
    main, world = experiment.devices.main, experiment.world
    scores, labels = [np.zeros((0, experiment.num_class), np.float32)], [np.zeros(0, np.int64)]
    disable = not (sys.stderr.isatty() and world.is_main)
    for data, label in tqdm(batches_of(loader), "evaluation", len(loader), leave=False, disable=disable):
        data = data.float().to(main, non_blocking=True)
        several = data.dim() == 6  # (N, num_clips, C, T, V, M)
        with autocast():
            output = model(data.flatten(0, 1) if several else data).float()  # (N * num_clips, num_class)
        if several:
            output = output.unflatten(0, data.shape[:2]).softmax(-1).mean(1).log()
        scores.append(output.cpu().numpy())
        labels.append(label.numpy())
    clips = [clip for batch in loader.batch_sampler for clip in batch]  # of this process
    shares = world.gather((clips, np.concatenate(scores), np.concatenate(labels)))
    clips, scores, labels = (np.concatenate(share) for share in zip(*shares))
    order = np.argsort(clips)
    return scores[order], labels[order]


def inference_model(experiment: Experiment) -> tuple[torch.nn.Module, Callable]:
    """The module to evaluate, on its devices, and the context to run it in."""
    devices, precision = experiment.devices, experiment.precision
    model, fused = protocols.inference_form(experiment.network.to(devices.main), precision.dtype)
    return device.wrap(model, devices), nullcontext if fused else precision.autocast


def accuracies(experiment: Experiment, scores: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Log and return loss and accuracies, in per cent."""
    log, num_class = experiment.log, experiment.num_class
    loss = F.cross_entropy(torch.from_numpy(scores), torch.from_numpy(labels).long()).item()
    log(f"\tmean_loss: {loss:.4f}")
    result = {"test_loss": loss, "top1": 100 * metrics.top_k(scores, labels, 1)}
    shown, left_out = metrics.informative_top_k(experiment.arg.show_topk, num_class)
    for k in shown:
        result[f"top{k}"] = 100 * metrics.top_k(scores, labels, k)
        log(f"\tTop{k}: {result[f'top{k}']:.2f}%")
    if left_out:
        log(f"\t{left_out}")
    result["mean_class_accuracy"] = 100 * metrics.mean_class_accuracy(scores, labels)
    log(f"\tMean class accuracy: {result['mean_class_accuracy']:.2f}%")
    return result


def test(experiment: Experiment) -> dict[str, float]:
    """Evaluate once; log the accuracies and write the tables and pictures."""
    log, arg = experiment.log, experiment.arg
    log(f"Model:   {arg.model}.")
    log(f"Weights: {arg.weights}.")
    log("Evaluation Start:")
    scores, labels = evaluate(experiment, experiment.loader("test")[0])
    result = accuracies(experiment, scores, labels)
    if experiment.world.is_main:
        write_tables(experiment, scores, labels)
        if arg.save_result:
            save_result(experiment, scores)
        conclude(experiment, result, scores, labels, arg.weights)
        log("Done.\n")
    return result


def write_tables(experiment: Experiment, scores: np.ndarray, labels: np.ndarray) -> None:
    """clips.csv, per_class.csv, confusion_matrix.csv and confusion_matrix.png."""
    folder, names = experiment.work_dir.path, experiment.label_names
    matrix = metrics.confusion_matrix(scores, labels, experiment.num_class)
    clips = protocols.names_of(experiment.feeders["test"], range(len(labels)))
    metrics.write_clips_csv(folder / "clips.csv", clips, scores, labels, names)
    metrics.write_per_class_csv(folder / "per_class.csv", scores, labels, names)
    metrics.write_confusion_csv(folder / "confusion_matrix.csv", matrix, names)
    metrics.draw_confusion(folder / "confusion_matrix.png", matrix, names)
    files = "clips.csv, per_class.csv, confusion_matrix.csv, confusion_matrix.png"
    experiment.log(f"Results are in {folder}: {files}")


def save_result(experiment: Experiment, scores: np.ndarray) -> None:
    """test_result.pkl: {sample name: scores (num_class,) float32}."""
    names = protocols.unique_names(experiment.feeders["test"])
    if names is None:
        raise UsageError(f"--save_result needs a name of its own for each clip; {experiment.arg.feeder} has them not")
    with atomic_write(experiment.work_dir.path / "test_result.pkl", "wb") as file:
        pickle.dump(dict(zip(names, scores.astype(np.float32))), file)
