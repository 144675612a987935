"""The timeline along the bottom of the picture: who did what when, a colour for each label, and where the video is.

timeline = Timeline(mosaic.size[0], mosaic.strip)
timeline.show(segments, 0.0, video_seconds)
timeline.paint(picture, seconds)                # into its lowest rows, with the cursor
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from feeder.video.opencv import cv2
from processor.video.segments import Segment

COLOURS = np.array(  # of the labels in turn; white text is legible on them
    [[31, 119, 180], [214, 96, 20], [44, 140, 60], [190, 50, 120], [120, 90, 200]]
    + [[150, 110, 30], [20, 140, 140], [200, 60, 60], [90, 110, 60], [80, 100, 140]]
)
GROUND, NOTHING, INK = (16, 18, 22), (58, 62, 70), (255, 255, 255)
ROWS = 4  # persons
BOLD = 600


class Timeline:
    """
    Args:
        width, height: of the strip, in pixels.
    """

    def __init__(self, width: int, height: int):
        self.width, self.height = width, height
        self.font = cv2.FontFace("sans")
        self.colour: dict[str, tuple[int, ...]] = {}  # of the labels, as they come
        self.strip = np.full((height, width, 3), GROUND, np.uint8)
        self.begin, self.end = 0.0, 1.0

    def show(self, segments: Sequence[Segment], begin: float, end: float) -> None:
        """Draw the segments from `begin` to `end`, in seconds: a row for each of the persons recognised for longest."""
        self.begin, self.end = begin, max(end, begin + 1e-3)
        self.strip[:] = GROUND
        tracks = self._tracks(segments)
        edges = np.linspace(0, self.height, len(tracks) + 1).round().astype(int)
        row = {track: (top, bottom) for track, top, bottom in zip(tracks, edges, edges[1:])}
        for segment in segments:
            if segment.track in row and segment.end > begin:
                self._bar(segment, *row[segment.track])

    def paint(self, picture: np.ndarray, seconds: float) -> None:
        """Into the lowest rows of a picture (H, W, 3), with a cursor at that second."""
        below = picture[len(picture) - self.height :]
        below[:] = self.strip
        thick = max(1, self.height // 12)
        x = min(self._column(seconds), self.width - thick)
        below[:, x : x + thick] = INK

    def _tracks(self, segments: Sequence[Segment]) -> list[int]:
        seconds: dict[int, tuple[float, float]] = {}
        for segment in segments:
            recognised, seen = seconds.get(segment.track, (0.0, 0.0))
            length = segment.end - segment.begin
            seconds[segment.track] = recognised + length * segment.recognised, seen + length
        longest = sorted(seconds, key=lambda track: (seconds[track], -track), reverse=True)
        return sorted(longest[:ROWS])

    def _bar(self, segment: Segment, top: int, bottom: int) -> None:
        left, right = self._column(segment.begin), self._column(segment.end)
        gap = int(bottom - top > 5)
        bar = self.strip[top + gap : bottom - gap, left : max(right - gap, left + 1)]
        if not segment.recognised:
            bar[:] = NOTHING
            return
        colour = self.colour.setdefault(segment.label, tuple(COLOURS[len(self.colour) % len(COLOURS)].tolist()))
        bar[:] = colour
        size, edge = round(0.62 * len(bar)), max(3, len(bar) // 5)
        room = bar.shape[1] - 2 * edge
        if size < 7 or room < size:
            return
        whole = text = segment.told()
        while text and self._width(text, size) > room:
            text = text[:-1] if len(text) < 60 else text[:59]
        if len(text) < len(whole):
            text = text[:-1].rstrip() + "…" if len(text) > 2 else ""
        if text:
            part = np.ascontiguousarray(bar)
            cv2.putText(part, text, (edge, len(bar) // 2 + round(0.33 * size)), INK, self.font, size, BOLD)
            bar[:] = part

    def _column(self, seconds: float) -> int:
        share = (seconds - self.begin) / (self.end - self.begin)
        return round(min(max(share, 0.0), 1.0) * (self.width - 1))

    def _width(self, text: str, size: int) -> int:
        return cv2.getTextSize((0, 0), text, (0, 0), self.font, size, BOLD)[2]
