"""What is said where OpenCV cannot be loaded."""

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from feeder.video import opencv
from torchlight.errors import DataError

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    "content, remedy",
    [
        ("raise ImportError('libGL.so.1: cannot open shared object file: No such file or directory')", "libgl1"),
        ("raise ImportError('libgthread-2.0.so.0: cannot open shared object file')", "libglib2.0-0"),
        ("raise ModuleNotFoundError(\"No module named 'cv2'\")", "pip install opencv-python"),
    ],
)
def test_one_line_names_what_to_install(tmp_path, monkeypatch, content, remedy):
    (tmp_path / "cv2.py").write_text(content)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "cv2", raising=False)
    with pytest.raises(DataError, match=remedy) as error:
        runpy.run_path(opencv.__file__)
    assert "\n" not in str(error.value)


def test_a_display_is_looked_for(monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert opencv.has_display() is False
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    assert opencv.has_display() is True
    monkeypatch.delenv("WAYLAND_DISPLAY")
    monkeypatch.setenv("DISPLAY", ":0")
    assert opencv.has_display() is True
    monkeypatch.delenv("DISPLAY")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert opencv.has_display() is True


def test_files_are_read_and_written_without_opencv():
    code = "import sys, feeder.video.decode, feeder.video.encode; assert 'cv2' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
