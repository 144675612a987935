"""Normalisation and augmentation of coordinates: pure functions on arrays, no state, no files.

Every function takes a batch (N, C, T, V, M) float32, leaves it as it was and returns a new one. A missing joint (all
channels zero) stays zero. A random function has `rng` as its last argument (feeder/rng.py), which has a row of random
numbers for each clip: what a clip draws does not depend on the batch that it is in.

Coordinates: the first `dimension` channels; with dimension = 2 the third channel is the joint's score.
`aspect` (N,) is the width of each clip's frame over its height: x * aspect and y have the same unit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from feeder.rng import ClipRNG


def present(batch: np.ndarray) -> np.ndarray:
    """Where a joint was seen: (N, 1, T, V, M) bool."""
    seen = batch[:, :1] != 0
    for c in range(1, batch.shape[1]):
        seen |= batch[:, c : c + 1] != 0
    return seen


def to_isotropic(batch: np.ndarray, aspect: np.ndarray) -> np.ndarray:
    """x in units of the frame's height, like y. Divide by the aspect ratio again to come back."""
    out = batch.copy()
    out[:, 0] *= aspect[:, None, None, None].astype(np.float32)
    return out


def normalize_body(batch: np.ndarray, dimension: int) -> np.ndarray:
    """Each clip around the mean of its joints, in units of their root mean square distance from it.

    One offset and one scale for the whole clip: what moves still moves, and persons keep their places to each other.
    """
    mask = present(batch)
    count = np.maximum(mask.sum(axis=(2, 3, 4), keepdims=True), 1)
    out = batch.copy()
    xyz = out[:, :dimension]
    xyz -= (xyz.sum(axis=(2, 3, 4), keepdims=True, dtype=np.float64) / count).astype(np.float32)
    xyz *= mask
    square = np.square(xyz, dtype=np.float64).sum(axis=(1, 2, 3, 4), keepdims=True) / count
    xyz /= np.where(square > 0, np.sqrt(square), 1).astype(np.float32)
    return out


def pre_normalize_2d(batch: np.ndarray, box: bool = False, threshold: float = 0.01) -> np.ndarray:
    """x and y in -1..1 over the frame, or over the box that the clip's joints fill; joints scored lower are missing.

    (PYSKL's transform of this name; the frame's coordinates come as centred fractions.)
    """
    out = batch * (batch[:, 2:3] > threshold)
    mask = present(out)
    if not box:
        out[:, :2] *= 2
        return out
    low = np.where(mask, out[:, :2], np.inf).min((2, 3, 4), keepdims=True)
    high = np.where(mask, out[:, :2], -np.inf).max((2, 3, 4), keepdims=True)
    there = high - low > 0
    middle = np.where(there, low + high, 0) / 2
    out[:, :2] = (out[:, :2] - middle) / np.where(there, (high - low) / 2, 0.5) * mask
    return out


def normalize_axes(batch: np.ndarray, dimension: int) -> np.ndarray:
    """Each axis of each clip from -1 to 1, its least to its greatest coordinate; where those are equal, 0."""
    mask = present(batch)
    out = batch.copy()
    xyz = out[:, :dimension]
    low = np.where(mask, xyz, np.inf).min((2, 3, 4), keepdims=True)
    high = np.where(mask, xyz, -np.inf).max((2, 3, 4), keepdims=True)
    there = high > low
    middle = np.where(there, low / 2 + high / 2, 0)
    out[:, :dimension] = np.where(there, (xyz - middle) / np.where(there, (high - low) / 2, 1), 0) * mask
    return out


def first_pose(clips: Iterable[np.ndarray], joints: Sequence[int]) -> np.ndarray:
    """Person 1 in the first frame that shows one of the joints: (N, C, V)."""
    poses = []
    for clip in clips:
        begin = clip[:, :, list(joints), 0].any((0, 2)).argmax()
        poses.append(clip[:, begin, :, 0])
    return np.stack(poses)


def pre_normalize_3d(batch: np.ndarray, first: np.ndarray, joints: Sequence[int]) -> np.ndarray:
    """Bodies in 3-D where and how person 1 first stands: the spine at the origin, upright along z, his right shoulder to
    left shoulder along x. (PYSKL's transform of this name.)

    Args:
        first: first_pose of the clips, (N, C, V).
        joints: hip, spine, right shoulder, left shoulder; the numbers 0, 1, 8, 4 in NTU RGB+D.

    A clip whose first pose lacks one of the four is taken as it comes: moved, if the spine is there, and not turned.
    """
    out = batch.copy()
    mask = present(batch)
    for clip, pose in zip(out, first):
        hip, spine, right, left = pose.T[list(joints)].astype(np.float64)
        clip -= spine.astype(np.float32)[:, None, None, None]
        if pose[:, list(joints)].any(0).all():
            turn = turn_onto(left - right, spine - hip)
            clip[:] = np.einsum("dc,ctvm->dtvm", turn.astype(np.float32), clip)
    out *= mask
    out[:, :1][mask & ~present(out)] = 1e-6  # the spine itself, now at 0, 0, 0: seen, not missing
    return out


