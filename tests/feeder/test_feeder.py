"""The feeder on packed files: what comes out of it, batch or single, epoch by epoch, and what it refuses."""

import copy
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from torch.utils.data import DataLoader

from feeder.dataset import DatasetInfo, write_info
from feeder.feeder import Feeder, mean_and_std, spread_over_classes
from torchlight.errors import DataError

N, T, V = 30, 40, 18
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def packed(tmp_path):
    rng = np.random.default_rng(0)
    data = rng.uniform(-0.5, 0.5, (N, 3, T, V, 2)).astype(np.float32)
    data *= rng.random((N, 1, T, V, 2)) > 0.2
    for i in range(N):
        data[i, :, 20 + i % 20 :] = 0
    np.save(tmp_path / "train_data.npy", data)
    (tmp_path / "train_label.pkl").write_bytes(
        pickle.dumps(([f"clip{i}" for i in range(N)], [i // 3 for i in range(N)]))
    )
    return {"data_path": str(tmp_path / "train_data.npy"), "label_path": str(tmp_path / "train_label.pkl")}


EVERYTHING = {
    "uniform_sample": True,
    "random_choose": True,
    "window_size": 16,
    "random_crop": 0.75,
    "normalize_body": True,
    "mirror": True,
    "random_rotate": 0.3,
    "random_scale": 0.15,
    "stream": "bone_motion",
    "layout": "openpose",
    "dimension": 2,
}
OPTIONS = [
    {},
    {"random_choose": True, "random_move": True, "window_size": 15},
    {"random_shift": True, "normalization": True},
    EVERYTHING,
]


def test_without_options_a_sample_is_what_is_stored(packed):
    feeder, stored = Feeder(**packed), np.load(packed["data_path"])
    for i, (sample, label) in enumerate(feeder):
        np.testing.assert_array_equal(sample, stored[i])
        assert label == i // 3
    assert len(feeder) == N and feeder.sample_name[4] == "clip4"


@pytest.mark.parametrize("options", OPTIONS)
def test_a_batch_is_its_samples(packed, options):
    feeder = Feeder(**packed, **options)
    indices = [3, 17, 5, 29, *range(20)]
    data, labels = feeder.get_batch(indices)
    for sample, label, i in zip(data, labels, indices, strict=True):
        alone, own = feeder[i]
        np.testing.assert_array_equal(sample, alone)
        assert label == own and sample.dtype == np.float32


@pytest.mark.parametrize("options", OPTIONS[1:])
def test_randomness_is_of_seed_epoch_and_clip_only(packed, options):
    one, again = Feeder(**packed, **options), Feeder(**packed, **options)
    other = Feeder(**packed, **options, seed=1)
    np.random.seed(0)  # noqa: NPY002 (the global state must not matter)
    first = samples(one, 2)
    np.random.seed(1)  # noqa: NPY002
    again[3]
    np.testing.assert_array_equal(first, samples(again, 2))
    assert (first != samples(one, 3)).any() and (first != samples(other, 2)).any()


def samples(feeder, epoch):
    return np.stack([feeder[epoch, i][0] for i in range(5)])


@pytest.mark.parametrize("workers", [0, 2])
def test_workers_give_the_same_batches(packed, workers):
    feeder = Feeder(**packed, **EVERYTHING)
    loader = DataLoader(feeder, batch_size=7, num_workers=workers, multiprocessing_context="spawn" if workers else None)
    data = np.concatenate([batch.numpy() for batch, _ in loader])
    np.testing.assert_array_equal(data, np.stack([sample for sample, _ in feeder]))


def test_window_size_crops_and_pads(packed):
    assert Feeder(**packed, window_size=10)[0][0].shape == (3, 10, V, 2)
    longer = Feeder(**packed, window_size=60)[0][0]
    np.testing.assert_array_equal(longer[:, :T], np.load(packed["data_path"])[0])
    assert not longer[:, T:].any()


def test_num_clips_are_the_clips_of_the_deterministic_sampling(packed):
    options = {"uniform_sample": True, "window_size": 5, "dimension": 2, "layout": "openpose", "stream": "bone"}
    many = Feeder(**packed, **options, num_clips=4)
    sample = many[2][0]
    assert sample.shape == (4, 3, 5, V, 2)
    stored = Feeder(**packed, dimension=2, layout="openpose", stream="bone")[2][0]  # 22 real frames
    for c in range(4):
        frames = [int((i + (c + 0.5) / 4) * 22 / 5) for i in range(5)]
        np.testing.assert_allclose(sample[c], stored[:, frames], atol=1e-6)
    np.testing.assert_array_equal(many[2][0], many[5, 2][0])


def test_debug_takes_clips_of_every_class(packed):
    assert sorted(set(Feeder(**packed, debug=True).label)) == list(range(10))
    chosen = spread_over_classes([0] * 500 + [1] * 30 + [2] * 500, 100)
    label = np.array([0] * 500 + [1] * 30 + [2] * 500)[chosen]
    assert len(chosen) == 100 and np.bincount(label).tolist() == [35, 30, 35] and (np.diff(chosen) > 0).all()


def test_normalization_gives_mean_zero_and_deviation_one(packed):
    feeder = Feeder(**packed, normalization=True)
    data = np.stack([sample for sample, _ in feeder])
    seen = (np.load(packed["data_path"]) != 0).any(1)  # (N, T, V, M)
    for v in range(0, V, 5):
        joints = data[:, :, :, v].transpose(1, 0, 2, 3)[:, seen[:, :, v]]
        np.testing.assert_allclose(joints.mean(1), 0, atol=1e-4)
        np.testing.assert_allclose(joints.std(1), 1, atol=1e-3)


def test_mean_and_std_do_not_depend_on_the_chunk(packed):
    read = Feeder(**packed)._read
    for a, b in zip(mean_and_std(read, N, chunk=7), mean_and_std(read, N, chunk=100)):
        np.testing.assert_allclose(a, b)


def test_centre_uses_the_frame_size_beside_the_data(packed):
    square = Feeder(**packed, normalize_body=True, dimension=2)[0][0]
    np.save(packed["data_path"].replace("_data", "_frame_size"), np.tile(np.float32([400, 200]), (N, 1)))
    wide = Feeder(**packed, normalize_body=True, dimension=2)[0][0]
    ratio = (np.ptp(wide[0]) / np.ptp(wide[1])) / (np.ptp(square[0]) / np.ptp(square[1]))
    np.testing.assert_allclose(ratio, 2, rtol=1e-5)


@pytest.mark.parametrize(
    "options, words",
    [
        ({"random_choose": True}, "needs a window_size"),
        ({"uniform_sample": True}, "needs a window_size"),
        ({"window_size": 0}, "neither -1 nor positive"),
        ({"num_clips": 10}, "num_clips needs uniform_sample"),
        ({"num_clips": 10, "uniform_sample": True, "random_choose": True, "window_size": 4}, "for testing"),
        ({"random_crop": 0.5}, "random_crop and random_repeat need"),
        ({"stream": "bones", "dimension": 2}, "unknown stream 'bones'"),
        ({"stream": "bone", "dimension": 2}, "needs the skeleton's layout"),
        ({"mirror": True}, "needs the skeleton's layout"),
        ({"normalize_body": True}, "needs dimension"),
        ({"layout": "ntu-rgb+d"}, "18 joints"),
        ({"pre_normalize_3d": True, "dimension": 3, "layout": "openpose"}, "pre_normalize_3d needs"),
        ({"random_rotate": [0.1, 0.2, 0.3], "dimension": 2}, "one angle in rad"),
        (
            {"random_repeat": 0, "uniform_sample": True, "random_choose": True, "window_size": 8},
            "random_repeat 0 is not",
        ),
        ({"joint_dropout": 1.0}, "joint_dropout 1.0 is not in"),
        ({"ignore_score": True, "dimension": 3}, "ignore_score needs"),
        ({"swap_sides": True}, "swap_sides needs the skeleton"),
        ({"pre_normalize_2d": "clip", "dimension": 2}, "neither frame nor box"),
        ({"pre_normalize_2d": "box", "dimension": 3}, "pre_normalize_2d needs"),
        ({"mirrored": True}, "no argument 'mirrored'; did you mean 'mirror'"),
        ({"mirror": "yes", "layout": "openpose"}, "mirror: 'yes' where True or False belongs"),
        ({"centre": True, "normalize_body": True, "dimension": 2}, "former name of 'normalize_body'"),
        ({"dimension": 4}, "dimension 4 is neither"),
        ({"random_scale": "a lot", "dimension": 2}, "random_scale 'a lot' is not in"),
    ],
)
def test_options_that_do_not_go_together_are_refused(packed, options, words):
    with pytest.raises(DataError, match=words):
        Feeder(**packed, **options)


def test_former_keys_mean_what_they_meant(packed):
    former = Feeder(**packed, centre=True, random_lose=0.2, dimension=2)
    today = Feeder(**packed, normalize_body=True, joint_dropout=0.2, dimension=2)
    np.testing.assert_array_equal(former[1, 3][0], today[1, 3][0])


def test_what_dataset_yaml_says_need_not_be_said(packed):
    write_info(Path(packed["data_path"]).parent, DatasetInfo(layout="openpose", dimension=2, fps=30.0))
    said = Feeder(**packed, normalize_body=True, stream="bone", layout="openpose", dimension=2)
    unsaid = Feeder(**packed, normalize_body=True, stream="bone")
    np.testing.assert_array_equal(said[3][0], unsaid[3][0])
    assert unsaid.info.fps == 30.0


@pytest.mark.parametrize(
    "options, words",
    [({"layout": "coco"}, "says openpose"), ({"dimension": 3}, "says 2")],
)
def test_a_config_that_contradicts_dataset_yaml_is_refused(packed, options, words):
    write_info(Path(packed["data_path"]).parent, DatasetInfo(layout="openpose", dimension=2))
    with pytest.raises(DataError, match=words):
        Feeder(**packed, **options)


def test_a_feeder_can_be_pickled_and_copied(packed):
    feeder = Feeder(**packed, **EVERYTHING)
    for twin in (pickle.loads(pickle.dumps(feeder)), copy.deepcopy(feeder)):
        np.testing.assert_array_equal(twin[3][0], feeder[3][0])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("options", [*OPTIONS, {"pre_normalize_2d": "box", "dimension": 2}])
def test_clips_that_are_not_finite_are_named_and_no_others(packed, options, value):
    data = np.load(packed["data_path"])
    data[[4, 11], 0] = value
    np.save(packed["data_path"], data)
    if options.get("normalization"):  # the mean is over all clips
        with pytest.raises(DataError, match=r"not finite .* in clip4, clip11;"):
            Feeder(**packed, **options)
        return
    feeder = Feeder(**packed, **options)
    assert np.isfinite(feeder.get_batch([3, 5, 10, 12])[0]).all()
    with pytest.raises(DataError, match=r"not finite .* in clip4, clip11;"):
        feeder.get_batch(range(20))


def test_large_values_whose_sum_overflows_are_not_refused(packed):
    data = np.load(packed["data_path"])
    data[5] = 3e38
    np.save(packed["data_path"], data)
    assert np.isfinite(Feeder(**packed)[5][0]).all()


def test_a_pickled_feeder_does_not_carry_the_data(packed):
    assert len(pickle.dumps(Feeder(**packed))) < 10_000 < len(pickle.dumps(Feeder(**packed, mmap=False)))


def test_a_data_set_larger_than_memory_is_read_in_little_memory(tmp_path):
    """31 GB that the file system does not really hold (a sparse file), in a process that may have 1 GB of its own."""
    num = 240_000
    np.lib.format.open_memmap(tmp_path / "big_data.npy", "w+", np.float32, (num, 3, 300, 18, 2)).flush()
    (tmp_path / "big_label.pkl").write_bytes(pickle.dumps(([f"{i}" for i in range(num)], [0] * num)))
    script = """
import resource, sys
from feeder.feeder import Feeder
paths = sys.argv[1] + "/big_data.npy", sys.argv[1] + "/big_label.pkl"
feeder = Feeder(*paths, random_choose=True, random_move=True, window_size=150)
resource.setrlimit(resource.RLIMIT_DATA, (1 << 30, 1 << 30))
for begin in range(0, len(feeder), 4000):
    feeder.get_batch(range(begin, begin + 16))
status = open("/proc/self/status").read()  # getrusage would give the memory of the process that started this one
print(int(status.split("VmHWM:")[1].split()[0]) >> 10)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert int(done.stdout) < 700  # MiB, of which what was read of the file, 120 MiB, can be taken back at any time
