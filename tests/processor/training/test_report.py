"""The report and the manifest at the end of a run, and the run that --from repeats."""

import json
import pickle
import time

import numpy as np
import pytest
import torch
import yaml

from main import main
from net.st_gcn import Model
from processor.page.page import Clips, Facts, Matrix, Table, all_sections
from processor.training import report
from tests.processor.conftest import write_part
from tests.processor.page.conftest import browser, console, requested, visit  # noqa: F401 (a fixture)
from torchlight.manifest import read_manifest


def run(small, work_dir, *argv):
    return main(["recognition", "-c", str(small / "config.yaml"), "-w", str(work_dir), *map(str, argv)])


@pytest.fixture(scope="module")
def tested(small, tmp_path_factory):
    """A work folder with a training of two epochs and a test, and the page of the test."""
    work_dir, pages = tmp_path_factory.mktemp("tested"), []
    made, report.report = report.report, lambda *args: pages.append(made(*args)) or pages[-1]
    try:
        assert run(small, work_dir, "--num_epoch", 2) == 0
        assert run(small, work_dir, "--phase", "test", "--save_result", True) == 0
    finally:
        report.report = made
    return work_dir, pages[-1]


def section(page, kind, title):
    return next(each for each in all_sections(page.sections) if isinstance(each, kind) and each.title == title)


def scores_of(work_dir):
    result = pickle.loads((work_dir / "test_result.pkl").read_bytes())
    return list(result), np.stack(list(result.values()))


def test_every_clip_is_in_its_cell_and_errors_are_in_the_order_of_their_confidence(tested):
    work_dir, page = tested
    names, scores = scores_of(work_dir)
    probability = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    answer, label = scores.argmax(1), np.arange(21) % 4
    matrix = section(page, Matrix, "Confusion matrix")
    for true in range(4):
        for predicted in range(4):
            expected = [names[i] for i in range(21) if (label[i], answer[i]) == (true, predicted)]
            assert list(matrix.cells.get((true, predicted), ([], []))[0]) == expected
            assert matrix.counts[true, predicted] == len(expected)
    wrong = [i for i in range(21) if answer[i] != label[i]]
    assert wrong, "the network is too good for this test"
    errors = section(page, Clips, "Most confident errors")
    listed = [names.index(clip.name) for clip in errors.clips]
    assert sorted(listed) == wrong and errors.total == len(wrong)
    assert (np.diff(probability.max(1)[listed]) <= 1e-6).all()  # some are as sure as each other, but for rounding


def test_clips_are_shown_as_recorded_with_the_attention_of_the_network(tested, small):
    work_dir, page = tested
    data = np.load(small / "val_data.npy")
    clip = section(page, Clips, "Most confident errors").clips[0]
    np.testing.assert_array_equal(clip.keypoints, data[int(clip.name[3:])])
    assert clip.attention.max() == 1 and clip.attention.min() >= 0 and clip.attention.shape[1] == 18
    config = yaml.safe_load((work_dir / "config_test.yaml").read_text())
    network = Model(**config["model_args"]).eval()
    network.load_state_dict(torch.load(work_dir / "epoch2_model.pt", weights_only=True))
    with torch.no_grad():
        _, feature = network.extract_feature(torch.from_numpy(clip.keypoints[None]))
    expected = feature[0].norm(dim=0).amax(-1)  # (T', V)
    np.testing.assert_allclose(clip.attention, expected / expected.max(), atol=1e-4)


def test_figures_and_table_agree_with_the_scores(tested):
    work_dir, page = tested
    _, scores = scores_of(work_dir)
    right = scores.argmax(1) == np.arange(21) % 4
    tiles = {row[0]: row[1] for row in section(page, Facts, "Accuracy").rows}
    assert tiles["top-1"] == f"{100 * right.mean():.1f} %" and tiles["test clips"] == "21"
    rows = {row[0]: row for row in section(page, Table, "Classes").rows}
    for c, name in enumerate(("up", "down", "left", "right")):
        mine = right[np.arange(21) % 4 == c]
        assert rows[name][1] == len(mine) and rows[name][2] == pytest.approx(100 * mine.mean())


def test_the_manifest_of_a_test_has_that_of_the_training_of_its_weights(tested, small):
    manifest = read_manifest(tested[0] / "manifest.json")
    assert manifest["phase"] == "test" and manifest["training"]["phase"] == "train"
    weights = manifest["files"]["weights"]["sha256"]
    assert weights == manifest["training"]["files"]["weights"]["sha256"]
    assert manifest["training"]["files"]["train_feeder_args: data_path"]["path"] == str(small / "train_data.npy")


