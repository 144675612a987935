import csv
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from torchlight.metrics import (
    confusion_matrix,
    draw_confusion,
    expected_calibration_error,
    informative_top_k,
    mean_class_accuracy,
    reliability_bins,
    top_k,
    write_confusion_csv,
    write_per_class_csv,
)


@st.composite
def answers(draw, nan=True):
    """Scores with many ties, and NaN; labels, some unknown."""
    N, num_class = draw(st.integers(1, 12)), draw(st.integers(1, 6))
    values = st.sampled_from([0.0, 1.0, -1.0, float("inf")] + [float("nan")] * nan)
    scores = draw(hnp.arrays(np.float32, (N, num_class), elements=values))
    return scores, draw(hnp.arrays(np.int64, N, elements=st.integers(-1, num_class - 1)))


def order(row) -> list[int]:
    """Classes from the best to the worst, the lower first among equals."""
    return sorted(range(len(row)), key=lambda c: (-row[c], c))


def hit(row, label, k) -> bool:
    return not any(math.isnan(value) for value in row) and label in order(row)[:k]


def close(a, b) -> bool:
    return (math.isnan(a) and math.isnan(b)) or abs(a - b) < 1e-9


@given(answers(), st.integers(1, 6))
def test_top_k_is_that_of_sorted_scores(case, k):
    scores, labels = case
    k = min(k, scores.shape[1])
    hits = [hit(row, label, k) for row, label in zip(scores.tolist(), labels) if label >= 0]
    assert close(top_k(scores, labels, k), sum(hits) / len(hits) if hits else float("nan"))


@given(answers())
def test_mean_class_accuracy_is_the_mean_over_classes_that_occur(case):
    scores, labels = case
    of_class = {}
    for row, label in zip(scores.tolist(), labels):
        if label >= 0:
            of_class.setdefault(label, []).append(hit(row, label, 1))
    expected = sum(sum(h) / len(h) for h in of_class.values()) / len(of_class) if of_class else float("nan")
    assert close(mean_class_accuracy(scores, labels), expected)


@given(answers())
def test_confusion_counts_each_answer_once(case):
    scores, labels = case
    expected = np.zeros((scores.shape[1],) * 2, int)
    for row, label in zip(scores.tolist(), labels):
        if label >= 0 and not any(map(math.isnan, row)):
            expected[label, order(row)[0]] += 1
    assert (confusion_matrix(scores, labels) == expected).all()


def test_top_k_by_hand():
    scores = np.array([[0.1, 0.9, 0.0], [0.8, 0.1, 0.1], [0.3, 0.3, 0.4]])
    assert top_k(scores, [1, 1, 0], 1) == pytest.approx(1 / 3)
    assert top_k(scores, [1, 1, 0], 2) == 1.0
    assert mean_class_accuracy(scores, [1, 1, 0]) == 0.25


def test_constant_scores_do_not_count_as_right():
    assert top_k(np.zeros((4, 4)), [0, 1, 2, 3], 1) == 0.25


def test_nan_counts_as_wrong_though_argmax_would_hit_it():
    assert top_k(np.array([[0.0, np.nan]]), [1], 1) == 0.0


@pytest.mark.parametrize("k", [0, -1, 4])
def test_more_places_than_classes_is_refused(k):
    with pytest.raises(ValueError, match=f"top-{k} of 3 classes: k must be 1 to 3"):
        top_k(np.zeros((2, 3)), [0, 1], k)


def test_places_that_tell_nothing_are_left_out():
    assert informative_top_k([1, 5], 60) == ([1, 5], None)
    assert informative_top_k([1, 5], 5) == ([1], "Top5 left out: of 5 classes it is always 100%")
    assert informative_top_k([1, 5, 10], 3) == ([1], "Top5, Top10 left out: of 3 classes it is always 100%")
    assert informative_top_k([1], 1) == ([1], None)


@pytest.mark.parametrize(
    ("scores", "labels", "line"),
    [
        (np.zeros(3), [0], "scores (3,) and labels (1,)"),
        (np.zeros((2, 3)), [0], "scores (2, 3) and labels (1,)"),
        (np.zeros((1, 3)), [3], "label 3 does not go with the scores of 3 classes"),
    ],
)
def test_what_does_not_go_together(scores, labels, line):
    with pytest.raises(ValueError) as caught:
        mean_class_accuracy(scores, labels)
    assert line in str(caught.value)


