"""The picture of the demo: a frame of the video as a mosaic of four panes.

    the video                 | what the network is given: skeletons, each person in a colour
    where the network looks,  | where it looks, on the video
    and what it says          |

Below them is room for a timeline (timeline.py). Pictures are (H, W, 3) uint8 RGB. Everything is sized by the height of
the mosaic.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from feeder.skeleton import Skeleton
from feeder.video.opencv import cv2
from processor.recognizer import UNKNOWN, Recognizer
from processor.video.windows import Window

COLOURS = np.array(  # of the tracks in turn: bright on black, easy to distinguish
    [[64, 196, 255], [255, 165, 40], [130, 230, 110], [255, 105, 180], [250, 230, 90]]
    + [[170, 140, 255], [255, 105, 90], [50, 225, 190], [115, 150, 255], [205, 165, 120]]
)
WHITE, GREY, INK = (255, 255, 255), (200, 205, 212), (14, 16, 20)
BOLD, REGULAR = 600, 400
SHIFT = 4  # binary places in the coordinates of lines and circles
WIDEST = 4096  # pixels of a pane, for a video that is a strip: H.264 takes twice that
LEAST_HEIGHT = 240  # pixels of a mosaic that has room for a timeline
CROWD = 6  # persons, above whom the labels get smaller and "unknown" is not written
PLACES_ACROSS, PLACES_DOWN = (0, -1, 1, -2, 2), (0, -1, 1, -2, 2, -3, 3, -4, 4, 5, 6, 8)  # of a label, if home is taken
COARSE = 4  # the glow has no edges: every fourth pixel is enough


@dataclass
class DrawnPerson:
    """A person in the frame: V joints in its pixels, (V, 2) or (V, 3), all channels 0 where one is missing."""

    track: int
    joints: np.ndarray
    label: str = ""
    score: float = 0.0
    attention: np.ndarray | None = None  # (V,) 0..1: the network's attention on each joint


@dataclass
class BodyInPane:
    """A person in a pane: points (V, 2) in its pixels, which of them are there (V,), and the colour of the track."""

    points: np.ndarray
    there: np.ndarray
    colour: np.ndarray

    @property
    def box(self) -> np.ndarray:
        """(2, 2): left, top and right, bottom."""
        seen = self.points[self.there]
        return np.array([seen.min(0), seen.max(0)])

    @property
    def extent(self) -> float:
        return float((self.box[1] - self.box[0]).max())


def drawn_person(
    recognizer: Recognizer,
    window: Window | None,
    track: int,
    joints: np.ndarray,
    index: int,
    answer: tuple[str, float] | None = None,
) -> DrawnPerson:
    """A person in frame `index`, with the attention at that frame of a window.

    answer: the label and its score; None: those of the window.
    """
    if window is None:
        return DrawnPerson(track, joints, *(answer or ()))
    label, score = recognizer.decide(window.probability) if answer is None else answer
    attention = None
    if window.attention is not None:
        T = len(window.attention)
        t = (index - window.first) * T // (window.last - window.first + 1)
        attention = window.attention[min(max(t, 0), T - 1)].astype(np.float32)
    return DrawnPerson(track, joints, label, score, attention)


class Mosaic:
    """Draws the mosaics of one video.

    Args:
        frame_size: width and height of the frames; each pane has their shape.
        height: of the mosaic, in pixels. Its `size`, width and height, is even.
        skeleton: the layout of the persons.
        timeline: whether there are rows for it at the bottom, `strip` many; a small mosaic has none.
    """

    def __init__(self, frame_size: tuple[int, int], height: int, skeleton: Skeleton, timeline: bool = False):
        width, tall = frame_size
        self.strip = 2 * round(height / 60) if timeline and height >= LEAST_HEIGHT else 0
        self.h = max(16, round(min((height - self.strip) / 2, WIDEST * tall / width)))  # of a pane
        self.w = min(max(16, round(self.h * width / tall)), WIDEST)
        self.size = 2 * self.w, 2 * self.h + self.strip
        self.zoom = np.array([self.w / width, self.h / tall])
        self.bones = skeleton.bones
        self.font = cv2.FontFace("sans")  # OpenCV brings it, with most of Unicode
        self.letter = max(8, round(min(self.h, 1.3 * self.w) / 22))  # pixels, of a caption

    def draw(
        self,
        image: np.ndarray,
        persons: list[DrawnPerson],
        voted: str = "",
        score: float = 0.0,
        fps: float | None = None,
    ) -> np.ndarray:
        """The frame `image` and its persons, with the label of the whole video ("": none yet) -> (H, W, 3)."""
        h, w = self.h, self.w
        persons = [(person, body) for person in persons if (body := self._body(person)).there.any()]
        whole = np.zeros((2 * h + self.strip, 2 * w, 3), np.uint8)
        mosaic = whole[: 2 * h]
        video, given, said, seen = mosaic[:h, :w], mosaic[:h, w:], mosaic[h:, :w], mosaic[h:, w:]

        video[:] = cv2.resize(image, (w, h), interpolation=cv2.INTER_AREA if len(image) > h else cv2.INTER_LINEAR)
        grey = cv2.cvtColor(cv2.cvtColor(video, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        glow = self._glow(persons)
        said[:] = cv2.addWeighted(grey, 0.3, glow, 1, 0)
        seen[:] = cv2.addWeighted(video, 0.7, glow, 1, 0)
        for _, body in persons:
            self._skeleton(given, body, 1.0)
            self._skeleton(said, body, 0.5)
        self._say(said, persons)
        if voted:
            self._verdict(said, voted, score)
        mosaic[h - 1 : h + 1] = mosaic[:, w - 1 : w + 1] = 0

        for pane, name in (
            (video, "video"),
            (given, "inputs of st-gcn"),
            (said, "attention + prediction"),
            (seen, "attention + rgb"),
        ):
            self._caption(pane, name)
        if fps is not None:
            self._caption(video, f"{fps:.1f} fps", right=True)
        return whole

    def _body(self, person: DrawnPerson) -> BodyInPane:
        joints = np.asarray(person.joints, float)
        there = np.isfinite(joints).all(1) & (joints != 0).any(1)
        points = np.where(there[:, None], joints[:, :2], 0) * self.zoom
        far = np.array([self.w, self.h])
        return BodyInPane(points.clip(-far, 2 * far), there, COLOURS[person.track % len(COLOURS)])

    def _glow(self, persons: list[tuple[DrawnPerson, BodyInPane]]) -> np.ndarray:
        """(h, w, 3) uint8, light around the joints: the more attention, the wider and brighter.

        A round bell is a bell down the rows times one along the columns, so the sum over all joints is a product of
        two matrices, (rows, joints) and (joints, columns), for each colour.
        """
        lit = [(person, body) for person, body in persons if person.attention is not None]
        if not lit:
            return np.zeros((self.h, self.w, 3), np.uint8)
        attention = [np.nan_to_num(np.clip(person.attention, 0, 1))[body.there] for person, body in lit]
        joints = [len(a) for a in attention]
        attention = np.concatenate(attention).astype(np.float32)  # (J,)
        points = np.concatenate([body.points[body.there] for _, body in lit]).astype(np.float32)  # (J, 2)
        extent = np.repeat([body.extent for _, body in lit], joints)
        colour = np.repeat([body.colour for _, body in lit], joints, axis=0) / 255  # (J, 3)
        spread = np.maximum(extent * (0.02 + 0.05 * attention), 1.5 * COARSE).astype(np.float32)
        x, y = (np.arange(COARSE / 2, n, COARSE, dtype=np.float32) for n in (self.w, self.h))
        along = np.exp(-0.5 * ((x - points[:, :1]) / spread[:, None]) ** 2)  # (J, columns)
        down = np.exp(-0.5 * ((y - points[:, 1:]) / spread[:, None]) ** 2)  # (J, rows)
        light = (attention[:, None] ** 2 * colour).astype(np.float32)  # (J, 3)
        sums = [  # OpenCV's product, for BLAS has threads of its own that wait for each other when all cores are busy
            cv2.gemm(down * light[:, c : c + 1], along, 1, None, 0, flags=cv2.GEMM_1_T) for c in range(3)
        ]
        glow = 255 * (1 - np.exp(-1.7 * np.stack(sums, -1)))  # overlapping bells go to white, never beyond
        return cv2.resize(glow.astype(np.uint8), (self.w, self.h), interpolation=cv2.INTER_LINEAR)

    def _skeleton(self, pane: np.ndarray, body: BodyInPane, weight: float) -> None:
        """Bones, and joints brighter than they are; weight: of the lines, and their brightness."""
        thick = weight * np.clip(0.014 * body.extent, 1.5, self.h / 60)
        bone = tuple(int(c) for c in body.colour * (0.55 + 0.2 * weight))
        joint = tuple(int(c) for c in 255 - (255 - body.colour) * 0.6) if weight == 1 else bone
        at = np.round(body.points * 2**SHIFT).astype(int).tolist()
        for a, b in self.bones:
            if body.there[a] and body.there[b]:
                cv2.line(pane, at[a], at[b], bone, max(1, round(thick)), cv2.LINE_AA, SHIFT)
        for j in np.flatnonzero(body.there):
            cv2.circle(pane, at[j], round(max(1.05 * thick, 2) * 2**SHIFT), joint, -1, cv2.LINE_AA, SHIFT)

    def _say(self, pane: np.ndarray, persons: list[tuple[DrawnPerson, BodyInPane]]) -> None:
        """What is said of each person, on a pill near the head, clear of the pills there are and of the other persons."""
        crowd = len(persons) > CROWD
        letter = max(7, round(self.letter * max(0.5, CROWD / len(persons)))) if crowd else self.letter
        high = round(1.5 * letter)
        crowded = self._crowded([body for _, body in persons])
        taken = np.zeros((0, 4))
        for i in sorted(range(len(persons)), key=lambda i: persons[i][1].box[0, 1]):
            person, body = persons[i]
            if not person.label or (crowd and person.label == UNKNOWN):
                continue
            text, size, wide = self._fit(person.label, letter, 0.9 * self.w - high, f"  {person.score:.2f}")
            wide += high
            x, y = self._place(body, wide, high, taken, crowded)
            taken = np.concatenate([taken, [[x, y, x + wide, y + high]]])
            colour = tuple(body.colour.tolist())
            middle = y + high // 2
            cv2.line(pane, (x + high // 2, middle), (x + wide - high // 2, middle), colour, high, cv2.LINE_AA)
            self._write(pane, text, x + high // 2, middle, size, INK, BOLD)

    def _place(self, body: BodyInPane, wide: int, high: int, taken: np.ndarray, crowded: np.ndarray) -> tuple[int, int]:
        """The left upper corner of a pill of that size: above the head, or the nearest place that covers less.

        Args:
            taken: (N, 4) left, top, right, bottom of the pills there are.
            crowded: of _crowded.
        """
        (left, top), (right, _) = body.box
        home = np.array([(left + right - wide) / 2, top - 0.1 * body.extent - high])
        shift = np.stack(np.meshgrid(PLACES_ACROSS, PLACES_DOWN), -1).reshape(-1, 2)  # (K, 2), the first is home
        at = home + shift * [0.5 * wide, high + 3]
        highest, lowest = 2.0 * self.letter, self.h - 2.6 * self.letter - high - 2
        at = at.clip([2, min(highest, lowest)], [max(2, self.w - wide - 2), max(highest, lowest)]).round()
        end = at + [wide, high]
        apart = (at[:, None] >= taken[:, 2:] + 2) | (end[:, None] + 2 <= taken[:, :2])  # (K, N, 2)
        pills = (~apart.any(-1)).sum(1)
        (x, y), (to_x, to_y) = (np.maximum(each.T.astype(int), 0) // COARSE for each in (at, end + 2 * COARSE))
        rows, columns = np.array(crowded.shape) - 1
        x, to_x, y, to_y = x.clip(0, columns), to_x.clip(0, columns), y.clip(0, rows), to_y.clip(0, rows)
        covered = crowded[to_y, to_x] - crowded[y, to_x] - crowded[to_y, x] + crowded[y, x]
        cost = 1000.0 * pills + 3.0 * covered + np.linalg.norm((at - home) / high, axis=1)
        return tuple(at[cost.argmin()].astype(int).tolist())

    def _crowded(self, bodies: list[BodyInPane]) -> np.ndarray:
        """How much of the bodies lies left of and above each place: the integral of points along the bones, every COARSE
        pixels.
        """
        grid = np.zeros((-(-self.h // COARSE), -(-self.w // COARSE)), np.float32)
        for body in bodies:
            points = [body.points[body.there]]
            if bones := [(a, b) for a, b in self.bones if body.there[a] and body.there[b]]:
                a, b = body.points[np.array(bones).T]
                points += [a + (b - a) * share for share in (0.25, 0.5, 0.75)]
            x, y = (np.concatenate(points) // COARSE).astype(int).T
            inside = (x >= 0) & (y >= 0) & (x < grid.shape[1]) & (y < grid.shape[0])
            np.add.at(grid, (y[inside], x[inside]), 1)
        return cv2.integral(grid)

    def _verdict(self, pane: np.ndarray, voted: str, score: float) -> None:
        """The answer along the lower edge, over a bar as long as it is sure."""
        high, edge = round(2.6 * self.letter), self.letter // 2
        strip = pane[-high:]
        strip[:] = cv2.convertScaleAbs(strip, alpha=0.35)
        sure, wide = f"{score:.2f}", self._width(f"{score:.2f}", size := round(1.25 * self.letter))
        self._write(strip, sure, self.w - wide - 2 * edge, high // 2, size, WHITE, BOLD)
        text, size, _ = self._fit(f"voting result: {voted}", size, self.w - wide - 5 * edge)
        self._write(strip, text, 2 * edge, high // 2, size, WHITE, BOLD)
        bar = max(2, self.letter // 6)
        strip[-bar:, : round(self.w * min(max(score, 0), 1))] = COLOURS[0]

    def _caption(self, pane: np.ndarray, text: str, right: bool = False) -> None:
        edge = self.letter // 2
        text, size, wide = self._fit(text, round(0.8 * self.letter), self.w - 2 * edge, weight=REGULAR)
        box = pane[: size + 2 * edge, -wide - 2 * edge :] if right else pane[: size + 2 * edge, : wide + 2 * edge]
        box[:] = cv2.convertScaleAbs(box, alpha=0.4)
        self._write(box, text, edge, len(box) // 2, size, GREY, REGULAR)

    def _write(self, pane: np.ndarray, text: str, x: int, middle: int, size: int, colour: tuple, weight: int) -> None:
        """Text whose small letters are centred on the row `middle`."""
        cv2.putText(pane, text, (x, middle + round(0.33 * size)), colour, self.font, size, weight)

    def _fit(self, text: str, size: int, width: float, end: str = "", weight: int = BOLD) -> tuple[str, int, int]:
        """The text and its end, their size and width in pixels: smaller, then cut short, until no wider than `width`."""
        text = " ".join(text.split())
        if (wide := self._width(text + end, size, weight)) > width:
            size = max(round(0.65 * size), int(size * width / wide), 7)
            short = text
            while short and (wide := self._width(text + end, size, weight)) > width:
                short = short[: min(len(short) - 1, 120)]
                text = short.rstrip() + "…"
        return text + end, size, wide

    def _width(self, text: str, size: int, weight: int = BOLD) -> int:
        return cv2.getTextSize((0, 0), text, (0, 0), self.font, size, weight)[2]
