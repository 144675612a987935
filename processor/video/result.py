"""The result of a demo: the .json, the .csv with a row for each window, and the lines on the terminal."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from processor.recognizer import UNKNOWN, Recognizer
from processor.video.windows import Window
from torchlight.files import atomic_write


def build_result(
    recognizer: Recognizer,
    probability: np.ndarray | None,
    rows: Sequence[dict[str, Any]],
    persons: int,
    video: str,
    num_frame: int,
    fps: float,
) -> dict[str, Any]:
    """The content of the .json, from the vote and the rows of the windows; scores are probabilities."""
    label, score = (UNKNOWN, 0.0) if probability is None else recognizer.decide(probability)
    return {
        "video": video,
        "label": label,
        "score": round(score, 4),
        "top5": [] if probability is None else rounded(recognizer.top(probability)),
        "frames": num_frame,
        "fps": round(fps, 3),
        "persons": persons,
        "windows": rows,
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
    """<output>.json, and <output>.csv with a row for each window."""
    with atomic_write(output.with_name(f"{output.name}.json"), "w") as file:
        json.dump(result, file, indent=1, ensure_ascii=False)
    with atomic_write(output.with_name(f"{output.name}.csv"), "w") as file:
        writer = csv.writer(file, lineterminator="\n")
        head = ["track", "first_frame", "last_frame", "first_second", "last_second", "label"]
        writer.writerow([*head, *(f"{what}{k}" for k in range(1, 6) for what in ("label", "score"))])
        for window in result["windows"]:
            best = [*window["top5"], *[("", "")] * 5][:5]
            writer.writerow([*(window[key] for key in head), *(x for pair in best for x in pair)])


def print_result(result: dict[str, Any], speed: str, video: Path) -> None:
    """The lines on the terminal; video: the .mp4 that was written."""
    print(f"Prediction result: {result['label']} ({result['score']:.2f})")
    if result["top5"]:
        print("    " + ", ".join(f"{label} {score:.2f}" for label, score in result["top5"]))
    else:
        print("    no person was seen for long enough")
    persons = f"{result['persons']} person{'s' * (result['persons'] != 1)}"
    print(f"{result['frames']} frames, {persons}; {speed}")
    print(f"The Demo result has been saved in {printable(video)}, .json, .csv and .html.")
