"""Preprocess: flat keys and `pipeline:` are one list in one order; its evaluation form draws nothing and survives YAML."""

import pickle

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from feeder import transforms
from feeder.feeder import Feeder
from feeder.pipeline import Batch, Mirror, NormalizeBody, Stream, Transform, UniformSample, Window
from feeder.preprocess import Preprocess
from feeder.rng import ClipRNG
from feeder.skeleton import load_skeleton
from torchlight.errors import DataError, UsageError

OPENPOSE = load_skeleton("openpose")
N, T, V = 6, 30, 18
KEYS = st.fixed_dictionaries(
    {"window_size": st.integers(4, 40)},
    optional={
        "random_choose": st.booleans(),
        "uniform_sample": st.booleans(),
        "normalize_body": st.booleans(),
        "normalize_axes": st.booleans(),
        "joint_dropout": st.floats(0, 0.9),
        "ignore_score": st.booleans(),
        "random_move": st.booleans(),
        "mirror": st.booleans(),
        "swap_sides": st.booleans(),
        "random_rotate": st.floats(0, 3),
        "random_scale": st.floats(0, 0.5),
        "random_jitter": st.floats(0, 0.1),
        "random_bones": st.floats(0, 0.5),
        "random_smooth": st.floats(0, 4),
        "random_shift": st.booleans(),
        "pre_normalize_2d": st.sampled_from([None, "frame", "box"]),
        "stream": st.sampled_from(["joint", "bone", "joint_motion", "bone_motion"]),
    },
)


@pytest.fixture(scope="module")
def clips():
    rng = np.random.default_rng(0)
    data = rng.uniform(0.1, 0.5, (N, 3, T, V, 2)).astype(np.float32)
    return data * (rng.random((N, 1, T, V, 2)) > 0.2)


def rng(seed=0, epoch=0):
    return ClipRNG(seed, np.full(N, epoch), np.arange(N))


@settings(deadline=None, max_examples=60)
@given(keys=KEYS)
def test_flat_keys_in_any_order_are_the_list_that_to_config_spells_out(clips, keys):
    flat = Preprocess.from_config(dict(reversed(keys.items())), OPENPOSE, 2)
    config = yaml.safe_load(yaml.safe_dump(flat.to_config()))
    spelt = Preprocess.from_config({"pipeline": config["pipeline"]}, OPENPOSE, config["dimension"])
    assert flat.transforms == spelt.transforms
    np.testing.assert_array_equal(flat(clips, np.ones(N), rng()), spelt(clips, np.ones(N), rng()))


@settings(deadline=None, max_examples=60)
@given(keys=KEYS)
def test_the_evaluation_form_draws_nothing(clips, keys):
    evaluation = Preprocess.from_config(keys, OPENPOSE, 2).evaluation()
    one, other = (evaluation(clips, np.ones(N), rng(seed)) for seed in (0, 1))
    np.testing.assert_array_equal(one, other)
    assert one.shape == (N, 3, keys["window_size"], V, 2)
    assert evaluation.evaluation().transforms == evaluation.transforms
    assert not any(transform.augments for transform in evaluation.transforms)


def test_a_missing_joint_stays_zero_through_every_transform(clips):
    keys = {"window_size": T, "random_move": True, "random_jitter": 0.1, "random_rotate": 1.0, "random_scale": 0.3}
    keys |= {"random_bones": 0.2, "random_smooth": 2.0}
    out = Preprocess.from_config({**keys, "normalize_body": True}, OPENPOSE, 2)(clips, np.ones(N), rng())
    assert not out[np.broadcast_to((clips == 0).all(1, keepdims=True), out.shape)].any()


def test_the_order_of_a_pipeline_is_the_order_of_the_list(clips):
    spelt = [{"Window": {"window_size": T}}, {"RandomScale": {"amount": 0.3}}, "NormalizeBody"]
    out = Preprocess.from_config({"pipeline": spelt}, None, 2)(clips, np.ones(N), rng())
    plain = transforms.normalize_body(transforms.scale(clips, 0.3, 2, rng()), 2)
    np.testing.assert_allclose(out, plain)


def test_frames_are_drawn_after_what_must_see_the_whole_clip(clips):
    padded = np.concatenate([clips, np.zeros_like(clips)], 2)
    drawn = ["WholeClip", "NormalizeAxes", {"DrawFrames": {"window_size": 20, "random": True}}]
    train = Preprocess.from_config({"pipeline": drawn}, None, 2)
    test = train.evaluation()
    whole = transforms.normalize_axes(clips, 2)
    for seed in range(3):
        assert (train(padded, np.ones(N), rng(seed)) != test(padded, np.ones(N), rng(seed))).any()
    frames = np.linspace(0, T - 1, 20).astype(int)
    np.testing.assert_array_equal(test(padded, np.ones(N), rng()), whole[:, :, frames])
    assert train.window is None and test.evaluation().transforms == test.transforms


def test_a_clip_is_shown_in_the_frames_that_were_drawn(tmp_path, clips):
    np.save(tmp_path / "data.npy", clips)
    (tmp_path / "label.pkl").write_bytes(pickle.dumps((list("abcdef"), [0] * N)))
    drawn = ["WholeClip", "NormalizeAxes", {"DrawFrames": {"window_size": 20, "random": True}}]
    feeder = Feeder(str(tmp_path / "data.npy"), str(tmp_path / "label.pkl"), pipeline=drawn, dimension=2)
    frames = np.linspace(0, T - 1, 20).astype(int)
    np.testing.assert_array_equal(feeder.recorded([1, 4]), clips[[1, 4]][:, :, frames])
    assert feeder.for_test([1, 4]).shape == (2, 3, 20, V, 2)


