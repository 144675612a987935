"""What is in a part, as plain values: the facts of inspect.json, of the page and of the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from feeder.inspection.fit import class_name
from feeder.inspection.inspection import Inspection, Part
from feeder.inspection.names import shared

QUANTILES = {"min": 0.0, "5 %": 0.05, "median": 0.5, "95 %": 0.95, "max": 1.0}
LENGTH_BINS = 30
POSES = 100  # clips that a pose to draw is looked for in


def as_dict(found: Inspection) -> dict[str, Any]:
    """The whole content of inspect.json: plain dicts, lists, numbers and texts; no number that JSON does not have."""
    return {
        "parts": {part.name: part_facts(part, found.label_names) for part in found.parts},
        "label_names": list(found.label_names) if found.label_names else None,
        "shared": shared_names(found.parts),
        "findings": [finding.as_dict() for finding in found.findings],
    }


def part_facts(part: Part, label_names: Sequence[str] | None) -> dict[str, Any]:
    """Clips, classes, lengths, persons, joints, coordinates, scores, names of one part."""
    m, (_, C, T, V, M) = part.measures, part.data.shape
    kind, persons = part.coordinates, np.bincount(m.persons)
    counts = Counter(part.label)
    edges = np.linspace(0, max(1, int(m.length.max(initial=1))), LENGTH_BINS + 1)
    return {
        "data_path": str(part.source.data_path),
        "label_path": str(part.source.label_path or part.source.data_path),
        "clips": len(part.names),
        "shape": [C, T, V, M],
        "dimension": part.dimension,
        "layout": part.skeleton.name if part.skeleton else None,
        "fps": part.info.fps,
        "classes": [{"label": k, "name": class_name(k, label_names), "clips": counts[k]} for k in sorted(counts)],
        "frames": {name: float(np.quantile(m.length, q)) for name, q in QUANTILES.items()},
        "frame_histogram": {"edges": edges.tolist(), "clips": np.histogram(m.length, edges)[0].tolist()},
        "persons": {str(k): int(n) for k, n in enumerate(persons) if n},
        "missing": {name: round(float(share), 5) for name, share in zip(part.body.names, part.missing)},
        "coordinates": {"kind": kind.name, "words": kind.words, "evidence": kind.evidence},
        "scores": m.scores.tolist() if part.dimension == 2 and C > 2 else None,
        "names": {"scheme": part.told.scheme, "clips": part.told.counts} if part.told else None,
    }


def shared_names(parts: Sequence[Part]) -> dict[str, list[str]] | None:
    """Subjects, views and the like that both parts have, by the names; None where names do not tell."""
    if len(parts) != 2 or not all(part.told for part in parts):
        return None
    return shared(parts[0].told, parts[1].told)


def pose(part: Part) -> np.ndarray | None:
    """A body to draw on: of some clips the frame that shows it best, (V, D), all joints seen and widest from side to side."""
    best, widest = None, 0.0
    pairs = part.body.pairs
    if part.skeleton is None or not len(pairs):
        return None
    for i in np.unique(np.linspace(0, len(part.names) - 1, POSES).astype(int)):
        clip = part.clip(int(i))[: part.dimension, :, :, 0]  # (D, T, V)
        whole = clip.any(0).all(1) & np.isfinite(clip).all((0, 2))
        if not whole.any():
            continue
        clip = clip[:, whole]
        if part.dimension == 2:
            clip[0] *= part.aspect[i]
        size = np.ptp(clip, axis=2).max(0)  # (T,)
        across = np.abs(clip[0][:, pairs[:, 0]] - clip[0][:, pairs[:, 1]]).mean(1) / np.maximum(size, 1e-9)
        if across.max() > widest:
            best, widest = clip[:, across.argmax()].T, float(across.max())
    return best
