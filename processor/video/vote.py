"""The vote: one prediction for a video, from those of many windows or from segments."""

from __future__ import annotations

import numpy as np

from processor.recognizer import UNKNOWN, Recognizer
from processor.video.segments import Segment

LEAST_SECONDS = 1.0  # for which a label has to be recognised, or for as long as a shorter video
SHORT, SURER = 1 / 6, 1.25  # a label of less than that share of the video needs a score of so many thresholds


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
    """The label that is recognised for the longest time, all persons together, and the mean of its score over that time.

    threshold: of the network.
    """

    def __init__(self, threshold: float = 0.0):
        self.threshold = threshold
        self.seconds: dict[str, float] = {}
        self.sums: dict[str, float] = {}

    def add(self, segment: Segment) -> None:
        seconds = segment.end - segment.begin
        self.seconds[segment.label] = self.seconds.get(segment.label, 0.0) + seconds
        self.sums[segment.label] = self.sums.get(segment.label, 0.0) + seconds * segment.score

    def answer(self, video_seconds: float) -> tuple[str, float]:
        """The label and its score for a video of that length.

        "unknown" if none is there for a second; and if the longest is there for a small share of the video only and its
        score is near the threshold: of a long video some moment looks like something.
        """
        labels = [label for label in self.seconds if label != UNKNOWN]
        label = max(labels, key=self.seconds.__getitem__, default=UNKNOWN)
        seconds = self.seconds.get(label, 0.0)
        unsure = seconds < SHORT * video_seconds and self._mean(label) < SURER * self.threshold
        if seconds < min(LEAST_SECONDS, 0.9 * video_seconds) or unsure:
            label = UNKNOWN
        return label, self._mean(label)

    def _mean(self, label: str) -> float:
        seconds = self.seconds.get(label, 0.0)
        return self.sums[label] / seconds if seconds else 0.0
