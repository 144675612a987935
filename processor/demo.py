"""Recognise the actions in a video, and write a video that shows them.

    python main.py demo                                  # the sample in resource/media
    python main.py demo --video clip.mp4                 # or a folder, a camera's number, an rtsp:// address
    python main.py demo --keypoints openpose_json/ --video clip.mp4

This file finds the network, the videos and the keypoints; video/offline.py processes files, video/live.py cameras and
streams. Both track persons and classify windows of them (video/windows.py), draw (video/drawing.py) and write the result
(video/result.py).
"""

from __future__ import annotations

import json
import sys
import tempfile
from argparse import Namespace
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import torch

from feeder.pose.estimators import EachImage, FrameEstimator, PoseEstimator, PrecomputedKeypoints, make_estimator
from feeder.readers.openpose import Keypoints, read_frames
from feeder.video.blank import BlankVideo
from feeder.video.decode import Video, list_videos
from feeder.video.opencv import cv2
from processor import options
from processor.recognizer import Recognizer
from processor.video import live, offline
from processor.video.settings import Settings
from torchlight import metrics
from torchlight.arguments import parse
from torchlight.bulk import Tally
from torchlight.errors import UsageError
from torchlight.lock import exclusive
from torchlight.project import ROOT, located
from torchlight.shard import Shard

SAMPLE = ROOT / "resource" / "media" / "jumping_jacks.mp4"
ENDINGS = ".mp4", ".json", ".csv", "_segments.csv", ".html"

MakeEstimator = Callable[..., PoseEstimator]


def run(arg: Namespace, argv: list[str], make: MakeEstimator = make_estimator) -> None:
    """The processor `demo`; see options.demo for arg. With --json, stdout has the results and all else goes to stderr.

    make: makes the pose estimator, like feeder.pose.estimators.make_estimator.
    """
    stdout = sys.stdout
    with redirect_stdout(sys.stderr if arg.json else stdout):
        torch.set_num_threads(1)  # every stage has its thread; those of a pool would wait for cores that the others use
        cv2.setNumThreads(1)
        recognizer = load_recognizer(arg)
        settings = Settings.of(arg, recognizer)
        results = run_stream if is_stream(arg.video) else run_files
        for result in results(arg, settings, recognizer, make):
            if arg.json:
                print(json.dumps(result, ensure_ascii=False), file=stdout, flush=True)


def run_stream(arg: Namespace, settings: Settings, recognizer: Recognizer, make: MakeEstimator):
    """A camera or a stream; yields its result."""
    if arg.keypoints or arg.pose == "json":
        raise UsageError("--keypoints are those of a file; the joints of a camera are found while it runs")
    if arg.openpose and arg.pose != "openpose":
        raise UsageError("--openpose is a program for files; for a camera add --pose openpose, its Python module")
    if arg.shard or arg.skip_done:
        raise UsageError("--shard and --skip_done are for files, not for a camera or a stream")
    estimate = make(settings.pose, settings.openpose, settings.openpose_model, live.LONG_SIDE)
    yield live.process_stream(settings, recognizer, arg.video, estimate)


def run_files(arg: Namespace, settings: Settings, recognizer: Recognizer, make: MakeEstimator):
    """One video or several; yields their results. Of several, one that fails does not stop the others."""
    keypoints = load_keypoints(arg)
    if arg.video is None and keypoints is not None:
        paths = [Path(arg.keypoints).resolve()]
    else:
        paths = list_videos(SAMPLE if arg.video is None else arg.video)
    if keypoints is not None and len(paths) > 1:
        raise UsageError(f"--keypoints are of one video, {arg.video} has {len(paths)}")
    shard, several = Shard.of(arg.shard), len(paths) > 1 or arg.shard or arg.skip_done
    tally = Tally("videos", settings.output_dir, shard)
    if several and keypoints is None and not settings.openpose:
        make(settings.pose)  # what is missing for the poses is said once, not for each video
    for path, output in zip(paths, output_names(paths, arg)):
        if not shard.has(path.name):
            continue
        try:
            if arg.skip_done and is_done(path, output):
                tally.skipped += 1
                continue
            video = BlankVideo(keypoints, path) if arg.video is None and keypoints is not None else Video(path)
            estimate = estimator_of(settings, video, keypoints, make)
            with exclusive(output.parent, output.name, "another --output_dir"):
                result = offline.process_video(settings, recognizer, video, estimate, output)
        except Exception as error:  # of any kind: it would stop every later run of the same videos, too
            if not several or isinstance(error, BrokenPipeError):
                raise
            tally.fail(path, error)
        else:
            tally.done += 1
            yield result
    if several:
        tally.finish()


