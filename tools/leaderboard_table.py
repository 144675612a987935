"""The tables of tools/leaderboard.py, from a dict for each row (describe)."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tools import markdown
from tools.finished import Figures
from torchlight.files import atomic_write


def describe(row: Any, figures: list[Figures], speeds: list[Mapping[str, Any]]) -> dict[str, Any]:
    """The figures of one row over its seeds; those of a fusion are of all its trainings together.

    Args:
        row: leaderboard.Row.
        speeds: of the network of each training, from `benchmark --beside`.
    """
    found = {
        "data_set": row.data_set, "title": row.title, "network": row.network, "name": row.network_name,
        "trainings": len(row.trainings), "parameters": sum(each["parameters"] for each in speeds),
        "gflop": sum(each["flop_per_clip"] for each in speeds) / 1e9,
        "passes": sum(training.config["test_feeder_args"].get("num_clips", 1) for training in row.trainings),
    }  # fmt: skip
    for precision in ("fp32", "bf16"):
        clips = [each["samples_per_second"].get(precision) for each in speeds]
        found[precision] = 1 / sum(1 / each for each in clips) if all(clips) else None
    for key in ("top1", "fresh", "best", "seconds"):
        values = [getattr(each, key) for each in figures]
        found[key], found[f"{key}_std"] = (None, None) if None in values else markdown.mean_and_std(values)
    return found | {"seeds": len(figures), "folds": len(row.folds), "published": row.published}


def write_csv(path: Path, measured: list[dict]) -> None:
    with atomic_write(path, "w") as file:
        writer = csv.DictWriter(file, measured[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(measured)


def command(row: Mapping[str, Any]) -> str:
    return f"`python tools/leaderboard.py --data_set {row['data_set']} --rows {row['network']}`"


def accuracy(row: Mapping[str, Any], key: str) -> str:
    return "" if row[key] is None else markdown.plus_minus(row[key], row[f"{key}_std"])


def rounded(speed: float | None) -> str:
    """Three digits or more."""
    return "" if speed is None else f"{speed:.0f}" if speed >= 100 else f"{speed:.1f}"


def minutes(row: Mapping[str, Any]) -> str:
    """Of a training, or of all of a fusion."""
    if row["seconds"] is None:
        return ""
    return f"{max(1, round(row['seconds'] / 60))} min" + (" a fold" if row["folds"] else "")


def titled(measured: list[dict]) -> Iterable[tuple[str, dict]]:
    """The rows, and before the first one of each data set its title."""
    before = None
    for row in measured:
        yield row["title"] if row["title"] != before else "", row
        before = row["title"]


def table_of(measured: list[dict], seeds: int) -> list[str]:
    """The table as Markdown. `seeds`: as many were asked for."""
    titles = ("data set", "network", "parameters", "GFLOP", "clips/s, fp32", "clips/s, bf16", "passes", "last epoch",
              "last epoch, no copies", "best epoch, chosen on the test set", "published", "seeds", "command")  # fmt: skip
    lines = []
    for title, row in titled(measured):
        speeds = [rounded(row[precision]) for precision in ("fp32", "bf16")]
        size = [f"{row['parameters'] / 1e6:.2f} M", f"{row['gflop']:.2f}"]
        found = [accuracy(row, key) for key in ("top1", "fresh", "best")]
        of = f"{row['seeds']}" if row["seeds"] >= seeds else f"{row['seeds']} of {seeds}"
        lines.append([title, row["name"], *size, *speeds, row["passes"], *found, row["published"], of, command(row)])
    return markdown.table(titles, lines)


def results_of(measured: list[dict], networks: list[str]) -> list[str]:
    """The shorter table, of some networks."""
    lines = []
    for title, row in titled([row for row in measured if row["network"] in networks]):
        lines.append([title, row["name"], f"**{accuracy(row, 'top1')}**", row["seeds"], minutes(row), command(row)])
        if row["fresh"] is not None:
            name = f"{row['name']}, test clips that are no training clips"
            lines.append(["", name, accuracy(row, "fresh"), row["seeds"], "", ""])
    return markdown.table(("data set", "network", "top-1", "seeds", "time to train", "command"), lines)