def turn_onto(x: np.ndarray, z: np.ndarray) -> np.ndarray:
    """The rotation (3, 3) that puts the direction z onto the third axis and the part of x across it onto the first."""
    z = z / max(np.linalg.norm(z), 1e-9)
    x = x - z * (x @ z)
    if np.linalg.norm(x) < 1e-6 or np.linalg.norm(z) < 0.5:
        return np.eye(3)
    x = x / np.linalg.norm(x)
    return np.array([x, np.cross(z, x), z])


def mirror(batch: np.ndarray, flip: np.ndarray, rng: ClipRNG) -> np.ndarray:
    """Left and right changed over in every second clip: x negated, paired joints swapped. `flip`: Skeleton.flip, (V,)."""
    out = batch.copy()
    chosen = rng.uniform() < 0.5
    out[chosen] = out[chosen][:, :, :, flip]
    out[chosen, 0] *= -1
    return out


def rotate(
    batch: np.ndarray, angle: float | Sequence[float], dimension: int, rng: ClipRNG, order: str = "xyz"
) -> np.ndarray:
    """About the origin by U(-angle, angle) rad: in the plane, or about each of the three axes in turn, in this order, which
    may have an angle each. Isotropic units.
    """
    if dimension == 2:
        theta = rng.uniform(-angle, angle)
        matrix = np.array([[np.cos(theta), -np.sin(theta)], [np.sin(theta), np.cos(theta)]]).transpose(2, 0, 1)
    else:
        matrix = np.stack([rotation_matrix(*angles, order) for angles in np.multiply(angle, rng.uniform(-1, 1, (3,)))])
    out = batch.copy()
    out[:, :dimension] = np.einsum("ndc,nctvm->ndtvm", matrix.astype(np.float32), batch[:, :dimension])
    return out


def rotation_matrix(x: float, y: float, z: float, order: str = "xyz") -> np.ndarray:
    """About the x, then the y, then the z axis, or in another order, angles in rad: (3, 3)."""
    (cx, cy, cz), (sx, sy, sz) = np.cos([x, y, z]), np.sin([x, y, z])
    about = {
        "x": np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]]),
        "y": np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]]),
        "z": np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]]),
    }
    first, second, third = order
    return about[third] @ about[second] @ about[first]


def scale(batch: np.ndarray, amount: float, dimension: int, rng: ClipRNG) -> np.ndarray:
    """Each axis by its own 1 + U(-amount, amount)."""
    out = batch.copy()
    factor = (1 + rng.uniform(-amount, amount, (dimension,))).astype(np.float32)
    out[:, :dimension] *= factor[:, :, None, None, None]
    return out


def swap_sides(batch: np.ndarray, flip: np.ndarray, rng: ClipRNG) -> np.ndarray:
    """Left and right joints change names in every second clip, and nothing moves: for data whose sides mean nothing."""
    out = batch.copy()
    chosen = rng.uniform() < 0.5
    out[chosen] = out[chosen][:, :, :, flip]
    return out


# ---- what a pose estimator does to a skeleton


def joint_dropout(batch: np.ndarray, share: float, rng: ClipRNG) -> np.ndarray:
    """Joints go missing here and there, each with a probability that a clip draws from U(0, share); and in every fourth
    clip one joint is missing throughout.
    """
    _, _, T, V, M = batch.shape
    lost = rng.uniform(shape=(1, T, V, M)) < rng.uniform(0, share, (1, 1, 1, 1))
    one = np.where(rng.uniform() < 0.25, rng.integers(0, V), -1)
    return np.where(lost | (np.arange(V)[:, None] == one[:, None, None, None, None]), np.float32(0), batch)


def jitter(batch: np.ndarray, amount: float, dimension: int, rng: ClipRNG) -> np.ndarray:
    """Every coordinate is off by a normal error, whose standard deviation a clip draws from U(0, amount)."""
    spread = rng.uniform(0, amount, (1, 1, 1, 1))
    error = rng.normal((dimension, *batch.shape[2:])) * spread
    out = batch.copy()
    out[:, :dimension] += error.astype(np.float32) * present(batch)
    return out


