"""Who is who: persons detected frame by frame become tracks that keep their identity.

The original sorts the persons of every frame by score, so that "person 0" jumps between bodies. Here the persons of
neighbouring frames are paired by the smallest total distance, over all frames at once; then tracks that end and begin
near each other within a second are joined.
"""

from __future__ import annotations

from itertools import permutations

import numpy as np

MAX_STEP = 0.15  # mean joint distance, as a fraction of the frame, beyond which it is another person
MAX_GAP = 30  # frames a person may be lost and still be the same person: a second


def link_persons(pose: np.ndarray, score: np.ndarray, num_person: int) -> tuple[np.ndarray, np.ndarray]:
    """Sort detections in any order into num_person rows, one for each person.

    Tracks are taken by their total score, the highest first; each goes into the first row that is free in all of its
    frames, and is left out if there is none.

    Shape:
        pose (T, P, V, 2), score (T, P, V), 0 where missing -> (M, T, V, 2), (M, T, V); M is num_person.
    """
    T, _, V, _ = pose.shape
    out_pose, out_score = np.zeros((num_person, T, V, 2), np.float32), np.zeros((num_person, T, V), np.float32)
    seen = score > 0  # (T, P, V)
    here = seen.any(2)  # (T, P)
    if not here.any():
        return out_pose, out_score
    t, p = np.nonzero(here)
    track = _join(_chain(here, pair(_steps(pose, seen, here))), pose, seen, t, p)
    total = np.bincount(track, score[t, p].sum(1))
    free = np.ones((num_person, T), bool)
    for k in np.argsort(-total, kind="stable"):
        mine = track == k
        frames = t[mine]
        row = next((m for m in range(num_person) if free[m, frames].all()), None)
        if row is not None and len(frames):
            free[row, frames] = False
            out_pose[row, frames], out_score[row, frames] = pose[frames, p[mine]], score[frames, p[mine]]
    return out_pose, out_score


def distance(a: np.ndarray, b: np.ndarray, seen_a: np.ndarray, seen_b: np.ndarray) -> np.ndarray:
    """Mean distance of the joints that both have, at most MAX_STEP; (..., V, 2) and (..., V) -> (...)."""
    both = seen_a & seen_b
    step = a - b
    step *= step
    apart = np.sqrt(step[..., 0] + step[..., 1])
    count = both.sum(-1)
    mean = np.einsum("...v,...v", apart, both.astype(apart.dtype)) / np.maximum(count, 1)
    return np.where(count > 0, np.minimum(mean, MAX_STEP), MAX_STEP)


def _steps(pose: np.ndarray, seen: np.ndarray, here: np.ndarray) -> np.ndarray:
    """Distance from every person to every person of the next frame: (T - 1, P, P), MAX_STEP where one is not there."""
    t, i, j = np.nonzero(here[:-1, :, None] & here[1:, None])
    cost = np.full((len(here) - 1, here.shape[1], here.shape[1]), MAX_STEP)
    cost[t, i, j] = distance(pose[t, i], pose[t + 1, j], seen[t, i], seen[t + 1, j])
    return cost


def pair(cost: np.ndarray) -> np.ndarray:
    """The pairing with the least total cost, for every frame; a pair that costs MAX_STEP is none.

    Five persons have 120 pairings, so all of them are tried, in all frames at once.

    Shape:
        cost (T, P, P) from person i to person j of the next frame -> (T, P): the i that j comes from, or -1.
    """
    T, P, _ = cost.shape
    if P <= 5:
        order = np.array(list(permutations(range(P))))  # (P!, P): i of j
        best = order[cost[:, order, np.arange(P)].sum(2).argmin(1)]  # (T, P)
    else:
        from scipy.optimize import linear_sum_assignment

        best = np.array([linear_sum_assignment(c.T)[1] for c in cost]).reshape(T, P)
    reached = np.take_along_axis(cost, best[:, None], 1)[:, 0] < MAX_STEP
    return np.where(reached, best, -1)


def _chain(here: np.ndarray, back: np.ndarray) -> list[list[int]]:
    """Track number of every person (T, P), -1 where there is none, from the pairs of neighbouring frames."""
    count, previous, chained = 0, [-1] * here.shape[1], []
    for present, source in zip(here.tolist(), [[-1] * here.shape[1], *back.tolist()]):
        row = []
        for there, i in zip(present, source):
            if not there:
                row.append(-1)
            elif i >= 0:
                row.append(previous[i])
            else:
                row.append(count)
                count += 1
        chained.append(row)
        previous = row
    return chained


def _join(chained: list[list[int]], pose: np.ndarray, seen: np.ndarray, t: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Track number of every person in t, p, after joining tracks over gaps: the nearest ends first."""
    track = np.array(chained)[t, p]
    count = int(track.max()) + 1
    first = np.unique(track, return_index=True)[1]  # t is sorted, so these are the first and last places of a track
    last = len(track) - 1 - np.unique(track[::-1], return_index=True)[1]
    gap = t[first][None, :] - t[last][:, None]  # (a, b): frames from the end of a to the beginning of b
    a, b = np.nonzero((gap > 1) & (gap <= MAX_GAP))
    if not len(a):
        return track
    end, start = (t[last[a]], p[last[a]]), (t[first[b]], p[first[b]])
    cost = distance(pose[end], pose[start], seen[end], seen[start])
    before, continued = list(range(count)), set()
    for k in np.argsort(cost, kind="stable").tolist():
        i, j = int(a[k]), int(b[k])
        if cost[k] < MAX_STEP and i not in continued and before[j] == j:
            before[j] = i
            continued.add(i)
    root = list(range(count))
    for j in range(count):  # tracks are numbered by their beginning, so before[j] is settled already
        root[j] = root[before[j]]
    return np.array(root)[track]
