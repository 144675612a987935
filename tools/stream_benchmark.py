"""How well the demo cuts up a long recording: many clips of known and unknown actions, one after the other.

    python tools/stream_benchmark.py --data_path data/starter/val_data.npy --label_path data/starter/val_label.pkl

Makes a stream of a packed data set of 13 joints (feeder/synthetic/stream.py), whose class "other" is the unknown, runs
`python main.py demo --keypoints` on it and compares its segments with the truth: F1 of the segments that have the right
label and overlap by at least half (intersection over union), and the share of unknown frames that were given a label.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

from feeder.dataset import read_info
from feeder.packed import read_packed
from feeder.sampling import real_frames
from feeder.synthetic.stream import Part, Score, make_stream, score
from tools.command import run
from torchlight.errors import DataError

ROOT = Path(__file__).resolve().parent.parent
FRAME = 640, 480
ORDER = [
    0,
    None,
    2,
    4,
    6,
    1,
    3,
    5,
    8,
    10,
    12,
    7,
    9,
    11,
]  # COCO-18's first joints by the 13 of penn-action; None: the neck
LEAST = 8  # frames of a clip


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the segments of the demo on streams of clips.")
    parser.add_argument("--data_path", required=True, metavar="FILE", help="packed clips of 13 joints, .npy or .h5")
    parser.add_argument("--label_path", metavar="PKL", help="their labels; of a .npy")
    parser.add_argument("--label_names", metavar="TXT", help="class names; default: label_names.txt beside the data")
    parser.add_argument("--unknown", default="other", metavar="NAME", help="the class that is unknown (default: other)")
    parser.add_argument("--clips", type=int, default=200, help="of a stream (default: 200)")
    parser.add_argument("--streams", type=int, default=1, help="how many (default: 1)")
    parser.add_argument("--seed", type=int, default=0, help="of the first stream (default: 0)")
    parser.add_argument("--demo", nargs=argparse.REMAINDER, default=[], help="options of main.py demo, the last")
    arg = parser.parse_args()
    known, unknown = read_clips(arg)
    print(f"{len(known)} clips of known actions, {len(unknown)} of unknown ones")
    scores = []
    for seed in range(arg.seed, arg.seed + arg.streams):
        stream, truth = make_stream(known, unknown, arg.clips, seed)
        scores.append(score(truth, recognise(stream, arg.demo)))
        print(f"stream {seed}, {len(stream)} frames: {told(scores[-1])}", flush=True)
    if len(scores) > 1:
        f1, labelled = np.mean([[each.f1, each.labelled] for each in scores], axis=0)
        print(f"mean: F1 {f1:.3f}, {labelled:.1%} of the unknown frames labelled")


def read_clips(arg: argparse.Namespace) -> tuple[list[tuple[np.ndarray, str]], list[np.ndarray]]:
    """Clips (T, 13, 3) in heights of the frame, with their labels, and those of the unknown class."""
    packed = read_packed(arg.data_path, arg.label_path)
    names = read_names(arg)
    if packed.data.shape[3] != 13:
        raise DataError(f"{arg.data_path} has {packed.data.shape[3]} joints; 13 of the layout penn-action are needed")
    length = real_frames(packed.data)
    size = np.broadcast_to((1, 1) if packed.frame_size is None else packed.frame_size, (len(length), 2))
    known, unknown = [], []
    for clip, T, label, (width, height) in zip(packed.data, length, packed.label, size):
        if T < LEAST:
            continue
        joints = np.array(clip[:, :T, :, 0]).transpose(1, 2, 0)  # (T, V, C)
        joints = joints * [width / height, 1, 1]
        if names[label] == arg.unknown:
            unknown.append(joints)
        else:
            known.append((joints, names[label]))
    if not known or not unknown:
        raise DataError(f"{arg.data_path}: clips of known classes and of {arg.unknown!r} are needed")
    return known, unknown


def read_names(arg: argparse.Namespace) -> list[str]:
    """The class names of --label_names, or of the data."""
    info = None if arg.label_names else read_info(arg.data_path)
    if info and info.label_names:
        return list(info.label_names)
    path = Path(arg.label_names or Path(arg.data_path).parent / "label_names.txt")
    if not path.is_file():
        raise DataError(f"{path} does not exist; name the classes with --label_names")
    return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def recognise(stream: np.ndarray, options: list[str]) -> list[Part]:
    """The segments that the demo finds in keypoints (T, 13, 3)."""
    with tempfile.TemporaryDirectory() as folder:
        keypoints = Path(folder) / "stream"
        keypoints.mkdir()
        for index, joints in enumerate(stream):
            people = [{"pose_keypoints_2d": coco(joints).ravel().tolist()}]
            (keypoints / f"stream_{index:012d}_keypoints.json").write_text(
                json.dumps({"people": people}), encoding="utf-8"
            )
        command = [sys.executable, str(ROOT / "main.py"), "demo", "--keypoints", str(keypoints), "--height", "64"]
        done = subprocess.run(
            [*command, "--output_dir", folder, "--json", *options], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise DataError(f"main.py demo: {done.stderr.strip().splitlines()[-1]}")
        segments = json.loads(done.stdout)["segments"]
    return [
        Part(None if each["label"] == "unknown" else each["label"], each["first_frame"], each["last_frame"])
        for each in segments
    ]


def coco(joints: np.ndarray) -> np.ndarray:
    """(13, 3) in heights, centred -> (18, 3) in pixels, with the head for a nose and the neck between the shoulders."""
    there = joints[:, 2:] > 0
    pixels = np.concatenate([joints[:, :2] * FRAME[1] + np.array(FRAME) / 2, joints[:, 2:]], -1) * there
    neck = pixels[1:3].mean(0) if there[1:3].all() else np.zeros(3)
    rows = [neck if k is None else pixels[k] for k in ORDER]
    return np.concatenate([rows, np.zeros((4, 3))])


def told(result: Score) -> str:
    return (
        f"F1 {result.f1:.3f} ({result.found} of {result.known} known parts found, {result.segments} labelled segments), "
        f"{result.labelled:.1%} of the unknown frames labelled"
    )


if __name__ == "__main__":
    run(main)
