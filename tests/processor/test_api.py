"""The functions of Python: the same answers as the commands give, and refusals that are exceptions of one line."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from feeder.feeder import Feeder
from feeder.preprocess import Preprocess
from feeder.skeleton import load_skeleton
from main import main
from net.st_gcn import Model
from processor import api, demo, options
from processor.dataset import Dataset
from processor.recognizer import Recognizer
from processor.sidecar import describe, write_sidecar
from processor.video.stream import Stream
from tests.feeder.video.test_decode import make, noise
from tests.processor.test_demo import People, standing
from torchlight.arguments import parse
from torchlight.errors import DataError, UsageError

GRAPH = {"layout": "openpose", "strategy": "spatial"}
ARGS = {"in_channels": 3, "num_class": 4, "blocks": [[8, 1], [16, 2]], "graph_args": GRAPH}
NAMES = ["run", "jump", "sit", "turn"]
SIZE = 64, 48


@pytest.fixture(scope="module")
def recognizer(tmp_path_factory):
    """A small untrained network for two persons, in 2-D."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("network") / "w.pt"
    torch.save(Model(**ARGS).state_dict(), path)
    preprocess = Preprocess.from_config({"uniform_sample": True, "window_size": 16}, load_skeleton("openpose"))
    write_sidecar(path, describe("net.st_gcn.Model", ARGS, preprocess, NAMES, 2))
    return Recognizer.from_checkpoint(path, use_gpu=False)


# ---- keypoints


def two_persons(num_frame=20):
    """(2, T, 18, 3): x, y in pixels, score; a joint and some frames are missing."""
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.uniform(1, 47, (2, num_frame, 18, 2)), rng.uniform(0.3, 1, (2, num_frame, 18, 1))], -1)
    points[0, :, 5] = 0
    points[1, 12:] = 0
    return points


def test_keypoints_in_pixels_are_classified_as_the_clip_they_are(recognizer):
    points = two_persons()
    clip = np.zeros((3, 20, 18, 2), np.float32)  # by hand: centred fractions of the frame, zero where missing
    for m, t, v in np.ndindex(2, 20, 18):
        if points[m, t, v, 2] > 0:
            x, y, score = points[m, t, v]
            clip[:, t, v, m] = x / SIZE[0] - 0.5, y / SIZE[1] - 0.5, score
    want = recognizer([clip], [SIZE[0] / SIZE[1]]).probability[0]
    answer = api.recognise_keypoints(points, recognizer, SIZE)
    np.testing.assert_allclose(answer.probability, want, atol=1e-6)
    assert (answer.label, answer.score) == recognizer.decide(want) and answer.top == recognizer.top(want)


def test_one_person_is_the_first_of_several(recognizer):
    alone = two_persons()[0]
    several = np.stack([alone, np.zeros_like(alone), np.ones_like(alone)])  # of which the network takes two
    one, other = (api.recognise_keypoints(points, recognizer, SIZE) for points in (alone, several))
    np.testing.assert_array_equal(one.probability, other.probability)


def test_joints_of_another_layout_are_those_of_the_same_names(recognizer):
    coco, openpose = load_skeleton("coco"), load_skeleton("openpose")
    points = two_persons()[0]
    points[:, 1] = (points[:, 2] + points[:, 5]) / 2  # the neck, which coco has not
    points[:, [1, 5]] = 0  # its joint 5, the left shoulder, is missing, so the neck is too
    in_coco = points[:, [openpose.joints.index(name) for name in coco.joints]]
    one = api.recognise_keypoints(points, recognizer, SIZE)
    other = api.recognise_keypoints(in_coco, recognizer, SIZE, layout="coco")
    np.testing.assert_allclose(one.probability, other.probability, atol=1e-6)


def test_joints_in_3d_are_taken_as_they_are(tmp_path):
    torch.manual_seed(0)
    args = ARGS | {"graph_args": {"layout": "nw-ucla", "strategy": "spatial"}}
    torch.save(Model(**args).state_dict(), tmp_path / "w.pt")
    preprocess = Preprocess.from_config({"uniform_sample": True, "window_size": 8}, load_skeleton("nw-ucla"), 3)
    write_sidecar(tmp_path / "w.pt", describe("net.st_gcn.Model", args, preprocess, NAMES, 1))
    recognizer = Recognizer.from_checkpoint(tmp_path / "w.pt", use_gpu=False)
    points = np.random.default_rng(0).normal(size=(12, 20, 3))
    want = recognizer([points.transpose(2, 0, 1)[..., None].astype(np.float32)], [1.0]).probability[0]
    np.testing.assert_allclose(api.recognise_keypoints(points, recognizer).probability, want, atol=1e-6)
    with pytest.raises(UsageError, match="20 joints, where"):
        api.recognise_keypoints(points, recognizer, layout="utd-mhad")
    with pytest.raises(UsageError, match="wants joints in 3-D"):
        Stream(recognizer, layout="nw-ucla", frame_size=SIZE)


