"""Frame by frame the predictions are those of the network on the whole sequence, averaged over the frames of each window."""

import numpy as np
import pytest
import torch

from feeder.preprocess import Preprocess
from feeder.running import RunningPreprocess
from feeder.skeleton import load_skeleton
from feeder.windows import spans
from main import main
from net import ctr_gcn, st_gcn, st_gcn_pp, st_gcn_twostream
from processor.calibrate import predict_frame_by_frame
from processor.continual import ContinualRecognizer
from processor.recognizer import Recognizer
from processor.sidecar import describe, write_sidecar
from torchlight.errors import UsageError

BODY = load_skeleton("penn-action")
GRAPH = {"layout": "penn-action", "strategy": "spatial"}
BLOCKS = [[8, 1], [12, 2], [12, 2]]
PIPELINE = {"pipeline": [{"UniformSample": {"window_size": 64}}, "NormalizeBody", "IgnoreScore"]}
NAMES = ["run", "jump", "sit"]


def save(path, model, persons=1, preprocessing=PIPELINE, **args):
    torch.manual_seed(0)
    module = {"st_gcn": st_gcn, "st_gcn_pp": st_gcn_pp, "st_gcn_twostream": st_gcn_twostream, "ctr_gcn": ctr_gcn}[model]
    args = {"in_channels": 3, "num_class": 3, "graph_args": GRAPH, **args}
    network = module.Model(**args).train()
    for _ in range(3):  # statistics of some size
        network(torch.randn(8, 3, 32, 13, persons))
    torch.save(network.state_dict(), path)
    preprocess = Preprocess.from_config(preprocessing, BODY, 2)
    write_sidecar(path, describe(f"net.{model}.Model", args, preprocess, NAMES, persons, skeleton=BODY))
    return path


@pytest.fixture(scope="module")
def recognizers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("continual")
    kinds = {
        "st_gcn": ("st_gcn", {"blocks": BLOCKS}),
        "st_gcn_pp": ("st_gcn_pp", {"blocks": BLOCKS}),
        "masked, two": ("st_gcn", {"blocks": BLOCKS, "masked_pool": True, "persons": 2}),
        "no strides": ("st_gcn", {"blocks": [[8, 1], [12, 1]]}),
        "of 8": ("st_gcn", {"blocks": [[8, 2], [12, 4]]}),
    }
    return {
        name: Recognizer.from_checkpoint(save(folder / f"{name}.pt", model, **args), False)
        for name, (model, args) in kinds.items()
    }


