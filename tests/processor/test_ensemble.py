"""`main.py ensemble` against a loop over clips in plain Python; every refusal is one line and exit 2."""

import csv
import math
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import softmax

from main import main
from processor.ensemble import fuse, read_results, search

ROOT = Path(__file__).resolve().parents[2]
CLASSES, CLIPS = 7, 40


def save(path, names, scores):
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_bytes(pickle.dumps(dict(zip(names, scores))))
    return str(path)


def stream(rng, label, skill=1.5):
    """Logits (N, CLASSES) that know something of the labels."""
    return (rng.normal(0, 1, (len(label), CLASSES)) + skill * np.eye(CLASSES)[label]).astype(np.float32)


@pytest.fixture
def made(tmp_path):
    """Three streams a, b, c of the reported clips and of held-out ones, v/a, v/b, v/c; every file in its own order."""
    rng = np.random.default_rng(0)
    for folder, prefix in [(tmp_path, "clip"), (tmp_path / "v", "held")]:
        names = [f"{prefix}{i}" for i in range(CLIPS)]
        label = np.arange(CLIPS) % CLASSES
        folder.mkdir(exist_ok=True)
        (folder / "label.pkl").write_bytes(pickle.dumps((names, label.tolist())))
        for each in "abc":
            order = rng.permutation(CLIPS)
            save(folder / each / "test_result.pkl", [names[i] for i in order], stream(rng, label)[order])
    (tmp_path / "names.txt").write_text("\n".join(f"class {c}" for c in range(CLASSES)))
    return tmp_path


def results(folder, names="abc"):
    return [str(folder / name / "test_result.pkl") for name in names]


def ensemble(folder, *options, labels=True):
    """Run it on a, b, c, unless the options say otherwise; the exit status."""
    given = [str(option) for option in options]
    argv = [] if "--results" in given else ["--results", *results(folder)]
    argv += ["--labels", str(folder / "label.pkl")] if labels else []
    argv += [] if "-w" in given else ["-w", str(folder / "out")]
    return main(["ensemble", *argv, *given])


def refusal(capsys, *args, **kwargs):
    """The one line that it is refused with."""
    assert ensemble(*args, **kwargs) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1, error
    return error


def by_hand(files, weights):
    """{name: fused probabilities}, clip by clip, class by class."""
    contents = [pickle.loads(Path(file).read_bytes()) for file in files]
    fused = {}
    for name in contents[0]:
        total = [0.0] * CLASSES
        for content, weight in zip(contents, weights):
            powers = [math.exp(score) for score in content[name]]
            for c in range(CLASSES):
                total[c] += weight / sum(weights) * powers[c] / sum(powers)
        fused[name] = total
    return fused


def rows(path):
    with path.open() as file:
        return list(csv.DictReader(file))


# ---- what comes out


def test_the_former_name_of_stream_weights_is_taken_in_configs_too(made):
    for key in ("weights", "stream_weights"):
        (made / f"{key}.yaml").write_text(yaml.safe_dump({key: [2, 1, 1]}))
        assert ensemble(made, "-c", made / f"{key}.yaml", "-w", made / key) == 0
    assert (made / "weights/summary.csv").read_text() == (made / "stream_weights/summary.csv").read_text()
    (made / "both.yaml").write_text("weights: [1, 1, 1]\nstream_weights: [1, 1, 1]\n")
    assert ensemble(made, "-c", made / "both.yaml") == 2