# ---- the network, the keypoints, the names of the results


def load_recognizer(arg: Namespace) -> Recognizer:
    """The network of --weights, with what its side-car says, and over that the config and the command line."""
    if not arg.weights:
        raise UsageError("--weights: which network? Give a checkpoint here or in the config")
    weights = located(arg.weights)
    if not weights.is_file():
        remedy = "; get the published ones with: python tools/get_models.py st_gcn" if "st_gcn." in weights.name else ""
        raise UsageError(f"--weights: {weights.absolute()} does not exist{remedy}")
    overrides: dict[str, Any] = {"model": arg.model, "model_args": arg.model_args, "feeder_args": arg.feeder_args}
    if arg.label_names:
        overrides["label_names"] = metrics.read_names(located(arg.label_names))
    overrides = {key: value for key, value in overrides.items() if value}
    return Recognizer.from_checkpoint(weights, arg.use_gpu, arg.precision, arg.device, **overrides)


def from_settings(settings: Mapping[str, Any], recognizer: Recognizer | None) -> tuple[Namespace, Recognizer]:
    """The options that a program gives, and its network or, if it has none, the one that the options name."""
    arg = parse(options.demo(), [], settings)
    own = [key for key in ("weights", "model", "model_args", "feeder_args", "label_names") if key in settings]
    if recognizer is not None and own:
        raise UsageError(f"{own[0]}: is of a network, and there is a recognizer; give one of the two")
    return arg, recognizer or load_recognizer(arg)


def is_stream(video: str | None) -> bool:
    """A camera's number, the original's word for camera 0, or the address of a stream."""
    return video is not None and (video.isdecimal() or video == "camera_source" or "://" in video)


def load_keypoints(arg: Namespace) -> Keypoints | None:
    """The precomputed keypoints of --keypoints; None: a pose estimator finds them."""
    if arg.keypoints:
        return read_frames(arg.keypoints)
    if arg.pose == "json":
        raise UsageError(
            "--pose json needs --keypoints, a folder of OpenPose's JSON files or one Kinetics-skeleton file"
        )
    return None


def estimator_of(
    settings: Settings, video: Video | BlankVideo, keypoints: Keypoints | None, make: MakeEstimator
) -> FrameEstimator:
    """Precomputed keypoints, those of OpenPose's program, or a pose estimator for each image."""
    if keypoints is None and settings.openpose and settings.pose != "openpose":
        from feeder.pose.openpose import run_openpose

        print("OpenPose is processing the video ...", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            folder = run_openpose(settings.openpose, video.path, Path(folder), model=settings.openpose_model)
            keypoints = read_frames(folder)
    if keypoints is not None:
        return PrecomputedKeypoints(keypoints, (video.width, video.height))
    return EachImage(make(settings.pose, settings.openpose, settings.openpose_model))


def output_names(paths: list[Path], arg: Namespace) -> list[Path]:
    """Where each result goes, without its ending; where two would have one name, all keep their endings."""
    names = [path.name if path.is_dir() else path.stem for path in paths]
    if len({name + ending for name in names for ending in ENDINGS}) < len(names) * len(ENDINGS):
        names = [path.name for path in paths]
    outputs = [Path(arg.output_dir) / name for name in names]
    sources = {Path(path).resolve() for path in (*paths, arg.keypoints, arg.label_names) if path}
    for output in outputs:
        for ending in ENDINGS:
            if (written := output.with_name(output.name + ending).resolve()) in sources:
                raise UsageError(f"the result would be written over {written}; give another --output_dir")
    return outputs


def is_done(path: Path, output: Path) -> bool:
    """Whether the result of a video is there, whole, and newer than the video; its page is written last."""
    page = output.with_name(f"{output.name}.html")
    if not all(output.with_name(output.name + ending).is_file() for ending in ENDINGS):
        return False
    return page.stat().st_mtime_ns > path.stat().st_mtime_ns