def test_clips_in_memory_become_what_a_feeder_makes_of_them_in_a_test(tmp_path):
    data = np.random.default_rng(0).normal(size=(5, 3, 30, 18, 1)).astype(np.float32)
    data[:, 2] = 1
    data[2, :, 20:] = 0
    np.save(tmp_path / "data.npy", data)
    (tmp_path / "label.pkl").write_bytes(pickle.dumps((list("abcde"), [0] * 5)))
    options = {"uniform_sample": True, "window_size": 16, "normalize_body": True}
    paths = str(tmp_path / "data.npy"), str(tmp_path / "label.pkl")
    feeder = Feeder(*paths, **options, dimension=2, layout="openpose")
    clips = [clip[:, :20] if i == 2 else clip for i, clip in enumerate(data)]
    no_rng = ClipRNG(0, np.zeros(5), np.zeros(5))
    out = Preprocess.from_config(options, OPENPOSE, 2)(clips, np.ones(5), no_rng)
    np.testing.assert_array_equal(out, np.stack([sample for sample, _ in feeder]))


def test_statistics_of_the_training_data_are_part_of_the_evaluation_form(tmp_path, clips):
    np.save(tmp_path / "data.npy", clips)
    (tmp_path / "label.pkl").write_bytes(pickle.dumps((list("abcdef"), [0] * N)))
    feeder = Feeder(str(tmp_path / "data.npy"), str(tmp_path / "label.pkl"), normalization=True)
    config = yaml.safe_load(yaml.safe_dump(feeder.preprocess.evaluation().to_config()))
    alone = Preprocess.from_config({"pipeline": config["pipeline"]})
    np.testing.assert_array_equal(alone(clips, np.ones(N), rng()), feeder.get_batch(range(N))[0])
    with pytest.raises(DataError, match="not known here"):
        Preprocess.from_config({"normalization": True})(clips, np.ones(N), rng())


@pytest.mark.parametrize(
    ("keys", "window"),
    [
        ({}, None),
        ({"window_size": 150}, 150),
        ({"window_size": 64, "uniform_sample": True}, None),
        ({"window_size": 64, "uniform_sample": True, "random_choose": True, "random_crop": [40, 100]}, 64),
        ({"window_size": 16, "uniform_sample": True, "random_choose": True, "random_crop": [40, 90]}, 60),
    ],
)
def test_the_window_that_a_network_was_trained_on(keys, window):
    assert Preprocess.from_config(keys).window == window


class Doubled(Transform):
    key = "doubled"

    def __call__(self, batch: Batch) -> None:
        batch.data = 2 * batch.data


def test_a_transform_of_ones_own_is_named_by_its_dotted_name_but_not_in_a_side_car(clips):
    spelt = {"pipeline": ["WholeClip", f"{__name__}.Doubled"]}
    out = Preprocess.from_config(spelt)(clips, np.ones(N), rng())
    np.testing.assert_array_equal(out, 2 * clips)
    with pytest.raises(DataError, match="no transform"):
        Preprocess.from_config(spelt, own=False)


@pytest.mark.parametrize(
    ("listed", "line"),
    [
        ([], "the list is empty"),
        ("NormalizeBody", "where a list of transforms belongs"),
        (["NormalizeBody"], "exactly one of WholeClip, Window"),
        (["WholeClip", "WholeClip"], "exactly one of"),
        (["WholeClip", {"Stream": {"name": "joint"}}, "RandomMove"], "Stream must be the last"),
        (["WholeClip", "NormaliseBody"], "did you mean 'NormalizeBody'"),
        (["WholeClip", {"RandomRotate": {"angel": 1}}], "did you mean 'angle'"),
        (["WholeClip", "RandomRotate"], "needs angle"),
        (["WholeClip", {"RandomRotate": {"angle": 1, "order": "xyy"}}], "order 'xyy' is not one of xyz, xzy"),
        (["WholeClip", {"DrawFrames": {"window_size": 0}}], "DrawFrames needs a window_size"),
        ([{"DrawFrames": {"window_size": 8}}], "exactly one of WholeClip"),
        (["WholeClip", {"Mirror": 3}], "3 where {argument: value} belongs"),
        (["WholeClip", {"Mirror": {}, "SwapSides": {}}], "where `Name` or"),
        (["WholeClip", "pathlib.Path"], "pathlib.Path is not a feeder.pipeline.Transform"),
    ],
)
def test_a_wrong_pipeline_ends_in_one_line(listed, line):
    with pytest.raises((DataError, UsageError), match=line) as error:
        Preprocess.from_config({"pipeline": listed}, OPENPOSE, 2)
    assert "\n" not in str(error.value)


def test_flat_keys_beside_a_pipeline_are_refused_but_a_stream_takes_the_place_of_its_own():
    listed = ["WholeClip", {"Stream": {"name": "joint"}}]
    with pytest.raises(DataError, match="'mirror' belongs into that list"):
        Preprocess.from_config({"pipeline": listed, "mirror": True}, OPENPOSE, 2)
    changed = Preprocess.from_config({"pipeline": listed, "stream": "bone"}, OPENPOSE, 2)
    assert changed.transforms[-1] == Stream("bone") and len(changed.transforms) == 2


def test_transforms_can_be_put_together_in_python(clips):
    preprocess = Preprocess([UniformSample(8, random=True), NormalizeBody(), Mirror()], OPENPOSE, dimension=2)
    assert preprocess(clips, np.ones(N), rng()).shape == (N, 3, 8, V, 2)
    assert preprocess.evaluation().transforms == [UniformSample(8), NormalizeBody()]
    assert Preprocess([Window(5)]).evaluation().window == 5
