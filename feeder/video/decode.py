"""Video files in, one frame at a time; an hour takes no more memory than a second. PyAV brings FFmpeg.

for frame in Video("clip.mp4"):
    print(frame.index, frame.seconds, frame.image.shape)     # (H, W, 3) uint8 RGB, upright
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.error import FFmpegError

from feeder.video.sound import location
from torchlight.errors import DataError

SUFFIXES = (".3gp", ".avi", ".flv", ".gif", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4")
SUFFIXES += (".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".webm", ".wmv")

av.logging.set_level(None)  # FFmpeg's remarks about a damaged file do not belong on the terminal


@dataclass
class Frame:
    """One picture: its number from 0, its time in seconds, (H, W, 3) uint8 RGB."""

    index: int
    seconds: float
    image: np.ndarray


def list_videos(path: str | Path) -> list[Path]:
    """A file: itself. A folder: the videos in it (not below), by name."""
    path = Path(path)
    if not path.exists():
        raise DataError(f"{path} does not exist")
    if not path.is_dir():
        return [path]
    videos = [p for p in path.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith(".")]
    videos = sorted(p for p in videos if p.is_file() and not p.stem.endswith(".part"))
    if not videos:
        raise DataError(f"{path} has no video in it; looked for {' '.join(SUFFIXES)}")
    return videos


class Video:
    """A video file, as often through as wanted.

    Frames come upright (rotation and mirroring by metadata are carried out), all of one size, with strictly rising
    times: the file's own, or 1/fps after the one before where the file has none. Damaged frames are left out and counted.

    Attributes:
        width, height: as displayed, in pixels as stored (a pixel is taken for square, as OpenPose does).
        fps: average frames per second.
        num_frame: as the file tells it, an estimate; None if it does not.
        has_audio: there is sound.
        broken: how many frames the last time through has met that were damaged or ended the file early, so far.

    Raises:
        DataError: no such file, not a video, or nothing in it can be decoded.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.broken = 0
        if not self.path.is_file():
            raise DataError(f"{path} is a folder, not a video" if self.path.is_dir() else f"{path} does not exist")
        with self._open() as container:
            stream = self._stream(container)
            rates = (stream.average_rate, stream.guessed_rate, Fraction(25))
            self.fps = float(next(rate for rate in rates if rate and 0.01 <= rate <= 1000))
            seconds = stream.duration * stream.time_base if stream.duration else (container.duration or 0) / 1e6
            self.num_frame = stream.frames or round(seconds * self.fps) or None
            self.has_audio = bool(container.streams.audio)
            first = next(self._decoded(container, stream), None)
            if first is None:
                raise DataError(f"{path}: none of its pictures can be decoded; the file is damaged")
        self._stored = {"width": first.width, "height": first.height}
        self._turn = _turn(first)
        self.width, self.height = (first.height, first.width) if self._turn[0] else (first.width, first.height)
        self.broken = 0

    def __iter__(self) -> Iterator[Frame]:
        self.broken = 0
        step = 1 / self.fps
        last = -step
        with self._open() as container:
            stream = self._stream(container)
            start = (container.start_time or 0) / 1e6  # of picture and sound, whichever is earlier
            for index, frame in enumerate(self._decoded(container, stream)):
                seconds = -1.0 if frame.pts is None else max(0.0, float(frame.pts * frame.time_base) - start)
                last = seconds if seconds > last else last + step
                # one thread: the picture is small, and starting more for each one takes longer than the work
                image = frame.to_ndarray(format="rgb24", threads=1, **self._stored)  # (H, W, 3)
                yield Frame(index, last, _turned(image, *self._turn))

    def _open(self) -> av.container.InputContainer:
        try:
            container = av.open(location(self.path), metadata_errors="replace")
        except FFmpegError as error:
            if isinstance(error, OSError):
                raise
            raise DataError(f"{self.path} is not a video, or is cut off ({error.strerror})") from None
        if container.format.name == "tty":  # FFmpeg would draw a text file as a terminal
            container.close()
            raise DataError(f"{self.path} is text, not a video")
        return container

    def _stream(self, container: av.container.InputContainer) -> av.VideoStream:
        stream = container.streams.best("video")
        if stream is None or stream.disposition & stream.disposition.attached_pic:  # the cover of a piece of music
            raise DataError(f"{self.path} has no picture, only {'sound' if container.streams.audio else 'data'}")
        if stream.codec_context is None:
            raise DataError(f"{self.path}: its kind of video is unknown here; convert it to H.264")
        stream.thread_type = "AUTO"
        return stream

    def _decoded(self, container: av.container.InputContainer, stream: av.VideoStream) -> Iterator[av.VideoFrame]:
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets, None)
            except FFmpegError:  # the rest cannot be found
                self.broken += 1
                return
            if packet is None:
                return
            try:
                frames = packet.decode()
            except FFmpegError:
                self.broken += 1
                continue
            for frame in frames:
                self.broken += frame.is_corrupt  # it is there, with some of it guessed
                yield frame


def _turn(frame: av.VideoFrame) -> tuple[bool, bool, bool]:
    """What puts a stored frame upright: swap rows and columns, then flip the rows, then flip the columns."""
    side = frame.side_data.get("DISPLAYMATRIX")
    if side is None:
        return False, False, False
    a, b, _, c, d = np.frombuffer(side, np.int32)[:5].tolist()  # x' = a x + c y, y' = b x + d y
    return (True, b < 0, c < 0) if abs(b) > abs(a) else (False, d < 0, a < 0)


def _turned(image: np.ndarray, swap: bool, flip_rows: bool, flip_columns: bool) -> np.ndarray:
    image = image.swapaxes(0, 1) if swap else image
    return np.ascontiguousarray(image[:: -1 if flip_rows else 1, :: -1 if flip_columns else 1])