@pytest.mark.parametrize(
    ("points", "how", "line"),
    [
        (np.zeros((20, 18)), {}, r"shape \(20, 18\) where \(T, V, 3\)"),
        (np.zeros((0, 18, 3)), {}, r"shape \(0, 18, 3\)"),
        (np.full((5, 18, 3), np.nan), {}, "not finite"),
        (np.full((5, 18, 3), 1e300), {}, "not finite"),
        ([[1, 2], [3]], {}, "not an array of numbers"),
        (np.zeros((5, 17, 3)), {}, "17 joints, where the network takes the 18 of openpose"),
        (np.zeros((5, 18, 3)), {"frame_size": None}, "frame_size"),
        (np.zeros((5, 18, 3)), {"layout": "openpos"}, "did you mean 'openpose'"),
    ],
)
def test_keypoints_that_are_none_are_refused(recognizer, points, how, line):
    with pytest.raises((UsageError, DataError), match=line):
        api.recognise_keypoints(points, recognizer, **({"frame_size": SIZE} | how))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 4), max_size=5), st.sampled_from(["f4", "i8", "?", "U1", "O", "c8"]))
def test_an_array_of_any_shape_and_kind_is_taken_or_refused(shape, kind):
    try:
        points = api.checked_keypoints(np.zeros(shape, kind))
    except UsageError as error:
        assert len(str(error).splitlines()) == 1
    else:
        assert points.ndim == 4 and points.shape[-1] == 3 and points.dtype == np.float32


# ---- videos and streams


@pytest.fixture
def film(tmp_path):
    return make(tmp_path / "clip.mp4", [noise(i, 48, 64) for i in range(90)], rate=30, g="10")


def test_a_video_is_answered_as_by_the_demo_and_nothing_is_written(film, tmp_path, recognizer, monkeypatch):
    people = lambda *_: People(lambda index: 2)  # noqa: E731
    monkeypatch.setattr("feeder.pose.estimators.make_estimator", people)
    before = set(tmp_path.iterdir())
    result = api.recognise_video(film, recognizer, stride=8)
    assert set(tmp_path.iterdir()) == before
    argv = ["demo", "--video", str(film), "--weights", str(recognizer.weights), "--stride", "8"]
    argv += ["--output_dir", str(tmp_path / "out"), "--height", "96"]
    demo.run(parse(options.demo(), argv[1:]), argv, make=people)
    assert result == json.loads((tmp_path / "out/clip.json").read_text(encoding="utf-8"))
    again = api.recognise_video(film, recognizer, tmp_path / "written", stride=8, height=96)
    assert again == result and (tmp_path / "written/clip.mp4").exists()


def test_a_stream_ends_with_the_segments_of_the_video(film, recognizer, monkeypatch):
    monkeypatch.setattr("feeder.pose.estimators.make_estimator", lambda *_: People(lambda index: 2))
    whole = api.recognise_video(film, recognizer, stride=8)["segments"]
    of_images, of_keypoints = Stream(recognizer, estimate=People(lambda index: 2), stride=8), None
    of_keypoints = Stream(recognizer, layout="openpose", frame_size=SIZE, stride=8)
    for index in range(90):
        image = noise(index, 48, 64)
        one = of_images.add(image[:, :, ::-1])  # a view
        other = of_keypoints.add(standing(2, index), index / 30)
        assert [person[:3] for person in one] == [person[:3] for person in other]
        assert [person.track for person in one] == [0, 1] and one[0].joints.shape == (18, 3)
    assert one[0].label in [*NAMES, "unknown"] and 0 <= one[0].score <= 1
    in_order = lambda rows: sorted(rows, key=lambda row: (row["track"], row["first_frame"]))  # noqa: E731
    assert in_order(of_images.finish()) == in_order(of_keypoints.finish()) == in_order(whole)


def test_before_the_first_window_nothing_is_said_and_nobody_is_no_one(recognizer):
    stream = Stream(recognizer, layout="openpose", frame_size=SIZE)
    assert stream.add(np.zeros((0, 18, 3))) == [] and stream.add(np.zeros((1, 18, 3))) == []
    (person,) = stream.add(standing(1))
    assert (person.track, person.label, person.score) == (0, None, None)
    assert Stream(recognizer, estimate=People(lambda index: 1)).finish() == []