@pytest.mark.parametrize("option", ["--stream_weights", "--weights"])
@pytest.mark.parametrize("weights", [(1, 1, 1), (2, 2, 1), (0.5, 0, 3)])
def test_the_fusion_is_that_of_a_plain_loop(made, weights, option):
    assert ensemble(made, option, *weights) == 0
    plain = by_hand(results(made), weights)
    saved = pickle.loads((made / "out/test_result.pkl").read_bytes())
    assert set(saved) == set(plain)
    for name, scores in saved.items():
        assert scores.dtype == np.float32
        np.testing.assert_allclose(np.exp(scores), plain[name], rtol=1e-5)

    label = dict(zip(*pickle.loads((made / "label.pkl").read_bytes())))
    order = {name: sorted(range(CLASSES), key=lambda c: -row[c]) for name, row in plain.items()}
    hits = {name: order[name][0] == label[name] for name in plain}
    by_class = [[hits[name] for name in plain if label[name] == c] for c in range(CLASSES)]
    fusion = rows(made / "out/summary.csv")[-1]
    assert fusion["result"] == "fusion"
    assert float(fusion["top1"]) == pytest.approx(100 * sum(hits.values()) / CLIPS)
    assert float(fusion["top5"]) == pytest.approx(100 * sum(label[n] in order[n][:5] for n in plain) / CLIPS)
    assert float(fusion["mean_class_accuracy"]) == pytest.approx(100 * sum(sum(h) / len(h) for h in by_class) / CLASSES)
    assert [float(row["recall"]) for row in rows(made / "out/per_class.csv")] == pytest.approx(
        [sum(h) / len(h) for h in by_class], abs=1e-4
    )


def test_the_table_has_every_stream_and_the_changes_against_the_best(made, capsys):
    assert ensemble(made, "--label_names", made / "names.txt") == 0
    out = capsys.readouterr().out
    singles = {}
    for file in results(made):
        line = next(line for line in out.splitlines() if line.startswith(file) and "%" in line)
        label = dict(zip(*pickle.loads((made / "label.pkl").read_bytes())))
        scores = pickle.loads(Path(file).read_bytes())
        singles[file] = 100 * np.mean([scores[name].argmax() == label[name] for name in label])
        assert f" {singles[file]:.2f}%" in line
    assert f"Against the best stream, {max(singles, key=singles.get)}:" in out
    gains = [float(line.split("(")[1].strip(")")) for line in out.splitlines() if line.startswith("  class ")]
    assert gains and gains == sorted(gains, reverse=True)[: len(gains)] and 0 not in gains
    for name in ("config.yaml", "log.txt", "summary.csv", "per_class.csv", "confusion_matrix.csv"):
        assert (made / "out" / name).stat().st_size
    assert (made / "out/confusion_matrix.png").read_bytes()[:4] == b"\x89PNG"


def test_the_order_of_the_clips_in_a_file_does_not_matter(made):
    assert ensemble(made) == 0
    first = (made / "out/test_result.pkl").read_bytes()
    content = pickle.loads((made / "b/test_result.pkl").read_bytes())
    save(made / "b/test_result.pkl", list(content)[::-1], list(content.values())[::-1])
    names, label = pickle.loads((made / "label.pkl").read_bytes())
    (made / "label.pkl").write_bytes(pickle.dumps((names[::-1], label[::-1])))
    assert ensemble(made) == 0
    assert (made / "out/test_result.pkl").read_bytes() == first


def test_a_fusion_can_be_fused_again(made):
    """(a + b) / 2 with c at 2 : 1 is a + b + c; its labels are found through its own config."""
    assert ensemble(made, "--results", *results(made, "ab"), "-w", made / "ab") == 0
    both = ["--results", *results(made, ["ab", "c"]), "--weights", 2, 1]
    assert ensemble(made, *both, labels=False) == 0
    saved = pickle.loads((made / "out/test_result.pkl").read_bytes())
    for name, row in by_hand(results(made), (1, 1, 1)).items():
        np.testing.assert_allclose(np.exp(saved[name]), row, rtol=1e-5)


def test_the_saved_config_runs_it_again(made):
    assert ensemble(made, "--weights", 3, 2, 1) == 0
    first = (made / "out/test_result.pkl").read_bytes()
    (made / "out/test_result.pkl").unlink()
    assert main(["ensemble", "-c", str(made / "out/config.yaml")]) == 0
    assert (made / "out/test_result.pkl").read_bytes() == first


