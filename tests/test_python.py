"""stgcn from Python, installed and outside of the checkout: each example of docs/python.md, and what is not in one."""

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from feeder.synthetic.clips import make_clip
from feeder.video.decode import Video
from feeder.video.encode import VideoWriter

pytest.importorskip("hatchling", reason="hatchling builds the package; pip install -r tests/requirements.txt")

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = re.compile(r"(<!-- needs the pose model -->\n)?```python\n(.*?)```", re.S)
POSE_MODEL = ROOT / "models/movenet.tflite"
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
FROM_HERE = ["--no-deps", "--no-build-isolation", "--no-index"]  # nothing is fetched


def python(folder, *argv, path=None, fails=False):
    """Run Python in a folder, where it does not see the checkout; what it printed."""
    env = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "ST_GCN_MODELS")}
    env |= {"PYTHONPATH": str(path)} if path else {}
    env |= {"ST_GCN_MODELS": str(POSE_MODEL.parent)} if POSE_MODEL.is_file() else {}
    program = [] if str(argv[0]).endswith(".exe") else [sys.executable]  # that of a script on Windows is in it
    done = subprocess.run([*program, *map(str, argv)], cwd=folder, env=env, capture_output=True, text=True)
    assert fails == bool(done.returncode), done.stderr
    return done.stderr if fails else done.stdout


def script_of(installed):
    (script,) = (path for folder in ("bin", "Scripts") for path in (installed / folder).glob("stgcn*"))
    return script


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The folder of packages that stgcn was installed into."""
    folder = tmp_path_factory.mktemp("site")
    subprocess.run([*PIP, "install", *FROM_HERE, "--target", str(folder), str(ROOT)], check=True)
    return folder


def test_only_two_names_are_installed_and_all_resources_are_there(installed):
    names = {path.name for path in installed.iterdir() if not path.name.endswith(".dist-info")}
    assert names - {"bin", "Scripts", "__pycache__"} == {"stgcn.py", "stgcn_home"}
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True).stdout.splitlines()
    for path in tracked or [str(each.relative_to(ROOT)) for each in ROOT.glob("config/**/*.yaml")]:
        if path.startswith(("config/", "resource/", "tools/")):
            assert (installed / "stgcn_home" / path).is_file(), path


def test_the_requirements_are_those_of_requirements_txt(installed):
    metadata = next(installed.glob("stgcn-*.dist-info")) / "METADATA"
    listed = re.findall(r"^Requires-Dist: ([\w-]+)(==[\w.]+)", metadata.read_text(encoding="utf-8"), re.M)
    wanted = re.findall(r"^([\w-]+)(==[\w.]+)", (ROOT / "requirements.txt").read_text(encoding="utf-8"), re.M)
    assert sorted(listed) == sorted(wanted)


def test_every_example_of_the_docs_runs_outside_of_the_checkout(installed, tmp_path):
    page = (ROOT / "docs/python.md").read_text(encoding="utf-8")
    examples = [code for needs, code in EXAMPLE.findall(page) if not needs or POSE_MODEL.is_file()]
    assert len(EXAMPLE.findall(page)) >= 9
    clip = make_clip(0, 0, 3, 0)
    points = np.concatenate([(clip.keypoints[0] + 0.5) * clip.frame_size, clip.scores[0][..., None]], -1)
    np.save(tmp_path / "keypoints.npy", np.where(points[..., 2:] > 0, points, 0))
    video = Video(ROOT / "resource/media/jumping_jacks.mp4")
    with VideoWriter(tmp_path / "clip.mp4", video.width, video.height, video.fps) as out:
        for frame in video:
            if frame.index == 36:
                break
            out.write(frame.image, frame.seconds)
    checks = """
import torch
assert stgcn.HOME.name == "stgcn_home" and type(network).__module__ == "net.st_gcn"
assert metrics["top1"] == result.metrics["top1"] and (result.work_dir / "report.html").exists()
assert recognizer.label_names == LABELS and result.weights.exists()
assert [segment["track"] for segment in segments] == [0] or not segments
"""
    (tmp_path / "examples.py").write_text("segments = []\n" + "\n".join(examples) + checks, encoding="utf-8")
    out = python(tmp_path, "examples.py", path=installed)
    assert "did you mean 'num_class'" in out
    if POSE_MODEL.is_file():
        assert "jumping jacks" in out


def test_the_command_is_main_py_and_finds_configs_from_anywhere(installed, tmp_path):
    assert "processors (-h after one" in python(tmp_path, script_of(installed), "-h", path=installed)
    arguments = ("recognition", "-c", "config/quickstart/train.yaml")
    assert "make it with" in python(tmp_path, "-m", "stgcn", *arguments, path=installed, fails=True)
    assert "usage: synthetic_gendata.py" in python(
        tmp_path, "-m", "stgcn", "tools/synthetic_gendata.py", "-h", path=installed
    )


def test_a_feeder_of_ones_own_is_imported_where_pythonpath_says_and_not_from_any_folder(installed, tmp_path):
    """A folder in which there are videos of strangers may have anything else in it."""
    (tmp_path / "mine.py").write_text("raise SystemExit('mine was imported')", encoding="utf-8")
    arguments = (script_of(installed), "recognition", "--model", "net.st_gcn.Model", "--feeder", "mine.Feeder")
    assert "no module mine" in python(tmp_path, *arguments, path=installed, fails=True)
    both = f"{installed}{os.pathsep}{tmp_path}"
    assert "mine was imported" in python(tmp_path, *arguments, path=both, fails=True)


def test_a_module_of_the_same_name_is_named(installed, tmp_path):
    (tmp_path / "net.py").write_text("", encoding="utf-8")
    error = python(tmp_path, "-c", "import stgcn", path=installed, fails=True)
    assert "ImportError: stgcn needs its own module net" in error and str(tmp_path / "net.py") in error


def test_importing_is_light_and_claims_no_names_in_other_programs(installed, tmp_path):
    script = (
        "import sys, importlib.util as i; assert not any(map(i.find_spec, ('net', 'feeder', 'processor', 'config')))"
    )
    python(tmp_path, "-c", script, path=installed)
    script = "import sys, stgcn; assert not {'torch', 'cv2', 'numpy'} & set(sys.modules); assert 'Stream' in dir(stgcn)"
    python(tmp_path, "-c", script, path=installed)


def test_every_public_name_is_there_and_documented():
    import stgcn

    page = (ROOT / "docs/python.md").read_text(encoding="utf-8")
    for name in stgcn.__all__:
        thing = getattr(stgcn, name)
        assert name in ("STARTER", "Answer", "Result") or f"`{name}`" in page
        assert isinstance(thing, str) or thing.__doc__
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = stgcn.nothing


def test_an_editable_installation_uses_the_checkout(tmp_path):
    """Of the editable wheel: its .pth file is the checkout, and nothing in it hides stgcn.py."""
    subprocess.run(
        [sys.executable, "-c", "import sys, hatchling.build as b; b.build_editable(sys.argv[1])", str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        assert wheel.read("_stgcn.pth").decode().splitlines() == [str(ROOT)]
        assert "stgcn.py" not in wheel.namelist()
        wheel.extractall(tmp_path / "site")
    script = f"import site; site.addsitedir({str(tmp_path / 'site')!r}); import stgcn; print(stgcn.HOME)"
    assert Path(python(tmp_path, "-c", script).strip()) == ROOT
