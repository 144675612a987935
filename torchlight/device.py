"""Which devices, which precision, and DataParallel around the model. CUDA_VISIBLE_DEVICES stays as the user set it.

devices = select([0, 1, 2, 3], use_gpu=None)      # what is not there is clipped; devices.note says so
model = wrap(model, devices)
numbers = precision("auto", devices.main)
with numbers.autocast():
    loss = criterion(model(x), label)
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import nn

from torchlight.errors import UsageError, did_you_mean, short

PRECISIONS = ("fp32", "bf16", "fp16", "auto")


@dataclass(frozen=True)
class Devices:
    """Where to compute.

    Attributes:
        main: where the model lives and batches go.
        ids: CUDA indices, main first; empty on the CPU.
        note: a line for the log if this is not what was asked for, or None.
    """

    main: torch.device
    ids: list[int]
    note: str | None = None

    @property
    def name(self) -> str:
        """The device, in words: "cpu", or the GPU and how many of it."""
        if self.main.type != "cuda":
            return self.main.type
        return f"{torch.cuda.get_device_name(self.main)} x {len(self.ids)}"


def select(device_ids: list[int], use_gpu: bool | None = None) -> Devices:
    """The GPUs of device_ids that are here; the CPU if there is none, or if use_gpu is False."""
    if use_gpu is False:
        return Devices(torch.device("cpu"), [])
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if count == 0:
        return Devices(torch.device("cpu"), [], "no CUDA GPU here: using the CPU")
    wanted = list(dict.fromkeys(device_ids))
    ids = [each for each in wanted if 0 <= each < count] or [0]
    note = None
    if ids != wanted:
        asked, here = " ".join(map(str, wanted)) or "none", f"{count} GPU{'s' if count > 1 else ''} here"
        note = f"device {asked} asked for, {here}: using {', '.join(f'cuda:{each}' for each in ids)}"
    return Devices(torch.device("cuda", ids[0]), ids, note)


def wrap(model: nn.Module, devices: Devices) -> nn.Module:
    """The model on its device, inside DataParallel if there are several."""
    model = model.to(devices.main)
    return nn.DataParallel(model, devices.ids) if len(devices.ids) > 1 else model


@dataclass(frozen=True)
class Precision:
    """What to multiply in.

    Attributes:
        name: fp32, bf16 or fp16 (auto has been decided).
        device: the type autocast wants, "cuda" or "cpu".
        scaler: a GradScaler with fp16, else None.
    """

    name: str
    device: str
    scaler: torch.amp.GradScaler | None = None

    @property
    def dtype(self) -> torch.dtype:
        return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[self.name]

    def autocast(self) -> AbstractContextManager:
        """A fresh context in which matrix products and convolutions run in this precision."""
        if self.name == "fp32":
            return nullcontext()
        return torch.autocast(self.device, self.dtype)


def precision(name: str, device: torch.device) -> Precision:
    """fp32, bf16, fp16, or auto: bf16 where the hardware multiplies in it, else fp32."""
    if name not in PRECISIONS:
        raise UsageError(
            f"precision {short(name)} is not one of {', '.join(PRECISIONS)}{did_you_mean(name, PRECISIONS)}"
        )
    if name == "fp16" and device.type != "cuda":
        raise UsageError("precision fp16 needs a CUDA GPU; on the CPU use bf16 or fp32")
    if name == "auto":
        name = "bf16" if _has_bf16(device) else "fp32"
    return Precision(name, device.type, torch.amp.GradScaler("cuda") if name == "fp16" else None)


def _has_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    probes = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")  # private to torch: absent from some versions
    return device.type == "cpu" and any(getattr(torch.cpu, probe, bool)() for probe in probes)
