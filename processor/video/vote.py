"""The vote: one prediction for a video, from those of many windows or from segments."""

from __future__ import annotations

import numpy as np

from processor.recognizer import UNKNOWN, Recognizer
from processor.video.segments import Segment

LEAST_SECONDS = 1.0  # for which a label has to be recognised, or for as long as a shorter video


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


def answer_of_mean(recognizer: Recognizer, mean: np.ndarray | None) -> tuple[str, float]:
    """The label and score of mean probabilities; "unknown" where there was no window."""
    return (UNKNOWN, 0.0) if mean is None else recognizer.decide(mean)


class LongestLabel:
    """The label that is recognised for the longest time, all persons together, and the mean of its score over that time."""

    def __init__(self):
        self.seconds: dict[str, float] = {}
        self.sums: dict[str, float] = {}

    def add(self, segment: Segment) -> None:
        seconds = segment.end - segment.begin
        self.seconds[segment.label] = self.seconds.get(segment.label, 0.0) + seconds
        self.sums[segment.label] = self.sums.get(segment.label, 0.0) + seconds * segment.score

    def answer(self, video_seconds: float) -> tuple[str, float]:
        """The label and its score for a video of that length; "unknown" if none is there for a second."""
        labels = [label for label in self.seconds if label != UNKNOWN]
        label = max(labels, key=self.seconds.__getitem__, default=UNKNOWN)
        seconds = self.seconds.get(label, 0.0)
        if seconds < min(LEAST_SECONDS, 0.9 * video_seconds):
            label, seconds = UNKNOWN, self.seconds.get(UNKNOWN, 0.0)
        return label, self.sums[label] / seconds if seconds else 0.0
