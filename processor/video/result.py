"""The result of a demo: the .json, the .csv of windows and that of segments, and the lines on the terminal."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from heapq import nlargest
from pathlib import Path
from typing import Any

import numpy as np

from processor.recognizer import UNKNOWN, Recognizer
from processor.video.segments import Segment
from processor.video.windows import Window
from torchlight.files import atomic_write

MOST_LISTED = 10  # segments on the terminal
SEGMENT_COLUMNS = ["track", "label", "first_frame", "last_frame", "first_second", "last_second", "score", "repetitions"]


def build_result(
    recognizer: Recognizer,
    vote: str,
    answer: tuple[str, float],
    probability: np.ndarray | None,
    rows: Sequence[dict[str, Any]],
    segments: Sequence[dict[str, Any]],
    persons: int,
    video: str,
    num_frame: int,
    fps: float,
) -> dict[str, Any]:
    """The content of the .json; scores are probabilities.

    Args:
        vote, answer: which vote it was, and the label and score that it gave.
        probability: mean of the windows, for the five best labels; None: there was no window.
        rows, segments: as window_row and segment_row make them.
    """
    label, score = answer
    return {
        "video": video,
        "label": label,
        "score": round(score, 4),
        "vote": vote,
        "top5": [] if probability is None else rounded(recognizer.top(probability)),
        "frames": num_frame,
        "fps": round(fps, 3),
        "persons": persons,
        "segments": segments,
        "windows": rows,
    }


def segment_row(segment: Segment) -> dict[str, Any]:
    """One segment in the .json."""
    return {
        "track": segment.track,
        "label": segment.label,
        "first_frame": segment.first,
        "last_frame": segment.last,
        "first_second": round(segment.begin, 3),
        "last_second": round(segment.end, 3),
        "score": round(segment.score, 4),
        "repetitions": segment.repetitions,
    }


def window_row(recognizer: Recognizer, window: Window) -> dict[str, Any]:
    """One window in the .json."""
    return {
        "track": window.track,
        "first_frame": window.first,
        "last_frame": window.last,
        "first_second": round(window.begin, 3),
        "last_second": round(window.end, 3),
        "label": recognizer.decide(window.probability)[0],
        "top5": rounded(recognizer.top(window.probability)),
    }


def rounded(pairs: list[tuple[str, float]]) -> list[list]:
    return [[label, round(score, 4)] for label, score in pairs]


def printable(path: Path) -> str:
    """A file name may be any bytes; those that are not text become question marks."""
    return str(path).encode(errors="replace").decode()


def write_result(output: Path, result: dict[str, Any]) -> None:
    """<output>.json, <output>.csv with a row for each window, and <output>_segments.csv with one for each segment."""
    with atomic_write(output.with_name(f"{output.name}.json"), "w") as file:
        json.dump(result, file, indent=1, ensure_ascii=False)
    with atomic_write(output.with_name(f"{output.name}.csv"), "w") as file:
        writer = csv.writer(file, lineterminator="\n")
        head = ["track", "first_frame", "last_frame", "first_second", "last_second", "label"]
        writer.writerow([*head, *(f"{what}{k}" for k in range(1, 6) for what in ("label", "score"))])
        for window in result["windows"]:
            best = [*window["top5"], *[("", "")] * 5][:5]
            writer.writerow([*(window[key] for key in head), *(x for pair in best for x in pair)])
    with atomic_write(output.with_name(f"{output.name}_segments.csv"), "w") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(SEGMENT_COLUMNS)
        writer.writerows([segment[key] for key in SEGMENT_COLUMNS] for segment in result["segments"])


def print_result(result: dict[str, Any], speed: str, video: Path) -> None:
    """The lines on the terminal; video: the .mp4 that was written."""
    print(f"Prediction result: {result['label']} ({result['score']:.2f})")
    if result["top5"]:
        print("    " + ", ".join(f"{label} {score:.2f}" for label, score in result["top5"]))
    else:
        print("    no person was seen for long enough")
    print_segments(result["segments"])
    persons = f"{result['persons']} person{'s' * (result['persons'] != 1)}"
    print(f"{result['frames']} frames, {persons}; {speed}")
    print(f"The Demo result has been saved in {printable(video)}, .json, .csv and .html.")


def print_segments(segments: Iterable[dict[str, Any]]) -> None:
    """The longest of those that are recognised, in the order of the video."""
    recognised = enumerate(segment for segment in segments if segment["label"] != UNKNOWN)
    longest = nlargest(MOST_LISTED + 1, recognised, key=lambda each: each[1]["last_second"] - each[1]["first_second"])
    for _, segment in sorted(longest[:MOST_LISTED], key=lambda each: each[0]):
        when = f"{segment['first_second']:.1f} to {segment['last_second']:.1f} s"
        times = "" if segment["repetitions"] is None else f", {segment['repetitions']} times"
        print(f"    {when}  person {segment['track']}: {segment['label']} {segment['score']:.2f}{times}")
    if len(longest) > MOST_LISTED:
        print("    and shorter ones; all are in _segments.csv")
