"""How well feeder/counting.py counts: clips of one repetition, repeated with changes of tempo and the noise of a detector.

    python tools/count_benchmark.py --penn_action <labels/> --utd_mhad <Skeleton/>          # the table of docs/counting.md
    python tools/count_benchmark.py --penn_action <labels/> --part train                    # to choose settings

A clip of Penn Action is one repetition, from one extreme to the same extreme again (of jump_rope: three). It is repeated 3 to 8
times as it is, each repetition in 0.7 to 1.4 times its time with smooth changes between them, after and before up to two
seconds of standing still; then simulate_detection makes it noisy. Of UTD-MHAD the clips are taken as they are, seen from the
front; steps are counted on the depth of the knees, which the counter does not see.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.signal import find_peaks

from feeder.counting import count
from feeder.readers import penn_action, utd_mhad
from feeder.skeleton import load_skeleton, remap
from feeder.synthetic.detection import simulate_detection
from tools.command import run
from torchlight.errors import DataError

FPS = 30.0  # Penn Action does not say its own
REPETITIONS = {"jumping_jacks": 1, "squat": 1, "pushup": 1, "situp": 1, "pullup": 1, "jump_rope": 3}  # in a clip
KNEES, STEP = ("left_knee", "right_knee"), 0.05  # metres by which a knee comes forward in a step, at least
FRAME = 640, 480
BODY = load_skeleton("penn-action")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--penn_action", help="folder of Penn Action")
    parser.add_argument("--utd_mhad", help="folder of UTD-MHAD")
    parser.add_argument("--part", choices=("train", "val"), default="val", help="(default: val, the test clips)")
    parser.add_argument("--times", type=int, default=3, help="how often each clip is drawn (default: 3)")
    parser.add_argument("--jitter", type=float, default=0.03, help="error of a joint in body sizes (default: 0.03)")
    parser.add_argument("--lost", type=float, default=0.1, help="share of missing joints (default: 0.1)")
    parser.add_argument("--seed", type=int, default=0)
    arg = parser.parse_args()
    for option in ("penn_action", "utd_mhad"):
        folder = getattr(arg, option)
        if folder is not None and not Path(folder).is_dir():
            raise DataError(f"--{option} {folder} is not a folder")
    if not (arg.penn_action or arg.utd_mhad):
        raise DataError("nothing to count; name a folder with --penn_action or --utd_mhad")
    if arg.times < 1 or arg.jitter < 0 or not 0 <= arg.lost < 1:
        raise DataError("expected --times of 1 or more, --jitter of 0 or more, --lost from 0 to below 1")

    print("| motion | sequences | exact | within one | too many | too few |\n|---|---|---|---|---|---|")
    rng = np.random.default_rng(arg.seed)
    if arg.penn_action:
        errors = penn_errors(arg.penn_action, arg.part, arg.times, arg.jitter, arg.lost, rng)
        for action in REPETITIONS:
            print(row(action, errors[action]))
        print(row("the first five", [error for action in list(REPETITIONS)[:5] for error in errors[action]]))
    if arg.utd_mhad:
        for noise in (0, 1):
            for action, errors in utd_errors(arg.utd_mhad, arg.part, noise * arg.jitter, noise * arg.lost, rng).items():
                print(row(action + ", detected" * noise, errors))


def row(name: str, errors: list[int]) -> str:
    """errors: counted less true, for each sequence."""
    wrong = np.array(errors)
    shares = [np.mean(wrong == 0), np.mean(np.abs(wrong) <= 1), np.mean(wrong > 0), np.mean(wrong < 0)]
    return f"| {name} | {len(wrong)} | " + " | ".join(f"{100 * share:.1f} %" for share in shares) + " |"


def penn_errors(folder: str, part: str, times: int, jitter: float, lost: float, rng) -> dict[str, list[int]]:
    errors: dict[str, list[int]] = {action: [] for action in REPETITIONS}
    for clip in penn_action.list_clips(folder, part).clips:
        action = penn_action.ACTIONS[clip.label]
        if action not in REPETITIONS:
            continue
        sequence = penn_action.read(clip.path)
        once = np.concatenate([sequence.keypoints[0], sequence.scores[0][..., None]], -1)  # (T, V, 3)
        for _ in range(times):
            times_done = int(rng.integers(3, 9))
            long = still_around(repeated(once, times_done, rng), rng)
            keypoints = detected(long, sequence.frame_size, jitter, lost, rng)
            errors[action].append(count(keypoints, FPS, BODY).repetitions - times_done * REPETITIONS[action])
    return errors


def utd_errors(folder: str, part: str, jitter: float, lost: float, rng) -> dict[str, list[int]]:
    errors: dict[str, list[int]] = {"jogging in place": [], "walking in place": [], "squat": []}
    kinect = load_skeleton("utd-mhad")
    for clip in utd_mhad.list_clips(folder, part).clips:
        action = utd_mhad.ACTIONS[clip.label]
        if action not in errors:
            continue
        joints = utd_mhad.read(clip.path).keypoints[0].astype(float)  # (T, V, 3) metres
        true = 1 if action == "squat" else steps_by_depth(joints, kinect)
        pixels = from_the_front(joints)
        keypoints = detected(remap(pixels, kinect, BODY) / [*FRAME, 1] - [0.5, 0.5, 0], FRAME, jitter, lost, rng)
        errors[action].append(count(keypoints, utd_mhad.FPS, BODY).repetitions - true)
    return errors


def steps_by_depth(joints: np.ndarray, kinect) -> int:
    """How often a knee comes forward in joints (T, V, 3)."""
    ways = [gaussian_filter1d(-joints[:, kinect.joints.index(knee), 2], 1.0) for knee in KNEES]
    return sum(len(find_peaks(way, prominence=STEP)[0]) for way in ways)


def from_the_front(joints: np.ndarray) -> np.ndarray:
    """Metres (T, V, 3), y up -> pixels (T, V, 3) x, y, score, y down, the body 300 pixels high."""
    places = joints[..., :2] * [1, -1]
    low, high = places.min((0, 1)), places.max((0, 1))
    places = (places - (low + high) / 2) * 300 / (high - low)[1] + np.array(FRAME) / 2
    return np.concatenate([places, np.ones_like(places[..., :1])], -1).astype(np.float32)


def repeated(clip: np.ndarray, times: int, rng, slowest=1.4, fastest=0.7) -> np.ndarray:
    """A clip (T, V, 3) `times` times, each time in a share of its duration between these two, with smooth changes."""
    T = len(clip)
    shares = rng.uniform(fastest, slowest, times)
    phase = np.linspace(0, times, 200 * times + 1)  # in repetitions
    pace = np.interp(phase, np.arange(times) + 0.5, shares) * T  # frames a repetition takes there
    frames = np.concatenate([[0.0], np.cumsum((pace[1:] + pace[:-1]) / 2 * np.diff(phase))])
    at = np.interp(np.arange(int(frames[-1])), frames, phase) % 1 * (T - 1)
    return np.stack(list(between(clip, at)))


def between(clip: np.ndarray, at: np.ndarray) -> Iterator[np.ndarray]:
    """The joints (V, 3) of a clip at fractional frames; one that is missing beside it is that of the nearer frame."""
    for moment in at:
        k = min(int(moment), len(clip) - 2)
        a, b, share = clip[k], clip[k + 1], moment - k
        both = (a[:, 2:] > 0) & (b[:, 2:] > 0)
        yield np.where(both, a + (b - a) * share, a if share < 0.5 else b)


def still_around(clip: np.ndarray, rng) -> np.ndarray:
    before, after = rng.integers(0, int(2 * FPS), 2)
    return np.concatenate([np.repeat(clip[:1], before, 0), clip, np.repeat(clip[-1:], after, 0)])


def detected(clip: np.ndarray, frame_size: tuple[int, int], jitter: float, lost: float, rng) -> np.ndarray:
    """Centred fractions (T, V, 3) -> pixels (T, V, 3) as of a detector."""
    sample = (clip * (clip[..., 2:] > 0)).transpose(2, 0, 1)[..., None]  # (3, T, V, 1)
    if jitter or lost:
        sample = simulate_detection(sample, BODY.flip, frame_size[0] / frame_size[1], rng, jitter, lost)
    x, y, score = sample[..., 0]
    return np.stack([(x + 0.5) * frame_size[0], (y + 0.5) * frame_size[1], score], -1) * (score > 0)[..., None]


if __name__ == "__main__":
    run(main)
