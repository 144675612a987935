"""Ten actions: where pelvis, torso, hands and feet of a body are as time goes on. The rest is in feeder/synthetic.py.

Axes: X to the body's own left, Y up, Z forward.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

FPS = 30
X, Y, Z = range(3)
RIGHT, LEFT = range(2)
SIDE = np.array([[-1, 1, 1], [1, 1, 1]])  # (outward, up, forward) of the right and of the left side -> X, Y, Z


@dataclass
class Body:
    """One subject: bone lengths in metres, and the style of everything it does."""

    shoulder: float  # half the distance between the two shoulders
    hip: float  # half the distance between the two hips
    torso: float
    upper_arm: float
    forearm: float
    thigh: float
    shin: float
    ankle: float  # height of the ankle above the ground
    head: float  # size of the head: the distance between the ears
    stance: float  # how far outside its hip a foot stands
    slouch: float  # lean of the torso at rest, radians
    tempo: float  # factor on the speed of every action
    size: float  # factor on the extent of every action

    @property
    def arm(self) -> float:
        return self.upper_arm + self.forearm

    @property
    def leg(self) -> float:
        return self.thigh + self.shin


@dataclass
class Pose:
    """Where an action wants the body, T frames. Hands and feet are right, left x outward, up, forward."""

    pelvis: np.ndarray  # (T, 3) metres from where it is when standing straight
    lean: np.ndarray  # (T,) of the torso forward, radians
    tilt: np.ndarray  # (T,) of the torso to the left
    twist: np.ndarray  # (T,) of the shoulders to the left
    nod: np.ndarray  # (T,) of the head against the torso
    turn: np.ndarray  # (T,) of the head to the left
    hands: np.ndarray  # (T, 2, 3) from the shoulder, in arm lengths, in the axes of the torso
    feet: np.ndarray  # (T, 2, 3) ankle from the ground point below the hip, metres, in the axes of the ground
    travel: np.ndarray  # (T,) metres walked forward by then

    def mirrored(self) -> Pose:
        flip = np.array([-1, 1, 1])
        swap = self.hands[:, ::-1], self.feet[:, ::-1]
        return Pose(self.pelvis * flip, self.lean, -self.tilt, -self.twist, self.nod, -self.turn, *swap, self.travel)


# ------------------------------------------------------------------------------------------------ curves over time


def swing(p):
    """Cycles -> -1..1."""
    return np.sin(2 * np.pi * p)


def rise(p):
    """Cycles -> 0 at whole numbers, 1 halfway."""
    return 0.5 - 0.5 * np.cos(2 * np.pi * p)


def path(p, keys: dict):
    """A closed path through {moment in the cycle: value}, the first at 0.0, resting at each; values may be arrays."""
    moments = np.array([*keys, 1.0])
    values = np.array([*keys.values(), keys[0.0]], float)
    k = np.searchsorted(moments, p % 1, side="right") - 1
    w = (p % 1 - moments[k]) / (moments[k + 1] - moments[k])
    w = (w * w * (3 - 2 * w)).reshape(-1, *[1] * (values.ndim - 1))
    return values[k] + w * (values[k + 1] - values[k])


def drift(rng, T, *shape):
    """(T, *shape) slow random curves of about unit size: breathing, swaying, a hand-held camera."""
    t = np.arange(T).reshape(-1, *[1] * (len(shape) + 1)) / FPS
    hertz, start = rng.uniform(0.05, 0.6, (*shape, 4)), rng.random((*shape, 4))
    return swing(hertz * t + start).mean(-1) * 1.5


AT_REST = np.array(  # arms at rest; each pose also occurs in some action
    [
        [0.1, -0.97, 0.06],  # hang
        [0.22, -0.62, 0.05],  # on the hip
        [-0.15, -0.05, 0.42],  # before the chin
        [-0.4, -0.45, 0.45],  # folded before the belly
        [0.35, 0.55, 0.3],  # up, as if asking to speak
        [-0.1, -0.2, 0.85],  # out in front
    ]
)


def at_rest(body: Body, T: int, rng) -> Pose:
    """Standing with whatever the arms do, breathing, swaying a little."""
    sway = drift(rng, T, 6)
    right, left = rng.choice(len(AT_REST), 2, p=[0.47, 0.17, 0.09, 0.11, 0.06, 0.1])
    hands = AT_REST[[right, right if rng.random() < 0.6 else left]] + rng.normal(0, 0.03, (2, 3))
    return Pose(
        pelvis=[0, -0.008, 0] + sway[:, :3] * [0.015, 0, 0.01],
        lean=body.slouch + 0.02 * sway[:, 3],
        tilt=0.02 * sway[:, 0],
        twist=0.05 * sway[:, 4],
        nod=0.05 * sway[:, 4] - body.slouch,
        turn=0.15 * sway[:, 5],
        hands=hands + 0.03 * drift(rng, T, 2, 3),
        feet=np.zeros((T, 2, 3)) + [body.stance, body.ankle, 0] + rng.normal(0, [0.02, 0, 0.07], (2, 3)),
        travel=np.zeros(T),
    )


# ----------------------------------------------------------------------------------------------------- the actions
# Each moves a Pose that is at rest; p (T,) is the time in cycles, size (T,) the extent, about 1.
# All are right-handed: half the clips are mirrored.


def stand(pose, body, p, size, rng):
    pose.pelvis[:, X] += 0.03 * size * swing(p)
    pose.tilt -= 0.03 * size * swing(p)
    pose.turn += 0.3 * size * swing(0.6 * p)


def walk(pose, body, p, size, rng):
    stride = 0.72 * size * body.leg  # what a planted foot travels backward under the body, in 0.6 of a cycle
    for side, f in ((RIGHT, p % 1), (LEFT, (p + 0.5) % 1)):
        u = np.clip((f - 0.6) / 0.4, 0, 1)  # 0..1 while the foot is in the air
        forward = np.where(f < 0.6, 0.5 - f / 0.6, u * u * (3 - 2 * u) - 0.5)
        pose.feet[:, side, Z] = stride * forward
        pose.feet[:, side, Y] += 0.17 * body.leg * np.sin(np.pi * u) ** 2
        if rng.random() < 0.85:  # the arm swings against its leg; else it keeps what it was doing
            angle = 0.1 - 0.55 * size * np.cos(2 * np.pi * (f - 0.05))
            pose.hands[:, side] = 0.95 * np.stack([0.12 + 0 * f, -np.cos(angle), np.sin(angle)], 1)
    pose.feet[:, :, X] -= 0.5 * body.stance
    pose.twist -= 0.15 * size * np.cos(2 * np.pi * p)
    pose.lean += 0.05
    pose.travel += stride / 0.6 * (p - p.mean())


def jumping_jacks(pose, body, p, size, rng):
    angle = 0.25 + 2.6 * np.minimum(size, 1.05) * rise(p)
    hands = 0.97 * np.stack([np.sin(angle), -np.cos(angle), 0.08 + 0 * p], 1)
    pose.hands[:] = hands[:, None]
    pose.feet[:, :, X] += (0.36 * body.leg * size * rise(p))[:, None]
    hop = 0.09 * size * swing(p) ** 2  # off the ground on the way out and on the way in
    pose.feet[:, :, Y] += hop[:, None]
    pose.pelvis[:, Y] += hop - 0.03


def squat(pose, body, p, size, rng):
    depth = size * rise(p)
    pose.pelvis[:, Y] -= 0.47 * body.leg * depth
    pose.pelvis[:, Z] -= 0.3 * body.thigh * depth
    pose.feet[:, :, X] += 0.08
    pose.lean += 0.6 * depth
    pose.nod -= 0.45 * depth
    if rng.random() < 0.6:  # the arms come forward for balance
        pose.hands += np.minimum(depth, 1)[:, None, None] * (np.array([-0.1, 0.15, 0.9]) - pose.hands)


def wave(pose, body, p, size, rng):
    up, bend = rng.uniform(0.5, 0.75), rng.uniform(0.25, 0.5)
    pose.hands[:, RIGHT] = [bend, up, 0.3]
    pose.hands[:, RIGHT, X] += 0.32 * size * swing(p)
    pose.hands[:, RIGHT, Y] -= 0.06 * size * rise(2 * p)
    pose.tilt += 0.03


def clap(pose, body, p, size, rng):
    gap = 0.04 + 0.3 * size * rise(p)  # from the middle to a wrist, metres
    pose.hands[:, :, X] = ((gap - body.shoulder) / body.arm)[:, None]
    pose.hands[:, :, Y] = rng.uniform(-0.45, 0.1) - 0.1 * rise(p)[:, None]
    pose.hands[:, :, Z] = rng.uniform(0.5, 0.65) - 0.08 * rise(p)[:, None]


def punch(pose, body, p, size, rng):
    guard, hit = np.array([-0.15, -0.05, 0.42]), np.array([-0.28, rng.uniform(-0.1, 0.1), 0.95])
    pose.hands[:] = guard
    blows = [(RIGHT, 0.0, 1), (LEFT, 0.5, -1)][: rng.integers(1, 3)]  # one fist only, or left and right in turn
    for side, start, way in blows:
        out = path(p - start, {0.0: 0, 0.18: 1, 0.26: 1, 0.5: 0}) * np.minimum(size, 1.1)
        pose.hands[:, side] += out[:, None] * (hit - guard)
        pose.twist += way * 0.5 * out
        pose.pelvis[:, Z] += 0.05 * out
    pose.twist -= 0.25
    pose.lean += 0.1
    pose.nod -= 0.1
    pose.feet += np.array([[0.03, 0, -0.16], [0.03, 0, 0.14]])
    pose.pelvis[:, Y] -= 0.05 * body.leg + 0.015 * rise(2 * p)


def kick(pose, body, p, size, rng):
    height = rng.uniform(0.45, 0.75)  # of the foot, in leg lengths as all of this
    rest, back, knee = [0, 0, 0], [0, 0.1, -0.3], [0, 0.45, 0.2]
    out = [0, height, 0.92 * np.sqrt(1 - (1 - height) ** 2)]
    foot = path(p, {0.0: rest, 0.2: back, 0.38: knee, 0.5: out, 0.62: knee, 0.82: rest})
    effort = path(p, {0.0: 0, 0.2: 0.3, 0.5: 1, 0.82: 0})
    pose.feet[:, RIGHT] += body.leg * (size[:, None] * foot)
    pose.feet[:, RIGHT, X] -= body.stance * effort
    pose.feet[:, LEFT, X] -= (body.hip + body.stance) * 0.4
    pose.pelvis[:, X] += 0.05 + 0.03 * effort
    pose.pelvis[:, Y] -= 0.03
    pose.lean -= 0.3 * size * effort
    pose.nod += 0.25 * size * effort
    pose.twist += 0.25 * effort
    pose.hands += effort[:, None, None] * np.array([[0.15, 0.1, -0.15], [0.1, 0.2, 0.2]])


def bow(pose, body, p, size, rng):
    depth = path(p, {0.0: 0, 0.1: 0, 0.42: 1, 0.6: 1, 0.95: 0}) * size
    pose.lean += 1.15 * depth
    pose.nod += 0.15 * depth
    pose.pelvis[:, Z] -= 0.12 * depth
    if rng.random() < 0.5:  # the hands slide down the thighs; else they stay where they are
        pose.hands += np.minimum(depth, 1)[:, None, None] * (np.array([-0.05, -0.85, 0.35]) - pose.hands)


def sit_down(pose, body, p, size, rng):
    down = path(p, {0.0: 0, 0.08: 0, 0.36: 1, 0.64: 1, 0.92: 0})
    seat = (0.9 + 0.1 * np.minimum(size, 1.2)) * body.thigh  # how far the pelvis sinks
    pose.pelvis[:, Y] -= seat * down
    pose.pelvis[:, Z] -= 0.93 * body.thigh * path(p, {0.0: 0, 0.04: 0, 0.34: 1, 0.66: 1, 0.96: 0})
    reach = path(p, {0.0: 0, 0.24: 1, 0.44: 0, 0.56: 0, 0.76: 1})  # forward, to keep the balance on the way
    pose.lean += 0.65 * size * reach - 0.08 * down
    pose.nod -= 0.4 * size * reach
    if rng.random() < 0.7:  # hands on the knees
        pose.hands += down[:, None, None] * (np.array([-0.1, -0.65, 0.5]) - pose.hands)


ACTIONS = {  # label name: (function, cycles a second)
    "standing": (stand, 0.3),
    "walking": (walk, 0.9),
    "jumping jacks": (jumping_jacks, 0.95),
    "squatting": (squat, 0.5),
    "waving": (wave, 1.6),
    "clapping": (clap, 1.9),
    "punching": (punch, 0.85),
    "kicking": (kick, 0.6),
    "bowing": (bow, 0.38),
    "sitting down": (sit_down, 0.33),
}
