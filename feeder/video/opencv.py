"""The one door to OpenCV: `from feeder.pose.opencv import cv2`. Where it cannot be loaded, one line says what to install."""

from __future__ import annotations

import os
import sys

from torchlight.errors import DataError

os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")  # our own line about a missing camera is enough
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

try:
    import cv2 as cv2  # handed on
except ModuleNotFoundError as error:
    raise DataError(f"OpenCV is not installed ({error}): pip install opencv-python") from None
except ImportError as error:  # the wheel is there, a system library of its window is not
    raise DataError(
        f"OpenCV cannot be loaded ({error}): apt install libgl1 libglib2.0-0, or pip install opencv-python-headless"
    ) from None


def has_display() -> bool:
    """Whether a window can be opened. OpenCV does not raise without a display, it ends the process: ask before."""
    if sys.platform in ("darwin", "win32"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
