"""What a prediction at every S-th frame costs, S being the strides of the network multiplied: by windows that are asked anew,
or by a stream that is fed S frames (net/streaming.py). Printed by `main.py benchmark --streaming`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping

import torch
from torch import nn

from processor.protocols import inference_form, streaming_form
from processor.timing import alternate, flops
from torchlight.errors import UsageError

WINDOWS = (300, 64)  # frames
PERSONS = (1, 4)  # at once


def prediction_cost(
    network: nn.Module,
    name: str,
    clip: tuple[int, int, int, int],
    dtypes: Mapping[str, torch.dtype],
    device: torch.device,
    rounds: int,
) -> list[dict[str, object]]:
    """Rows of form, precision, persons, mflop and milliseconds (the median of `rounds` turns).

    Args:
        name: of the network, in an error.
        clip: (C, T, V, M); T and M do not matter here.
    """
    contestants = {}
    for precision, dtype in dtypes.items():
        fused, _ = inference_form(network, dtype)
        if streaming_form(fused, 64) is None:
            raise UsageError(f"{name} takes whole windows; an ST-GCN or ST-GCN++ can be fed frame by frame")
        for persons in PERSONS:
            for form, once in ways(fused, persons, clip[0], clip[2], device).items():
                contestants[form, precision, persons] = once
    seconds = alternate(contestants, rounds, device, "prediction")
    return [
        {
            "form": form,
            "precision": precision,
            "persons": persons,
            "mflop": round(flops(once) / 1e6, 2),
            "milliseconds": round(1e3 * seconds[form, precision, persons], 3),
        }
        for (form, precision, persons), once in contestants.items()
    ]


def ways(fused: nn.Module, persons: int, C: int, V: int, device: torch.device) -> dict[str, Callable[[], object]]:
    """A prediction by each window, and by the next frames of a stream that has had some before."""
    clips = {T: torch.randn(persons, C, T, V, 1, device=device) for T in WINDOWS}
    found: dict[str, Callable[[], object]] = {f"window of {T} frames": lambda x=x: fused(x) for T, x in clips.items()}
    stream = streaming_form(fused, 64)
    stream(clips[64])
    frame_by_frame, S, x = copy.deepcopy(stream), stream.stride, clips[64]

    def at_once() -> None:
        stream(x[:, :, :S])
        stream.logits()

    def one_by_one() -> None:
        for t in range(S):
            frame_by_frame(x[:, :, t])
        frame_by_frame.logits()

    return found | {f"stream, {S} frames at once": at_once, f"stream, {S} times one frame": one_by_one}


def prediction_table(rows: list[dict]) -> list[str]:
    """The rows as lines; of a stream how many times less it costs than each window: operations, time."""
    titles = [f"than {T} frames" for T in WINDOWS]
    lines = ["", f"{'':<27}{'precision':<11}{'persons':>7}{'MFLOP':>10}{'ms':>9}" + "".join(f"{t:>19}" for t in titles)]
    for row in rows:
        line = f"{row['form']:<27}{row['precision']:<11}{row['persons']:>7}{row['mflop']:>10.1f}{row['milliseconds']:>9.2f}"
        if row["form"].startswith("stream"):
            for T in WINDOWS:
                like = {"form": f"window of {T} frames", "precision": row["precision"], "persons": row["persons"]}
                window = next(each for each in rows if like.items() <= each.items())
                less = [f"{window[key] / row[key]:.1f}" for key in ("mflop", "milliseconds")]
                line += f"{' x, '.join(less) + ' x':>19}"
        lines.append(line)
    return lines
