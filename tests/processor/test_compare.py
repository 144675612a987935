"""`main.py compare` against loops in plain Python; every refusal is one line and exit 2."""

import contextlib
import csv
import json
import math
import pickle
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from main import main
from processor.comparison import findings
from processor.comparison.findings import accuracies, compare, read_metrics
from processor.comparison.page import make_page
from processor.comparison.runs import COLUMNS, read_clips, read_runs, short_names
from processor.page.page import Clips, Table, all_sections
from torchlight.errors import DataError

ROOT = Path(__file__).resolve().parents[2]
CLIPS, CLASSES = 120, 8
HOSTILE = "<script>window.hurt = 1</script>"


def scores_of(rng, label, skill):
    """Logits (N, CLASSES) that know something of the labels."""
    return (rng.normal(0, 1, (len(label), CLASSES)) + skill * np.eye(CLASSES)[label]).astype(np.float32)


def write_clips(folder, names, label, scores, class_names=None):
    """clips.csv as a test writes it, row by row."""
    class_names = class_names or [f"class {c}" for c in range(CLASSES)]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "clips.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for name, c, row in zip(names, label.tolist(), scores.tolist()):
            order = sorted(range(CLASSES), key=lambda k: -row[k])
            score = math.exp(row[order[0]]) / sum(map(math.exp, row))
            writer.writerow([name, c, class_names[c], order[0], class_names[order[0]], score, order.index(c) + 1])


@pytest.fixture
def made(tmp_path):
    """Runs a and b, groups A and B of three seeds (B is better); names, labels and scores beside them."""
    rng = np.random.default_rng(0)
    names, label = [f"clip{i}" for i in range(CLIPS)], np.arange(CLIPS) % (CLASSES - 1)  # the last class has no clips
    base = scores_of(rng, label, 1.2)
    for group, skill in (("A", 0.0), ("B", 1.2)):
        for seed in range(3):
            own = base + scores_of(rng, label, skill) * 0.8
            write_clips(tmp_path / group / f"seed{seed}", names, label, own)
            (tmp_path / group / f"seed{seed}" / "scores.pkl").write_bytes(pickle.dumps(own))
    shutil.copytree(tmp_path / "A/seed0", tmp_path / "a")
    shutil.copytree(tmp_path / "B/seed0", tmp_path / "b")
    (tmp_path / "label.pkl").write_bytes(pickle.dumps((names, label.tolist())))
    return tmp_path


def run(folder, *runs, options=()):
    """The report as JSON; the command has ended well."""
    out = folder / "report.json"
    assert main(["compare", *[str(folder / each) for each in runs], *map(str, options), "--json", str(out)]) == 0
    return json.loads(out.read_text())


