"""The score of the unknown: distances as scipy has them, a curve, and files of strangers that are refused in one line."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import mahalanobis

from feeder.preprocess import Preprocess
from feeder.skeleton import load_skeleton
from main import main
from net.st_gcn import Model
from processor.calibrate import curve_of, predict_frame_by_frame
from processor.open_set import OpenSet, discount, open_set_path, probability_unknown
from processor.recognizer import UNKNOWN, Recognizer
from processor.sidecar import describe, read_sidecar, write_sidecar
from torchlight.errors import UsageError

ARGS = {
    "in_channels": 3,
    "num_class": 4,
    "blocks": [[8, 1], [16, 2]],
    "graph_args": {"layout": "openpose", "strategy": "spatial"},
}
GOOD = {
    "whiten": torch.eye(3),
    "means": torch.ones(2, 3),
    "whiten_all": torch.eye(3),
    "mean_all": torch.ones(3),
    "trained": torch.tensor([0.0, 1.0]),
}


@pytest.fixture
def features():
    """Three classes of 60 features with a common covariance, the third of which is no answer."""
    rng = np.random.default_rng(0)
    mix, centre = rng.normal(size=(6, 6)), rng.normal(size=(3, 6)) * 5
    label = np.repeat([0, 1, 2], 60)
    return rng.normal(size=(180, 6)) @ mix + centre[label], label


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "w.pt"
    torch.save(Model(**ARGS).state_dict(), path)
    feeder = Preprocess.from_config({"window_size": 20}, load_skeleton("openpose"))
    write_sidecar(path, describe("net.st_gcn.Model", ARGS, feeder, ["run", "jump", "sit", "other"], 2))
    return path


def test_the_score_is_mahalanobis_to_the_nearest_known_class_less_that_to_all(features):
    feature, label = features
    fitted = OpenSet.fit(feature, label, np.array([True, True, False]))

    def inverse(rows):
        covariance = rows.T @ rows / len(rows)
        return np.linalg.inv(covariance + 1e-3 * np.trace(covariance) / 6 * np.eye(6))

    known = feature[label < 2]
    means = [known[:60].mean(0), known[60:].mean(0)]
    within = inverse(np.concatenate([known[:60] - means[0], known[60:] - means[1]]))
    whole = inverse(known - known.mean(0))
    wanted = [
        min(mahalanobis(f, mean, within) ** 2 for mean in means) - mahalanobis(f, known.mean(0), whole) ** 2
        for f in feature
    ]
    trained = np.array(wanted)[label < 2]
    wanted = (wanted - trained.mean()) / trained.std()
    np.testing.assert_allclose(fitted.distance(feature), wanted, rtol=1e-6, atol=1e-6)
    assert fitted.means.shape == (2, 6)


def test_a_class_that_is_no_answer_is_far_away(features):
    feature, label = features
    distance = OpenSet.fit(feature, label, np.array([True, True, False])).distance(feature)
    assert distance[label == 2].min() > distance[label < 2].max()


def test_features_that_are_always_zero_do_not_break_it(features):
    feature, label = features
    feature[:, 2] = 0
    assert np.isfinite(OpenSet.fit(feature, label, np.ones(3, bool)).distance(feature)).all()


def test_it_comes_back_from_its_file(features, tmp_path):
    feature, label = features
    fitted = OpenSet.fit(feature, label, np.ones(3, bool))
    assert fitted.save(tmp_path / "w.pt") == tmp_path / "w.open_set.pt"
    np.testing.assert_allclose(
        OpenSet.load(tmp_path / "w.pt", 6).distance(feature), fitted.distance(feature), rtol=1e-3
    )
    assert OpenSet.load(tmp_path / "none.pt") is None
    with pytest.raises(UsageError, match="statistics of 6 features, the network beside it has 7"):
        OpenSet.load(tmp_path / "w.pt", 7)


@pytest.mark.parametrize(
    "content",
    [
        GOOD | {"whiten": torch.ones(3, 2)},
        GOOD | {"means": torch.ones(2, 2)},
        GOOD | {"means": torch.ones(0, 3)},
        GOOD | {"mean_all": torch.ones(2)},
        {key: value for key, value in GOOD.items() if key != "whiten_all"},
        GOOD | {"trained": torch.tensor([1.0, 0.0])},
        GOOD | {"more": torch.ones(1)},
        GOOD | {"whiten": torch.full((3, 3), float("nan"))},
        {key: torch.ones(1).expand([5000 if n == 3 else n for n in value.shape]) for key, value in GOOD.items()},
        ["whiten"],
    ],
)
def test_other_files_are_refused_in_one_line(tmp_path, content):
    torch.save(content, open_set_path(tmp_path / "w.pt"))
    with pytest.raises(UsageError) as error:
        OpenSet.load(tmp_path / "w.pt")
    assert "w.open_set.pt" in str(error.value) and "\n" not in str(error.value)


def test_what_the_classes_lose_goes_to_other_and_all_stays_a_probability():
    probability = np.array([[0.7, 0.2, 0.1], [0.5, 0.5, 0.0]])
    out = discount(probability, np.array([0.5, 0.0]), np.array([True, True, False]))
    np.testing.assert_allclose(out, [[0.35, 0.1, 0.55], [0.5, 0.5, 0.0]])
    np.testing.assert_allclose(probability_unknown(np.array([5.0, 7.0]), 5.0, 2.0), [0.5, 1 / (1 + np.exp(-1))])


def test_the_curve_passes_the_median_of_the_known_and_stops_the_farthest():
    distance = np.random.default_rng(0).chisquare(16, 100_000)
    curve = curve_of(distance)
    assert abs((distance > curve["centre"]).mean() - 0.02) < 1e-3
    assert abs(probability_unknown(np.median(distance), **curve) - 0.018) < 1e-3


def test_a_network_with_statistics_calls_a_strange_clip_unknown(weights):
    clips = list(np.random.default_rng(0).normal(size=(40, 3, 20, 18, 2)).astype(np.float32))
    plain = Recognizer.from_checkpoint(weights, use_gpu=False)(clips, np.ones(40))
    label = plain.probability[:, :3].argmax(1)
    fitted = OpenSet.fit(plain.feature, label, np.ones(4, bool))
    fitted.save(weights)
    curve = curve_of(fitted.distance(plain.feature))
    write_sidecar(weights, read_sidecar(weights) | {"open_set": curve})
    recognizer = Recognizer.from_checkpoint(weights, use_gpu=False)
    seen, strange = recognizer(clips, np.ones(40)), recognizer([clips[0] * 30], [1.0])
    np.testing.assert_allclose(seen.probability.sum(1), 1, rtol=1e-5)
    unknown = probability_unknown(fitted.distance(plain.feature), **curve)
    np.testing.assert_allclose(seen.probability[:, 0], plain.probability[:, 0] * (1 - unknown), rtol=0.02, atol=1e-3)
    assert recognizer.decide(strange.probability[0])[0] == UNKNOWN and strange.probability[0, 3] > 0.99


@pytest.mark.parametrize("curve", [{"centre": 1}, {"centre": 1, "scale": 0}, {"centre": "x", "scale": 1}, [1, 2]])
def test_a_curve_that_is_none_is_refused(weights, curve):
    write_sidecar(weights, read_sidecar(weights) | {"open_set": curve})
    with pytest.raises(UsageError, match=r"open_set: .* where centre and scale"):
        Recognizer.from_checkpoint(weights, use_gpu=False)


def test_a_curve_without_statistics_or_without_a_class_other_is_refused(weights):
    write_sidecar(weights, read_sidecar(weights) | {"open_set": {"centre": 1, "scale": 1}})
    with pytest.raises(UsageError, match=r"w\.open_set\.pt, which is not there"):
        Recognizer.from_checkpoint(weights, use_gpu=False)
    OpenSet(np.eye(16), np.zeros((1, 16)), np.eye(16), np.zeros(16), np.ones(2)).save(weights)
    write_sidecar(weights, read_sidecar(weights) | {"label_names": list("wxyz")})
    with pytest.raises(UsageError, match="needs a class named other"):
        Recognizer.from_checkpoint(weights, use_gpu=False)


def test_calibrate_measures_features_and_writes_the_curve(small, weights, capsys):
    write_sidecar(weights, read_sidecar(weights) | {"label_names": ["up", "down", "left", "other"]})
    data = [f"--data_path={small}/val_data.npy", f"--label_path={small}/val_label.pkl"]
    fit = [f"--fit_data_path={small}/train_data.npy", f"--fit_label_path={small}/train_label.pkl"]
    assert main(["calibrate", "--weights", str(weights), *data, fit[0]]) == 2
    assert main(["calibrate", "--weights", str(weights), *data, *fit, "--save", "--per_class"]) == 0
    out = capsys.readouterr().out
    assert "statistics of the features of" in out and "    down: " in out
    curve = read_sidecar(weights)["open_set"]
    assert curve["scale"] > 0
    assert Recognizer.from_checkpoint(weights, use_gpu=False).curve == curve


def test_a_stream_has_a_curve_of_its_own(small, weights, capsys):
    write_sidecar(weights, read_sidecar(weights) | {"label_names": ["up", "down", "left", "other"]})
    data = [f"--data_path={small}/val_data.npy", f"--label_path={small}/val_label.pkl"]
    fit = [f"--fit_data_path={small}/train_data.npy", f"--fit_label_path={small}/train_label.pkl"]
    stream = ["calibrate", "--weights", str(weights), *data, "--streaming"]
    assert main([*stream, "--save"]) == 2 and "no .open_set.pt" in capsys.readouterr().err
    assert main([*stream, *fit]) == 2 and "leave one of them out" in capsys.readouterr().err
    assert main(["calibrate", "--weights", str(weights), *data, *fit, "--save"]) == 0
    before = read_sidecar(weights)
    assert main([*stream, "--save"]) == 0
    after = read_sidecar(weights)
    assert after.pop("open_set_streaming")["scale"] > 0 and after == before

    clips = np.load(small / "val_data.npy")[:4]
    unknown = []
    for centre in (-1e6, 1e6):  # everything is unknown in streams, or nothing is
        write_sidecar(weights, before | {"open_set_streaming": {"centre": centre, "scale": 1.0}})
        recognizer = Recognizer.from_checkpoint(weights, use_gpu=False)
        windows = predict_frame_by_frame(recognizer, list(clips), np.ones(4), 20, 20)
        unknown.append(windows.probability[:, 3].min())
        assert recognizer(list(clips), np.ones(4)).probability[:, 3].min() < 0.999
    assert unknown[0] > 0.999 > unknown[1]
