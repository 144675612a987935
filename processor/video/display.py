"""What somebody sees: a person as a window speaks of them, and the picture in a window of its own."""

from __future__ import annotations

import numpy as np

from processor.recognizer import Recognizer
from processor.video import drawing
from processor.video.windows import Window


def person_of(recognizer: Recognizer, window: Window, track: int, joints: np.ndarray, index: int) -> drawing.Person:
    """Somebody as a window speaks of them: label, score and the attention at this frame."""
    label, score = recognizer.decide(window.probability)
    attention = None
    if window.attention is not None:
        T = len(window.attention)
        t = (index - window.first) * T // (window.last - window.first + 1)
        attention = window.attention[min(max(t, 0), T - 1)].astype(np.float32)
    return drawing.Person(track, joints, label, score, attention)


class Display:
    """The window, where there is a display; OpenCV ends the process where there is none, so that is asked first."""

    def __init__(self, wanted: bool):
        self.cv2, self.open = None, False
        if wanted:
            from feeder.video.opencv import cv2, has_display

            self.cv2 = cv2 if has_display() else self._without("there is no display here")

    def __call__(self, picture: np.ndarray | None) -> bool:
        """Show an RGB picture, or let the last one stand; whether q or Esc was pressed, or the window closed."""
        if self.cv2 is None or (picture is None and not self.open):
            return False
        try:
            if picture is not None:
                self.cv2.imshow("ST-GCN", picture[:, :, ::-1])
                self.open = True
            pressed = self.cv2.waitKey(1) & 0xFF in (ord("q"), 27)
            return pressed or self.cv2.getWindowProperty("ST-GCN", self.cv2.WND_PROP_VISIBLE) == 0
        except self.cv2.error:  # it has gone, or never came: opencv-python-headless
            gone, self.cv2 = self.open, self._without("this OpenCV opens no windows") if not self.open else None
            return gone

    @staticmethod
    def _without(why: str) -> None:
        print(f"{why}; the picture is in the file all the same")