def test_labels_and_class_names_are_found_beside_the_first_result(made, monkeypatch, capsys):
    monkeypatch.chdir(made)
    config = {"test_feeder_args": {"data_path": "x.npy", "label_path": "label.pkl"}, "label_names": "names.txt"}
    assert "give --labels" in refusal(capsys, made, labels=False)
    (made / "a/config.yaml").write_text(yaml.safe_dump({"test_feeder_args": {"label_path": "gone.pkl"}}))
    error = refusal(capsys, made, labels=False)
    assert "gone.pkl" in error and "give --labels" in error
    (made / "a/config_test.yaml").write_text(yaml.safe_dump(config))  # of the test, so it comes first
    assert ensemble(made, labels=False) == 0
    assert rows(made / "out/per_class.csv")[0]["name"] == "class 0"
    assert ensemble(made, "--results", *results(made, ["out", "c"]), "-w", made / "more", labels=False) == 0
    assert rows(made / "more/per_class.csv")[0]["name"] == "class 0"
    (made / "names.txt").unlink()
    assert ensemble(made, labels=False) == 0
    assert rows(made / "out/per_class.csv")[0]["name"] == "0"


def test_log_probabilities_of_minus_infinity_and_huge_logits_are_no_trouble(made):
    for name, huge in [("a", 1e30), ("b", 3e4)]:
        content = pickle.loads((made / name / "test_result.pkl").read_bytes())
        for scores in content.values():
            scores[scores.argmin()] = -np.inf
            scores[scores.argmax()] = huge
        save(made / name / "test_result.pkl", content.keys(), content.values())
    assert ensemble(made, "--results", *results(made, "ab")) == 0
    assert np.isfinite(list(pickle.loads((made / "out/test_result.pkl").read_bytes()).values())).all()


# ---- properties


def logits(streams):
    return arrays(np.float32, (streams, 5, 4), elements=st.floats(-20, 20, width=16))


@settings(max_examples=60, deadline=None)
@given(logits(3), st.lists(st.floats(0.01, 10), min_size=3, max_size=3), st.permutations(range(3)))
def test_permuting_streams_and_weights_together_changes_no_bit(scores, weights, order):
    probability = np.stack([softmax(s.astype(np.float64), axis=1) for s in scores])
    permuted = fuse(probability[list(order)], [weights[i] for i in order])
    assert (fuse(probability, weights) == permuted).all()
    np.testing.assert_allclose(permuted.sum(1), 1)


@settings(max_examples=60, deadline=None)
@given(logits(2), st.floats(0.01, 10))
def test_one_weight_and_zeros_is_the_single_stream(scores, weight):
    probability = np.stack([softmax(s.astype(np.float64), axis=1) for s in scores])
    assert (fuse(probability, (weight, 0)) == probability[0]).all()
    assert (fuse(probability, (0, weight)) == probability[1]).all()


# ---- the search


def brute_force(probability, labels):
    """Top-1 of every combination of 0..3, one clip at a time."""
    best = {}
    for weights in np.ndindex(*(4,) * len(probability)):
        if any(weights):
            hits = 0
            for i, label in enumerate(labels):
                total = sum(w * p[i] for w, p in zip(weights, probability))
                hits += int(total.argmax() == label)
            best[weights] = hits
    return best


def test_the_search_finds_what_trying_everything_finds():
    rng = np.random.default_rng(3)
    label = np.arange(200) % CLASSES
    probability = np.stack([softmax(stream(rng, label, skill).astype(np.float64), axis=1) for skill in (2.0, 1.5, 0.0)])
    weights, fused = search(probability, label)
    tried = brute_force(probability, label)
    assert tried[tuple(int(w) for w in weights)] == max(tried.values()) == (fused.argmax(1) == label).sum()
    assert max(tried.values()) > tried[1, 1, 1]


