"""Networks of PYSKL and MMAction2 by tools/get_models.py: checkpoints of the published shape and a server, both made here.

Up to the demo; and what goes wrong on the way, each in one line.
"""

import hashlib
import json
import re
import sys
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from feeder.skeleton import load_skeleton
from main import main as program
from processor import demo, options
from processor.recognizer import Recognizer
from processor.sidecar import read_sidecar
from tests.net.plain_pp import BLOCKS
from tests.processor.test_demo import clip
from tests.tools.test_convert_weights import st_gcn_of_pyskl, st_gcn_pp_of_pyskl
from tests.torchlight.test_download import Server
from tools import get_models, published_models
from tools.command import run
from torchlight.arguments import parse
from torchlight.command import run_command
from torchlight.lock import exclusive

NAME = "stgcnpp_ntu120_xsub_hrnet_joint"
MMACTION2 = "mmaction2_stgcn_ntu60_xsub_hrnet_joint"
OPENPOSE_TO_COCO = [
    0,
    15,
    14,
    17,
    16,
    5,
    2,
    6,
    3,
    7,
    4,
    11,
    8,
    12,
    9,
    13,
    10,
]  # nose, eyes, ears, shoulders ..., left first
W, H = 64, 48


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """The plain networks by the names of their models, and the checkpoint files as PYSKL and MMAction2 save them."""
    folder, networks = tmp_path_factory.mktemp("published"), {}
    network, weights = st_gcn_pp_of_pyskl("coco", 3, 120, BLOCKS)
    with torch.no_grad():
        network.cls_head.fc_cls.weight *= 20  # probabilities that differ
    meta = {"epoch": 16, "mmcv_version": "1.5.0", "hook_msgs": {"best_score": np.float64(0.844)}}
    torch.save({"meta": meta, "state_dict": weights}, folder / f"{NAME}.pth", _use_new_zipfile_serialization=False)
    networks[NAME] = network
    network, weights = st_gcn_of_pyskl("coco", 3, 60, BLOCKS)
    weights = OrderedDict((key.replace("fc_cls", "fc"), value) for key, value in weights.items())
    torch.save({"meta": {"epoch": 16}, "state_dict": weights}, folder / f"{MMACTION2}.pth")
    networks[MMACTION2] = network
    return networks, folder


@pytest.fixture
def server(monkeypatch, published):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = Server((published[1] / f"{NAME}.pth").read_bytes())
    yield server
    server.httpd.shutdown()
    server.httpd.server_close()


@pytest.fixture
def models(tmp_path):
    return tmp_path / "models"


@pytest.fixture
def get(monkeypatch, capsys, server, models):
    """get("NAME", ...) -> the exit status, what was said, the errors; from the server, into `models`."""
    monkeypatch.setenv("ST_GCN_MODELS", str(models))
    monkeypatch.setenv("ST_GCN_MODELS_URL", server.url)

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["get_models.py", *map(str, arguments)])
        status = 0
        try:
            run(get_models.main)
        except SystemExit as stop:
            status = stop.code
        said = capsys.readouterr()
        return status, said.out, said.err

    return call


@pytest.fixture
def refused(get):
    """refused("NAME", ...) -> the one line on stderr; the status is 2."""

    def call(*arguments):
        status, _, error = get(*arguments)
        assert status == 2 and error.startswith("error: ") and error.count("\n") == 1, error
        return error

    return call


def files(folder):
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# ---- the list


def test_the_list_has_all_facts_and_fetches_nothing(get, server):
    status, out, _ = get()
    assert status == 0 and not server.asked
    assert f"{NAME}: ST-GCN++ of PYSKL, NTU RGB+D 120 cross-subject (120 classes), top-1 84.4 %, about 6 MB" in out
    assert "https://download.openmmlab.com/mmaction/pyskl/ckpt/stgcnpp/stgcnpp_ntu120_xsub_hrnet/j.pth" in out
    assert "no hash published" in out and "sha256 484a394a..." in out
    assert out.count("is not there yet") >= len(published_models.load_published())


def test_names_addresses_and_hashes_go_together():
    for model in published_models.load_published().values():
        family = "stgcnpp" if model.model == "net.st_gcn_pp.Model" else "stgcn"
        name = f"{family}_ntu{model.classes}_{model.split}_hrnet_joint"
        assert model.address.startswith("https://download.openmmlab.com/mmaction/") and 75 < model.top1 < 99
        if model.toolbox == "PYSKL":
            assert model.name == name and not model.sha256
            practice = "" if family == "stgcnpp" else "pyskl_"
            assert model.address.endswith(f"/{family}/{family}_{practice}{name.split('_', 1)[1][:-6]}/j.pth")
        else:
            assert model.name == f"mmaction2_{name}"
            data = f"ntu{model.classes}-{model.split}-keypoint-2d"
            assert re.search(rf"/{family}_8xb16-joint-u100-80e_{data}_\d{{8}}-{model.sha256}\.pth$", model.address)
        names = model.label_names()
        assert len(names) == len(set(names)) == model.classes and names[0] == "drink water"


