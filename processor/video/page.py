"""The page of a demo: the video, and a timeline of every person's actions; a click jumps there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from processor.page.page import Facts, Page, Table, Timeline
from processor.video.result import printable

MOST_MOMENTS = 2000  # of the top 5
BEST = 5

Row = Mapping[str, Any]  # a window, as in the .json


def demo_page(result: Row, video: Path, seconds: float) -> Page:
    """The page of a result; it stands beside the video and refers to it by its name."""
    rows: dict[int, list[Row]] = {}
    for row in result["windows"]:
        rows.setdefault(row["track"], []).append(row)
    shown = {track: list(of_track(windows, seconds)) for track, windows in rows.items()}
    segments: dict[int, list[tuple[float, float, str, float]]] = {}
    for segment in result["segments"]:
        begin, end = segment["first_second"], min(segment["last_second"], seconds)
        if end > begin:
            segments.setdefault(segment["track"], []).append((begin, end, told(segment), segment["score"]))
    name = printable(Path(Path(result["video"]).name))
    page = Page(name, "demo", subtitle=f"{result['label']}, {result['score']:.2f}")
    tracks = [(f"person {track}", bars) for track, bars in sorted(segments.items())]
    text = "Each bar is a segment: what one person does from when to when; grey is unknown. A click jumps there."
    page.add(Timeline("", printable(Path(video.name)), seconds, tracks, list(moments(shown)), text=text))
    facts = [("prediction", result["label"], f"score {result['score']:.2f}"), ("persons", str(result["persons"]))]
    facts += [("frames", f"{result['frames']:,}", f"{result['fps']:g} a second"), ("length", f"{seconds:.1f} s")]
    page.add(Facts("Result", facts, tiles=True))
    head = ["person", "from s", "to s", "label", "best", "score"]
    windows = [
        [row["track"], row["first_second"], row["last_second"], row["label"], *row["top5"][0]]
        for of in rows.values()
        for row in of[:MOST_MOMENTS]
    ]
    page.add(Table("Windows", head, windows, ["", ".2f", ".2f", "", "", ".2f"], text="Each window and its best label."))
    return page


def of_track(rows: list[Row], seconds: float) -> Iterator[tuple[float, float, Row]]:
    """(begin, end, window) in seconds, one after the other: of a moment the window whose middle is nearest."""
    rows = sorted(rows, key=lambda row: row["first_second"] + row["last_second"])
    middles = [(row["first_second"] + row["last_second"]) / 2 for row in rows]
    for i, row in enumerate(rows):
        begin = row["first_second"] if i == 0 else max(row["first_second"], (middles[i - 1] + middles[i]) / 2)
        end = row["last_second"] if i == len(rows) - 1 else min(row["last_second"], (middles[i] + middles[i + 1]) / 2)
        if min(end, seconds) > begin:
            yield begin, min(end, seconds), row


def told(segment: Row) -> str:
    """The label, and how often it was repeated."""
    times = segment["repetitions"]
    return segment["label"] if times is None else f"{segment['label']} × {times}"


def moments(shown: Mapping[int, list[tuple[float, float, Row]]]) -> Iterator[tuple[float, list[tuple[str, float]]]]:
    """(second, best labels from then on): the mean over the persons of that moment."""
    seconds = sorted({0.0} | {second for of in shown.values() for begin, end, _ in of for second in (begin, end)})
    seconds = seconds[:: max(1, -(-len(seconds) // MOST_MOMENTS))]
    at = dict.fromkeys(shown, 0)
    for second in seconds:
        present = []
        for track, of in shown.items():
            while at[track] < len(of) and of[at[track]][1] <= second:
                at[track] += 1
            if at[track] < len(of) and of[at[track]][0] <= second:
                present.append(of[at[track]][2]["top5"])
        total: dict[str, float] = {}
        for best in present:
            for label, score in best:
                total[label] = total.get(label, 0.0) + score / len(present)
        yield second, sorted(total.items(), key=lambda pair: -pair[1])[:BEST]