def random_bones(
    batch: np.ndarray, parents: np.ndarray, flip: np.ndarray, spread: float, dimension: int, rng: ClipRNG
) -> np.ndarray:
    """Another body: every bone times a factor of its clip, the same left and right, exp of a normal number times spread."""
    V = batch.shape[3]
    exponent = spread * rng.normal((V,))  # (N, V)
    factor = np.exp((exponent + exponent[:, flip]) / np.sqrt(np.where(flip == np.arange(V), 4, 2))).astype(np.float32)
    out = batch.copy()
    out[:, :dimension] = stretch_bones(batch[:, :dimension], present(batch)[:, 0], factor, parents)
    return out


def stretch_bones(places: np.ndarray, seen: np.ndarray, factor: np.ndarray, parents: np.ndarray) -> np.ndarray:
    """Bones times factor (N, V), that of the joint at their lower end; the joint without a parent stays.

    Where a joint or its parent is missing, the joint goes along with the parent.

    Shape:
        places (N, D, T, V, M), seen (N, T, V, M) -> (N, D, T, V, M)
    """
    moved = np.zeros_like(places)
    for joint in downwards(parents):
        parent = parents[joint]
        bone = (places[..., joint, :] - places[..., parent, :]) * (seen[:, None, :, joint] & seen[:, None, :, parent])
        moved[..., joint, :] = moved[..., parent, :] + (factor[:, joint, None, None, None] - 1) * bone
    return places + moved * seen[:, None]


def downwards(parents: np.ndarray) -> list[int]:
    """The joints that have a parent, every joint after its own parent."""
    order, waiting = [], [v for v, parent in enumerate(parents) if parent != v]
    while waiting:
        ready = [v for v in waiting if parents[v] not in waiting]
        order += ready
        waiting = [v for v in waiting if v not in ready]
    return order


def random_smooth(batch: np.ndarray, most: float, dimension: int, rng: ClipRNG) -> np.ndarray:
    """Blurred along time by a Gaussian, whose standard deviation a clip draws from U(0, most) frames; missing joints have
    no say.
    """
    width = rng.uniform(0, most, (1, 1, 1, 1))
    reach = min(int(np.ceil(2 * most)), batch.shape[2] - 1)
    mask = present(batch)
    total, weights = np.zeros_like(batch[:, :dimension]), np.zeros(mask.shape, np.float32)
    for step in range(-reach, reach + 1):
        weight = np.exp(-0.5 * (step / np.maximum(width, 1e-3)) ** 2).astype(np.float32)
        to, at = slice(max(0, -step), batch.shape[2] - max(0, step)), slice(max(0, step), batch.shape[2] + min(0, step))
        total[:, :, to] += weight * batch[:, :dimension, at]
        weights[:, :, to] += weight * mask[:, :, at]
    out = batch.copy()
    out[:, :dimension] = total / np.maximum(weights, 1e-12) * mask
    return out


def ignore_score(batch: np.ndarray) -> np.ndarray:
    """A score of 1 for every joint that was seen: what is left is where it was."""
    out = batch.copy()
    out[:, 2:3] = present(batch)
    return out


ANGLES = np.deg2rad([-10.0, -5.0, 0.0, 5.0, 10.0])
SCALES = np.array([0.9, 1.0, 1.1])
OFFSETS = np.array([-0.2, -0.1, 0.0, 0.1, 0.2])


def random_move(batch: np.ndarray, aspect: np.ndarray, rng: ClipRNG) -> np.ndarray:
    """A slow camera move (section 4.1 of Yan et al.): x and y turned, scaled and shifted, drifting from one draw at the
    first frame to another at the last. Turned in isotropic units, so that a body keeps its shape.
    """
    T = batch.shape[2]
    drift = np.arange(T) / T
    angle, size, dx, dy = (  # each (N, T): from one draw at the first frame towards another at the last
        start + (end - start) * drift
        for start, end in (rng.choice(choices, (2, 1)).swapaxes(0, 1) for choices in (ANGLES, SCALES, OFFSETS, OFFSETS))
    )
    cos, sin, aspect = np.cos(angle) * size, np.sin(angle) * size, aspect[:, None]
    moves = np.array([[cos, -sin / aspect, dx], [sin * aspect, cos, dy]], np.float32)  # (2, 3, N, T)
    out = np.empty_like(batch)
    for clip, moved, move in zip(
        batch, out, moves.transpose(2, 0, 1, 3)
    ):  # clip by clip, so that it stays in the cache
        point = np.concatenate([clip[:2], present(clip[None])[0]])  # x, y, 1; a missing joint is 0, 0, 0
        for coordinate, row in zip(moved, move):
            np.einsum("ktvm,kt->tvm", point, row, out=coordinate)
        moved[2:] = clip[2:]
    return out


def normalize(batch: np.ndarray, mean: np.ndarray, std: np.ndarray) -> np.ndarray:
    """(x - mean) / std with a mean and a standard deviation (C, V) for each channel of each joint."""
    out = (batch - mean[:, None, :, None]) / std[:, None, :, None]
    return out.astype(np.float32) * present(batch)
