"""Pose estimators side by side on videos: how fast, how much they find, how calm, how near to joints known otherwise.

    python tools/compare_poses.py clip.mp4 other.mp4
    python tools/compare_poses.py clip.mp4 --keypoints openpose_json/       # and how far they are from those

Per estimator: frames a second on one core (of processor time); the frames in which a person is found; of the joints of
these frames those found; the jitter, which is the median of |x(t-1) - 2 x(t) + x(t+1)| in torso lengths; with --keypoints
how many of the joints in them are found within 0.1 and within 0.2 torso lengths. Of several persons in a frame the one who is
seen best counts, with --keypoints the one who is nearest.
"""

from __future__ import annotations

import argparse
import sys
import time
from itertools import islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

from feeder.pose.estimators import PoseEstimator, make_estimator
from feeder.readers.openpose import Keypoints, read_frames
from feeder.skeleton import load_skeleton, remap
from feeder.video.decode import Video
from tools.command import run
from torchlight.errors import UsageError

LAYOUT = load_skeleton("openpose")
NECK, HIPS = LAYOUT.joints.index("neck"), [LAYOUT.joints.index(f"{side}_hip") for side in ("right", "left")]
NEAR = (0.1, 0.2)  # torso lengths


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure pose estimators on videos.")
    parser.add_argument("video", nargs="+", help="video files")
    parser.add_argument("--pose", nargs="+", default=["movenet", "blazepose"], choices=["movenet", "blazepose"])
    parser.add_argument("--long_side", type=int, default=320, help="pixels of what MoveNet sees (default: 320)")
    parser.add_argument("--frames", type=int, default=300, help="the first so many of each video (default: 300)")
    parser.add_argument("--keypoints", metavar="DIR", help="OpenPose's JSON of the one video, to compare with")
    arg = parser.parse_args()
    if arg.keypoints and len(arg.video) > 1:
        raise UsageError("--keypoints are of one video")
    head = f"{'':12}{'frames/s':>9}{'persons':>9}{'joints':>8}{'jitter':>8}"
    print(head + "".join(f"{f'< {near}':>8}" for near in NEAR) * bool(arg.keypoints))
    for path in arg.video:
        video = Video(path)
        known = references(read_frames(arg.keypoints, (video.width, video.height))) if arg.keypoints else None
        images = [frame.image for frame in islice(video, arg.frames)]
        print(f"{path}, {len(images)} frames of {video.width} x {video.height}")
        for name in arg.pose:
            row = measure(make_estimator(name, long_side=arg.long_side, num_thread=1), images, known)
            cells = [f"{row[0]:9.1f}", f"{row[1]:9.1%}", f"{row[2]:8.1%}", f"{row[3]:8.3f}"]
            print(f"  {name:10}" + "".join(cells + [f"{share:8.1%}" for share in row[4:]]), flush=True)


def measure(estimate: PoseEstimator, images: list[np.ndarray], known: dict[int, np.ndarray] | None) -> list[float]:
    """Frames a second, shares of frames and joints, jitter, and for each of NEAR the share of known joints."""
    began = time.process_time()
    found = [estimate(image) for image in images]
    rate = len(images) / max(time.process_time() - began, 1e-9)
    best = np.array([max(persons, key=lambda each: each[:, 2].sum(), default=np.zeros((18, 3))) for persons in found])
    seen = best[..., 2] > 0  # (T, 18)
    there = seen.any(1)
    row = [rate, there.mean(), seen[there].mean() if there.any() else 0.0, jitter(best)]
    if known:
        far = [
            distances(found[index], person)
            for index, persons in known.items()
            if index < len(found)
            for person in persons
        ]
        far = np.concatenate([*far, np.zeros(0)])
        row += [float((far < near).mean()) if len(far) else 0.0 for near in NEAR]
    return row


def references(keypoints: Keypoints) -> dict[int, np.ndarray]:
    """The known persons (P, 18, 3) of each frame, those whose torso is seen."""
    source = load_skeleton(keypoints.layout)
    persons = {keypoints.first + i: remap(each, source, LAYOUT) for i, each in enumerate(keypoints.persons)}
    return {index: each[each[:, [NECK, *HIPS], 2].all(1)] for index, each in persons.items() if len(each)}


def torso(points: np.ndarray) -> np.ndarray:
    """The distance of the neck from the middle of the hips: (..., 18, 3) -> (...)."""
    return np.linalg.norm(points[..., NECK, :2] - points[..., HIPS, :2].mean(-2), axis=-1)


def distances(found: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Of the joints of a known person from those of the nearest person that was found, in torso lengths; infinite where a
    joint was not found.
    """
    seen = known[:, 2] > 0
    far = np.linalg.norm(found[..., :2] - known[:, :2], axis=-1) / torso(known)  # (P, 18)
    far = np.where(found[..., 2] > 0, far, np.inf)[:, seen]
    return min(far, key=np.median, default=np.full(seen.sum(), np.inf))


def jitter(points: np.ndarray) -> float:
    """The median second difference of the joints that are seen in three frames running, in median torso lengths."""
    seen = points[..., 2] > 0
    whole = seen[:, [NECK, *HIPS]].all(1)
    running = seen[2:] & seen[1:-1] & seen[:-2]
    if not whole.any() or not running.any():
        return float("nan")
    bend = np.linalg.norm(points[2:, :, :2] - 2 * points[1:-1, :, :2] + points[:-2, :, :2], axis=-1)
    return float(np.median(bend[running]) / np.median(torso(points[whole])))


if __name__ == "__main__":
    run(main)