# ---- fetching


def test_a_model_is_fetched_checked_converted_and_its_hash_is_kept(get, server, models):
    status, out, _ = get(NAME)
    digest = hashlib.sha256(server.content).hexdigest()
    assert status == 0 and server.asked == [None]
    assert f"sha256 {digest} (not published; kept in {models / NAME}.sha256)" in out
    assert f"python main.py demo --weights {models / NAME}.pt" in out
    assert sorted(files(models)) == [f"{NAME}.pt", f"{NAME}.sha256", f"{NAME}.yaml"]
    assert (models / f"{NAME}.sha256").read_text() == f"{digest}  {NAME}.pth\n"
    told = read_sidecar(models / f"{NAME}.pt")
    assert (told["model"], told["num_person"], told["window"], told["fps"]) == ("net.st_gcn_pp.Model", 2, 100, 30.0)
    assert told["label_names"][0] == "drink water" and len(told["label_names"]) == 120
    assert told["skeleton"]["name"] == "coco"
    before = files(models)
    status, out, _ = get(NAME)
    assert (status, out) == (0, f"{models / NAME}.pt is there\n") and files(models) == before
    assert f"{NAME}: " in get()[1] and ", is there" in get()[1]


def test_the_way_of_the_address_is_kept_at_another_place(get, tmp_path, server, monkeypatch, models):
    file = tmp_path / "mirror/mmaction/pyskl/ckpt/stgcnpp/stgcnpp_ntu120_xsub_hrnet/j.pth"
    file.parent.mkdir(parents=True)
    file.write_bytes(server.content)
    monkeypatch.setenv("ST_GCN_MODELS_URL", (tmp_path / "mirror").as_uri())
    assert get(NAME)[0] == 0 and (models / f"{NAME}.pt").exists()


def test_a_file_that_was_fetched_by_hand_stays_where_it_is(get, published, server, models):
    file = published[1] / f"{NAME}.pth"
    before = file.read_bytes()
    assert get(NAME, "--from", file)[0] == 0 and not server.asked
    assert file.read_bytes() == before
    assert sorted(files(models)) == [f"{NAME}.pt", f"{NAME}.sha256", f"{NAME}.yaml"]


def test_a_download_that_broke_off_goes_on(get, refused, server, models):
    server.most = 1_000_000
    assert f"cut off after 1,000,000 of {len(server.content):,} bytes; run it again to go on" in refused(NAME)
    assert sorted(files(models)) == [f"{NAME}.pth.part", f"{NAME}.pth.part.tag"]
    server.most = None
    assert get(NAME)[0] == 0 and server.asked == [None, "bytes=1000000-"]
    assert sorted(files(models)) == [f"{NAME}.pt", f"{NAME}.sha256", f"{NAME}.yaml"]


def test_a_published_hash_is_asked_for(get, refused, published, server, models, monkeypatch):
    server.content = (published[1] / f"{MMACTION2}.pth").read_bytes()
    assert "is another file than published: its sha256 does not begin with 484a394a" in refused(MMACTION2)
    assert f"is not {MMACTION2}: its sha256 is" in refused(MMACTION2, "--from", published[1] / f"{MMACTION2}.pth")
    assert not models.exists()
    real = published_models.load_published()
    digest = hashlib.sha256(server.content).hexdigest()
    ours = {MMACTION2: replace(real[MMACTION2], sha256=digest[:8])}
    monkeypatch.setattr(get_models, "load_published", lambda: ours)
    assert f"sha256 {digest} (begins as published" in get(MMACTION2)[1]
    recognizer = Recognizer.from_checkpoint(models / f"{MMACTION2}.pt", use_gpu=False)
    assert recognizer.num_class == 60 and recognizer.label_names[-1] == "walking apart from each other"


