"""Video files in and out, one frame at a time; an hour takes no more memory than a second. PyAV brings FFmpeg.

for frame in Video("clip.mp4"):
    print(frame.index, frame.seconds, frame.image.shape)     # (H, W, 3) uint8 RGB, upright
with VideoWriter("copy.mp4", width, height, fps, sound_from="clip.mp4") as out:
    out.write(image, seconds)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.error import FFmpegError
from av.video.reformatter import ColorRange, Colorspace

from feeder.pose.sound import Sound, location
from feeder.sequence import DataError

SUFFIXES = (".3gp", ".avi", ".flv", ".gif", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4")
SUFFIXES += (".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".webm", ".wmv")
TICK = Fraction(1, 90000)  # of the written file: fine enough for any frame rate, exact for the usual ones
LONGEST = 2**30  # ticks that a picture may stand, three hours; .mp4 has 32 bits for it

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


class VideoWriter:
    """An .mp4 that plays everywhere: H.264, yuv420p, index in front, even sides, the sound of `sound_from` if it has one.

    It is written as <name>.part.mp4 and gets its name when the `with` ends, also by Ctrl-C; any other error removes it,
    and so does ending without a frame. The sound lasts as long as the picture.
    """

    def __init__(self, path: str | Path, width: int, height: int, fps: float, sound_from: str | Path | None = None):
        self.path = Path(path)
        self.part = self.path.with_name(self.path.stem + ".part.mp4")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.width, self.height, self.step = width, height, max(1, round(1 / (fps * TICK)))
        self.last, self.skipped = None, 0  # time of the last frame, and what was left out before it, in ticks
        self.sound = Sound(sound_from) if sound_from is not None else None
        self.container = av.open(location(self.part), "w", format="mp4", options={"movflags": "faststart"})
        rate = Fraction(fps).limit_denominator(1001)
        # superfast: a third less work than veryfast for a third more bytes; drawing and pose want the processor too
        self.stream = self.container.add_stream("libx264", rate=rate, options={"preset": "superfast", "crf": "23"})
        self.stream.width, self.stream.height = width + width % 2, height + height % 2
        self.stream.pix_fmt = "yuv420p"
        codec = self.stream.codec_context
        codec.time_base, codec.thread_type = TICK, "AUTO"
        codec.colorspace = codec.color_primaries = codec.color_trc = Colorspace.ITU709.value
        codec.color_range = ColorRange.MPEG.value
        if self.sound:
            self.sound.add_to(self.container)

    def write(self, image: np.ndarray, seconds: float) -> None:
        """(height, width, 3) uint8 RGB, shown from `seconds` on; a time not after the last one is moved there."""
        if image.shape != (self.height, self.width, 3):
            raise ValueError(f"image is {image.shape}, the video was opened for {(self.height, self.width, 3)}")
        if self.width % 2 or self.height % 2:
            image = np.pad(image, ((0, self.height % 2), (0, self.width % 2), (0, 0)), "edge")
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24").reformat(
            format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG, threads=1
        )
        ticks = max(0, round(seconds / TICK)) - self.skipped
        if self.last is not None and ticks > self.last + LONGEST:  # the source's clock has jumped
            self.skipped += ticks - (self.last + self.step)
            ticks = self.last + self.step
        self.last = ticks if self.last is None else max(ticks, self.last + 1)
        frame.pts, frame.time_base, frame.duration = self.last, TICK, self.step
        self._mux(frame)

    def _mux(self, frame: av.VideoFrame | None) -> None:
        try:
            for packet in self.stream.encode(frame):
                if self.sound:
                    self.sound.until(packet.dts * packet.time_base)
                self.container.mux(packet)
        except FFmpegError as error:
            if isinstance(error, OSError):
                raise
            raise DataError(f"{self.path} cannot be written, {self.width} x {self.height} ({error.strerror})") from None

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, kind, error, trace) -> None:
        keep = self.last is not None and (kind is None or issubclass(kind, KeyboardInterrupt))
        try:
            if keep:
                self._mux(None)
                if self.sound:
                    self.sound.until((self.last + self.step) * TICK)
            self._close()
            if keep:
                self.part.replace(self.path)
        finally:
            self.part.unlink(missing_ok=True)

    def _close(self) -> None:
        if self.sound:
            self.sound.close()
        self.container.close()