def test_what_is_no_frame_or_no_option_is_refused(recognizer, tmp_path):
    images = Stream(recognizer, estimate=People(lambda index: 1))
    images.add(np.zeros((48, 64, 3), np.uint8))
    poses = Stream(recognizer, layout="openpose", frame_size=SIZE)
    poses.add(standing(1), 3.0)
    for call, line in [
        (lambda: images.add(np.zeros((48, 64), np.uint8)), "where an image"),
        (lambda: images.add(np.zeros((24, 32, 3), np.uint8)), r"\(32, 24\) pixels"),
        (lambda: poses.add(np.zeros((17, 3)), 4.0), r"where keypoints \(P, 18, 3\)"),
        (lambda: poses.add(standing(1), 3.0), "not later"),
        (lambda: Stream(recognizer, layout="openpose"), "frame_size"),
        (lambda: Stream(recognizer, estimate=None, layout="coco", frame_size=SIZE, strid=4), "did you mean 'stride'"),
        (lambda: api.recognise_video(tmp_path / "none.mp4", recognizer), "does not exist"),
        (lambda: api.recognise_video(tmp_path, recognizer), "is a folder"),
        (lambda: api.recognise_video(tmp_path / "a.mp4", recognizer, weights="other.pt"), "give one of the two"),
    ]:
        with pytest.raises((UsageError, DataError), match=line):
            call()


# ---- data, networks, training


def test_a_dataset_gives_what_the_feeder_gives(small):
    how = {"window_size": 12, "uniform_sample": True, "random_choose": True, "mirror": True, "layout": "openpose"}
    dataset = Dataset(small / "train_data.npy", **how)
    feeder = Feeder(str(small / "train_data.npy"), str(small / "train_label.pkl"), **how)
    assert len(dataset) == 48 and dataset.label_names is None
    for epoch in (0, 1):
        dataset.set_epoch(epoch)
        clip, label = dataset[5]
        np.testing.assert_array_equal(clip.numpy(), feeder[(epoch, 5)][0])
        assert label == feeder.label[5]
        batch, labels = next(iter(DataLoader(dataset, batch_size=8)))
        np.testing.assert_array_equal(batch.numpy(), feeder.get_batch([(epoch, i) for i in range(8)])[0])
        assert labels.tolist() == feeder.label[:8]
    assert sum(1 for _ in dataset) == 48
    with pytest.raises(UsageError, match="did you mean 'window_size'"):
        Dataset(small / "train_data.npy", windowsize=3)
    with pytest.raises(UsageError, match=r"is not a \.npy file"):
        Dataset(small / "config.yaml", small / "train_label.pkl")


def test_a_network_is_built_by_name_and_has_the_weights(recognizer):
    built = api.build_network("net.st_gcn.Model", ARGS, recognizer.weights)
    named = api.build_network(weights=recognizer.weights)
    want = torch.load(recognizer.weights)
    for network in (built, named):
        assert type(network) is Model and all(
            torch.equal(value, want[key]) for key, value in network.state_dict().items()
        )
    for model, args, line in [
        ("net.st_gcn.Modell", ARGS, "did you mean"),
        ("net.st_gcn.Model", ARGS | {"blocks": [[8, 1]]}, "w.pt"),
        (None, None, "not the dotted name"),
    ]:
        with pytest.raises(UsageError, match=line):
            api.build_network(model, args, None if model is None else recognizer.weights)


def test_a_dict_trains_to_the_very_weights_of_the_command(small, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["recognition", "-c", str(small / "config.yaml"), "-w", "command", "--num_epoch", "2"]) == 0
    config = yaml.safe_load((small / "config.yaml").read_text(encoding="utf-8"))
    config["label_names"] = Path(config["label_names"])
    result = api.train(config | {"step": (4,)}, work_dir=Path("dict"), num_epoch=np.int64(2), print_log=False)
    want, got = (torch.load(path) for path in ("command/epoch2_model.pt", result.weights))
    assert all(torch.equal(got[key], value) for key, value in want.items())
    assert result.weights == Path("dict/epoch2_model.pt") and set(result.metrics) >= {"epoch", "loss", "top1"}
    tested = api.test(small / "config.yaml", work_dir="dict", print_log=False)
    assert tested.metrics["top1"] == result.metrics["top1"] and tested.weights == result.weights
    command = json.loads((result.work_dir / "manifest.json").read_text(encoding="utf-8"))["command"]
    again = api.train("dict/config.yaml", work_dir="again", print_log=False)  # as the manifest of the training has it
    assert command[2:4] == ["recognition", "-c"] and again.metrics["loss"] == result.metrics["loss"]


def test_settings_that_are_wrong_are_refused_before_anything_is_written(small, tmp_path):
    for own, line in [
        ({"bach_size": 8}, "settings: unknown key 'bach_size'; did you mean 'batch_size'"),
        ({"num_epoch": "many"}, "settings: num_epoch: 'many' where"),
        ({"base": str(tmp_path / "none.yaml")}, "none.yaml does not exist"),
        ({"repeat": 3}, "one run at a time"),
        ({"model_args": {"blocks": "few"}}, "model_args"),
    ]:
        base = {} if "base" in own else {"base": str(small / "config.yaml")}
        with pytest.raises(UsageError, match=line):
            api.train(base | own, work_dir=tmp_path / "out")
    assert not (tmp_path / "out").exists()
