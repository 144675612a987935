"""Several networks side by side: parameters, work of a clip, and how fast their inference forms are.
Printed by `main.py benchmark --beside CONFIG ...`. In a turn each network runs once, so that all meet the same noise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import nn

from processor.protocols import inference_form
from processor.timing import alternate, flops


@dataclass(frozen=True)
class Contestant:
    """A network, the config it is of, and its clips (C, T, V, M)."""

    name: str
    network: nn.Module
    clip: tuple[int, int, int, int]


def network_speed(
    contestants: list[Contestant], batch: int, dtypes: Mapping[str, torch.dtype], device: torch.device, rounds: int
) -> list[dict[str, object]]:
    """A row for each: name, clip, parameters, flop_per_clip (a multiply-add is two operations), samples_per_second by
    precision (the median of `rounds` turns).

    Args:
        batch: clips that are run at once.
    """
    rows, ways = [], {}
    for each in contestants:
        C, T, V, M = each.clip
        x = torch.randn(batch, C, T, V, M, device=device)
        parameters = sum(p.numel() for p in each.network.parameters())
        work = flops(inference(each.network, torch.float32, x[:1], fused=False))
        rows.append({"name": each.name, "clip": each.clip, "parameters": parameters, "flop_per_clip": work})
        for precision, dtype in dtypes.items():
            ways[each.name, precision] = inference(each.network, dtype, x)
    with torch.no_grad():
        seconds = alternate(ways, rounds, device, "networks")
    for row in rows:
        row["samples_per_second"] = {name: round(batch / seconds[row["name"], name], 2) for name in dtypes}
    return rows


def inference(
    network: nn.Module, dtype: torch.dtype, x: torch.Tensor, fused: bool = True
) -> Callable[[], torch.Tensor]:
    """A function that passes the clips through the network: fused where it can be, else under autocast."""
    form, fused = inference_form(network, dtype) if fused else (network.eval(), False)
    if fused or dtype == torch.float32:
        return lambda: form(x)

    def once() -> torch.Tensor:
        with torch.autocast(x.device.type, dtype):
            return form(x)

    return once


def speed_table(rows: list[dict]) -> list[str]:
    """The rows as lines."""
    precisions = list(rows[0]["samples_per_second"])
    width = max(len(row["name"]) for row in rows) + 2
    lines = [
        "",
        f"{'':<{width}}{'M parameters':>12}{'GFLOP':>9}" + "".join(f"{p + ' clips/s':>15}" for p in precisions),
    ]
    for row in rows:
        speeds = "".join(f"{row['samples_per_second'][p]:>15.1f}" for p in precisions)
        lines.append(
            f"{row['name']:<{width}}{row['parameters'] / 1e6:>12.2f}{row['flop_per_clip'] / 1e9:>9.2f}{speeds}"
        )
    return lines
