"""A window on the screen with the picture of the demo."""

from __future__ import annotations

import numpy as np

TITLE = "ST-GCN"


class Display:
    """Shows pictures where there is a screen. OpenCV ends the process where there is none, so that is checked first.

    Args:
        wanted: False: no window, and every call returns False.
    """

    def __init__(self, wanted: bool):
        self.cv2, self.open = None, False
        if wanted:
            from feeder.video.opencv import cv2, has_display

            self.cv2 = cv2 if has_display() else self._no_window("there is no display here")

    def __call__(self, picture: np.ndarray | None) -> bool:
        """Show an RGB picture (None: leave the last one); True when q or Esc was pressed, or the window was closed."""
        if self.cv2 is None or (picture is None and not self.open):
            return False
        try:
            if picture is not None:
                self.cv2.imshow(TITLE, picture[:, :, ::-1])
                self.open = True
            pressed = self.cv2.waitKey(1) & 0xFF in (ord("q"), 27)
            return pressed or self.cv2.getWindowProperty(TITLE, self.cv2.WND_PROP_VISIBLE) == 0
        except self.cv2.error:  # the window is gone, or never came: opencv-python-headless
            was_open = self.open
            self.cv2 = None if was_open else self._no_window("this OpenCV opens no windows")
            return was_open

    @staticmethod
    def _no_window(why: str) -> None:
        print(f"{why}; the picture is in the file all the same")
