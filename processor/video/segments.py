"""Segments: who does what from when to when, from the short windows of windows.py.

    segmenter = Segmenter(recognizer)
    for window in classifier.short_windows:
        segments += segmenter.add(window)
    segments += segmenter.finish()

Of each person:

1  The time is cut half-way between the middles of neighbouring windows. What is seen in such a cell is the weighted mean of
   the windows over its middle; a window's weight falls from 1 at its own middle to 0 at its ends.
2  The states are the labels and "unknown". A cell's cost of a label is -log of its probability, of "unknown" -log of a
   share of the probability of "other", or of a share of the network's threshold where that is larger; from one state to
   another costs SWITCH more. The path of least cost is the most likely one of a hidden Markov model (Viterbi, 1967).
3  A cell is decided, and never again changed, when what was seen DELAY seconds later is known. Cells of one state in a row
   are a segment. A label stands if the network says it (Recognizer.decide) about at least two of its cells; else it is
   "unknown". So the path may go through weak moments of an action, but does not begin one by them.

The constants were chosen on streams of clips held out of the training (tools/stream_benchmark.py).
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from processor.recognizer import UNKNOWN, Recognizer
from processor.video.windows import Window

SWITCH = 4.0  # cost of another state, in nats
DELAY = 4.0  # seconds after which a decision is final
OTHER = 0.15  # of the probability of "other": a window over half an action and half of something else is mostly "other"
SHARE = 0.2  # of the network's threshold: the least that "unknown" is likely
CONFIRMED = 2  # cells of a segment about which the network says its label
LEAST = 0.03  # added to the probability of every state: one window alone does not rule it out


@dataclass
class Segment:
    """One person doing one thing, or nothing that is known.

    Attributes:
        track: number of the person.
        label: of the network, or "unknown".
        first, last: frames of the video.
        begin, end: seconds; the end of one is the beginning of the next.
        score: mean probability of the label; of "unknown" 1 less that of the best label.
        moments: of an action that is one of repetitions, the frames in which one ends (repetitions.py); else None.
    """

    track: int
    label: str
    first: int
    last: int
    begin: float
    end: float
    score: float
    moments: tuple[int, ...] | None = None

    @property
    def repetitions(self) -> int | None:
        return None if self.moments is None else len(self.moments)

    def told(self, frame: int | None = None) -> str:
        """The label, and how often it was repeated until that frame (None: altogether)."""
        if self.moments is None:
            return self.label
        return f"{self.label} × {sum(frame is None or moment <= frame for moment in self.moments)}"

    @property
    def recognised(self) -> bool:
        return self.label != UNKNOWN


@dataclass
class Cell:
    """The time about the middle of one window, and the mean probability (num_class,) in it."""

    first: int
    last: int
    begin: float
    end: float
    probability: np.ndarray


class Segmenter:
    """The segments of all persons. What it remembers of each is DELAY seconds and the segment that is not yet over."""

    def __init__(self, recognizer: Recognizer):
        self.recognizer = recognizer
        self.persons: dict[int, PersonSegmenter] = {}

    def add(self, window: Window) -> list[Segment]:
        """The next window of a person -> its segments that are over now."""
        if window.track not in self.persons:
            self.persons[window.track] = PersonSegmenter(self.recognizer, window.track)
        return self.persons[window.track].add(window)

    def finish(self, gone: Iterable[int] | None = None) -> list[Segment]:
        """These persons are gone (None: all are) -> the rest of their segments."""
        gone = self.persons if gone is None else gone
        return [segment for track in list(gone) for segment in self.persons.pop(track).finish()]

    def undecided(self) -> list[Segment]:
        """The segments that are not over, as they look now: those decided so far, and what follows them."""
        return [segment for person in self.persons.values() for segment in person.undecided()]

    def current(self, track: int) -> Segment | None:
        """What a person does at this moment, as far as it can be said without a delay."""
        return self.persons[track].current() if track in self.persons else None


def segments_of(recognizer: Recognizer, windows: Iterable[Window]) -> list[Segment]:
    """The segments of a whole video, in the order of their beginnings."""
    segmenter = Segmenter(recognizer)
    segments = [segment for window in windows for segment in segmenter.add(window)]
    return sorted(segments + segmenter.finish(), key=lambda segment: (segment.first, segment.track))


def costs(recognizer: Recognizer, probability: np.ndarray) -> np.ndarray:
    """(num_class,) -> (S,): of each label that is an answer, in the order of the classes, then of "unknown"."""
    answers = probability[recognizer.is_answer]
    none = max(OTHER * (1 - answers.sum()), SHARE * recognizer.threshold)
    cost = -np.log(np.append(answers, none) + LEAST)
    if not says_unknown(recognizer):
        cost[-1] = np.inf
    return cost


def says_unknown(recognizer: Recognizer) -> bool:
    """Whether there is anything that the network would call "unknown"."""
    return recognizer.threshold > 0 or not recognizer.is_answer.all()


class PersonSegmenter:
    """The segments of one person, from its windows in the order of time."""

    def __init__(self, recognizer: Recognizer, track: int):
        self.recognizer, self.track = recognizer, track
        self.windows: deque[Window] = deque()  # those that can still have a say
        self.waiting = 0  # of them, how many are not yet a cell
        self.begin: tuple[int, float] = 0, 0.0  # frame and second of the next cell
        self.total: np.ndarray | None = None  # (S,) least cost of a path to each state of the last cell
        self.cells: deque[tuple[Cell, np.ndarray]] = deque()  # not decided yet, with the state (S,) before each
        self.open: Growing | None = None
        self.held: Growing | None = None  # the segment before that one, if what follows may still belong to it

    def add(self, window: Window) -> list[Segment]:
        over = []
        if self.windows and window.begin > self.windows[-1].end:  # nobody was seen in between
            over = self.finish()
        if not self.windows:
            self.begin = window.first, window.begin
        self.windows.append(window)
        self.waiting += 1
        while self.waiting > 1 and middle(window) - middle(self.windows[-self.waiting]) >= half(window):
            over += self._next_cell()
        return over

    def finish(self) -> list[Segment]:
        """The rest; the next window begins anew."""
        over = []
        while self.waiting:
            over += self._next_cell()
        for (cell, _), state in zip(self.cells, self._path()):
            over += self._decide(cell, state)
        over += self._close() + ([] if self.held is None else [self.held.segment(self.recognizer, self.track)])
        self.windows.clear()
        self.cells.clear()
        self.total = self.held = None
        return over

    def current(self) -> Segment | None:
        """A segment as of now, of the cells that wait too; None before there is a window."""
        if not self.windows:
            return None
        total, cell = self.total, None
        for i in range(len(self.windows) - self.waiting, len(self.windows)):
            cell = self._cell(i)
            total = self._step(total, cell)[0]
        growing = Growing(self.recognizer, cell, int(total.argmin()))
        if self.open is not None and self.open.state == growing.state:
            growing.confirmed += self.open.confirmed
        growing.settle(self.recognizer, 1)
        return growing.segment(self.recognizer, self.track)

    def undecided(self) -> list[Segment]:
        """The segments since the last one that is over, as they look now."""
        growing = [] if self.open is None else [copy.copy(self.open)]
        for (cell, _), state in zip(self.cells, self._path()):
            if growing and growing[-1].state == state:
                growing[-1].add(self.recognizer, cell)
            else:
                growing.append(Growing(self.recognizer, cell, state))
        for each in growing:
            each.settle(self.recognizer)
        growing = growing if self.held is None else [self.held, *growing]
        return [each.segment(self.recognizer, self.track) for each in growing]

    def _next_cell(self) -> list[Segment]:
        """The oldest window that waits becomes a cell; what is DELAY seconds behind it is decided."""
        i = len(self.windows) - self.waiting
        cell = self._cell(i)
        self.waiting -= 1
        self.begin = cell.last + 1, cell.end
        self.total, before = self._step(self.total, cell)
        self.cells.append((cell, before))
        now = middle(self.windows[i])
        while (
            self.windows and self.waiting < len(self.windows) and now - middle(self.windows[0]) > half(self.windows[0])
        ):
            self.windows.popleft()
        over = []
        while cell.end - self.cells[0][0].end > DELAY:
            state = self._path()[0]
            over += self._decide(self.cells.popleft()[0], state)
        return over

    def _cell(self, i: int) -> Cell:
        """Of window i of those that are remembered."""
        window = self.windows[i]
        if i + 1 < len(self.windows):
            after = self.windows[i + 1]
            last = (window.first + window.last + after.first + after.last) // 4
            end = (middle(window) + middle(after)) / 2
        else:
            last, end = window.last, window.end
        first, begin = self.begin if i == len(self.windows) - self.waiting else (window.first, window.begin)
        weights = [max(0.0, 1 - abs(middle(each) - middle(window)) / half(each)) * each.seen for each in self.windows]
        probability = np.average([each.probability for each in self.windows], axis=0, weights=weights)
        return Cell(first, max(first, last), begin, max(begin, end), probability)

    def _step(self, total: np.ndarray | None, cell: Cell) -> tuple[np.ndarray, np.ndarray]:
        """The least costs with this cell, and the states before (S,) on the ways to them."""
        cost = costs(self.recognizer, cell.probability)
        if total is None:
            return cost, np.arange(len(cost))
        best = int(total.argmin())
        stay = total <= total[best] + SWITCH
        total = np.where(stay, total, total[best] + SWITCH) + cost
        return total - total.min(), np.where(stay, np.arange(len(cost)), best)

    def _path(self) -> list[int]:
        """The states of the cells that are not decided yet, as of now."""
        if self.total is None:
            return []
        path = [int(self.total.argmin())]
        for _, before in list(self.cells)[:0:-1]:
            path.append(int(before[path[-1]]))
        return path[::-1]

    def _decide(self, cell: Cell, state: int) -> list[Segment]:
        if self.open is not None and self.open.state == state:
            self.open.add(self.recognizer, cell)
            return []
        over = self._close()
        self.open = Growing(self.recognizer, cell, state)
        return over

    def _close(self) -> list[Segment]:
        """The open segment is over: it joins the one before if both are "unknown"."""
        closed, self.open = self.open, None
        if closed is None:
            return []
        closed.settle(self.recognizer)
        if self.held is not None and self.held.state == closed.state:
            self.held.join(closed)
            return []
        over = [] if self.held is None else [self.held.segment(self.recognizer, self.track)]
        self.held = closed
        return over


class Growing:
    """A segment that grows by cells; state is the place of its label among the answers, or behind them for "unknown"."""

    def __init__(self, recognizer: Recognizer, cell: Cell, state: int):
        self.state, self.first, self.begin = state, cell.first, cell.begin
        self.sum, self.weight = np.zeros(len(cell.probability)), 0.0
        self.cells = self.confirmed = 0
        self.add(recognizer, cell)

    def add(self, recognizer: Recognizer, cell: Cell) -> None:
        self.last, self.end = cell.last, cell.end
        weight = max(cell.end - cell.begin, 1e-6)
        self.sum, self.weight = self.sum + weight * cell.probability, self.weight + weight
        self.cells += 1
        self.confirmed += recognizer.decide(cell.probability)[0] == label_of(recognizer, self.state)

    def settle(self, recognizer: Recognizer, needed: int = CONFIRMED) -> None:
        """A label that is not confirmed becomes "unknown"."""
        if self.confirmed < min(needed, self.cells) and says_unknown(recognizer):
            self.state = int(recognizer.is_answer.sum())

    def join(self, after: Growing) -> None:
        self.last, self.end = after.last, after.end
        self.sum, self.weight, self.cells = self.sum + after.sum, self.weight + after.weight, self.cells + after.cells

    def segment(self, recognizer: Recognizer, track: int) -> Segment:
        label, mean = label_of(recognizer, self.state), self.sum / self.weight
        if label == UNKNOWN:
            score = 1 - mean[recognizer.is_answer].max(initial=0.0)
        else:
            score = mean[recognizer.is_answer][self.state]
        return Segment(track, label, self.first, self.last, self.begin, self.end, float(np.clip(score, 0, 1)))


def label_of(recognizer: Recognizer, state: int) -> str:
    classes = np.flatnonzero(recognizer.is_answer)
    return recognizer.label_names[classes[state]] if state < len(classes) else UNKNOWN


def middle(window: Window) -> float:
    return (window.begin + window.end) / 2


def half(window: Window) -> float:
    """Half of its length in seconds, with a frame at its end."""
    return max(window.end - window.begin, 1e-3) / 2