def test_equally_good_weights_are_the_most_equal_ones():
    label = np.arange(20) % CLASSES
    one = softmax(5.0 * np.eye(CLASSES)[label], axis=1)
    assert search(np.stack([one, one, one]), label)[0] == [1, 1, 1]
    wrong = softmax(8.0 * np.eye(CLASSES)[(label + 1) % CLASSES], axis=1)
    weights, fused = search(np.stack([one, wrong]), label)
    assert weights == [3, 2] and (fused.argmax(1) == label).all()  # 3 2 is nearer to 1 1 than 2 1, 3 1, 1 0


def test_weights_are_found_on_the_held_out_clips_and_used_on_the_others(made, capsys):
    rng = np.random.default_rng(5)
    names, label = pickle.loads((made / "v/label.pkl").read_bytes())
    save(made / "v/c/test_result.pkl", names, stream(rng, np.array(label), skill=-3.0))  # worse than none there
    search_options = ["--search", "--search_on", *results(made / "v"), "--search_labels", made / "v/label.pkl"]
    assert ensemble(made, *search_options) == 0
    out = capsys.readouterr().out
    assert sum("must not be reported on that same set" in line for line in out.splitlines()) == 1
    held = np.array([label[names.index(name)] for name in sorted(names)])
    weights, _ = search(read_results(results(made / "v"))[1], held)
    assert [float(row["weight"]) for row in rows(made / "out/summary.csv")[:3]] == weights and weights[2] == 0
    first = (made / "out/test_result.pkl").read_bytes()
    assert ensemble(made, "--weights", *weights) == 0
    assert (made / "out/test_result.pkl").read_bytes() == first


# ---- what is refused


def change(path, how):
    content = pickle.loads(path.read_bytes())
    how(content)
    path.write_bytes(pickle.dumps(content))


class Code:
    def __reduce__(self):
        return os.mkdir, ("code-was-run",)


@pytest.mark.parametrize(
    "how, words",
    [
        (lambda c: c.pop("clip3"), "lacks 1 clip ('clip3')"),
        (lambda c: c.update(other=c["clip0"]), "has 1 clip ('other') more"),
        (lambda c: [c.pop(f"clip{i}") for i in range(9)], "lacks 9 clips ('clip0', 'clip1', 'clip2', ...)"),
        (lambda c: c.update({n: s[:5] for n, s in c.items()}), "5 classes"),
        (lambda c: c.update(clip5=c["clip5"][:5]), "'clip5' has 5 scores"),
        (lambda c: c["clip7"].__setitem__(2, np.nan), "('clip7') are not finite"),
        (lambda c: c["clip7"].__setitem__(2, np.inf), "('clip7') are not finite"),
        (lambda c: c["clip7"].fill(-np.inf), "('clip7') are not finite"),
        (lambda c: c.update(clip1="high"), "'clip1' are not a row of numbers"),
        (lambda c: c.update(clip1=np.zeros((2, 2))), "'clip1' are not a row of numbers"),
        (lambda c: c.update({8: c.pop("clip8")}), "the name 8 is not text"),
        (lambda c: c.clear(), "is not the scores of clips by name"),
        (lambda c: c.update(clip0=Code()), "not plain data"),
    ],
)
def test_a_wrong_result_is_refused(made, monkeypatch, capsys, how, words):
    monkeypatch.chdir(made)
    change(made / "b/test_result.pkl", how)
    error = refusal(capsys, made)
    assert words in error and "b/test_result.pkl" in error
    assert not (made / "code-was-run").exists() and not (made / "out").exists()


@pytest.mark.parametrize(
    "content, words",
    [
        (([f"clip{i}" for i in range(CLIPS - 2)], [0] * (CLIPS - 2)), "has 2 clips ('clip38', 'clip39') more"),
        (([f"clip{i}" for i in range(CLIPS + 1)], [0] * (CLIPS + 1)), "lacks 1 clip ('clip40')"),
        (([f"clip{i}" for i in range(CLIPS)], [CLASSES] * CLIPS), f"the classes 0 to {CLASSES - 1}"),
        ({"clip0": 1}, "not a pair (names, labels)"),
        ((["clip0"], [Code()]), "not plain data"),
    ],
)
def test_wrong_labels_are_refused(made, monkeypatch, capsys, content, words):
    monkeypatch.chdir(made)
    (made / "label.pkl").write_bytes(pickle.dumps(content))
    error = refusal(capsys, made)
    assert words in error and "label.pkl" in error
    assert not (made / "code-was-run").exists() and not (made / "out").exists()


