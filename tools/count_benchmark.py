"""How well feeder/counting.py counts: clips of one repetition, repeated with changes of tempo and the noise of a detector.

    python tools/count_benchmark.py --penn_action <labels/> --utd_mhad <Skeleton/>          # the table of docs/counting.md
    python tools/count_benchmark.py --penn_action <labels/> --part train                    # to choose settings

A clip of Penn Action is one repetition, from one extreme to the same extreme again (of jump_rope: three). It is counted as it
is, and repeated 3 to 8 times, each in 0.7 to 1.4 times its time with smooth changes between them, before and after them up to
two seconds of standing still; then simulate_detection makes it noisy. Rope jumps end elsewhere than they began, so they are not
repeated. Of UTD-MHAD the clips are taken as they are, seen from the front; steps are counted on the depth of the knees, which
the counter does not see.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
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

FPS = 30.0  # that of UTD-MHAD; Penn Action does not say its own
ONCE = ("jumping_jacks", "squat", "pushup", "situp", "pullup")  # of which a clip is one repetition
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
    parser.add_argument("--moving", action="store_true", help="tell the counter that something is repeated")
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
    clean, noisy = Trial(0, 0, arg.moving, rng), Trial(arg.jitter, arg.lost, arg.moving, rng)
    if arg.penn_action:
        clips = penn_clips(arg.penn_action, arg.part)
        print(
            row("all five, clips as they are: 1", [clean.error(*clip, 1) for action in ONCE for clip in clips[action]])
        )
        print(row("jump_rope, clips as they are: 3", [clean.error(*clip, 3) for clip in clips["jump_rope"]]))
        errors = {action: [noisy.error_repeated(*clip) for clip in clips[action] * arg.times] for action in ONCE}
        for action in ONCE:
            print(row(action, errors[action]))
        print(row("all five", [error for action in ONCE for error in errors[action]]))
    if arg.utd_mhad:
        clips = utd_clips(arg.utd_mhad, arg.part)
        for trial, ending in ((clean, ""), (noisy, ", detected")):
            for action in clips:
                print(row(action + ending, [trial.error(*clip) for clip in clips[action]]))


def row(name: str, errors: list[int]) -> str:
    """errors: counted less true, for each sequence."""
    wrong = np.array(errors)
    shares = [np.mean(wrong == 0), np.mean(np.abs(wrong) <= 1), np.mean(wrong > 0), np.mean(wrong < 0)]
    return f"| {name} | {len(wrong)} | " + " | ".join(f"{100 * share:.1f} %" for share in shares) + " |"


@dataclass
class Trial:
    """Counts clips of centred fractions and scores (T, V, 3).

    Args:
        jitter, lost: of simulate_detection; 0 and 0: no noise.
        moving: of count.
    """

    jitter: float
    lost: float
    moving: bool
    rng: np.random.Generator

    def error(self, points: np.ndarray, frame_size: tuple[int, int], true: int) -> int:
        """Counted less true."""
        sample = (points * (points[..., 2:] > 0)).transpose(2, 0, 1)[..., None]  # (3, T, V, 1)
        if self.jitter or self.lost:
            aspect = frame_size[0] / frame_size[1]
            sample = simulate_detection(sample, BODY.flip, aspect, self.rng, self.jitter, self.lost)
        x, y, score = sample[..., 0]
        pixels = np.stack([(x + 0.5) * frame_size[0], (y + 0.5) * frame_size[1], score], -1) * (score > 0)[..., None]
        return count(pixels, FPS, BODY, self.moving).repetitions - true

    def error_repeated(self, points: np.ndarray, frame_size: tuple[int, int]) -> int:
        times = int(self.rng.integers(3, 9))
        return self.error(still_around(repeated(points, times, self.rng), self.rng), frame_size, times)


def penn_clips(folder: str, part: str) -> dict[str, list[tuple[np.ndarray, tuple[int, int]]]]:
    """Of each action the clips and the sizes of their frames."""
    clips: dict[str, list] = {action: [] for action in (*ONCE, "jump_rope")}
    for clip in penn_action.list_clips(folder, part).clips:
        action = penn_action.ACTIONS[clip.label]
        if action in clips:
            sequence = penn_action.read(clip.path)
            points = np.concatenate([sequence.keypoints[0], sequence.scores[0][..., None]], -1)
            clips[action].append((points, sequence.frame_size))
    return clips


def utd_clips(folder: str, part: str) -> dict[str, list[tuple[np.ndarray, tuple[int, int], int]]]:
    """Of each action the clips, the sizes of their frames, and how many repetitions they have."""
    clips: dict[str, list] = {"jogging in place": [], "walking in place": [], "squat": []}
    kinect = load_skeleton("utd-mhad")
    for clip in utd_mhad.list_clips(folder, part).clips:
        action = utd_mhad.ACTIONS[clip.label]
        if action in clips:
            joints = utd_mhad.read(clip.path).keypoints[0].astype(float)  # (T, V, 3) metres
            points = remap(from_the_front(joints), kinect, BODY) / [*FRAME, 1] - [0.5, 0.5, 0]
            clips[action].append((points, FRAME, 1 if action == "squat" else steps_by_depth(joints, kinect)))
    return clips


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


if __name__ == "__main__":
    run(main)
