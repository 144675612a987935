"""From a video to an action: who is in it, what they do, and a video that shows it.

    python main.py demo                                  # the sample in resource/media
    python main.py demo --video clip.mp4                 # or a folder, a camera's number, an rtsp:// address
    python main.py demo --keypoints openpose_json/ --video clip.mp4

Here it is decided what is looked at, and which network is asked; offline.py does it for files, live.py for cameras and
streams. Both follow persons and ask about windows of them (watch.py, recognizer.py), draw (panes.py) and tell (outcome.py).
"""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from contextlib import redirect_stdout
from pathlib import Path
from typing import TextIO

import torch

from feeder.pose.estimators import Black
from feeder.video.decode import Video, list_videos
from feeder.video.opencv import cv2
from processor.recognizer import Recognizer
from processor.video import live, offline
from torchlight import metrics
from torchlight.errors import DataError, UsageError

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = ROOT / "resource" / "media" / "jumping_jacks.mp4"
ENDINGS = ".mp4", ".json", ".csv"


def run(arg: Namespace, argv: list[str]) -> None:
    """The processor `demo`; see options.demo for arg. With --json, stdout is for a program: all else goes to stderr."""
    answers = sys.stdout
    with redirect_stdout(sys.stderr if arg.json else answers):
        everything(arg, answers)


def everything(arg: Namespace, answers: TextIO) -> None:
    """All that --video names, the results as JSON to `answers` where they are wanted there."""
    torch.set_num_threads(1)  # every stage has its thread; those of a pool would wait for cores that the others use
    cv2.setNumThreads(1)
    recognizer = load_recognizer(arg)
    if is_live(arg.video):
        return live.run(arg, recognizer, answers)
    given = load_keypoints(arg)
    if arg.video is None and given is not None:
        paths, opened = [Path(arg.keypoints).resolve()], lambda path: Black(given, path)
    else:
        paths, opened = list_videos(SAMPLE if arg.video is None else arg.video), Video
    if given is not None and len(paths) > 1:
        raise UsageError(f"--keypoints are of one video, {arg.video} has {len(paths)}")
    failed = 0
    for path, output in zip(paths, output_names(paths, arg)):
        try:
            result = offline.one_video(arg, recognizer, opened(path), output, given)
        except (DataError, OSError) as error:
            if len(paths) == 1:
                raise
            print(f"error: {error}", file=sys.stderr)
            failed += 1
        else:
            if arg.json:
                print(json.dumps(result, ensure_ascii=False), file=answers, flush=True)
    if failed:
        raise DataError(f"{failed} of {len(paths)} videos could not be read; the others are done")


# ---- what is asked, of whom


def load_recognizer(arg: Namespace) -> Recognizer:
    """The network of --weights, with what its side-car says, over that the config and the command line."""
    if not arg.weights:
        raise UsageError("--weights: which network? Give a checkpoint here or in the config")
    weights = located(arg.weights)
    if not weights.is_file():
        remedy = "; get the published ones with: bash tools/get_models.sh" if "st_gcn." in weights.name else ""
        raise UsageError(f"--weights: {weights.absolute()} does not exist{remedy}")
    given = {"model": arg.model, "model_args": arg.model_args, "feeder_args": arg.feeder_args}
    if arg.label_names:
        given["label_names"] = metrics.read_names(located(arg.label_names))
    given = {key: value for key, value in given.items() if value}
    return Recognizer.from_checkpoint(weights, arg.use_gpu, arg.precision, arg.device, **given)


def located(path: str) -> Path:
    """A path of the command line or a config: from here, or else from the project's folder."""
    return Path(path) if Path(path).exists() else ROOT / path


def is_live(video: str | None) -> bool:
    """A camera's number, the original's word for camera 0, or the address of a stream."""
    return video is not None and (video.isdecimal() or video == "camera_source" or "://" in video)


def load_keypoints(arg: Namespace):
    """The joints of --keypoints; None: somebody has to look at the video, see joints.py."""
    from feeder.readers.openpose import read_frames

    if arg.keypoints:
        return read_frames(arg.keypoints)
    if arg.pose == "json":
        raise UsageError(
            "--pose json needs --keypoints, a folder of OpenPose's JSON files or one Kinetics-skeleton file"
        )
    return None


def output_names(paths: list[Path], arg: Namespace) -> list[Path]:
    """Where each result goes, without its ending; where two would have one name, all keep their endings."""
    names = [path.name if path.is_dir() else path.stem for path in paths]
    if len(set(names)) < len(names):
        names = [path.name for path in paths]
    outputs = [Path(arg.output_dir) / name for name in names]
    sources = {Path(path).resolve() for path in (*paths, arg.keypoints, arg.label_names) if path}
    for output in outputs:
        for ending in ENDINGS:
            if (written := output.with_name(output.name + ending).resolve()) in sources:
                raise UsageError(f"the result would be written over {written}; give another --output_dir")
    return outputs