def refusal(capsys, *argv):
    """The one line that it is refused with."""
    assert main(["compare", *map(str, argv)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1, error
    return error


def rows_of(folder):
    with (folder / "clips.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def rewrite(folder, change):
    """clips.csv again, after change(rows)."""
    rows = rows_of(folder)
    rows = change(rows) or rows
    with (folder / "clips.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


# ---- what comes out


def test_the_figures_of_two_runs_are_those_of_a_plain_loop(made):
    report = run(made, "a", "b")
    right = {}
    for each in report["runs"]:
        rows = rows_of(made / each["name"])
        right[each["name"]] = [row["label"] == row["predicted"] for row in rows]
        top5 = [int(row["rank"]) <= 5 for row in rows]
        by_class = [[row["predicted"] == str(c) for row in rows if row["label"] == str(c)] for c in range(CLASSES - 1)]
        figures = {key: value["value"] for key, value in each["accuracy"].items()}
        assert figures == pytest.approx({
            "top1": 100 * sum(right[each["name"]]) / CLIPS,
            "top5": 100 * sum(top5) / CLIPS,
            "mean_class_accuracy": 100 * sum(sum(one) / len(one) for one in by_class) / (CLASSES - 1),
        })  # fmt: skip
        assert all(value["low"] < value["value"] < value["high"] for value in each["accuracy"].values())
    only_a, only_b = (sum(x > y for x, y in zip(right[p], right[q])) for p, q in ("ab", "ba"))
    found = report["comparisons"][0]
    assert found["value"] == pytest.approx(100 * (only_b - only_a) / CLIPS)
    n, few = only_a + only_b, min(only_a, only_b)
    assert found["p"] == pytest.approx(min(1, 2 * sum(math.comb(n, k) for k in range(few + 1)) / 2**n))
    assert found["test"] == "mcnemar" and len(found["clips"]) == n
    assert sum(change["after"] - change["before"] for change in found["classes"]) == only_b - only_a


def test_test_result_and_clips_csv_say_the_same(made):
    plain = run(made, "a", "b")
    for name in "ab":
        scores = pickle.loads((made / name / "scores.pkl").read_bytes())
        (made / name / "test_result.pkl").write_bytes(pickle.dumps({f"clip{i}": row for i, row in enumerate(scores)}))
        (made / name / "clips.csv").unlink()
    (made / "names.txt").write_text("\n".join(f"class {c}" for c in range(CLASSES)))
    named = run(made, "a", "b", options=["--labels", made / "label.pkl", "--label_names", made / "names.txt"])
    assert named["runs"] == plain["runs"] and named["comparisons"] == plain["comparisons"]
    for name in "ab":  # the same by the config beside them
        config = {"test_feeder_args": {"label_path": f"{made}/label.pkl"}, "label_names": f"{made}/names.txt"}
        (made / name / "config.yaml").write_text(yaml.safe_dump(config))
    assert run(made, "a", "b") == named


def test_a_difference_of_three_seeds_is_found(made, capsys):
    report = run(made, "A", "B")
    found = report["comparisons"][0]
    assert (
        found["verdict"] == "better"
        and found["test"] == "bootstrap"
        and 0 < found["low"] < found["value"] < found["high"]
    )
    assert re.search(
        r"^B is better than A by \d+\.\d points \(95 % interval \d.* to .*, p .*\)$", capsys.readouterr().out, re.M
    )
    top1 = report["runs"][0]["accuracy"]["top1"]
    means = [100 * np.mean([row["rank"] == "1" for row in rows_of(made / f"A/seed{seed}")]) for seed in range(3)]
    assert top1["seeds"] == pytest.approx(means) and top1["value"] == pytest.approx(np.mean(means))
    assert top1["std"] == pytest.approx(np.std(means, ddof=1))
    assert run(made, "B", "A")["comparisons"][0]["verdict"] == "worse"


@pytest.mark.parametrize("name", ["a", "A"])
def test_two_equal_runs_are_never_better(made, name, capsys):
    shutil.copytree(made / name, made / "copy")
    found = run(made, name, "copy")["comparisons"][0]
    assert found["verdict"] == "cannot be told apart" and found["value"] == 0 and found["p"] == 1
    assert found["low"] < 0 < found["high"] and not found["clips"] and not found["classes"]
    assert "have the same clips right" in capsys.readouterr().out


def test_the_order_of_the_clips_does_not_matter(made):
    before = run(made, "A", "B", "a")
    for folder in made.glob("*/seed*"):
        rewrite(folder, lambda rows: rows[::-1])
    rewrite(made / "a", lambda rows: rows[7:] + rows[:7])
    assert run(made, "A", "B", "a") == before


def test_results_repeat_to_the_digit_and_another_seed_moves_them_little(made):
    first, again, other = run(made, "A", "B"), run(made, "A", "B"), run(made, "A", "B", options=["--seed", 5])
    assert first == again != other
    for key in ("low", "high"):
        assert first["comparisons"][0][key] == pytest.approx(other["comparisons"][0][key], abs=0.5)


def test_folds_are_one_set_of_clips_for_each_seed(made):
    for seed in range(3):
        rows = rows_of(made / f"A/seed{seed}")
        for fold in (1, 2):
            shutil.copytree(made / f"A/seed{seed}", made / f"folds/fold{fold}/seed{seed}")
            part = rows[fold - 1 :: 2]
            rewrite(made / f"folds/fold{fold}/seed{seed}", lambda _, part=part: part)
    for fold in (1, 2):
        shutil.copytree(made / f"folds/fold{fold}/seed0", made / f"single/fold{fold}")
    whole, folded = run(made, "A", "B"), run(made, "folds", "B")
    assert folded["runs"][0]["accuracy"] == whole["runs"][0]["accuracy"]
    assert folded["comparisons"][0]["p"] == whole["comparisons"][0]["p"]
    assert run(made, "single", "b")["runs"][0]["accuracy"] == run(made, "a", "b")["runs"][0]["accuracy"]


def test_the_baseline_is_chosen_and_holm_corrects_for_all_comparisons(made, capsys):
    report = run(made, "a", "A", "B", options=["--baseline", 3])
    assert [(each["a"], each["b"]) for each in report["comparisons"]] == [("B", "a"), ("B", "A")]
    small, large = sorted(report["comparisons"], key=lambda each: each["p"])
    assert small["p_corrected"] == pytest.approx(2 * small["p"])
    assert large["p_corrected"] == pytest.approx(max(large["p"], small["p_corrected"]))
    assert "after Holm's correction for 2 comparisons" in capsys.readouterr().out


def test_single_trainings_are_said_to_be_single(made, capsys):
    assert "single trainings" in run(made, "a", "b")["notes"][0]
    assert "Of one seed only: a." in run(made, "a", "B")["notes"][0]
    assert run(made, "A", "B")["notes"] == []


def test_clips_of_groups_are_told_by_the_share_of_their_seeds(made):
    found = {each["name"]: each for each in run(made, "A", "B")["comparisons"][0]["clips"]}
    for i in range(CLIPS):
        rights = [[rows_of(made / f"{group}/seed{seed}")[i]["rank"] == "1" for seed in range(3)] for group in "AB"]
        before, after = (sum(each) / 3 for each in rights)
        assert (f"clip{i}" in found) == (before != after)
        if before != after:
            assert (found[f"clip{i}"]["before"], found[f"clip{i}"]["after"]) == pytest.approx((before, after))


def test_settings_that_differ_and_curves_are_told(made, capsys):
    for group, lr in (("A", 0.1), ("B", 0.2)):
        for seed in range(3):
            config = {
                "base_lr": lr,
                "seed": seed,
                "work_dir": f"{group}{seed}",
                "model_args": {"dropout": lr / 2, "x": [1, 2]},
            }
            (made / group / f"seed{seed}" / "config.yaml").write_text(yaml.safe_dump(config))
            (made / group / f"seed{seed}" / "metrics.csv").write_text(f"epoch,loss,top1\n1,{seed},\n2,1,{50 + seed}\n")
    report = run(made, "A", "B")
    assert report["settings"] == {
        "base_lr": {"A": "0.1", "B": "0.2"},
        "model_args.dropout": {"A": "0.05", "B": "0.1"},
    }
    assert report["runs"][0]["curves"] == {
        "loss": {"epoch": [1, 2], "value": [1.0, 1.0]},
        "top1": {"epoch": [2], "value": [51.0]},
    }
    assert "base_lr: 0.1 | 0.2" in capsys.readouterr().out


def test_runs_are_named_by_what_tells_them_apart():
    assert short_names([Path("work/a"), Path("work/b")]) == ["a", "b"]
    assert short_names([Path("w/x/joint"), Path("w/y/joint")]) == [str(Path("x/joint")), str(Path("y/joint"))]
    assert short_names([Path("w/x"), Path("w/x/seed0")]) == ["x", str(Path("x/seed0"))]


def test_a_network_that_went_astray_is_wrong_and_its_score_no_number(made):
    rewrite(made / "a", lambda rows: [{**row, "score": "nan", "rank": "8"} for row in rows])
    report = run(made, "a", "b")
    assert report["runs"][0]["accuracy"]["top1"]["value"] == 0 and report["comparisons"][0]["verdict"] == "better"


# ---- the page


def test_hostile_names_are_inert(made, capsys):
    rewrite(made / "a", lambda rows: [{**row, "class": HOSTILE, "predicted_class": "\x1b[31mred"} for row in rows])
    rewrite(made / "a", lambda rows: [{**row, "name": row["name"].replace("clip3", f"clip3{HOSTILE}")} for row in rows])
    rewrite(made / "b", lambda rows: [{**row, "name": row["name"].replace("clip3", f"clip3{HOSTILE}")} for row in rows])
    shutil.copytree(made / "b", made / "<b onclick=1>")
    assert main(["compare", str(made / "a"), str(made / "<b onclick=1>"), "--html", str(made / "page.html")]) == 0
    page = (made / "page.html").read_text(encoding="utf-8")
    assert "<script>window.hurt" not in page and "<b onclick" not in page and "&lt;script&gt;window.hurt" in page
    assert "\x1b" not in capsys.readouterr().out


def with_data(folder, made):
    """A folder with runs a and b of clips that are on disk, and their keypoints."""
    rng = np.random.default_rng(1)
    data = rng.normal(0, 0.1, (CLIPS, 3, 12, 18, 1)).astype(np.float32)
    np.save(folder / "data.npy", data)
    args = {
        "data_path": str(folder / "data.npy"),
        "label_path": str(made / "label.pkl"),
        "layout": "openpose",
        "dimension": 2,
    }
    for name in "ab":
        config = {"feeder": "feeder.feeder.Feeder", "test_feeder_args": args}
        (made / name / "config.yaml").write_text(yaml.safe_dump(config))
    return data


def page_of(made):
    runs = read_runs([str(made / "a"), str(made / "b")])
    comparisons = compare(runs, 0)
    page = make_page(runs, [accuracies(each, CLASSES) for each in runs], comparisons, findings.settings(runs))
    clips = [clip for section in all_sections(page.sections) if isinstance(section, Clips) for clip in section.clips]
    assert {clip.name for clip in clips} == {change.name for change in comparisons[0].clips}
    return page, clips


def test_clips_that_changed_move_where_their_data_are_still_there(made, tmp_path):
    data = with_data(tmp_path, made)
    page, clips = page_of(made)
    assert page.skeleton.name == "openpose" and page.dimension == 2
    for clip in clips:
        np.testing.assert_array_equal(clip.keypoints, data[int(clip.name.removeprefix("clip"))])


@pytest.mark.parametrize("gone", ["the data", "the config", "a feeder of ours"])
def test_where_the_data_are_gone_clips_are_named(made, tmp_path, gone):
    with_data(tmp_path, made)
    for name in "ab":
        config = made / name / "config.yaml"
        if gone == "the data":
            (tmp_path / "data.npy").unlink(missing_ok=True)
        elif gone == "the config":
            config.unlink()
        else:
            config.write_text(config.read_text().replace("feeder.feeder.Feeder", "this.Feeder"))
    page, clips = page_of(made)
    assert clips and not any(clip.keypoints.size for clip in clips)
    assert all(clip.name in page.render() for clip in clips)


def test_a_config_of_a_work_folder_imports_nothing_that_is_not_ours(made, tmp_path, monkeypatch):
    with_data(tmp_path, made)
    (tmp_path / "stranger.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in "ab":
        config = made / name / "config.yaml"
        config.write_text(config.read_text().replace("feeder.feeder.Feeder", "stranger.Feeder"))
    page_of(made)
    assert "stranger" not in sys.modules


def test_the_page_has_every_class_that_changed(made):
    page, _ = page_of(made)
    tables = {each.title: each for each in all_sections(page.sections) if isinstance(each, Table)}
    changed = compare(read_runs([str(made / "a"), str(made / "b")]), 0)[0].classes
    assert [row[0] for row in tables["Classes"].rows] == [each.name for each in changed]
    assert [row[0] for row in tables["Accuracies"].rows] == ["a", "b"]


# ---- what is refused


@pytest.mark.parametrize(
    "argv, words",
    [
        (["a"], "two at least"),
        (["a", "a"], "given twice"),
        (["a", "a/../a"], "given twice"),
        (["a", "c"], "does not exist"),
        (["a", "label.pkl"], "not a folder"),
        (["a", "empty"], "neither clips.csv nor test_result.pkl"),
        (["a", "b", "--baseline", "3"], "there are 2 runs"),
        (["a", "b", "--baseline", "0"], "of at least 1"),
        (["a", "b", "--html", "empty"], "--html: "),
        (["a", "b", "--labels"], "--labels"),
        (["a", "b", "--colour"], "unknown option --colour"),
    ],
)
def test_wrong_arguments_are_one_line(made, capsys, argv, words):
    (made / "empty").mkdir()
    assert words in refusal(capsys, *[each if each.startswith("-") or each.isdigit() else made / each for each in argv])


DAMAGE = {
    "is not a text file": b"\xff\xfe\x00",
    "has no column 'name'": b"",
    "has no column 'rank'": b"name,label,class,predicted,predicted_class,score\n",
    "has no clips": ",".join(COLUMNS).encode() + b"\n",
    "2: 7 fields belong in a row": ",".join(COLUMNS).encode() + b"\nclip0,0,x\n",
    "2: label: '-1'": ",".join(COLUMNS).encode() + b"\nclip0,-1,x,0,x,0.5,1\n",
    "2: predicted: '1.5'": ",".join(COLUMNS).encode() + b"\nclip0,0,x,1.5,x,0.5,1\n",
    "2: rank: '0'": ",".join(COLUMNS).encode() + b"\nclip0,0,x,0,x,0.5,0\n",
    "2: rank: '9999999999'": ",".join(COLUMNS).encode() + b"\nclip0,0,x,0,x,0.5,9999999999\n",
    "2: score: 'much'": ",".join(COLUMNS).encode() + b"\nclip0,0,x,0,x,much,1\n",
    "2: score: '1.5'": ",".join(COLUMNS).encode() + b"\nclip0,0,x,0,x,1.5,1\n",
    "3: 'clip0' is there twice": ",".join(COLUMNS).encode() + 2 * b"\nclip0,0,x,0,x,0.5,1",
    "is not a CSV file": ",".join(COLUMNS).encode() + b'\n"clip0"x,0,x,0,x,0.5,1\n',
}


@pytest.mark.parametrize("words", DAMAGE)
def test_a_damaged_clips_csv_is_one_line(made, capsys, words):
    (made / "b/clips.csv").write_bytes(DAMAGE[words])
    line = refusal(capsys, made / "a", made / "b")
    assert words in line and str(made / "b") in line


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10**6), st.binary(max_size=3), st.integers(0, 3), st.booleans())
def test_whatever_a_file_has_become_it_is_read_or_refused(place, put, taken, of_clips):
    whole = (
        ",".join(COLUMNS).encode() + b"\nclip0,0,x,1,y,0.5,2\nclip1,1,y,1,y,1.0,1\n"
        if of_clips
        else b"epoch,loss\n1,0.5\n2,\n"
    )
    place %= len(whole)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "file.csv")
        path.write_bytes(whole[:place] + put + whole[place + taken :])
        with contextlib.suppress(DataError):
            found = read_clips(path) if of_clips else read_metrics(path)
            assert len(found.names if of_clips else found) <= 4


@pytest.mark.parametrize("content", [b"", b"\x80\x04.", pickle.dumps({"clip0": [1, 2]}), pickle.dumps(print)])
def test_a_damaged_test_result_is_one_line(made, capsys, content):
    (made / "b/clips.csv").unlink()
    (made / "b/test_result.pkl").write_bytes(content)
    assert "test_result.pkl" in refusal(capsys, made / "a", made / "b", "--labels", made / "label.pkl")


def test_scores_without_labels_say_which_option_gives_them(made, capsys):
    (made / "b/clips.csv").unlink()
    (made / "b/test_result.pkl").write_bytes(pickle.dumps({"clip0": np.zeros(3)}))
    assert "give --labels" in refusal(capsys, made / "a", made / "b")


def test_other_clips_are_named(made, capsys):
    rewrite(made / "b", lambda rows: [*rows[2:], {**rows[0], "name": "another"}])
    line = refusal(capsys, made / "a", made / "b")
    assert "lacks 2 clips ('clip0', 'clip1')" in line and "has 1 clip ('another') more" in line


def test_other_labels_are_named(made, capsys):
    rewrite(made / "b", lambda rows: [{**row, "label": "5"} if row["name"] == "clip3" else row for row in rows])
    assert "different labels for 1 clip ('clip3')" in refusal(capsys, made / "a", made / "b")


def test_seeds_of_other_clips_are_named(made, capsys):
    rewrite(made / "B/seed2", lambda rows: rows[1:])
    line = refusal(capsys, made / "A", made / "B")
    assert "seed2 lacks 1 clip ('clip0')" in line


def test_a_clip_in_two_folds_and_a_seed_that_a_fold_lacks_are_named(made, capsys):
    for fold in (1, 2):
        shutil.copytree(made / "A", made / f"folds/fold{fold}")
    assert "share 120 clips" in refusal(capsys, made / "folds", made / "B")
    shutil.rmtree(made / "folds/fold2/seed0")
    assert f"{Path('fold2/seed0')} has neither" in refusal(capsys, made / "folds", made / "B")


def test_results_beside_seeds_are_ambiguous(made, capsys):
    shutil.copy(made / "a/clips.csv", made / "A/clips.csv")
    assert "has both results of its own and seed0" in refusal(capsys, made / "A", made / "B")


@pytest.mark.parametrize("file, content", [("metrics.csv", "epoch,loss\nx,1\n"), ("config.yaml", "a: [")])
def test_a_damaged_file_beside_the_results_is_one_line(made, capsys, file, content):
    (made / "b" / file).write_text(content)
    options = ["--json", made / "x.json"]
    assert file in refusal(capsys, made / "a", made / "b", *options)


# ---- as a whole


def test_without_a_page_torch_is_not_needed(made):
    script = "import sys, main\nassert main.main(sys.argv[1:]) == 0 and 'torch' not in sys.modules"
    subprocess.run(
        [sys.executable, "-c", script, "compare", made / "A", made / "B"], cwd=ROOT, check=True, capture_output=True
    )


def test_trainings_are_compared_seed_by_seed_with_their_clips_moving(small, tmp_path, capsys):
    for name, epochs in (("short", 1), ("long", 4)):
        argv = [
            "-c",
            str(small / "config.yaml"),
            "--num_epoch",
            str(epochs),
            "--repeat",
            "2",
            "-w",
            str(tmp_path / name),
        ]
        assert main(["recognition", *argv, "--save_result", "True", "--print_log", "False"]) == 0
    capsys.readouterr()
    options = ["--html", tmp_path / "page.html"]
    report = run(tmp_path, "short", "long", options=options)
    with (tmp_path / "long/summary.csv").open() as file:
        summary = [float(row["top1"]) for row in csv.DictReader(file)]
    assert report["runs"][1]["accuracy"]["top1"]["seeds"] == pytest.approx(summary)
    assert report["runs"][1]["seeds"] == ["seed0", "seed1"]
    assert report["settings"]["num_epoch"] == {"short": "1", "long": "4"} and len(report["settings"]) == 1
    assert report["runs"][1]["curves"]["loss"]["epoch"] == [1, 2, 3, 4]
    assert "up" in {each["name"] for each in report["comparisons"][0]["classes"]} | {"up"}
    assert (tmp_path / "page.html").stat().st_size < 2_000_000
