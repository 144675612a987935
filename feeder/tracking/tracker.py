"""Who is who, frame by frame: every person detected is given the number of the track that it goes on.

    tracker = Tracker(load_skeleton("openpose"))
    for frame in video:
        numbers = tracker.update(frame.index, estimator(frame.image))

Where a joint of a track should be now is where it was last seen, moved on by the velocity of its body. How well a
person fits is a mean over the joints that both have, of a bell curve as wide as a share of the body: as in COCO's
object keypoint similarity, so that a pixel counts the more the farther away a person is. The longer ago a joint was
seen, the wider and the lower is its curve. Of all pairings the one with the largest total is taken.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from feeder.skeleton import Skeleton

WIDTH = 0.6  # of the bell curve after one frame, in lengths of the body's longest bone (0.3 of its height)
GROWTH = 0.05  # of the width with every further frame
LEAST = 0.1  # similarity below which it is another person
AGILITY = 0.3  # share of the latest displacement in the velocity
DAMPING = 0.95  # of the velocity with every frame that nothing is seen: motion does not go on for ever
SMALLEST = 8.0  # pixels of a longest bone below which the estimator's noise is larger than the body


class Tracker:
    """Online tracking by joints. What it remembers are the tracks alive, a row each.

    Args:
        skeleton: the layout of the persons; its bones tell how large a person is.
        max_gap: frames after which a track that is not detected ends; a person who comes back later is a new track.
    """

    def __init__(self, skeleton: Skeleton, max_gap: int = 30):
        V = skeleton.num_joint
        self.bones = np.array(skeleton.bones, int).reshape(-1, 2)
        self.max_gap = max_gap
        self.latest, self.born = -1, 0
        self.number = np.zeros(0, int)  # (N,)
        self.place = np.zeros((0, V, 2))  # where each joint was last seen
        self.last_frame = np.zeros((0, V))  # in which frame; -inf: never
        self.velocity = np.zeros((0, 2))  # pixels a frame

    def update(self, index: int, persons: np.ndarray) -> np.ndarray:
        """The persons of frame `index`, in any order; frames without a person may be left out.

        Shape:
            persons (P, V, 3): x, y in pixels, score; 0, 0, 0 where a joint is missing
            -> (P,) int, the track of each person: 0 or more, no two alike.
        """
        if index <= self.latest:
            raise ValueError(f"frame {index} after frame {self.latest}: expected rising numbers")
        self.latest = index
        self._keep(index - self.last_frame.max(1) <= self.max_gap)

        persons = np.asarray(persons, float)
        order = np.lexsort(
            [*persons.reshape(len(persons), 3 * persons.shape[1]).T, -persons[..., 2].sum(1)]
        )  # the surest person first
        place, seen = persons[order, :, :2], (persons[order] != 0).any(-1)  # (P, V, 2), (P, V)
        similarity = self._similarity(index, place, seen)
        p, n = linear_sum_assignment(similarity, maximize=True)
        p, n = np.stack([p, n])[:, similarity[p, n] >= LEAST]
        self._continue(n, index, place[p], seen[p])
        fresh = np.setdiff1d(np.arange(len(persons)), p)
        numbers = np.empty(len(persons), int)
        numbers[order[p]] = self.number[n]
        numbers[order[fresh]] = self._begin(index, place[fresh], seen[fresh])
        return numbers

    def _similarity(self, index: int, place: np.ndarray, seen: np.ndarray) -> np.ndarray:
        """(P, V, 2), (P, V) -> (P, N), 0..1."""
        age = index - self.last_frame  # (N, V), inf: never seen
        both = seen[:, None] & (age <= self.max_gap)  # (P, N, V)
        age = np.minimum(age, self.max_gap)
        steps = (1 - DAMPING**age) / (1 - DAMPING)  # 1 + DAMPING + DAMPING^2 ..., age terms
        apart = place[:, None] - (self.place + self.velocity[:, None] * steps[..., None])  # (P, N, V, 2)
        size = np.minimum(
            self._size(place, seen)[:, None], self._size(self.place, np.isfinite(self.last_frame))
        )  # (P, N)
        wide = 1 + GROWTH * (age - 1)  # (N, V)
        width = WIDTH * size[..., None] * wide  # (P, N, V)
        bell = np.exp(-0.5 * (apart**2).sum(-1) / width**2) / wide**2
        return (bell * both).sum(-1) / (both.sum(-1) + 1)  # one joint alone proves little

    def _size(self, place: np.ndarray, known: np.ndarray) -> np.ndarray:
        """Length of the longest bone in sight, pixels: (B, V, 2), (B, V) -> (B,)."""
        child, parent = self.bones.T
        length = np.linalg.norm(place[:, child] - place[:, parent], axis=-1)
        return (length * (known[:, child] & known[:, parent])).max(1, initial=SMALLEST)

    def _continue(self, n: np.ndarray, index: int, place: np.ndarray, seen: np.ndarray) -> None:
        """Tracks n are now at place: (P, V, 2), (P, V)."""
        age = index - self.last_frame[n]
        both = seen & (age <= self.max_gap)
        step = (place - self.place[n]) / np.maximum(age, 1)[..., None]  # pixels a frame, of each joint
        step = np.nanmedian(np.where(both[..., None], step, np.nan), axis=1)
        self.velocity[n] += AGILITY * (step - self.velocity[n])
        self.place[n] = np.where(seen[..., None], place, self.place[n])
        self.last_frame[n] = np.where(seen, index, self.last_frame[n])

    def _begin(self, index: int, place: np.ndarray, seen: np.ndarray) -> np.ndarray:
        numbers = self.born + np.arange(len(place))
        self.born += len(place)
        self.number = np.concatenate([self.number, numbers])
        self.place = np.concatenate([self.place, place])
        self.last_frame = np.concatenate([self.last_frame, np.where(seen, index, -np.inf)])
        self.velocity = np.concatenate([self.velocity, np.zeros((len(place), 2))])
        return numbers

    def _keep(self, alive: np.ndarray) -> None:
        self.number, self.place = self.number[alive], self.place[alive]
        self.last_frame, self.velocity = self.last_frame[alive], self.velocity[alive]
