"""The strongest motion of a body as one curve over time, and the turning points of the curve.

The curve is the first principal component of the changes of all features. Its turning points are found with hysteresis: a
swing counts if it is a good part of the usual swing. So neither the tempo nor a slow drift matters, and standing still adds
nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d, median_filter

OUTLIERS = 0.1  # seconds of the median that removes jumping joints
SMOOTH = 0.07  # seconds, standard deviation of the smoothing
LAG = 0.2  # seconds: motion is what changes in this time
FEW = 4  # features: with less, motion cannot be told from noise
INDEPENDENT = 0.25  # seconds after which the noise that is left by the smoothing is another one
LEAST = 0.03  # in the unit of the features: a smaller swing does not count
NOISE = 3.0  # standard deviations of the noise that is left by the smoothing: a smaller swing does not count


@dataclass
class Curve:
    """The strongest motion as one number a frame, and its swings.

    Attributes:
        values: (T,) in the unit of the features.
        turns: (n + 1,) frames of the turning points, highest and lowest in turn.
        swings: (n,) how far it is from each to the next.
        usual: the mean swing, in which the large ones weigh more.
        evidence: how much stronger the motion is than it would be if all features were noise, which is 1.
    """

    values: np.ndarray
    turns: np.ndarray
    swings: np.ndarray
    usual: float
    evidence: float

    @property
    def way(self) -> float:
        return float(self.swings.sum())

    def crossings(self, share: float, last: bool = False) -> np.ndarray:
        """(n,) frames in which each swing has first gone this share of its way, or last not gone it."""
        frames = []
        for begin, end in zip(self.turns[:-1], self.turns[1:]):
            way = self.values[begin : end + 1] - self.values[begin]
            gone = way / way[-1] >= share
            frames.append(end - np.argmin(gone[::-1]) if last else begin + np.argmax(gone))
        return np.array(frames, int)


STILL = Curve(np.zeros(0), np.zeros(0, int), np.zeros(0), 0.0, 0.0)


def strongest(features: np.ndarray, fps: float, share: float) -> Curve:
    """The curve of features (T, F): the first principal component of their changes.

    Of the changes, not of the places: frames in which nothing moves do not alter it. For the evidence its energy is compared
    with the largest that F features of noise have in n independent moments: (1 + sqrt(F / n))^2 times the mean of all
    (Marchenko and Pastur, 1967).

    Args:
        share: of the usual swing that a swing must have.
    """
    T, F = features.shape
    if F < FEW:
        return STILL
    smooth = smoothed(features, fps)
    lag = min(max(1, round(LAG * fps)), T // 2)
    changes = smooth[lag:] - smooth[:-lag]  # (T - lag, F)
    energies, directions = np.linalg.eigh(changes.T @ changes)
    if energies[-1] <= 0:
        return STILL
    of_noise = (1 + np.sqrt(F * INDEPENDENT * fps / T)) ** 2
    evidence = float(energies[-1] / energies.mean() / of_noise)
    values = smooth @ directions[:, -1]
    rough = np.diff(features @ directions[:, -1], 2)  # white noise has 6 times its variance there
    left = min(1.0, (2 * np.sqrt(np.pi) * SMOOTH * fps) ** -0.5)  # of white noise, by a Gaussian
    noise = left * np.median(np.abs(rough)) / 0.6745 / np.sqrt(6)
    least = max(LEAST, NOISE * noise)
    swings = np.abs(np.diff(values[turning_points(values, least)]))
    usual = float((swings**2).sum() / swings.sum()) if len(swings) else 0.0
    turns = turning_points(values, max(least, share * usual))
    return Curve(values, turns, np.abs(np.diff(values[turns])), usual, evidence)


def smoothed(features: np.ndarray, fps: float) -> np.ndarray:
    """Features (T, F) without outliers and noise."""
    window = round(OUTLIERS * fps) // 2 * 2 + 1
    features = median_filter(features, (window, 1), mode="nearest")
    return gaussian_filter1d(features, SMOOTH * fps, axis=0, mode="nearest")


def turning_points(values: np.ndarray, least: float) -> np.ndarray:
    """Frames of the highest and lowest values in turn, at least that far apart, from the first extreme to the last."""
    turns: list[int] = []
    low = high = way = 0  # way: 1 up, -1 down, 0 not known yet
    for t, value in enumerate(values):
        if value > values[high]:
            high = t
        if value < values[low]:
            low = t
        if way >= 0 and value <= values[high] - least:
            turns.append(high)
            way, low = -1, t
        elif way <= 0 and value >= values[low] + least:
            turns.append(low)
            way, high = 1, t
    if way:
        turns.append(high if way > 0 else low)
    return np.array(turns, int)