def test_matrix_for_more_classes_than_scores():
    assert confusion_matrix(np.eye(2), [1, 1], 3).tolist() == [[0, 0, 0], [1, 1, 0], [0, 0, 0]]
    with pytest.raises(ValueError, match="do not go into a matrix of 1"):
        confusion_matrix(np.eye(2), [1, 1], 1)


def table(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_per_class_table(tmp_path):
    scores = np.eye(4)[[0, 0, 1, 1, 2, 0]].astype(float)
    scores[5] = np.nan
    write_per_class_csv(tmp_path / "x.csv", scores, [0, 1, 1, 1, 0, 0], ["run", "jump, high", "sit", "größe"])
    assert table(tmp_path / "x.csv") == [
        ["class", "name", "samples", "recall", "precision", "most_confused_with", "confused"],
        ["0", "run", "3", "0.3333", "0.5000", "sit", "1"],
        ["1", "jump, high", "3", "0.6667", "1.0000", "run", "1"],
        ["2", "sit", "0", "", "0.0000", "", ""],
        ["3", "größe", "0", "", "", "", ""],
    ]


def test_confusion_table(tmp_path):
    write_confusion_csv(tmp_path / "x.csv", np.array([[3, 1], [0, 2]]), ["run", "sit"])
    assert table(tmp_path / "x.csv") == [["true \\ predicted", "run", "sit"], ["run", "3", "1"], ["sit", "0", "2"]]


def test_wrong_number_of_names(tmp_path):
    with pytest.raises(ValueError, match="1 class names for 2 classes"):
        write_confusion_csv(tmp_path / "x.csv", np.eye(2), ["run"])
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("count", [1, 10, 60, 400])
def test_picture_is_drawn_and_large_enough(tmp_path, count):
    from matplotlib.image import imread

    matrix = np.random.default_rng(0).integers(0, 50, (count, count))
    matrix[0] = 0
    draw_confusion(tmp_path / "x.png", matrix, [f"class ${i}" for i in range(count)])
    picture = imread(tmp_path / "x.png")
    assert min(picture.shape[:2]) >= max(400, 4 * count)
    assert max(picture.shape[:2]) <= 4000
    assert [each.name for each in tmp_path.iterdir()] == ["x.png"]


def test_class_without_samples_is_grey_and_one_never_right_is_not(tmp_path):
    from matplotlib.image import imread

    def has_grey(matrix) -> bool:
        draw_confusion(tmp_path / "x.png", np.array(matrix))
        return bool((np.abs(imread(tmp_path / "x.png")[..., :3] - 0.85).max(-1) < 0.01).mean() > 0.1)

    assert has_grey([[0, 0], [9, 0]])
    assert not has_grey([[0, 9], [9, 0]])


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=30), st.integers(1, 12))
def test_the_calibration_error_is_the_weighted_gap_of_the_bins(answers, bins):
    gap = 0.0
    for b in range(bins):
        inside = [(c, r) for c, r in answers if b == min(max(math.ceil(c * bins) - 1, 0), bins - 1)]
        gap += abs(sum(r for _, r in inside) - sum(c for c, _ in inside)) / len(answers)
    confidence, correct = zip(*answers)
    assert expected_calibration_error(confidence, correct, bins) == pytest.approx(gap, abs=1e-9)


def test_calibration_of_answers_made_by_hand():
    count, accuracy, confidence = reliability_bins([0.5, 0.5, 0.9, 1.0, float("nan")], [1, 0, 1, 1, 0], bins=2)
    assert count.tolist() == [2, 2] and accuracy.tolist() == [0.5, 1] and confidence.tolist() == [0.5, 0.95]
    assert expected_calibration_error([0.5, 0.5, 0.9, 1.0], [1, 0, 1, 1], bins=2) == pytest.approx(0.025)
    assert math.isnan(expected_calibration_error([], []))
    with pytest.raises(ValueError, match=r"confidence \(2,\) and correct \(1,\)"):
        expected_calibration_error([0.5, 0.5], [1])
