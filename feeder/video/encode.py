"""Video files out, one frame at a time.

with VideoWriter("copy.mp4", width, height, fps, sound_from="clip.mp4") as out:
    out.write(image, seconds)                                # (height, width, 3) uint8 RGB
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.error import FFmpegError
from av.video.reformatter import ColorRange, Colorspace

from feeder.video.sound import Sound, location
from torchlight.errors import DataError
from torchlight.files import temporary_name

TICK = Fraction(1, 90000)  # of the written file: fine enough for any frame rate, exact for the usual ones
LONGEST = 2**30  # ticks that a picture may stand, three hours; .mp4 has 32 bits for it


class VideoWriter:
    """An .mp4 that plays everywhere: H.264, yuv420p, index in front, even sides, the sound of `sound_from` if it has one.

    It gets its name when the `with` ends; until then it has a temporary one. Ctrl-C makes it <name>_partial.mp4; any other
    error removes it, and so does ending without a frame. The sound lasts as long as the picture.

    Attributes:
        path: its name; after the `with`, the one that it got.
        partial: it is not all that there is, and is to be called so.
    """

    def __init__(self, path: str | Path, width: int, height: int, fps: float, sound_from: str | Path | None = None):
        self.path = Path(path)
        self.partial = False
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.temporary = temporary_name(self.path)
        self.width, self.height, self.step = width, height, max(1, round(1 / (fps * TICK)))
        self.last, self.skipped = None, 0  # time of the last frame, and what was left out before it, in ticks
        self.sound = Sound(sound_from) if sound_from is not None else None
        self.container = av.open(location(self.temporary), "w", format="mp4", options={"movflags": "faststart"})
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
        interrupted = kind is not None and issubclass(kind, KeyboardInterrupt)
        keep = self.last is not None and (kind is None or interrupted)
        if self.partial or interrupted:
            self.path = self.path.with_name(f"{self.path.stem}_partial{self.path.suffix}")
        try:
            if keep:
                self._mux(None)
                if self.sound:
                    self.sound.until((self.last + self.step) * TICK)
            self._close()
            if keep:
                self.temporary.replace(self.path)
        finally:
            self.temporary.unlink(missing_ok=True)

    def _close(self) -> None:
        if self.sound:
            self.sound.close()
        self.container.close()
