"""A camera or a network stream, read by a thread of its own, which keeps the latest picture alone."""

from __future__ import annotations

import threading
import time

from feeder.video.decode import Frame
from feeder.video.opencv import cv2
from torchlight.errors import DataError

PATIENCE = 10  # seconds until a stream that does not answer counts as gone


class Camera:
    """
    Args:
        source: number of a camera (0, "0") or the address of a stream (rtsp://..., http://...).

    Attributes:
        width, height: of the pictures that come.
        fps: as the camera tells it, 30 if it does not.

    Raises:
        DataError: it cannot be opened, or gives no picture.
    """

    def __init__(self, source: int | str):
        self.source = int(source) if str(source).isdecimal() else str(source)
        self.capture = self._open()
        ok, image = self.capture.read() if self.capture.isOpened() else (False, None)
        if not ok:
            self.capture.release()
            what = f"camera {source}" if isinstance(self.source, int) else f"{source}"
            raise DataError(f"{what} cannot be opened or gives no picture; is it connected, and free?")
        self.height, self.width = image.shape[:2]
        fps = self.capture.get(cv2.CAP_PROP_FPS)
        self.fps = float(fps) if 0 < fps <= 1000 else 30.0
        self.is_file = self.capture.get(cv2.CAP_PROP_FRAME_COUNT) > 0  # a web server's: it comes faster than it plays
        self.begin = time.monotonic()
        self.latest: Frame | None = Frame(0, 0.0, image)  # BGR until it is read
        self.ended = False
        self.change = threading.Condition()
        self.thread = threading.Thread(target=self._capture, name=f"camera {source}", daemon=True)
        self.thread.start()

    def read(self, timeout: float = PATIENCE) -> Frame | None:
        """The latest picture that was not read yet, RGB; waits for one. None: the camera is gone, or gave none in that time.

        Frame.index counts the pictures taken, so those that were passed over leave gaps; seconds run from the first.
        """
        with self.change:
            self.change.wait_for(lambda: self.latest is not None or self.ended, timeout)
            frame, self.latest = self.latest, None
        if frame is not None:
            frame.image = cv2.cvtColor(frame.image, cv2.COLOR_BGR2RGB)
        return frame

    def stop(self) -> None:
        """End the thread, which lets go of the camera: `read` gives the picture that is there, then None."""
        with self.change:
            self.ended = True
            self.change.notify_all()

    def close(self) -> None:
        """Stop, and wait for it: for a stream without pictures no longer than PATIENCE."""
        self.stop()
        self.thread.join(PATIENCE)

    def __enter__(self) -> Camera:
        return self

    def __exit__(self, *error) -> None:
        self.close()

    def _open(self) -> cv2.VideoCapture:
        if isinstance(self.source, int):
            return cv2.VideoCapture(self.source)
        wait = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, PATIENCE * 1000, cv2.CAP_PROP_READ_TIMEOUT_MSEC, PATIENCE * 1000]
        return cv2.VideoCapture(self.source, cv2.CAP_FFMPEG, wait)

    def _capture(self) -> None:
        index = 0
        try:
            while not self.ended:
                ok, image = self.capture.read()
                if not ok:
                    return
                index += 1
                if self.is_file:
                    time.sleep(max(0, self.begin + index / self.fps - time.monotonic()))
                with self.change:
                    self.latest = Frame(index, time.monotonic() - self.begin, image)
                    self.change.notify_all()
        except cv2.error:  # a driver's way of saying that the camera is gone
            return
        finally:
            with self.change:
                self.ended = True
                self.change.notify_all()
            self.capture.release()
