"""feeder/inspection/duplicates.py: every kind of copy is found, other recordings of the same action are not."""

import numpy as np
import pytest

from feeder.inspection import duplicates
from feeder.inspection.body import Body, cut
from feeder.inspection.duplicates import Pair, candidates, exact, verified
from feeder.inspection.inspection import inspect
from feeder.inspection.measure import Setting, measure, motion
from feeder.skeleton import load_skeleton

OPENPOSE = load_skeleton("openpose")


def resampled(clip, frames):
    """A clip at another rate, frame by frame by hand: (C, T, V, M) -> the same with so many real frames."""
    real, _ = cut(clip)
    out = np.zeros_like(clip)
    for t in range(frames):
        at = t * (real.shape[1] - 1) / (frames - 1)
        a, part = int(at), at - int(at)
        out[:, t] = real[:, a] * (1 - part) + real[:, min(a + 1, real.shape[1] - 1)] * part
    return out


COPIES = {
    "exact": lambda clip: clip.copy(),
    "resampled": lambda clip: resampled(clip, 50),
    "moved": lambda clip: clip + np.array([0.4, -0.2, 0.7]).reshape(3, 1, 1, 1).astype(np.float32) * clip.any(0),
    "scaled": lambda clip: clip * np.float32(1.7),
    "noisy": lambda clip: clip + 0.005 * clip.any(0) * np.random.default_rng(5).standard_normal(clip.shape, np.float32),
    "mirrored": lambda clip: clip[:, :, OPENPOSE.flip] * np.array([-1, 1, 1], np.float32).reshape(3, 1, 1, 1),
}


@pytest.mark.parametrize("how", COPIES)
def test_copies_within_a_part_are_found(how, solid, write):
    moving = [i for i in range(40) if i % 10]  # all but those who stand still, where noise is all there is to compare
    data, copied = list(solid[moving]), [0, 10, 20]  # who walks, jumps, squats
    data += [COPIES[how](data[i]) for i in copied]
    label = [moving[i] % 10 for i in [*range(36), *copied]]
    (finding,) = inspect([write(data, label=label, dimension=3)]).findings
    assert finding.kind == ("duplicate" if how == "exact" else "near_duplicate")
    pairs = {(place.twin[2], place.name) for place in finding.places}
    assert pairs == {(f"train{i}", f"train{36 + k}") for k, i in enumerate(copied)}
    word = {"exact": "the same", "mirrored": "in a mirror"}.get(how, "nearly the same")
    assert all(place.detail.startswith(word) for place in finding.places)


def test_a_training_clip_in_the_test_is_leakage_and_another_label_is_told(flat, write):
    train = write(flat[:30], "train")
    test = [*flat[30:], flat[7], COPIES["scaled"](flat[12]), flat[13]]
    test[-2][2] = flat[12][2]  # the scores stay
    label = [i % 10 for i in range(10)] + [7, 2, 9]
    findings = {each.kind: each for each in inspect([train, write(test, "val", label=label)]).findings}
    assert set(findings) == {"leakage", "contradiction"}
    assert {place.name: place.twin[2] for place in findings["leakage"].places} == {
        "val10": "train7",
        "val11": "train12",
        "val12": "train13",
    }
    (place,) = findings["contradiction"].places
    assert place.name == "val12" and "another class" in place.detail
    assert all(place.part == "test" and place.twin[0] == "train" for place in findings["leakage"].places)


def test_each_of_many_copies_is_told_once(solid, write):
    data = [*solid[:9], *[solid[4]] * 5, *[COPIES["scaled"](solid[6])] * 3]
    findings = {each.kind: each for each in inspect([write(data, label=[0] * 17, dimension=3)]).findings}
    assert [place.name for place in findings["duplicate"].places] == ["train9", "train10", "train11", "train12", "train13"] + [
        "train15", "train16",
    ]  # fmt: skip
    assert [place.name for place in findings["near_duplicate"].places] == ["train14"]


def test_blocks_find_what_a_plain_comparison_of_all_pairs_finds(solid, monkeypatch):
    monkeypatch.setattr(duplicates, "BLOCK", 7)
    clips = [*solid, *(COPIES[how](solid[i]) for i, how in zip(range(1, 40, 3), list(COPIES) * 3))]
    measures = measure(clips, np.ones(len(clips)), Setting(Body.of(OPENPOSE, 18), 3))
    sketches = measures.sketch
    plain = set()
    for i in range(len(clips)):
        for j in range(i + 1, len(clips)):
            for how, side in (("near", 0), ("mirrored", 1)):
                distance = np.linalg.norm(sketches[i, side].astype(float) - sketches[j, 0])
                if sketches[i].any() and sketches[j].any() and distance < duplicates.SKETCHED:
                    plain.add((i, j, how))
    assert len(plain) > 8 and set(candidates(sketches)) == plain


def test_sketches_keep_distances(solid):
    """Johnson and Lindenstrauss: within a fifth for clips that are near, where it matters."""
    measures = measure(solid, np.ones(40), Setting(Body.of(OPENPOSE, 18), 3))
    real = [motion(*cut(clip), 16) for clip in solid]
    unit = np.array([each.ravel() / np.linalg.norm(each) for each in real])
    pairs = [(i, j) for i in range(40) for j in range(i) if measures.sketch[i].any() and measures.sketch[j].any()]
    true = np.array([np.linalg.norm(unit[i] - unit[j]) for i, j in pairs])
    kept = np.array([np.linalg.norm(measures.sketch[i, 0] - measures.sketch[j, 0]) for i, j in pairs])
    assert abs(np.median(kept / true) - 1) < 0.05 and np.quantile(np.abs(kept / true - 1), 0.9) < 0.2


def test_exact_pairs_each_clip_with_the_first_one_like_it():
    digest = np.array([[1, 1], [0, 0], [2, 2], [1, 1], [0, 0], [1, 1]], np.uint64)
    assert exact(digest) == [Pair(0, 3, "exact"), Pair(0, 5, "exact")]


def test_too_many_that_look_alike_are_cut_short_and_said_so(monkeypatch):
    monkeypatch.setattr(duplicates, "MOST_LOOKS", 3)
    pairs = ((0, i, "near") for i in range(1, 10))
    found, cut_short = verified(pairs, lambda i: np.eye(10, dtype=np.float32)[i], lambda x: x)
    assert found == [] and cut_short
