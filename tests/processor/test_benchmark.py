"""`main.py benchmark` on a small network: a report that is whole, and counts that can be checked by hand."""

import json

import pytest

from main import main

SMALL = ["--rounds", "1", "--batch", "2", "--frames", "8"]
ARGS = "in_channels=3,num_class=4,graph_args=dict(layout='openpose',strategy='spatial'),blocks=[[8,1],[8,2]]"


def test_the_report_has_every_figure(capsys, tmp_path):
    output = tmp_path / "benchmark.json"
    argv = ["--model", "net.st_gcn.Model", "--model_args", ARGS, "--json", "--output", str(output)]
    assert main(["benchmark", *SMALL, *argv]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report == json.loads(output.read_text())
    assert report["network"]["clip"] == [3, 8, 18, 2]
    for kind, batch in [("inference", 2), ("latency", 1), ("training", 2)]:
        forms = {(row["form"], row["precision"]): row for row in report[kind]}
        assert {("plain", "fp32"), ("ours", "fp32")} <= set(forms)
        assert forms["plain", "fp32"]["ratio"] == 1
        for row in forms.values():
            assert row["batch"] == batch and row["milliseconds"] > 0
            assert row["samples_per_second"] == pytest.approx(1e3 * batch / row["milliseconds"], rel=0.02, abs=0.02)
    assert report["feeder"]["ratio"] > 0 and report["peak_memory_mib"] > 50 and report["ceiling"]["fp32"] > 0


def test_the_work_of_a_clip_is_that_of_its_matrix_products(capsys):
    args = "in_channels=3,num_class=4,graph_args=dict(layout='openpose',strategy='spatial'),blocks=[[8,1]]"
    assert main(["benchmark", *SMALL, "--model", "net.st_gcn.Model", "--model_args", args, "--json"]) == 0
    rows = 2 * 8 * 18  # M * T * V joints
    gather, project, temporal, classes = rows * 18 * 3 * 3, rows * 9 * 8, rows * 8 * 8 * 9, 8 * 4
    bias = 8 * 3 * 18  # the bias of the projection, spread over the graph
    report = json.loads(capsys.readouterr().out)
    assert report["network"]["flop_per_clip"] == 2 * (gather + project + temporal + classes + bias)
    importance, norms = 3 * 18 * 18, 2 * 18 * 3 + 2 * 2 * 8
    assert report["network"]["parameters"] == importance + norms + 3 * 24 + 24 + 8 * 8 * 9 + 8 + 8 * 4 + 4


def test_a_config_gives_the_shape_of_its_clips(small, capsys):
    assert main(["benchmark", "-c", str(small / "config.yaml"), "--rounds", "1", "--batch", "1"]) == 0
    out = capsys.readouterr().out
    assert "(C, T, V, M) = (3, 20, 18, 2)" in out and "of ceiling" in out and "feeder: " in out


def test_a_network_whose_clips_are_unknown_is_refused(capsys):
    assert main(["benchmark", "--model", "net.tcn.Model", "--model_args", "channel=108,num_class=4"]) == 2
    assert "no layout to know its clips by" in capsys.readouterr().err


def test_the_cost_of_a_prediction_by_windows_and_frame_by_frame(capsys):
    argv = ["benchmark", "--streaming", *SMALL, "--model", "net.st_gcn.Model", "--model_args", ARGS]
    assert main([*argv, "--json"]) == 0
    rows = {
        (r["form"], r["persons"]): r
        for r in json.loads(capsys.readouterr().out)["prediction"]
        if r["precision"] == "fp32"
    }
    for persons in (1, 4):
        window, stream = (rows[form, persons]["mflop"] for form in ("window of 64 frames", "stream, 2 frames at once"))
        assert stream == rows["stream, 2 times one frame", persons]["mflop"]
        assert 31 < window / stream < 33  # 64 frames against two
        assert all(row["milliseconds"] > 0 for row in rows.values())
    assert main(argv) == 0
    assert "than 300 frames" in capsys.readouterr().out


def test_the_cost_of_a_prediction_of_a_network_that_cannot_be_fed_frame_by_frame(capsys):
    argv = ["benchmark", "--streaming", *SMALL, "--model", "net.st_gcn_twostream.Model", "--model_args", ARGS]
    assert main(argv) == 2
    assert "takes whole windows" in capsys.readouterr().err


def test_networks_side_by_side_are_those_of_their_configs(small, tmp_path, capsys):
    fold = tmp_path / "fold.yaml"
    fold.write_text(
        f"""base: {small}/config.yaml
test_feeder_args: {{data_path: "{tmp_path}/{{fold}}_data.npy", label_path: "{tmp_path}/{{fold}}_label.pkl"}}
fold: [1]
model: net.st_gcn_twostream.Model
"""
    )
    for end in ("data.npy", "label.pkl"):
        (tmp_path / f"1_{end}").symlink_to(small / f"val_{end}")
    ctr_gcn = tmp_path / "ctr_gcn.yaml"  # which is told how many persons there are
    ctr_gcn.write_text(f"base: {small}/config.yaml\nmodel: net.ctr_gcn.Model\n")
    beside = ["--beside", str(fold), str(ctr_gcn), "--rounds", "1", "--batch", "2"]
    argv = ["benchmark", "-c", str(small / "config.yaml"), *beside]
    assert main([*argv, "--json"]) == 0
    one, two, three = json.loads(capsys.readouterr().out)["networks"]
    assert [one["name"], two["name"]] == [str(small / "config.yaml"), str(fold)]
    assert one["clip"] == two["clip"] == three["clip"] == [3, 20, 18, 2]
    assert two["parameters"] == 2 * one["parameters"] and two["flop_per_clip"] == 2 * one["flop_per_clip"]
    assert all(speed > 0 for row in (one, two, three) for speed in row["samples_per_second"].values())
    assert main(argv) == 0
    assert "fp32 clips/s" in capsys.readouterr().out
    assert main(["benchmark", "--beside", "nowhere.yaml", *SMALL]) == 2
    assert capsys.readouterr().err.splitlines() == ["error: nowhere.yaml does not exist"]