@pytest.mark.parametrize(
    "options, words",
    [
        ("--weights 1 2", "2 for 3 results"),
        ("--weights 1 2 3 4", "4 for 3 results"),
        ("--weights 1 -1 1", "only numbers from 0 on"),
        ("--weights 1 nan 1", "only numbers from 0 on"),
        ("--weights 1 inf 1", "only numbers from 0 on"),
        ("--weights 0 0 0", "all are 0"),
        ("--weights 1 two 1", "invalid float value"),
        ("--results gone.pkl a/test_result.pkl", "gone.pkl does not exist"),
        ("--labels gone.pkl", "gone.pkl does not exist"),
        ("--label_names gone.txt", "gone.txt"),
        ("--label_names two.txt", "2 names where there are 7 classes"),
        ("--label_names a/test_result.pkl", "not a text file"),
        ("-w a", "holds one of the streams"),
        ("--search", "needs --search_on"),
        ("--search --weights 1 1 1", "leave one of them out"),
        ("--search_on v/a/test_result.pkl", "give that too"),
        ("--search --search_on v/a/test_result.pkl", "1 for 3 results"),
        ("--search --search_on v/a/test_result.pkl ./v/../a/test_result.pkl v/c/test_result.pkl", "is among --results"),
        ("--search --search_on copy/a.pkl copy/b.pkl copy/c.pkl --search_labels label.pkl", "share 40 clips"),
        ("--search --search_on v/a/test_result.pkl v/b/test_result.pkl v/c/test_result.pkl", "give --search_labels"),
        ("--results" + " a/test_result.pkl" * 7 + " --search --search_on" + " v/a/test_result.pkl" * 7, "6 at most"),
    ],
)
def test_wrong_options_are_refused(made, monkeypatch, capsys, options, words):
    monkeypatch.chdir(made)
    (made / "two.txt").write_text("up\ndown\n")
    for name in "abc":
        content = pickle.loads((made / name / "test_result.pkl").read_bytes())
        save(made / f"copy/{name}.pkl", content.keys(), content.values())
    before = (made / "a/test_result.pkl").read_bytes()
    assert words in refusal(capsys, made, *options.split())
    assert (made / "a/test_result.pkl").read_bytes() == before and not (made / "out").exists()


def test_torch_is_not_needed(made):
    script = "import sys; sys.modules['torch'] = None; from main import main; sys.exit(main(sys.argv[1:]))"
    argv = ["ensemble", "--results", *results(made), "--labels", str(made / "label.pkl"), "-w", str(made / "out")]
    subprocess.run([sys.executable, "-c", script, *argv], cwd=ROOT, check=True, capture_output=True)
    assert (made / "out/test_result.pkl").exists()


def test_nothing_to_fuse_is_refused(capsys):
    assert main(["ensemble"]) == 2
    assert "give --results" in capsys.readouterr().err


def test_every_fold_is_fused_and_their_mean_is_told(made, capsys):
    for fold in (1, 2):
        (made / f"fold{fold}").symlink_to(made)
    paths = [str(made / "fold{fold}" / name / "test_result.pkl") for name in "ab"]
    labels = str(made / "fold{fold}/label.pkl")
    out = made / "out"
    argv = ["ensemble", "--results", *paths, "--labels", labels, "-w", str(out), "--fold", "1", "2"]
    assert main(argv) == 0
    table = rows(out / "summary.csv")
    top1 = float(rows(out / "fold1/summary.csv")[-1]["top1"])
    assert [float(row["top1"]) for row in table] == [pytest.approx(top1)] * 2
    assert f"Top1: {top1:.2f}%, mean of 2 folds" in capsys.readouterr().out