def test_a_repeated_training_gives_the_same_weights_and_a_changed_file_is_told(small, tested, tmp_path, capsys):
    manifest = str(tested[0] / "manifest.json")
    assert main(["recognition", "--from", manifest, "--phase", "train", "-w", str(tmp_path / "again")]) == 0
    assert "machine, versions, code and files are the same" in capsys.readouterr().out
    label = small / "train_label.pkl"
    content = label.read_bytes()
    try:
        label.write_bytes(content + b" ")  # read as before
        assert main(["recognition", "--from", manifest, "--phase", "train", "-w", str(tmp_path / "other")]) == 0
    finally:
        label.write_bytes(content)
    out = capsys.readouterr().out
    assert f"{label} has another content than then" in out and "files are the same" not in out


def test_a_repeated_run_writes_beside_the_first_one(small, tmp_path):
    assert run(small, tmp_path / "a", "--num_epoch", 1) == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "a").iterdir()}
    assert main(["recognition", "--from", str(tmp_path / "a/manifest.json")]) == 0
    assert {path.name: path.read_bytes() for path in (tmp_path / "a").iterdir()} == before
    assert (tmp_path / "a-repeated" / "report.html").exists()


def test_a_run_that_was_killed_before_its_report_writes_it_when_resumed(small, tmp_path):
    assert run(small, tmp_path, "--num_epoch", 1) == 0
    written = {"report.html", "manifest.json", "clips.csv", "confusion_matrix.png"}
    for name in written:
        (tmp_path / name).unlink()
    assert run(small, tmp_path, "--num_epoch", 1, "--resume") == 0
    assert written <= {path.name for path in tmp_path.iterdir()}
    (tmp_path / "report.html").unlink()
    assert run(small, tmp_path, "--num_epoch", 1, "--resume") == 0
    assert not (tmp_path / "report.html").exists()  # all was there: nothing is done again


def test_without_a_report_there_is_a_manifest(small, tmp_path):
    assert run(small, tmp_path, "--num_epoch", 1, "--report", False) == 0
    assert not (tmp_path / "report.html").exists()
    assert json.loads((tmp_path / "manifest.json").read_text())["phase"] == "train"


def test_a_training_without_test_clips_has_a_report(small, tmp_path):
    config = yaml.safe_load((small / "config.yaml").read_text())
    del config["test_feeder_args"]
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    assert (
        main(["recognition", "-c", str(tmp_path / "config.yaml"), "-w", str(tmp_path / "out"), "--num_epoch", "1"]) == 0
    )
    text = (tmp_path / "out" / "report.html").read_text()
    assert "How it was made" in text and "Confusion matrix" not in text


def test_a_feeder_that_cannot_show_its_clips_has_names_alone(small, tmp_path, monkeypatch):
    (tmp_path / "bare.py").write_text("""
from feeder.feeder import Feeder as Whole

class Feeder:
    def __init__(self, **args):
        self.whole = Whole(**args)
        self.label = self.whole.label
    def __len__(self):
        return len(self.label)
    def __getitem__(self, i):
        return self.whole[i]
""")
    monkeypatch.syspath_prepend(tmp_path)
    assert run(small, tmp_path / "out", "--feeder", "bare.Feeder", "--num_epoch", 1) == 0
    text = (tmp_path / "out" / "report.html").read_text()
    assert "clip 3" in text and "Confusion matrix" in text


def test_a_report_of_a_thousand_clips_takes_three_seconds_at_most(small, tmp_path):
    write_part(tmp_path, "val", 1000, 2)
    paths = f"data_path='{tmp_path}/val_data.npy',label_path='{tmp_path}/val_label.pkl'"
    seconds = []
    for with_report in (False, True):
        begin = time.perf_counter()
        argv = ["--num_epoch", 1, "--test_feeder_args", paths, "--report", with_report]
        assert run(small, tmp_path / str(with_report), *argv) == 0
        seconds.append(time.perf_counter() - begin)
    assert seconds[1] - seconds[0] < 3
    assert (tmp_path / "True" / "report.html").stat().st_size < 10_000_000


def test_the_report_in_a_browser_asks_nobody_and_its_cells_open_their_clips(tested, browser):  # noqa: F811
    visit(browser, tested[0] / "report.html")
    names, scores = scores_of(tested[0])
    answer, label = scores.argmax(1), np.arange(21) % 4
    wrong = int(np.flatnonzero(answer != label)[0])
    classes = "up", "down", "left", "right"
    title = f"{classes[label[wrong]]}, taken for {classes[answer[wrong]]}"
    browser.find_element("css selector", f"table.matrix button[title^='{title}']").click()
    shown = [each.text for each in browser.find_elements("css selector", "dialog[open] .clip")]
    expected = [names[i] for i in range(21) if (label[i], answer[i]) == (label[wrong], answer[wrong])]
    assert sorted(text.split("\n")[0] for text in shown) == sorted(expected)
    assert not console(browser)
    assert [url for url in requested(browser) if not url.startswith("data:")] == [(tested[0] / "report.html").as_uri()]
