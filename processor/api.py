"""What the commands do, as functions of Python; stgcn.py makes them public, docs/python.md shows them.

Whatever is wrong is an exception with a message of one line: UsageError, DataError (both are ValueErrors) or OSError.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from feeder.sequence import SkeletonSequence
from feeder.skeleton import load_skeleton, remap
from processor import options, protocols, recognition
from processor.recognizer import Recognizer, load_network
from processor.sidecar import read_sidecar
from processor.training.automatic import settle_stream
from processor.training.series import streams_of
from torchlight.arguments import parse
from torchlight.config import merge
from torchlight.errors import UsageError, one_line

# ---- recognise


@dataclass(frozen=True)
class Answer:
    """What is done in a clip.

    Attributes:
        label: a class name, or "unknown".
        score: its probability.
        top: the five best class names and their probabilities.
        probability: (num_class,).
    """

    label: str
    score: float
    top: list[tuple[str, float]]
    probability: np.ndarray


def recognise_keypoints(
    keypoints: np.ndarray,
    recognizer: Recognizer | None = None,
    frame_size: tuple[int, int] | None = None,
    layout: str | Mapping | None = None,
) -> Answer:
    """What is done in one clip of keypoints, as a whole.

    Args:
        keypoints: (T, V, 3) of one person, or (M, T, V, 3); missing joints and absent persons are zero. x and y in pixels
            and a score or, for a network of 3-D joints, metres. The frame rate is Recognizer.fps; of more persons than
            Recognizer.num_person the first ones are taken.
        recognizer: default: the starter model.
        frame_size: width and height of the video in pixels; needed in 2-D.
        layout: of the joints, as load_skeleton takes it; default: that of the network.

    Raises:
        UsageError, LayoutError: the keypoints are not what the network takes.
    """
    recognizer = recognizer or Recognizer.from_checkpoint(options.STARTER)
    points, target = checked_keypoints(keypoints), recognizer.skeleton
    source = target if layout is None else load_skeleton(layout)
    if recognizer.dimension == 2 and source.joints != target.joints:
        points, source = remap(points, source, target), target
    if source.joints != target.joints or points.shape[2] != target.num_joint:
        raise UsageError(
            f"keypoints: {points.shape[2]} joints, where the network takes the {target.num_joint} of {target.name}"
        )
    if recognizer.dimension == 2:
        if frame_size is None:
            raise UsageError("frame_size: width and height of the video are needed, in pixels")
        seen = points[..., 2:] > 0
        places = (points[..., :2] / np.asarray(frame_size, np.float32) - 0.5) * seen
        sequence, aspect = (
            SkeletonSequence("", -1, places, points[..., 2] * seen[..., 0]),
            frame_size[0] / frame_size[1],
        )
    else:
        sequence, aspect = SkeletonSequence("", -1, points), 1.0
    clip = sequence.array(num_person=recognizer.num_person)
    probability = recognizer([clip], [aspect]).probability[0]
    return Answer(*recognizer.decide(probability), recognizer.top(probability), probability)


def checked_keypoints(keypoints: np.ndarray) -> np.ndarray:
    """(T, V, 3) or (M, T, V, 3) -> (M, T, V, 3) float32, finite."""
    try:
        points = np.asarray(keypoints)
    except ValueError as error:  # lists of different lengths
        raise UsageError(f"keypoints: not an array of numbers: {one_line(error)}") from None
    if points.dtype.kind not in "fiu":
        raise UsageError(f"keypoints: not an array of numbers, but of {points.dtype}")
    if points.ndim not in (3, 4) or points.shape[-1] != 3 or not points.size:
        raise UsageError(f"keypoints: shape {points.shape} where (T, V, 3) or (M, T, V, 3) belongs")
    with np.errstate(over="ignore"):
        points = points.astype(np.float32)
    if not np.isfinite(points).all():
        raise UsageError("keypoints: values that are not finite; a missing joint is zero")
    return points if points.ndim == 4 else points[None]


def recognise_video(
    video: str | Path, recognizer: Recognizer | None = None, output_dir: str | Path | None = None, **settings: Any
) -> dict[str, Any]:
    """Who does what from when to when in a video file.

    Args:
        recognizer: default: the starter model.
        output_dir: where to write what the demo writes: a video, tables and a page; default: nothing is written.
        settings: options of `main.py demo`, such as pose, keypoints, stride, vote, max_persons, only_recognised.

    Returns:
        The content of the demo's .json (docs/demo.md).
    """
    from feeder.pose.estimators import make_estimator  # they need OpenCV, which a training does not
    from feeder.video.decode import Video
    from processor import demo
    from processor.video import offline
    from processor.video.settings import Settings
    from torchlight.lock import exclusive

    path = Path(video)
    if path.is_dir():
        raise UsageError(f"{path} is a folder; one video file is needed")
    own = {} if output_dir is None else {"output_dir": output_dir}
    arg, recognizer = demo.from_settings(plain({**settings, **own, "video": path}), recognizer)
    set_up, keypoints, film = Settings.of(arg, recognizer), demo.load_keypoints(arg), Video(path)
    estimate = demo.estimator_of(set_up, film, keypoints, make_estimator)
    if output_dir is None:
        return offline.recognise(set_up, recognizer, film, estimate, offline.JointsFile())[0]
    (output,) = demo.output_names([path], arg)
    with exclusive(output.parent, output.name, "another output_dir"):
        return offline.process_video(set_up, recognizer, film, estimate, output)


# ---- networks


def build_network(
    model: str | None = None, model_args: Mapping[str, Any] | None = None, weights: str | Path | None = None
) -> nn.Module:
    """A network, as a torch module of clips (N, C, T, V, M) to logits (N, num_class).

    Args:
        model: dotted name of its class, such as net.st_gcn.Model; default: that of the weights' side-car.
        model_args: of its constructor; default: those of the side-car.
        weights: a checkpoint; default: as initialised.

    Raises:
        UsageError: a wrong name or argument, or weights of another network.
    """
    own = {key: value for key, value in (("model", model), ("model_args", plain(model_args))) if value is not None}
    if weights is None:
        return protocols.build_network(own.get("model", ""), own.get("model_args", {}))
    return load_network(weights, {**read_sidecar(weights), **own})[0]


# ---- train and test


@dataclass(frozen=True)
class Result:
    """What came of a training or a test.

    Attributes:
        metrics: top1, top5, mean_class_accuracy in per cent, test_loss; of a training also those of its last epoch.
        weights: of the last epoch, or those that were tested; their side-car is beside them.
        work_dir: everything else (docs/commands.md).
    """

    metrics: dict[str, float]
    weights: Path
    work_dir: Path


def train(config: Mapping[str, Any] | str | Path | None = None, **settings: Any) -> Result:
    """Train a network, as `main.py recognition` does.

    Args:
        config: the keys of a config (docs/config.md), or the path of one; `base` may name one to begin from.
        settings: keys that are laid over it; mappings are merged key by key.

    Raises:
        KeyboardInterrupt: after Ctrl-C, once everything is saved from which resume=True goes on.
    """
    return run_once("train", config, settings)


def test(config: Mapping[str, Any] | str | Path | None = None, **settings: Any) -> Result:
    """Test the last epoch in work_dir, or `weights`; the arguments are those of train."""
    return run_once("test", config, settings)


def run_once(phase: str, config: Mapping[str, Any] | str | Path | None, settings: Mapping[str, Any]) -> Result:
    given = dict(config) if isinstance(config, Mapping) else {} if config is None else {"base": str(config)}
    arg = parse(options.recognition(), [], merge(plain(given), plain(settings)) | {"phase": phase})
    settle_stream(arg)
    if arg.repeat > 1 or len(arg.fold) > 1 or len(streams_of(arg)) > 1:
        raise UsageError(
            "one run at a time from Python: make a loop over seed, fold or stream, each with its own work_dir"
        )
    same = Path(arg.work_dir, "config.yaml" if phase == "train" else "config_test.yaml")  # what repeats this run
    ((done, metrics),) = recognition.run(arg, ["recognition", "-c", same.as_posix()])
    weights = done.weights if phase == "test" else Path(done.work_dir, f"epoch{done.num_epoch}_model.pt")
    return Result(metrics, Path(weights), Path(done.work_dir))


def plain(value: Any) -> Any:
    """Settings as a YAML file would have them: paths as text, tuples as lists, numpy's numbers as Python's."""
    if isinstance(value, Mapping):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, Path):
        return str(value)
    return value.item() if isinstance(value, np.generic) else value
