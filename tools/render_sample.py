"""A person drawn doing one of the synthetic actions, as a video that pose estimators take for a person.

    python tools/render_sample.py                          # resource/media/jumping_jacks.mp4, what the demo runs on by default
    python tools/render_sample.py --action waving --output waving.mp4

The motion is that of feeder/synthetic/, joints in metres; here a camera looks at it from the front and a figure is
hung on the joints: capsules for the limbs, a shirt, shorts, shoes, a head with a face, a floor and a wall.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from feeder.skeleton import load_skeleton
from feeder.synthetic.actions import ACTIONS, FPS, at_rest, drift
from feeder.synthetic.body import joints_of, make_body
from tools.command import run
from torchlight.errors import DataError

SAMPLE = Path(__file__).resolve().parent.parent / "resource" / "media" / "jumping_jacks.mp4"
SIZE = 640, 480
FINE = 2  # drawn this many times as large, then reduced: smooth edges
FOCAL, DISTANCE, EYE = 770, 4.2, 1.08  # pixels; metres from the body; metres above the ground
JOINT = {name: i for i, name in enumerate(load_skeleton("openpose").joints)}

SKIN, HAIR, INK = (224, 172, 136), (64, 42, 30), (52, 34, 30)
SHIRT, SHORTS, SOCK, SHOE = (44, 112, 186), (46, 48, 58), (238, 238, 234), (214, 66, 52)
WALL, FLOOR = (212, 214, 206), (176, 138, 98)


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--action", default="jumping jacks", help=f"one of: {', '.join(ACTIONS)} (default: jumping jacks)")
    p.add_argument("--output", default=str(SAMPLE), help="the video, .mp4")
    p.add_argument("--seconds", type=float, default=8.0)
    p.add_argument("--seed", type=int, default=3, help="another body and another way of doing it")
    arg = p.parse_args()
    if arg.action not in ACTIONS:
        raise DataError(f"--action {arg.action}: expected one of {', '.join(ACTIONS)}")
    if not 0 < arg.seconds <= 3600:
        raise DataError(f"--seconds {arg.seconds}: expected a length between 0 and an hour")

    from feeder.video.encode import VideoWriter

    joints = perform(arg.action, max(1, round(arg.seconds * FPS)), arg.seed)
    room = draw_room()
    with VideoWriter(arg.output, *SIZE, FPS) as video:
        for t, body in enumerate(joints):
            video.write(draw_frame(room, body), t / FPS)
    print(f"{arg.output}: {len(joints)} frames of {arg.action}")


def perform(action: str, num_frame: int, seed: int) -> np.ndarray:
    """(T, 18, 3) metres, openpose joints, feet on Y = 0, facing +Z: a body doing the action, never twice the same."""
    rng = np.random.default_rng(seed)
    body = make_body(seed, 0)
    do, cycles = ACTIONS[action]
    p = np.cumsum(cycles * (1 + 0.06 * drift(rng, num_frame))) / FPS
    pose = at_rest(body, num_frame, rng)
    do(pose, body, p, 1 + 0.05 * drift(rng, num_frame), rng)
    return joints_of(pose, body)


def look(points: np.ndarray) -> np.ndarray:
    """Metres (..., 3) -> pixels x, y, and pixels a metre there: (..., 3)."""
    scale = FOCAL / (DISTANCE - points[..., 2])
    x = SIZE[0] / 2 + points[..., 0] * scale
    y = SIZE[1] / 2 - (points[..., 1] - EYE) * scale
    return np.stack([x, y, scale], -1)


# ------------------------------------------------------------------------------------------------------- the brush


class Brush:
    """Shapes in pixels on a picture FINE times as large."""

    def __init__(self, image: np.ndarray):
        self.image = image

    def polygon(self, points: np.ndarray, colour: tuple) -> None:
        from feeder.video.opencv import cv2

        cv2.fillPoly(self.image, [np.round(np.asarray(points) * FINE * 16).astype(np.int32)], colour, cv2.LINE_AA, 4)

    def ellipse(self, centre, radii, colour: tuple, angle: float = 0.0, part=(0, 360)) -> None:
        """Axes along x and y, turned by angle; part: from where to where, radians from +x towards +y."""
        a = np.deg2rad(np.linspace(*part, 48))
        ring = np.stack([radii[0] * np.cos(a), radii[1] * np.sin(a)], 1)
        c, s = np.cos(angle), np.sin(angle)
        self.polygon(ring @ [[c, s], [-s, c]] + np.asarray(centre)[:2], colour)

    def limb(self, a: np.ndarray, b: np.ndarray, wide: float, narrow: float, colour: tuple) -> None:
        """A tapered capsule from a to b (x, y, pixels a metre), radii in metres, lit from the left."""
        for share, light, aside in ((1.0, 0.82, 0.0), (0.72, 1.0, -0.2), (0.3, 1.07, -0.4)):
            r, s = wide * a[2], narrow * b[2]
            self.capsule(a[:2] + [aside * r, 0], b[:2] + [aside * s, 0], share * r, share * s, lit(colour, light))

    def capsule(self, a, b, r: float, s: float, colour: tuple) -> None:
        along = (b - a) / max(np.linalg.norm(b - a), 1e-6)
        across = np.array([-along[1], along[0]])
        self.polygon([a + r * across, b + s * across, b - s * across, a - r * across], colour)
        self.ellipse(a, (r, r), colour)
        self.ellipse(b, (s, s), colour)


def lit(colour: tuple, light: float) -> tuple:
    return tuple(int(min(255, c * light)) for c in colour)


# ------------------------------------------------------------------------------------------------------ the picture


def draw_room() -> np.ndarray:
    """A wall with a window, a skirting board, and floor boards that run away from the camera; FINE times the size."""
    width, height = SIZE
    light = 1 - 0.14 * np.abs(np.linspace(-1, 1, width * FINE))[None, :, None] ** 2
    image = (np.ones((height * FINE, 1, 1)) * light * WALL).astype(np.uint8)
    brush = Brush(image)
    edge = look(np.array([0, 0, -1.6]))[1]  # where wall and floor meet
    brush.polygon([(0, edge), (width, edge), (width, height), (0, height)], FLOOR)
    for k, x in enumerate(np.arange(-4, 4, 0.3)):
        board = look(np.array([[x, 0, -1.6], [x + 0.3, 0, -1.6], [x + 0.3, 0, 2.4], [x, 0, 2.4]]))[:, :2]
        brush.polygon(board, lit(FLOOR, (0.93, 1.0, 0.97, 1.04)[k % 4]))
    brush.polygon([(0, edge - 12), (width, edge - 12), (width, edge), (0, edge)], (236, 234, 226))
    brush.polygon([(48, 60), (168, 60), (168, 240), (48, 240)], (246, 246, 242))
    brush.polygon([(56, 68), (160, 68), (160, 232), (56, 232)], (174, 206, 226))
    brush.polygon([(56, 178), (104, 152), (160, 184), (160, 232), (56, 232)], (134, 168, 124))
    brush.polygon([(105, 60), (111, 60), (111, 240), (105, 240)], (246, 246, 242))
    brush.polygon([(500, 92), (596, 92), (596, 216), (500, 216)], (120, 90, 66))
    brush.polygon([(507, 99), (589, 99), (589, 209), (507, 209)], (226, 202, 150))
    brush.ellipse((548, 148), (24, 24), (206, 96, 70))
    brush.polygon([(507, 209), (507, 184), (545, 164), (589, 192), (589, 209)], (92, 122, 132))
    return image


def draw_frame(room: np.ndarray, joints: np.ndarray) -> np.ndarray:
    """(18, 3) metres -> (H, W, 3) uint8 RGB."""
    from feeder.video.opencv import cv2

    image = room.copy()
    brush, at = Brush(image), look(joints)
    draw_shadow(brush, joints)
    for side in ("right", "left"):
        draw_leg(brush, *(at[JOINT[f"{side}_{name}"]] for name in ("hip", "knee", "ankle")))
    draw_torso(brush, at)
    draw_head(brush, at)
    for side in ("right", "left"):
        draw_arm(brush, *(at[JOINT[f"{side}_{name}"]] for name in ("shoulder", "elbow", "wrist")))
    return cv2.resize(image, SIZE, interpolation=cv2.INTER_AREA)


def draw_shadow(brush: Brush, joints: np.ndarray) -> None:
    for ankle in joints[[JOINT["right_ankle"], JOINT["left_ankle"]]]:
        x, y, scale = look(ankle * [1, 0, 1])
        for spread, light in ((1.25, 0.88), (0.95, 0.76)):
            brush.ellipse((x, y), (0.2 * spread * scale, 0.055 * spread * scale), lit(FLOOR, light))


def draw_leg(brush: Brush, hip: np.ndarray, knee: np.ndarray, ankle: np.ndarray) -> None:
    m = ankle[2]  # a metre
    toe = ankle + [np.sign(ankle[0] - knee[0]) * 0.02 * m, 0.08 * m, 0]
    brush.ellipse(toe + [0, 0.042 * m, 0], (0.06 * m, 0.016 * m), SOCK)  # the sole
    brush.limb(ankle + [0, 0.03 * m, 0], toe, 0.046, 0.054, SHOE)
    brush.limb(knee, ankle, 0.058, 0.04, SKIN)
    brush.limb(ankle + 0.3 * (knee - ankle), ankle, 0.048, 0.042, SOCK)
    brush.limb(hip, knee, 0.088, 0.06, SKIN)
    brush.limb(hip, hip + 0.66 * (knee - hip), 0.1, 0.09, SHORTS)


def draw_torso(brush: Brush, at: np.ndarray) -> None:
    """A shirt over the top of the shorts, and the neck in its collar."""
    right, left, neck = at[JOINT["right_shoulder"]], at[JOINT["left_shoulder"]], at[JOINT["neck"]]
    hips = at[[JOINT["right_hip"], JOINT["left_hip"]]]
    m, middle = neck[2], hips.mean(0)
    brush.capsule(hips[0, :2], hips[1, :2], 0.1 * m, 0.1 * m, SHORTS)
    up = (neck - middle)[:2]
    wide = (left - right)[:2] / np.linalg.norm((left - right)[:2])
    outline = np.array([(0.5, 1.1), (0.86, 1.03), (1.05, 0.9), (0.86, 0.6), (0.8, 0.36), (0.88, 0.1), (0.9, -0.05)])
    half = np.linalg.norm((left - right)[:2]) / 2  # of the shoulders
    for share, light, aside in ((1.0, 0.82, 0.0), (0.84, 1.0, -0.05), (0.4, 1.06, -0.2)):
        x = np.concatenate([share * outline[:, 0], -share * outline[::-1, 0]]) + aside
        y = np.concatenate([outline[:, 1], outline[::-1, 1]])
        brush.polygon(middle[:2] + half * x[:, None] * wide + y[:, None] * up, lit(SHIRT, light))
    collar = neck[:2] - 0.04 * up
    brush.ellipse(collar, (0.085 * m, 0.045 * m), lit(SHIRT, 0.7))
    brush.ellipse(collar - 0.01 * up, (0.072 * m, 0.036 * m), lit(SKIN, 0.9))
    brush.limb(neck, neck - [0, 0.12 * m, 0], 0.054, 0.05, lit(SKIN, 0.88))


def draw_head(brush: Brush, at: np.ndarray) -> None:
    nose, right_ear, left_ear = at[JOINT["nose"]], at[JOINT["right_ear"]], at[JOINT["left_ear"]]
    m, across = nose[2], (left_ear - right_ear)[:2]
    half, tilt = 0.56 * np.linalg.norm(across), np.arctan2(across[1], across[0])
    down = m * np.array([-np.sin(tilt), np.cos(tilt)])
    centre = 0.6 * (left_ear + right_ear)[:2] / 2 + 0.4 * nose[:2]

    def oval(at: np.ndarray, below: float, radii: tuple, colour: tuple, part=(0, 360)) -> None:
        brush.ellipse(at[:2] + below * down, radii, colour, tilt, part)

    for ear in (right_ear, left_ear):
        oval(ear, 0.01, (0.02 * m, 0.034 * m), lit(SKIN, 0.85))
    oval(centre, -0.034, (1.12 * half, 0.12 * m), HAIR)
    oval(centre, 0.0, (half, 0.122 * m), lit(SKIN, 0.9))
    oval(centre, -0.002, (0.9 * half, 0.112 * m), SKIN)
    oval(centre, -0.062, (1.06 * half, 0.082 * m), HAIR, (180, 360))
    for eye in (at[JOINT["right_eye"]], at[JOINT["left_eye"]]):
        oval(eye, 0.0, (0.018 * m, 0.011 * m), (250, 250, 248))
        oval(eye, 0.0, (0.009 * m, 0.01 * m), INK)
        oval(eye, -0.025, (0.023 * m, 0.006 * m), HAIR)
    oval(nose, -0.004, (0.013 * m, 0.022 * m), lit(SKIN, 0.82))
    oval(nose, -0.008, (0.009 * m, 0.019 * m), lit(SKIN, 1.06))
    oval(nose, 0.036, (0.032 * m, 0.017 * m), (168, 76, 68), (0, 180))


def draw_arm(brush: Brush, shoulder: np.ndarray, elbow: np.ndarray, wrist: np.ndarray) -> None:
    brush.limb(wrist, wrist + 0.25 * (wrist - elbow), 0.034, 0.042, SKIN)
    brush.limb(elbow, wrist, 0.046, 0.033, SKIN)
    brush.limb(shoulder, elbow, 0.058, 0.046, SKIN)
    brush.limb(shoulder, shoulder + 0.5 * (elbow - shoulder), 0.066, 0.064, SHIRT)


if __name__ == "__main__":
    run(main)
