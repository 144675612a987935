"""The feeder of the original, sample by sample and frame by frame: what the benchmark compares ours with.

Written from its description: one clip at a time from the memory map, a random window, then for every frame the 2 x 2
matrix of the camera move and its shift. It has the original's faults too: what is missing is shifted with the rest.
"""

import pickle
import random
from pathlib import Path

import numpy as np


class PlainFeeder:
    def __init__(self, data_path, label_path, window_size):
        self.data = np.load(data_path, mmap_mode="r")
        self.sample_name, self.label = pickle.loads(Path(label_path).read_bytes())
        self.window_size = window_size

    def __len__(self):
        return len(self.label)

    def __getitem__(self, index):
        clip = np.array(self.data[index])  # (C, T, V, M)
        begin = random.randint(0, clip.shape[1] - self.window_size)
        return random_move(clip[:, begin : begin + self.window_size]), self.label[index]


def random_move(clip):
    T = clip.shape[1]
    nodes = np.array([0, T])
    angle = np.interp(np.arange(T), nodes, np.random.choice([-10.0, -5.0, 0.0, 5.0, 10.0], 2)) * np.pi / 180  # noqa: NPY002
    size = np.interp(np.arange(T), nodes, np.random.choice([0.9, 1.0, 1.1], 2))  # noqa: NPY002
    x = np.interp(np.arange(T), nodes, np.random.choice([-0.2, -0.1, 0.0, 0.1, 0.2], 2))  # noqa: NPY002
    y = np.interp(np.arange(T), nodes, np.random.choice([-0.2, -0.1, 0.0, 0.1, 0.2], 2))  # noqa: NPY002
    theta = np.array([[np.cos(angle) * size, -np.sin(angle) * size], [np.sin(angle) * size, np.cos(angle) * size]])
    for t in range(T):
        xy = clip[0:2, t, :, :]
        new = np.dot(theta[:, :, t], xy.reshape(2, -1))
        new[0] += x[t]
        new[1] += y[t]
        clip[0:2, t, :, :] = new.reshape(xy.shape)
    return clip
