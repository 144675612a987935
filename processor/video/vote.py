"""The vote: one prediction from those of many windows."""

from __future__ import annotations

import numpy as np


class Vote:
    """The mean of the probabilities of windows, each weighted by the frames in which its person was seen.

    One vote, or several side by side (a vote for each clip of a data set).
    """

    def __init__(self, num_class: int, num_vote: int = 1):
        self.sum, self.weight = np.zeros((num_vote, num_class)), np.zeros(num_vote)

    def add(self, probability: np.ndarray, seen: np.ndarray | int, vote: np.ndarray | int = 0) -> None:
        """Windows: probability (W, num_class), frames seen (W,), the number of the vote each belongs to (W,)."""
        probability = np.atleast_2d(probability)
        seen, vote = (np.broadcast_to(each, len(probability)) for each in (seen, vote))
        np.add.at(self.sum, vote, probability * seen[:, None])
        np.add.at(self.weight, vote, seen)

    @property
    def means(self) -> np.ndarray:
        """(num_vote, num_class); NaN where a vote had no window."""
        with np.errstate(invalid="ignore"):
            return self.sum / self.weight[:, None]

    @property
    def mean(self) -> np.ndarray | None:
        """(num_class,), of the first vote; None if it had no window."""
        return self.means[0] if self.weight[0] else None
