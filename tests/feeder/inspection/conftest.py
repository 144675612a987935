"""Clean clips of synthetic bodies, in 2-D and in 3-D, and a writer of parts; the tests break the clips."""

import pickle

import numpy as np
import pytest

from feeder.dataset import DatasetInfo, write_info
from feeder.inspection.inspection import Source, inspect
from feeder.synthetic.body import make_body
from feeder.synthetic.clips import clips, perform

FRAMES = 150


def padded(clip, frames=FRAMES, persons=None):
    """(C, T, V, M) with empty frames and persons after it."""
    C, T, V, M = clip.shape
    out = np.zeros((C, frames, V, persons or M), np.float32)
    out[:, :T, :, :M] = clip
    return out


@pytest.fixture(scope="session")
def flat():
    """40 clean 2-D clips (3, 150, 18, 1): four of each of ten actions."""
    return np.stack([padded(sequence.array()) for sequence in clips("train", 40)])


@pytest.fixture(scope="session")
def solid():
    """40 clean 3-D clips (3, 150, 18, 1) in metres, y up, with the noise of a depth camera."""
    out = []
    for i in range(40):
        rng = np.random.default_rng((1, i))
        joints = perform(make_body(0, i), i % 10, rng) + rng.normal(0, 0.004, 3) + [0, 0, 3]
        joints = joints + rng.normal(0, 0.003, joints.shape)
        out.append(padded(joints.transpose(2, 0, 1)[..., None]))
    return np.stack(out)


@pytest.fixture
def write(tmp_path):
    """write(clips, part="train", names=None, label=None, **info) -> the Source of what was written."""

    def write(data, part="train", names=None, label=None, **info):
        names = names or [f"{part}{i}" for i in range(len(data))]
        label = [i % 10 for i in range(len(data))] if label is None else label
        np.save(tmp_path / f"{part}_data.npy", np.asarray(data, np.float32))
        (tmp_path / f"{part}_label.pkl").write_bytes(pickle.dumps((names, label)))
        write_info(tmp_path, DatasetInfo(**{"layout": "openpose", "dimension": 2, **info}))
        name = {"val": "test"}.get(part, part)
        return Source(name, str(tmp_path / f"{part}_data.npy"), str(tmp_path / f"{part}_label.pkl"))

    return write


@pytest.fixture
def found(write):
    """found(clips, **write's) -> {kind: {name: frames}} of one part."""

    def found(data, **more):
        findings = inspect([write(data, **more)]).findings
        return {each.kind: {place.name: place.frames for place in each.places} for each in findings}

    return found
