"""What can be wrong with the motion of a clip: frozen, cut, joints that jump, bones that change, sides or persons that swap.

Every function takes persons of feeder.inspection.body and gives Spots. The thresholds were set on Penn Action, NW-UCLA, SBU
and UTD-MHAD: each lies between what real motion does and what the injected defects of tests/feeder/inspection do;
docs/inspect.md has the figures. Lengths are in sizes of the body (Person.size).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations

import numpy as np

from feeder.inspection.body import Body, Person, Spot, runs

STILL = 1e-4  # a step that is none
FROZEN_FRAMES = 5  # the fewest frames of a clip in which somebody should have moved
PAUSE = 10, 0.2  # frames, share of the clip: a longer pause is worth a note
CUT, CUT_SHARE, CUT_USUAL = 0.3, 0.75, 5.0  # that step of so many of the joints, so many times the usual one
JUMP, JUMP_USUAL, BACK, AWAY = 0.25, 5.0, 0.35, 3  # BACK: of the jump, after at most AWAY frames
FLIP, FLIP_GAIN, FLIP_PAIRS = 0.05, 0.6, 2  # the fewest mirror pairs that were seen
SWAP, SWAP_GAIN, HANDOVER = 0.15, 0.5, 0.1
STRETCH, STRETCH_BY = 2.5, 0.25  # 3-D: 95 % quantile against 5 %, and the difference
LONG, LONG_USUAL = 0.8, 2.5  # 2-D: the longest against the 95 % quantile
FEWEST = 5  # frames, for a quantile


def check_motion(found: Sequence[Person], body: Body, dimension: int) -> list[Spot]:
    """All that is wrong with the persons of one clip, (T, V) each; a jump that another finding explains is not named twice."""
    if not found or len(found[0].seen) < 2:
        return []
    spots = still(found)
    exchanged = swaps(found)
    for person in found:
        flipped = flips(person, body)
        told = covered(len(person.seen), flipped + exchanged)
        moved = cuts(person, told)
        told |= covered(len(person.seen), moved)
        jumping = jumps(person, body, told)
        told |= covered(len(person.seen), jumping)
        spots += flipped + moved + jumping + bones(person, body, dimension, told)
    return spots + exchanged


def covered(T: int, spots: Iterable[Spot]) -> np.ndarray:
    """(T,) bool: the frames of the spots, and the one after."""
    inside = np.zeros(T, bool)
    for spot in spots:
        inside[spot.first : spot.last + 2] = True
    return inside


def still(found: Sequence[Person]) -> list[Spot]:
    """Nobody moves in the whole clip, or for a long stretch of it."""
    T = len(found[0].seen)
    known = np.zeros(T - 1, bool)
    moves = np.zeros(T - 1, bool)
    for person in found:
        known |= person.both.any(1)
        moves |= (person.step > STILL).any(1)
    if T >= FROZEN_FRAMES and known.sum() >= FROZEN_FRAMES - 1 and not moves.any():
        return [Spot("frozen", 0, T - 1, f"{T} frames", T)]
    long = max(PAUSE[0], PAUSE[1] * T)
    return [
        Spot("pause", first, last + 1, f"{last - first + 2} frames", last - first + 2)
        for first, last in runs(known & ~moves)
        if last - first + 2 > long
    ]


def cuts(person: Person, told: np.ndarray) -> list[Spot]:
    """The whole body is elsewhere from one frame to the next: far more than usual, or to and fro."""
    count = person.both.sum(1)
    far = (person.step > CUT).sum(1) >= np.maximum(CUT_SHARE * count, 3)
    far &= ~told[1:]
    if not far.any():
        return []
    mean = person.step.sum(1) / np.maximum(count, 1)
    usual = np.median(mean[count > 0])
    sudden = far & (mean > CUT_USUAL * usual)
    for t in np.flatnonzero(far[:-1] & far[1:] & ~sudden[:-1]):  # at t+2 back to where it was at t
        both = person.seen[t] & person.seen[t + 2]
        way = np.linalg.norm(person.points[:, t + 2, both] - person.points[:, t, both], axis=0) / person.size
        sudden[t] = both.any() and way.mean() < BACK * mean[t]
    where = f"person {person.slot + 1}"
    return [
        Spot("cut", first + 1, last + 1, where, float(mean[first : last + 1].max())) for first, last in runs(sudden)
    ]


def jumps(person: Person, body: Body, told: np.ndarray) -> list[Spot]:
    """A joint is elsewhere for one to three frames and then back: far by the size of the body, and by what it usually does."""
    step, T = person.step, len(person.seen)
    if not (step > JUMP).any():
        return []
    hits: dict[int, np.ndarray] = {}  # frames (T,) by joint
    worst: dict[int, float] = {}
    for away in range(1, AWAY + 1):
        n = T - away - 1  # t: the frame before; t + away + 1: back
        if n < 1:
            break
        least = np.minimum(step[:n], step[away : away + n])
        for t, v in np.argwhere(least > JUMP):
            if not person.both[t, v] or not person.both[t + away, v] or told[t + 1 : t + away + 1].any():
                continue
            back = np.linalg.norm(person.points[:, t + away + 1, v] - person.points[:, t, v]) / person.size
            if back > BACK * least[t, v] or least[t, v] < JUMP_USUAL * np.quantile(step[person.both[:, v], v], 0.75):
                continue
            hits.setdefault(int(v), np.zeros(T, bool))[t + 1 : t + away + 1] = True
            worst[int(v)] = max(worst.get(int(v), 0.0), float(least[t, v]))
    return [Spot("jump", *run, body.names[v], worst[v]) for v, frames in hits.items() for run in runs(frames)]


def bones(person: Person, body: Body, dimension: int, told: np.ndarray) -> list[Spot]:
    """Bones that do not keep their length; in 2-D, where turning shortens them, only those that grow out of all bounds."""
    frames = ~told
    if len(body.bones) == 0 or frames.sum() < FEWEST or not person.size:
        return []
    child, parent = body.bones.T
    known = person.seen[:, child] & person.seen[:, parent] & frames[:, None]
    length = np.sqrt(np.square(person.points[:, :, child] - person.points[:, :, parent]).sum(0)) / person.size
    count = known.sum(0)
    enough = count >= FEWEST
    order = np.sort(np.where(known, length, np.inf), 0)  # (T, B), what is not known last
    at = np.arange(len(child))
    low, high = (order[np.floor(q * np.maximum(count - 1, 0)).astype(int), at] for q in (0.05, 0.95))
    if dimension == 3:
        wrong = enough & (high > STRETCH * low) & (high - low > STRETCH_BY)
        usual = order[np.maximum(count - 1, 0) // 2, at]
        off = np.abs(length - usual) > STRETCH_BY / 2
    else:
        wrong = enough & (order[np.maximum(count - 1, 0), at] > np.maximum(LONG, LONG_USUAL * high))
        off = length > np.maximum(LONG, LONG_USUAL * high)
    spots = []
    for b in np.flatnonzero(wrong):
        place = runs(off[:, b] & known[:, b]) or [(0, len(frames) - 1)]
        name = f"{body.names[child[b]]} to {body.names[parent[b]]}"
        ratio = float(order[count[b] - 1, b] / max(low[b], 1e-3))
        first, last = max(place, key=lambda run: run[1] - run[0])
        spots.append(Spot("bone", first, last, name, ratio))
    return spots


def flips(person: Person, body: Body) -> list[Spot]:
    """Stretches in which left and right are swapped: at both ends the motion is much smaller with the sides exchanged."""
    if len(body.pairs) < FLIP_PAIRS:
        return []
    left, right = body.pairs.T
    ok = person.both[:, left] & person.both[:, right]  # (T-1, P)
    count = ok.sum(1)
    same = ((person.step[:, left] + person.step[:, right]) * ok).sum(1) / np.maximum(2 * count, 1)
    frames = np.flatnonzero((same > FLIP) & (count >= FLIP_PAIRS))
    if not len(frames):
        return []
    a, b = person.points[:, :, left], person.points[:, :, right]  # (D, T, P)
    across = _way(a[:, frames], b[:, frames + 1]) + _way(b[:, frames], a[:, frames + 1])
    swap = (across * ok[frames]).sum(1) / (2 * count[frames] * person.size)
    better = swap < FLIP_GAIN * same[frames]
    gain = dict(zip(frames[better].tolist(), (same[frames] - swap)[better].tolist()))
    where = f"person {person.slot + 1}"
    return [Spot("flip", first, last, where, max(gain.values())) for first, last in _toggled(list(gain), person.there)]


def swaps(found: Sequence[Person]) -> list[Spot]:
    """Persons who exchange their places in the array, or one who goes on in another's place."""
    spots = []
    for one, two in combinations(found, 2):
        where = f"persons {one.slot + 1} and {two.slot + 1}"
        size = max(one.size, two.size)
        ok = one.both & two.both
        count = ok.sum(1)
        same = ((one.step * one.size + two.step * two.size) * ok).sum(1) / np.maximum(2 * count, 1) / size
        events = []
        frames = np.flatnonzero((same > SWAP) & (count >= 3))
        if len(frames):
            a, b = one.points, two.points
            across = _way(a[:, frames], b[:, frames + 1]) + _way(b[:, frames], a[:, frames + 1])
            swap = (across * ok[frames]).sum(1) / (2 * count[frames] * size)
            events = frames[swap < SWAP_GAIN * same[frames]].tolist()
            worst = float(same[frames].max())
            spots += [Spot("swap", *run, where, worst) for run in _toggled(events, one.there | two.there)]
        for a, b in ((one, two), (two, one)):  # a goes on as b
            alone = a.there[:-1] & ~b.there[:-1] & ~a.there[1:] & b.there[1:]
            for t in np.flatnonzero(alone):
                seen = a.seen[t] & b.seen[t + 1]
                if seen.sum() >= 3:
                    way = np.linalg.norm(b.points[:, t + 1, seen] - a.points[:, t, seen], axis=0).mean() / size
                    if way < HANDOVER:
                        spots.append(Spot("swap", int(t) + 1, int(t) + 1, where, float(way)))
    return spots


def _way(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Distances along the first axis: (D, ...) -> (...)."""
    return np.sqrt(np.square(a - b).sum(0))


def _toggled(events: Sequence[int], there: np.ndarray) -> list[tuple[int, int]]:
    """(first, last) of the frames on the other side: event t is between frames t and t+1, each turns the side over.

    Which of the two sides is the right one is not known; the one with fewer frames is taken for the wrong one.
    """
    if not events:
        return []
    turned = np.zeros(len(there), int)
    turned[np.asarray(events) + 1] = 1
    side = np.cumsum(turned) % 2 == 1
    if (side & there).sum() * 2 > there.sum():
        side = ~side
    return runs(side)
