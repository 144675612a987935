"""OpenPose, where it has been built: its program for a whole video, or its Python module picture by picture.

folder = run_openpose("~/openpose/build", "clip.mp4", "work/clip")      # then feeder.readers.openpose.read_frames
persons = OpenPose("~/openpose/build")(image)                           # (H, W, 3) uint8 RGB -> (P, 18, 3)
"""

from __future__ import annotations

import importlib
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

from feeder.readers.openpose import FILE
from feeder.skeleton import load_skeleton, remap
from torchlight.errors import DataError, one_line, short

MODELS = {"COCO": "openpose", "BODY_25": "body_25"}  # what OpenPose calls them: their layout
PROGRAMS = ("examples/openpose/openpose.bin", "build/examples/openpose/openpose.bin", "bin/OpenPoseDemo.exe")


def run_openpose(openpose_dir: str | Path, video: str | Path, out_folder: str | Path, model: str = "COCO") -> Path:
    """Run OpenPose's program on a video; returns out_folder, with one JSON file a frame in it.

    An out_folder that holds nothing but such files, of an earlier run, is replaced once the new ones are there.

    Raises:
        DataError: there is no OpenPose, it failed (with its exit status and what it said), or it wrote nothing.
    """
    openpose_dir, video, out_folder = Path(openpose_dir).expanduser(), Path(video).resolve(), Path(out_folder).resolve()
    program = next((openpose_dir / name for name in PROGRAMS if (openpose_dir / name).is_file()), None)
    if program is None:
        raise DataError(f"{openpose_dir / PROGRAMS[0]} does not exist; give the folder in which OpenPose was built")
    if not video.is_file():
        raise DataError(f"{video} does not exist, or is not a file")
    if out_folder.exists() and not all(FILE.fullmatch(file.name) for file in out_folder.iterdir()):
        raise DataError(
            f"{out_folder} holds other files than OpenPose's; name another folder, or one that is not there"
        )
    part = out_folder.with_name(f"{out_folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    options = {"video": video, "write_json": part, "display": 0, "render_pose": 0, "model_pose": _known(model)}
    options["model_folder"] = _model_folder(openpose_dir)
    command = [str(program.resolve()), *(str(word) for key, value in options.items() for word in (f"--{key}", value))]
    try:
        _call(command)
        if not any(FILE.fullmatch(file.name) for file in part.iterdir()):
            raise DataError(f"OpenPose wrote no frame of {video}; is it a video?")
        shutil.rmtree(out_folder, ignore_errors=True)
        part.replace(out_folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return out_folder


class OpenPose:
    """OpenPose's Python module, as an estimator.

    Args:
        openpose_dir: the folder in which OpenPose was built, with python/ in it.
        model: COCO or BODY_25; the joints are those of `layout` in either case.

    Raises:
        DataError: the module cannot be loaded or does not start, and why.
    """

    layout = "openpose"

    def __init__(self, openpose_dir: str | Path, model: str = "COCO") -> None:
        self.source, self.target = load_skeleton(MODELS[_known(model)]), load_skeleton(self.layout)
        openpose_dir = Path(openpose_dir).expanduser()
        self.module = _module(openpose_dir)
        try:
            self.wrapper = self.module.WrapperPython()
            self.wrapper.configure({"model_folder": str(_model_folder(openpose_dir)), "model_pose": model})
            self.wrapper.start()
        except RuntimeError as error:  # no weights, no GPU ...
            raise DataError(f"OpenPose does not start: {one_line(error)}") from None
        self.vector = getattr(self.module, "VectorDatum", list)  # OpenPose 1.7 wants its own kind of list

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 RGB -> (P, 18, 3) float32: x, y in pixels of the image, score; 0 where missing."""
        datum = self.module.Datum()
        datum.cvInputData = np.ascontiguousarray(image[..., ::-1])  # BGR
        self.wrapper.emplaceAndPop(self.vector([datum]))
        points = datum.poseKeypoints
        if points is None or np.ndim(points) != 3:  # no person: None, or an array without shape
            return np.zeros((0, self.target.num_joint, 3), np.float32)
        points = np.array(points, np.float32)
        points[points[..., 2] <= 0] = 0
        return remap(points, self.source, self.target)


def _call(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL)
    if done.returncode:
        said = "; ".join(line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip())
        how = f"with status {done.returncode}" if done.returncode > 0 else f"by signal {-done.returncode}"
        raise DataError(f"{command[0]} ended {how}: {said[-1000:] or 'it did not say why'}")


def _module(openpose_dir: Path) -> object:
    """pyopenpose, which its own CMake puts under python/openpose."""
    sys.path.append(str(openpose_dir / "python"))
    try:
        return importlib.import_module("openpose.pyopenpose")
    except ImportError as error:
        raise DataError(
            f"OpenPose's Python module in {openpose_dir / 'python'} cannot be loaded ({one_line(error)}); "
            "it is built with cmake -DBUILD_PYTHON=ON"
        ) from None
    finally:
        sys.path.remove(str(openpose_dir / "python"))


def _model_folder(openpose_dir: Path) -> Path:
    """models/ lies in the source folder, above the build folder, or beside what was unpacked."""
    near = [openpose_dir / "models", openpose_dir.parent / "models"]
    return next((folder for folder in near if folder.is_dir()), near[0]).resolve()


def _known(model: str) -> str:
    if model not in MODELS:
        raise DataError(f"OpenPose's model is {short(model)}; it must be {' or '.join(MODELS)}")
    return model
