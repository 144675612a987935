"""feeder/pose/openpose.py with a program and a Python module that stand for OpenPose's."""

import json
import sys

import numpy as np
import pytest

from feeder.pose.openpose import OpenPose, run_openpose
from feeder.readers.openpose import read_frames
from torchlight.errors import DataError

PROGRAM = f"""#!{sys.executable}
import json, pathlib, sys
pathlib.Path(__file__).with_name("argv.json").write_text(json.dumps(sys.argv[1:]))
option = dict(zip(sys.argv[1::2], sys.argv[2::2]))
out, name = pathlib.Path(option["--write_json"]), pathlib.Path(option["--video"]).stem
for i in range(3):
    people = [{{"pose_keypoints_2d": [5.0, 6.0, 0.5] * 18}}] * (i != 1)
    (out / f"{{name}}_{{i:012}}_keypoints.json").write_text(json.dumps({{"people": people}}))
"""
MODULE = """
import numpy as np
class Datum:
    cvInputData = poseKeypoints = None
class WrapperPython:
    def configure(self, options):
        self.options = options
    def start(self):
        pass
    def emplaceAndPop(self, data):
        if type(data) is not KIND:
            raise TypeError("incompatible function arguments")
        datum, = data
        assert datum.cvInputData.flags.c_contiguous
        V = {"COCO": 18, "BODY_25": 25}[self.options["model_pose"]]
        blue = int(datum.cvInputData[0, 0, 0])
        datum.poseKeypoints = NOBODY if not blue else np.full((2, V, 3), blue, np.float32)
        if blue:
            datum.poseKeypoints[0, 4] = 7, 7, 0
"""


@pytest.fixture
def build(tmp_path):
    """A folder in which OpenPose was built, with a program that writes three frames; its video has an odd name."""
    program = tmp_path / "build/examples/openpose/openpose.bin"
    program.parent.mkdir(parents=True)
    (tmp_path / "models").mkdir()
    program.write_text(PROGRAM)
    program.chmod(0o755)
    return program


@pytest.fixture
def video(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / '-it\'s a "clip"; rm.mp4').touch()
    return '-it\'s a "clip"; rm.mp4'


def test_arguments_are_a_list_and_the_json_is_read(build, video, tmp_path):
    out = run_openpose(build.parents[2], video, "out", "BODY_25")
    assert out == tmp_path / "out"
    argv = json.loads(build.with_name("argv.json").read_text())
    option = dict(zip(argv[::2], argv[1::2]))
    assert option["--video"] == str(tmp_path / video)
    assert option["--model_folder"] == str(tmp_path / "models")
    assert (option["--model_pose"], option["--display"], option["--render_pose"]) == ("BODY_25", "0", "0")
    assert [len(persons) for persons in read_frames(out).persons] == [1, 0, 1]
    assert not (tmp_path / "out.part").exists()


def test_files_of_an_earlier_run_are_replaced_and_others_are_not(build, video, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/old_000000000000_keypoints.json").touch()
    assert len(list(run_openpose(build.parents[2], video, "out").iterdir())) == 3
    (tmp_path / "out/thesis.tex").touch()
    with pytest.raises(DataError, match="holds other files than OpenPose's"):
        run_openpose(build.parents[2], video, "out")
    assert len(list((tmp_path / "out").iterdir())) == 4


@pytest.mark.parametrize(
    "program, message",
    [
        ("echo starting; echo 'Error:' >&2; echo 'no GPU' >&2; exit 3", "ended with status 3: Error:; no GPU"),
        ("echo said here; exit 1", "ended with status 1: said here"),
        ("kill -9 $$", "ended by signal 9: it did not say why"),
        ("exit 0", "OpenPose wrote no frame of"),
    ],
)
def test_failure_says_how_and_why_and_leaves_nothing(build, video, tmp_path, program, message):
    build.write_text(f"#!/bin/sh\n{program}\n")
    with pytest.raises(DataError) as error:
        run_openpose(build.parents[2], video, "out")
    assert message in str(error.value) and "\n" not in str(error.value)
    assert not (tmp_path / "out").exists() and not (tmp_path / "out.part").exists()


def test_what_is_not_there_is_one_line(build, video, tmp_path):
    with pytest.raises(DataError, match=r"openpose\.bin does not exist; give the folder in which OpenPose was built"):
        run_openpose(tmp_path / "elsewhere", video, "out")
    with pytest.raises(DataError, match=r"none\.mp4 does not exist"):
        run_openpose(build.parents[2], "none.mp4", "out")
    with pytest.raises(DataError, match="OpenPose's model is 'MPI'; it must be COCO or BODY_25"):
        run_openpose(build.parents[2], video, "out", "MPI")


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Writes a module with one of the signatures; it is forgotten after the test."""

    def write(kind, nobody="None"):
        folder = tmp_path / "build/python/openpose"
        folder.mkdir(parents=True)
        (folder / "__init__.py").touch()
        vector = "class VectorDatum(list): pass\n" if kind == "VectorDatum" else ""
        (folder / "pyopenpose.py").write_text(f"{vector}KIND = {kind}\n{MODULE}\nNOBODY = {nobody}\n")
        return tmp_path / "build"

    yield write
    for name in [name for name in sys.modules if name.split(".")[0] == "openpose"]:
        del sys.modules[name]


@pytest.mark.parametrize("kind", ["list", "VectorDatum"])
@pytest.mark.parametrize("model", ["COCO", "BODY_25"])
def test_either_signature_and_either_model(module, kind, model):
    pose = OpenPose(module(kind), model)
    image = np.zeros((4, 6, 3), np.uint8)
    image[..., 2] = 40  # blue, in RGB
    persons = pose(image)
    assert persons.shape == (2, 18, 3) and persons.dtype == np.float32
    assert not persons[0, 4].any() and (persons[1] == 40).all()
    assert str(sys.path).count("build/python") == 0


@pytest.mark.parametrize("nobody", ["None", "np.array(0.0)", "np.zeros((0, 18, 3))"])
def test_nobody_is_an_empty_list_of_persons(module, nobody):
    assert OpenPose(module("list", nobody))(np.zeros((4, 6, 3), np.uint8)).shape == (0, 18, 3)


def test_a_module_that_cannot_be_loaded_says_why(module, tmp_path):
    with pytest.raises(DataError, match=r"No module named 'openpose'.*BUILD_PYTHON=ON"):
        OpenPose(tmp_path)
    build = module("list")
    (build / "python/openpose/pyopenpose.py").write_text("raise ImportError('libcaffe.so.1: cannot open')")
    with pytest.raises(DataError, match=r"libcaffe\.so\.1: cannot open"):
        OpenPose(build)


def test_weights_that_are_not_there_are_one_line(module):
    build = module("list")
    path = build / "python/openpose/pyopenpose.py"
    path.write_text(path.read_text().replace("        pass\n", "        raise RuntimeError('Error:\\nno prototxt')\n"))
    with pytest.raises(DataError, match="OpenPose does not start: Error: no prototxt"):
        OpenPose(build)