def test_another_file_than_the_first_time_is_refused(get, refused, server, models, published):
    assert get(NAME)[0] == 0
    for ending in (".pt", ".yaml"):
        (models / f"{NAME}{ending}").unlink()
    first, server.content = server.content, published[1].joinpath(f"{NAME}.pth").read_bytes() + b" "
    before = files(models)
    digest = hashlib.sha256(first).hexdigest()
    assert f"does not begin with {digest}; to trust it, remove {models / NAME}.sha256" in refused(NAME)
    other = published[1] / f"{MMACTION2}.pth"
    assert f"before it was {digest}; to trust it, remove" in refused(NAME, "--from", other)
    assert files(models) == before
    server.content = first
    assert get(NAME)[0] == 0


# ---- what goes wrong


def test_a_web_page_in_place_of_the_file(refused, server, models):
    server.content = b"\n<!DOCTYPE html><html>Please log in</html>"
    assert "a web page came in place of https://download.openmmlab.com/" in refused(NAME)
    assert not models.exists()


def test_far_too_much(refused, server, models, monkeypatch):
    monkeypatch.setattr(published_models, "LIMIT", 1_000_000)
    assert "it has more than 1 MB" in refused(NAME)
    assert not models.exists()


def test_too_little_is_no_checkpoint(refused, server, models):
    server.content = server.content[:100_000]
    assert f"{NAME}.pth: cannot be loaded: not a file of torch.save, or cut short" in refused(NAME)
    assert not models.exists()


def test_no_network(refused, monkeypatch, models):
    monkeypatch.setenv("ST_GCN_MODELS_URL", "http://127.0.0.1:9")
    line = refused(NAME)
    assert f"cannot fetch {NAME} from http://127.0.0.1:9/mmaction/pyskl/ckpt/stgcnpp/" in line and "refused" in line
    assert f"python tools/get_models.py {NAME} --from FILE" in line
    assert not models.exists()


@pytest.mark.parametrize(
    ("build", "line"),
    [
        (
            lambda: st_gcn_pp_of_pyskl("coco", 3, 60, BLOCKS),
            "net.st_gcn_pp.Model of 60 classes, 17 joints and 3 channels",
        ),
        (lambda: st_gcn_of_pyskl("coco", 3, 120, BLOCKS), "net.st_gcn.Model of 120 classes, 17 joints and 3 channels"),
        (lambda: st_gcn_pp_of_pyskl("ntu-rgb+d", 3, 120, BLOCKS), "net.st_gcn_pp.Model of 120 classes, 25 joints"),
    ],
)
def test_a_checkpoint_of_another_network(refused, tmp_path, models, build, line):
    torch.save(build()[1], tmp_path / "other.pth")
    said = refused(NAME, "--from", tmp_path / "other.pth")
    assert line in said and f"{NAME} is net.st_gcn_pp.Model of 120 classes, 17 joints and 3 channels" in said
    assert not models.exists()


def test_other_mistakes(get, refused, tmp_path, models, published):
    assert f"no model 'stgcnpp_ntu120_xsub'; without a name the command lists them; did you mean '{NAME}'?" in refused(
        "stgcnpp_ntu120_xsub"
    )
    assert "--from belongs to a network of PYSKL or MMAction2" in refused("--from", "a.pth")
    assert "--from belongs to a network of PYSKL or MMAction2" in refused("movenet", "--from", "a.pth")
    assert "none.pth does not exist" in refused(NAME, "--from", tmp_path / "none.pth")
    assert "is not a file" in refused(NAME, "--from", tmp_path)
    models.mkdir()
    (models / f"{NAME}.pt").write_bytes(b"mine")
    assert f"{NAME}.pt is there, but no side-car beside it" in refused(NAME)
    assert f"{NAME}.pt is there; move it away" in refused(NAME, "--from", published[1] / f"{NAME}.pth")
    assert files(models) == {f"{NAME}.pt": b"mine"}


def test_a_killed_run_leaves_what_the_next_one_uses(get, server, models):
    """It was killed after the download, or between the side-car and the weights."""
    models.mkdir()
    (models / f"{NAME}.pth").write_bytes(server.content)
    (models / f"{NAME}.yaml").write_text("model: net.st_gcn.Model\n")
    assert get(NAME)[0] == 0 and not server.asked
    assert read_sidecar(models / f"{NAME}.pt")["model"] == "net.st_gcn_pp.Model"


def test_a_second_run_for_the_same_model_ends_in_one_line(refused, models, server):
    with exclusive(models, NAME, ""):
        assert f"{models} is in use ({NAME}) by process" in refused(NAME)
    assert not server.asked


