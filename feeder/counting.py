"""How often a person repeats a motion: jumping jacks, squats, push-ups, sit-ups, pull-ups, steps of jogging in place.

    counted = count(keypoints, 30, load_skeleton("openpose"))       # (T, 18, 3): x, y, score
    counted.repetitions, counted.moments, counted.period

    counter = Counter(30, load_skeleton("openpose"))                # the same while a video runs
    repetitions = counter.add(seconds, joints)                      # (18, 3)

1. The joints are smoothed and projected on the direction in which they move most: one curve over time (feeder/curve.py). There
   are two, one of the vertical differences between left and right joints, and one of everything else.
2. If the two sides move in turn, every swing of their difference is a repetition (a step, a punch). Else two swings of the
   other curve are one, there and back.
3. If the pose at every second return is another one, two are one repetition: in a jumping jack a hop ends with the arms up,
   the next one with the arms down.
4. Swings from another pose and to another pose, at the ends, are left away: standing up after sit-ups.
5. If nothing is repeated but one large motion, what lies within it is looked at by itself: lying down, push-ups, getting up.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from feeder.curve import Curve, smoothed, strongest
from feeder.skeleton import Skeleton
from feeder.windows import Resampler

SEEN = 0.4  # a joint is used if it is seen in this share of the frames in which the joint seen most is
WEIGHTS = {"elbow": 0.75, "wrist": 0.5, "hand": 0.5}  # of joints with such a word in their name: arms move as they like
EVIDENCE, EVIDENCE_IN_TURN = 1.2, 1.0  # of one of the two curves, and of the sides in turn: less is noise,
EVIDENCE_IF_MOVING, EVIDENCE_IN_TURN_IF_MOVING = 0.0, 0.8  # the same for who is known to move
SHARE = 0.4  # of the usual swing: a smaller one does not count,
SHARE_IN_TURN = 0.25  # if the sides move in turn: the first and the last step are half a swing
IN_TURN = 0.5  # the sides move in turn if the way of their difference is this share of the way of everything else,
BALANCE = 0.25  # and the side that moves less has this share of the energy of the other
WHOLE = 0.85  # of the usual swing: more than half a step
CUT = 0.1  # seconds: so near to its ends a clip is cut
OTHER_POSE = 0.35  # of the usual swing: poses this far apart are not the same
ENDS = 0.5  # of the usual swing: a first or last pose farther from those of the repetitions is no part of them
ARRIVED = 0.85  # of a swing back: there a repetition is over
WITHIN = 0.4  # what lies within one large motion counts if its way is this share of the way of that,
LEAST_WITHIN, LEAST_REST = 3, 1.0  # it has that many repetitions, and lasts that many seconds
STIR = 0.2  # of a large motion: what lies within may move that far along with it
EVERY, MEMORY = 0.25, 20.0  # seconds from one count of a Counter to the next, and that it keeps


@dataclass
class Count:
    """
    Attributes:
        repetitions: those that were completed.
        moments: (repetitions,) the frames in which they end.
        period: seconds of one repetition, the median; 0 if there is none.
    """

    repetitions: int
    moments: np.ndarray
    period: float


def count(keypoints: np.ndarray, fps: float, skeleton: Skeleton, moving: bool = False) -> Count:
    """The repetitions of one person.

    Args:
        keypoints: (T, V, 3) x, y, score; x and y in one unit, such as pixels; a score of 0 is a missing joint.
        fps: frames per second, steady.
        skeleton: the layout of the V joints.
        moving: it is known, from the name of the action, that something is repeated. Then a motion as small as the noise
            counts too, but then also the noise of who stands still.
    """
    places, kept = normalised(keypoints, skeleton)
    return _count(places, kept, fps, skeleton.flip, moving, within=True)[0]


class Counter:
    """Counts while frames come in. A count may be corrected by what comes later.

    Args:
        fps: frames per second at which the motion is looked at; frames may come at any rate.
        skeleton: the layout of the joints.
        rate: frames per second of the video, on average.
        moving: as for count.

    Attributes:
        moments: seconds at which the repetitions completed so far ended.
    """

    def __init__(self, fps: float, skeleton: Skeleton, rate: float = 30.0, moving: bool = False):
        self.fps, self.skeleton, self.moving, self.resampler = fps, skeleton, moving, Resampler(fps, rate)
        self.samples: list[np.ndarray] = []
        self.begin: float | None = None  # seconds of the first sample
        self.settled: list[float] = []
        self.moments: list[float] = []
        self.waiting = 0

    @property
    def repetitions(self) -> int:
        return len(self.moments)

    def add(self, seconds: float, joints: np.ndarray) -> int:
        """The joints (V, 3) seen at that time, later than those before -> repetitions completed so far."""
        self.begin = seconds if self.begin is None else self.begin
        new = [sample for _, sample in self.resampler.add(seconds, joints)]
        self.samples += new
        self.waiting += len(new)
        return self.finish() if self.waiting >= EVERY * self.fps else self.repetitions

    def finish(self) -> int:
        """Count what came since the last count, too."""
        if self.waiting:
            self.waiting = 0
            moments = count(np.stack(self.samples), self.fps, self.skeleton, self.moving).moments
            self.moments = self.settled + [self.begin + float(moment) / self.fps for moment in moments]
            if len(self.samples) > MEMORY * self.fps:
                self._forget(moments)
        return self.repetitions

    def _forget(self, moments: np.ndarray) -> None:
        """Drop the first half, up to the end of a repetition, so that the rest begins with a whole one."""
        old = moments[moments <= len(self.samples) // 2]
        self.settled = self.moments[: len(self.settled) + len(old)]
        dropped = int(old[-1]) if len(old) else len(self.samples) // 2
        self.samples, self.begin = self.samples[dropped:], self.begin + dropped / self.fps


# ------------------------------------------------------------------------------------------------------- the joints


def normalised(keypoints: np.ndarray, skeleton: Skeleton) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints (T, V, 3) -> places (T, V, 2) in sizes of the body, and which joints (V,) are used; the others are 0.

    Missing joints are interpolated. x is seen from the middle of the body; y is not, since up and down is the motion in
    many actions and people rarely travel that way.
    """
    places, kept = interpolated(keypoints)
    if not kept.any():
        return places, kept
    places[:, :, 0] -= places[:, kept, 0].mean(1, keepdims=True)
    size = np.median(np.ptp(places[:, kept], axis=1).max(-1))
    weights = [min((w for word, w in WEIGHTS.items() if word in name), default=1.0) for name in skeleton.joints]
    return places * (kept * weights / max(size, 1e-9))[:, None], kept


