"""feeder/detection.py: as much is spoilt as is said, and nothing is invented."""

import numpy as np

from feeder.skeleton import load_skeleton
from feeder.synthetic.detection import simulate_detection

FLIP = load_skeleton("penn-action").flip


def clip(T=400):
    rng = np.random.default_rng(3)
    body = rng.uniform(-0.2, 0.2, (13, 2))
    body[0], body[12] = (0.0, -0.25), (0.0, 0.25)  # half of the frame high
    out = np.ones((3, T, 13, 1), np.float32)
    out[:2, :, :, 0] = body.T[:, None]
    out[:, :, 4] = 0  # an elbow that was never annotated
    return out


def test_errors_are_three_per_cent_of_the_body_and_a_tenth_is_lost():
    before = clip()
    seeds = [simulate_detection(before, FLIP, 4 / 3, np.random.default_rng(seed)) for seed in range(12)]
    straight = [after for after in seeds if not after[:, :, 4].any()]  # sides not swapped
    assert 2 < len(straight) < 10  # about every second one
    for after in straight:
        seen = after[2] > 0  # (T, V, M)
        there = before[2] > 0
        assert not (seen & ~there).any() and abs((there & ~seen).sum() / there.sum() - 0.1) < 0.01
        assert after[2][seen].min() >= 0.3 and after[2].max() <= 0.9
        error = (after - before)[:2] * np.array([4 / 3, 1])[:, None, None, None]
        assert abs(error[:, seen].std() / (0.03 * 0.5) - 1) < 0.15  # the body is half of the frame


def test_an_empty_clip_stays_empty():
    assert not simulate_detection(np.zeros((3, 5, 13, 1), np.float32), FLIP, 1.0, np.random.default_rng(0)).any()
