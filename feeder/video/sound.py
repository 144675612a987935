"""The sound of one video file on its way into another, packet by packet, never before the picture."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
from av.error import FFmpegError, InvalidDataError

COPIED = frozenset({"aac", "mp3"})  # what browsers play inside .mp4; the rest becomes AAC
RATES = frozenset({8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000})


def location(path: str | Path) -> str:
    """A path for FFmpeg, in which "a:b.mp4" is a file and not a protocol a, nor "-" the standard input."""
    return str(Path(path).absolute())


class Sound:
    """The sound of `source`, if it has one: add_to(container), then until(t) before each picture of time t is written."""

    def __init__(self, source: str | Path):
        self.input = av.open(location(source), metadata_errors="replace")
        self.packet, self.packets = None, (packet for packet in ())

    def add_to(self, container: av.container.OutputContainer) -> None:
        """Make a stream for it, before anything is written."""
        self.output = container
        stream = self.input.streams.best("audio")
        if stream is None or stream.codec_context is None:
            return
        if stream.codec_context.codec.canonical_name in COPIED:
            self.packets = self._copied(stream, container.add_stream_from_template(stream))
        else:
            rate = stream.rate if stream.rate in RATES else 48000
            layout = "mono" if stream.codec_context.channels == 1 else "stereo"
            self.packets = self._transcoded(stream, container.add_stream("aac", rate=rate, layout=layout))

    def until(self, seconds: Fraction) -> None:
        """Write the packets that begin before `seconds` and are not yet written."""
        self.packet = self.packet or next(self.packets, None)
        while self.packet and self.packet.dts * self.packet.time_base < seconds:
            with suppress(InvalidDataError):  # a damaged packet is left out; a full disk is still an error
                self.output.mux(self.packet)
            self.packet = next(self.packets, None)

    def close(self) -> None:
        self.packets.close()
        self.input.close()

    def _demuxed(self, stream: av.AudioStream) -> Iterator[av.Packet]:
        """The packets of the stream, times counted from the start of the file; ends where the file cannot be read on."""
        start = round(Fraction(self.input.start_time or 0, 1_000_000) / stream.time_base)
        packets = self.input.demux(stream)
        while True:
            try:
                packet = next(packets, None)
            except FFmpegError:
                return
            if packet is None:
                return
            if packet.dts is not None and packet.pts is not None:
                packet.dts, packet.pts = packet.dts - start, packet.pts - start
                yield packet

    def _copied(self, stream: av.AudioStream, output: av.AudioStream) -> Iterator[av.Packet]:
        last = None
        for packet in self._demuxed(stream):
            if last is None or packet.dts > last:  # .mp4 takes only rising times
                last, packet.stream = packet.dts, output
                yield packet

    def _transcoded(self, stream: av.AudioStream, output: av.AudioStream) -> Iterator[av.Packet]:
        codec = output.codec_context
        target = codec.format, codec.layout, codec.sample_rate
        try:  # silence where the source has a hole, so that the rest stays in time
            resampler = av.AudioResampler(*target, options={"async": "1000"})
        except TypeError:  # PyAV 17, the last one for Python 3.10: the hole stays
            resampler = av.AudioResampler(*target)
        for packet in self._demuxed(stream):
            try:
                frames = [even for frame in packet.decode() for even in resampler.resample(frame)]
            except (FFmpegError, ValueError):  # damaged
                continue
            for frame in frames:
                yield from output.encode(frame)
        yield from output.encode(None)