def test_an_interrupted_download_is_continued(get, server, models, monkeypatch):
    """Ctrl-C after the first bytes."""
    whole, received = server.content, []

    def interrupt(bar, count):
        received.append(count)
        if len(received) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("torchlight.download.tqdm.update", interrupt)
    assert get(NAME)[0] == 130
    monkeypatch.undo()
    part = (models / f"{NAME}.pth.part").read_bytes()
    assert 0 < len(part) == sum(received) and whole.startswith(part)
    monkeypatch.setenv("ST_GCN_MODELS", str(models))
    monkeypatch.setenv("ST_GCN_MODELS_URL", server.url)
    assert get(NAME)[0] == 0 and server.asked == [None, f"bytes={len(part)}-"]


# ---- the demo


class TwoPeople:
    """As MoveNet gives them: the joints of openpose, in pixels. Both move all the time; the second one lacks an ankle."""

    layout = "openpose"

    def __init__(self, *_):
        self.index = -1

    def __call__(self, image: np.ndarray) -> np.ndarray:
        self.index += 1
        return joints_at(self.index)


def joints_at(index: int) -> np.ndarray:
    """(2, 18, 3) at a frame."""
    rng = np.random.default_rng(0)
    persons = np.empty((2, 18, 3), np.float32)
    place = rng.uniform([4, 4], [28, 44], (2, 18, 2)) + np.array([[[0, 0]], [[32, 0]]])
    persons[..., :2] = place + 2 * np.sin(index / rng.uniform(3, 9, (2, 18, 1)))
    persons[..., 2] = rng.uniform(0.3, 1, (2, 18))
    persons[1, 10] = 0
    return persons


def plain_probability(network, frames: list[int], first: int) -> np.ndarray:
    """The probabilities of PYSKL's preparation, written out: PreNormalize2D over the frame, joints and scores, two persons.

    Args:
        frames: of the video, 100.
        first: the person who is first, 0 or 1.
    """
    persons = np.stack([joints_at(i) for i in frames], 1)[[first, 1 - first]][:, :, OPENPOSE_TO_COCO]  # (M, T, V, C)
    seen = persons[..., 2] > 0
    persons[..., 0] = (persons[..., 0] - W / 2) / (W / 2) * seen
    persons[..., 1] = (persons[..., 1] - H / 2) / (H / 2) * seen
    with torch.no_grad():
        return network(torch.from_numpy(persons)[None])[0].softmax(0).numpy()


def test_the_joints_of_movenet_have_all_that_coco_needs():
    openpose, coco = load_skeleton(TwoPeople.layout).joints, load_skeleton("coco").joints
    assert [openpose[i] for i in OPENPOSE_TO_COCO] == list(coco)


@pytest.mark.parametrize("num_frame", [140, 60])
def test_the_demo_answers_at_once_as_pyskl_would(get, published, models, tmp_path, num_frame):
    assert get(NAME)[0] == 0
    video = clip(tmp_path / "two.mp4", num_frame, (W, H))
    argv = ["--video", video, "--weights", models / f"{NAME}.pt", "--output_dir", tmp_path / "out", "--height", "96"]
    argv = ["demo", *map(str, argv)]
    make = lambda *_, **__: TwoPeople()  # noqa: E731
    assert run_command(lambda: demo.run(parse(options.demo(), argv[1:]), argv, make=make)) == 0
    told = json.loads((tmp_path / "out/two.json").read_text())
    names = yaml.safe_load((models / f"{NAME}.yaml").read_text())["label_names"]
    assert told["persons"] == 2
    windows = {(each["track"], each["first_frame"]): each for each in told["windows"]}
    assert (0, 0) in windows and (1, 0) in windows
    if num_frame == 140:
        assert {last - first for first, last in ((w["first_frame"], w["last_frame"]) for w in told["windows"])} == {99}
    for (track, first), window in windows.items():
        length = window["last_frame"] - first + 1
        frames = [first + k % length for k in range(100)]  # each once, where there are 100
        expected = plain_probability(published[0][NAME], frames, track)
        best = [names.index(label) for label, _ in window["top5"]]
        np.testing.assert_allclose([score for _, score in window["top5"]], expected[best], atol=2e-3)
        assert expected[best[0]] >= expected.max() - 2e-3 and expected.max() > 0.1


def test_the_demo_says_nothing_but_what_is_missing(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert program(["demo", "--weights", f"{NAME}.pt"]) == 2
    assert f"{NAME}.pt does not exist" in capsys.readouterr().err


def test_a_side_car_is_plain_yaml_that_its_reader_accepts(get, models):
    get(NAME)
    text = Path(models / f"{NAME}.yaml").read_text()
    assert "!!" not in text and yaml.safe_load(text) == read_sidecar(models / f"{NAME}.pt")
