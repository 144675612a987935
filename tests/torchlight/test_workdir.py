import csv
import re
import sys
from argparse import Namespace

import pytest
import yaml
from tqdm import tqdm

from torchlight.errors import UsageError
from torchlight.files import atomic_write
from torchlight.stopwatch import Stopwatch
from torchlight.workdir import WorkDir


def test_file_appears_whole(tmp_path):
    with atomic_write(tmp_path / "x", "w") as file:
        file.write("größe")
        assert not (tmp_path / "x").exists()
    assert (tmp_path / "x").read_text(encoding="utf-8") == "größe"
    assert [each.name for each in tmp_path.iterdir()] == ["x"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_failure_leaves_the_old_file_and_no_other(tmp_path, error):
    (tmp_path / "x").write_bytes(b"old")
    with pytest.raises(error), atomic_write(tmp_path / "x") as file:
        file.write(b"new")
        raise error
    assert (tmp_path / "x").read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == ["x"]


def test_failed_rename_leaves_nothing(tmp_path):
    (tmp_path / "x").mkdir()
    with pytest.raises(OSError), atomic_write(tmp_path / "x") as file:
        file.write(b"new")
    assert [each.name for each in tmp_path.iterdir()] == ["x"]


def test_folder_is_made(tmp_path):
    WorkDir(tmp_path / "a/b")
    assert (tmp_path / "a/b").is_dir()


@pytest.mark.parametrize("path", ["file", "file/below"])
def test_file_in_the_way(tmp_path, path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"^work_dir .*file") as caught:
        WorkDir(tmp_path / path)
    assert "\n" not in str(caught.value)


def test_read_only_folder(tmp_path, monkeypatch):
    monkeypatch.setattr("os.access", lambda path, mode: False)  # the tests may run as root, who may write anywhere
    with pytest.raises(UsageError, match="is read-only; choose another"):
        WorkDir(tmp_path)


def test_config_under_its_command_line(tmp_path):
    arg = Namespace(step=[10, 50], base_lr=1e-5, model_args={"graph_args": {"layout": "größe"}}, weights=None)
    WorkDir(tmp_path).save_config(arg, ["main.py", "recognition", "--model_args", "a='x y'\n"])
    text = (tmp_path / "config.yaml").read_text(encoding="utf-8")
    assert text.splitlines()[:2] == ["# command line: main.py recognition --model_args 'a='\"'\"'x y'\"'\"' '", ""]
    assert text.splitlines()[2:] == [
        "base_lr: 1.0e-05",
        "model_args:",
        "    graph_args:",
        "        layout: größe",
        "step:",
        "- 10",
        "- 50",
        "weights: null",
    ]
    assert yaml.safe_load(text) == vars(arg)


def test_config_under_another_name(tmp_path):
    WorkDir(tmp_path).save_config({"a": 1}, [], name="test.yaml")
    assert [each.name for each in tmp_path.iterdir()] == ["test.yaml"]


def test_lines_are_stamped_appended_and_printed(tmp_path, capsys):
    WorkDir(tmp_path).log("Training epoch: 0")
    WorkDir(tmp_path).log("plain", time=False)
    text = (tmp_path / "log.txt").read_text()
    assert re.fullmatch(r"\[\d\d\.\d\d\.\d\d\|[^\]]+\] Training epoch: 0\nplain\n", text)
    assert capsys.readouterr().out == text


def test_note_is_not_printed(tmp_path, capsys):
    WorkDir(tmp_path).log_to_file("only here")
    assert (tmp_path / "log.txt").read_text().endswith("] only here\n")
    assert capsys.readouterr().out == ""


def test_flags_silence(tmp_path, capsys):
    WorkDir(tmp_path, save_log=False).log("printed")
    WorkDir(tmp_path, print_log=False).log("saved")
    assert capsys.readouterr().out.endswith("printed\n")
    assert (tmp_path / "log.txt").read_text().endswith("saved\n")


def test_line_goes_above_a_progress_bar(tmp_path, capsys, monkeypatch):
    with tqdm(total=2, file=sys.stdout) as bar:
        bar.update()
        WorkDir(tmp_path).log("a line", time=False)
    assert "\ra line\n" in re.sub(r"\r +\r", "\r", capsys.readouterr().out)  # the bar wiped itself first


def rows(path):
    with (path / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_metrics_grow_by_rows_and_columns(tmp_path):
    work = WorkDir(tmp_path)
    work.metrics({"epoch": 0, "loss": 1.5})
    work.metrics({"epoch": 1, "loss": 1.25, "top1": 0.5})
    work.metrics({"epoch": 2, "loss": 1.0})
    assert (tmp_path / "metrics.csv").read_text() == "epoch,loss,top1\n0,1.5,\n1,1.25,0.5\n2,1.0,\n"


def test_resumed_run_drops_the_epochs_it_repeats(tmp_path):
    work = WorkDir(tmp_path)
    for epoch in range(5):
        work.metrics({"epoch": epoch, "loss": epoch})
    work = WorkDir(tmp_path)
    work.metrics({"epoch": 3, "loss": 30})
    work.metrics({"epoch": 3, "loss": 31})  # a second row of the same epoch is not a repetition
    assert [row["loss"] for row in rows(tmp_path)] == ["0", "1", "2", "30", "31"]


def test_metrics_of_somebody_else(tmp_path):
    (tmp_path / "metrics.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UsageError, match="not the metrics of an earlier run"):
        WorkDir(tmp_path).metrics({"epoch": 0})
    assert (tmp_path / "metrics.csv").read_text() == "a,b\n1,2\n"


def test_stopwatch_shares_out_the_time(monkeypatch):
    now = iter([10.0, 11.0, 14.0, 14.5, 14.75])
    monkeypatch.setattr("torchlight.stopwatch.perf_counter", lambda: next(now))
    watch = Stopwatch()
    for name in ["data", "model", "data", "report"]:
        watch.lap(name)
    assert watch.lines() == [
        "Time consumption:",
        "\t[data][32%]: 1.5000",
        "\t[model][63%]: 3.0000",
        "\t[report][05%]: 0.2500",
    ]


def test_stopwatch_that_never_ran():
    assert Stopwatch().lines() == ["Time consumption:"]