def clip(T, M=1, seed=0):
    rng = np.random.default_rng(seed)
    x = np.concatenate([rng.normal(0, 0.1, (2, T, 13, M)), rng.uniform(0.3, 1, (1, T, 13, M))]).astype(np.float32)
    x[:, T // 2 :, :, 1:] = 0  # the second one goes away
    return x


def slow_motion(x):
    """Before every frame the one half-way from the last; of a joint that was missing then, the frame's own."""
    out = np.repeat(x, 2, 1)
    for t in range(1, x.shape[1]):
        both = (x[:, t - 1] != 0).any(0) & (x[:, t] != 0).any(0)
        out[:, 2 * t] = np.where(both, (x[:, t - 1] + x[:, t]) / 2, x[:, t])
    return out


def expected(recognizer, x, size, stride, aspect):
    """Probability and pooled feature of every window, from the features of the whole sequence at half speed."""
    continual = ContinualRecognizer(recognizer, size)
    running = RunningPreprocess(recognizer.preprocess, 2 * size, 2 * continual.hold)
    person, samples = running.begin(), slow_motion(x)
    parts = [each for each in (running(person, samples, aspect), running(person, None, aspect)) if each.shape[1]]
    with torch.no_grad():
        _, feature = recognizer.network.extract_feature(torch.from_numpy(np.concatenate(parts, 1))[None])
    S = continual.stream.stride
    found = []
    for begin, end in spans(x.shape[1], size, stride):
        last = -(-2 * end // S)
        part = feature[0, :, max(0, last - 2 * size // S) : last]  # (C', P, V, M)
        there = torch.ones(part.shape[3])
        if recognizer.network.masked_pool:
            there = torch.from_numpy(x[:, begin:end].any((0, 1, 2))).float()
        pooled = (part.mean((1, 2)) * there).sum(1) / there.sum()
        logits = recognizer.network.class_weight @ pooled + recognizer.network.class_bias
        found.append((logits.softmax(0).numpy(), part.mean((1, 2, 3)).numpy()))
    return found


@pytest.mark.parametrize("name", ["st_gcn", "st_gcn_pp", "masked, two", "no strides", "of 8"])
@pytest.mark.parametrize("T", [3, 20, 21, 32, 40, 75, 98])
def test_windows_are_those_of_spans_and_their_predictions_those_of_the_whole_sequence(recognizers, name, T):
    recognizer = recognizers[name]
    x = clip(T, recognizer.num_person)
    want = expected(recognizer, x, 32, 8, 1.3)
    windows = predict_frame_by_frame(recognizer, [x], np.array([1.3]), 32, 8)
    assert len(windows.probability) == len(want)
    for probability, feature, (wanted, wanted_feature) in zip(windows.probability, windows.feature, want):
        np.testing.assert_allclose(probability, wanted, atol=1e-5)
        np.testing.assert_allclose(feature, wanted_feature, atol=1e-4)
    assert windows.seen.tolist() == [x[:, begin:end].any((0, 2, 3)).sum() for begin, end in spans(T, 32, 8)]


def test_clips_of_all_lengths_at_once_have_the_predictions_that_they_have_alone(recognizers):
    recognizer = recognizers["st_gcn"]
    clips = [clip(T, seed=T) for T in (50, 5, 51, 33, 100, 64, 1)]
    aspect = np.linspace(0.7, 1.6, len(clips))
    together = predict_frame_by_frame(recognizer, clips, aspect, 32, 16)
    for i, x in enumerate(clips):
        alone = predict_frame_by_frame(recognizer, [x], aspect[i : i + 1], 32, 16)
        of_clip = together.clip == i
        np.testing.assert_allclose(together.probability[of_clip], alone.probability, atol=1e-5)
        np.testing.assert_array_equal(together.seen[of_clip], alone.seen)


def test_a_prediction_is_there_with_the_frame_that_the_network_needs_for_it(recognizers):
    continual = ContinualRecognizer(recognizers["st_gcn"], 32)
    assert (continual.stride, continual.delay) == (2, (4 + 4 + 8) // 2)
    person, x, known = continual.begin(1.0), clip(80), []
    for t in range(0, 80, 4):
        continual.add([person], [x[:, t : t + 4]])
        known.append(person.known)
        attention = continual.predict([person], 32).attention if person.known else None
        if person.known >= 32:
            assert attention.shape == (1, 16, 13) and attention.max() == 1 and (attention > 0).all()
    assert known == [max(0, t - 8) for t in range(4, 84, 4)]


@pytest.mark.parametrize(
    ("model", "preprocessing", "line"),
    [
        ("st_gcn_twostream", PIPELINE, "takes whole windows"),
        ("ctr_gcn", PIPELINE, "takes whole windows"),
        (
            "st_gcn",
            {"pipeline": [{"UniformSample": {"window_size": 64}}, {"Stream": {"name": "joint_motion"}}]},
            "stream",
        ),
        (
            "st_gcn",
            {"pipeline": [{"UniformSample": {"window_size": 64}}, {"PreNormalize2D": {"over": "box"}}]},
            "pre_norm",
        ),
    ],
)
def test_a_network_that_cannot_is_one_line(tmp_path, capsys, model, preprocessing, line):
    args = {"num_person": 1} if model == "ctr_gcn" else {}
    weights = save(tmp_path / "w.pt", model, preprocessing=preprocessing, blocks=BLOCKS, **args)
    with pytest.raises(UsageError, match=line):
        ContinualRecognizer(Recognizer.from_checkpoint(weights, False), 32)
    assert main(["demo", "--video", "0", "--weights", str(weights), "--streaming"]) == 2
    error = capsys.readouterr().err
    assert "--streaming" in error and line in error and error.count("\n") == 1