def interpolated(keypoints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints (T, V, 3) -> places (T, V, 2) without gaps, and which joints (V,) are seen often enough; the others are 0."""
    seen = (keypoints[..., 2] > 0) & np.isfinite(keypoints).all(-1)  # (T, V)
    often = seen.sum(0)
    kept = often >= max(2, SEEN * often.max(initial=0))
    places = np.zeros((*seen.shape, 2))
    for v in np.flatnonzero(kept):
        at = np.flatnonzero(seen[:, v])
        for axis in range(2):
            places[:, v, axis] = np.interp(np.arange(len(seen)), at, keypoints[at, v, axis])
    return places, kept


# --------------------------------------------------------------------------------------------------------- counting


def _count(
    places: np.ndarray, kept: np.ndarray, fps: float, flip: np.ndarray, moving: bool, within: bool
) -> tuple[Count, float]:
    """The repetitions, and the way of the curve on which they are counted; within: look within one large motion too."""
    if len(places) < 3 or not kept.any():
        return nothing(), 0.0
    pair = kept & kept[flip] & (flip != np.arange(len(flip)))
    one = np.flatnonzero(pair & (np.arange(len(flip)) < flip))
    x, y, a, b = places[:, kept, 0], places[..., 1], places[:, one, 1], places[:, flip[one], 1]
    middle, apart = (a + b) / np.sqrt(2), (a - b) / np.sqrt(2)  # (T, pairs): lengths are kept
    heights = np.concatenate([y[:, kept & ~pair], middle], 1)
    main, turn = strongest(np.concatenate([x, heights], 1), fps, SHARE), strongest(apart, fps, SHARE_IN_TURN)
    if max(main.evidence, turn.evidence) < (EVIDENCE_IF_MOVING if moving else EVIDENCE):
        return nothing(), 0.0
    if in_turn(turn, main, moving) and balance(a, b, fps) > BALANCE:
        return steps(turn, fps), turn.way
    if within:
        main = without_ends(main, smoothed(np.concatenate([x, heights], 1), fps))
    counted = cycles(main, heights, fps)
    if within and counted.repetitions < 2:
        for first, last in rests(main, fps):
            inner, way = _count(places[first:last], kept, fps, flip, moving, within=False)
            if inner.repetitions >= LEAST_WITHIN and way > WITHIN * main.way:
                return Count(inner.repetitions, inner.moments + first, inner.period), way
    return counted, main.way


def nothing() -> Count:
    return Count(0, np.zeros(0, int), 0.0)


def in_turn(turn: Curve, main: Curve, moving: bool) -> bool:
    """Whether the difference of the two sides is the motion that is repeated."""
    evidence = EVIDENCE_IN_TURN_IF_MOVING if moving else EVIDENCE_IN_TURN
    return turn.evidence > evidence and len(turn.swings) > 2 and turn.way > IN_TURN * main.way


def balance(a: np.ndarray, b: np.ndarray, fps: float) -> float:
    """0..1: how evenly the vertical motion is shared by the two sides, heights (T, pairs) each."""
    a, b = ((np.diff(smoothed(side, fps), axis=0) ** 2).sum(0) for side in (a, b))
    return float(np.minimum(a, b).sum() / max(np.maximum(a, b).sum(), 1e-12))


def steps(curve: Curve, fps: float) -> Count:
    """Every turning point between two swings is a repetition: there one leg is highest.

    The first and the last one are where the body stands, halfway, unless the swing beside them is a whole one: then a leg is
    highest there too, or half a step is in the clip if it is cut there. Two halves are one.
    """
    turns, whole = curve.turns, curve.swings[[0, -1]] > WHOLE * curve.usual
    cut = np.array([turns[0], len(curve.values) - 1 - turns[-1]]) < CUT * fps
    first, last = (whole & ~cut).tolist()
    last = last or bool((whole & cut).all())
    moments = turns[1 - first : len(turns) - 1 + last]
    return Count(len(moments), moments, float(np.median(np.diff(curve.crossings(0.5)))) / fps)


def cycles(curve: Curve, heights: np.ndarray, fps: float) -> Count:
    """Two swings are a repetition, there and back, or four if the pose of heights (T, F) at every second return is another."""
    each = 4 if returns_differ(curve, heights, fps) else 2
    n = len(curve.swings) // each
    if not n:
        return nothing()
    middles, moments = curve.crossings(0.5), curve.crossings(ARRIVED)[each - 1 :: each]
    period = np.median(np.diff(middles[::each])) if n > 1 else (middles[each - 1] - middles[0]) * each / (each - 1)
    return Count(n, moments, float(period) / fps)


def without_ends(curve: Curve, poses: np.ndarray) -> Curve:
    """Without a first and a last swing that never come near to the poses (T, F) in which the repetitions begin and end.

    Who stands before sit-ups is up as one who sits, but that is no sit-up. They stay if a swing without a way back would be
    left.
    """
    turns, n = curve.turns, len(curve.swings)
    if n < 2 * LEAST_WITHIN + 1:
        return curve
    begin = nearest(poses[turns[0] : turns[1]], poses[turns[2:-1:2]]) > ENDS * curve.usual
    end = nearest(poses[turns[-2] : turns[-1]], poses[turns[-3:0:-2]]) > ENDS * curve.usual
    if (n - begin - end) % 2:
        return curve
    return replace(curve, turns=turns[begin : n + 1 - end], swings=curve.swings[begin : n - end])


def nearest(poses: np.ndarray, others: np.ndarray) -> float:
    """How near poses (T, F) come to the median of other ones (n, F)."""
    return float(np.linalg.norm(poses - np.median(others, axis=0), axis=1).min())


def returns_differ(curve: Curve, heights: np.ndarray, fps: float) -> bool:
    """Whether the poses at the highest, or at the lowest, points of the curve are of two kinds in turn."""
    if len(curve.turns) < 5:
        return False
    heights = smoothed(heights, fps)
    for first in (0, 1):
        poses = heights[curve.turns[first::2]]
        if len(poses) > 2:
            to_next, to_second = (np.median(np.linalg.norm(poses[k:] - poses[:-k], axis=1)) for k in (1, 2))
            if to_next > max(OTHER_POSE * curve.usual, 2 * to_second):
                return True
    return False


def rests(curve: Curve, fps: float) -> list[tuple[int, int]]:
    """Stretches (first, last) of frames between the swings of a curve, the longest first."""
    starts = [0, *curve.crossings(1 - STIR)]
    ends = [*curve.crossings(STIR, last=True), len(curve.values)]
    stretches = [(int(a), int(b)) for a, b in zip(starts, ends) if b - a >= LEAST_REST * fps]
    return sorted(stretches, key=lambda stretch: stretch[0] - stretch[1])
