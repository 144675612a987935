import os

import pytest
import torch
from torch import nn

from torchlight.device import Devices, precision, select, wrap
from torchlight.errors import UsageError


@pytest.fixture
def gpus(monkeypatch):
    """Pretend that there are so many GPUs."""

    def pretend(count: int, capability=(8, 0)):
        monkeypatch.setattr("torch.cuda.is_available", lambda: count > 0)
        monkeypatch.setattr("torch.cuda.device_count", lambda: count)
        monkeypatch.setattr("torch.cuda.get_device_capability", lambda device=None: capability)

    return pretend


@pytest.mark.parametrize("use_gpu", [True, None])
def test_no_gpu_is_no_error(gpus, use_gpu):
    gpus(0)
    assert select([0, 1], use_gpu) == Devices(torch.device("cpu"), [], "no CUDA GPU here: using the CPU")


def test_gpu_refused(gpus):
    gpus(4)
    assert select([0], use_gpu=False) == Devices(torch.device("cpu"), [])


@pytest.mark.parametrize(
    ("asked", "count", "ids", "note"),
    [
        ([0], 1, [0], None),
        ([2, 0], 4, [2, 0], None),
        ([0, 0], 2, [0], None),
        ([0, 1, 2, 3], 1, [0], "device 0 1 2 3 asked for, 1 GPU here: using cuda:0"),
        ([0, 1, 2, 3], 2, [0, 1], "device 0 1 2 3 asked for, 2 GPUs here: using cuda:0, cuda:1"),
        ([3], 1, [0], "device 3 asked for, 1 GPU here: using cuda:0"),
        ([-1], 1, [0], "device -1 asked for, 1 GPU here: using cuda:0"),
        ([], 1, [0], "device none asked for, 1 GPU here: using cuda:0"),
    ],
)
def test_devices_are_clipped_to_those_here(gpus, monkeypatch, asked, count, ids, note):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5")
    gpus(count)
    assert select(asked) == Devices(torch.device("cuda", ids[0]), ids, note)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "5"


def test_one_device_needs_no_wrapper():
    model = nn.Linear(2, 2)
    assert wrap(model, Devices(torch.device("cpu"), [])) is model


def test_several_devices_get_data_parallel(monkeypatch):
    monkeypatch.setattr("torch.nn.DataParallel", lambda model, ids: ("parallel", model, ids))
    model = nn.Linear(2, 2)
    assert wrap(model, Devices(torch.device("cpu"), [1, 0])) == ("parallel", model, [1, 0])


CPU = torch.device("cpu")


def product(numbers) -> torch.dtype:
    with numbers.autocast():
        return (torch.ones(2, 2) @ torch.ones(2, 2)).dtype


def test_full_precision():
    numbers = precision("fp32", CPU)
    assert (numbers.name, numbers.scaler, product(numbers)) == ("fp32", None, torch.float32)


def test_bfloat16_on_the_cpu_again_and_again():
    numbers = precision("bf16", CPU)
    assert (numbers.scaler, product(numbers), product(numbers)) == (None, torch.bfloat16, torch.bfloat16)


def test_half_needs_a_gpu():
    with pytest.raises(UsageError, match="fp16 needs a CUDA GPU; on the CPU use bf16 or fp32"):
        precision("fp16", CPU)


def test_unknown_precision():
    with pytest.raises(UsageError, match="'fp23' is not one of fp32, bf16, fp16, auto; did you mean 'fp32'"):
        precision("fp23", CPU)


@pytest.mark.parametrize(("capability", "name"), [((7, 5), "fp32"), ((8, 0), "bf16"), ((9, 0), "bf16")])
def test_auto_on_a_gpu(gpus, capability, name):
    gpus(1, capability)
    assert precision("auto", torch.device("cuda", 0)).name == name


@pytest.mark.parametrize(("amx", "avx", "name"), [(True, False, "bf16"), (False, True, "bf16"), (False, False, "fp32")])
def test_auto_on_a_cpu(monkeypatch, amx, avx, name):
    monkeypatch.setattr("torch.cpu._is_amx_tile_supported", lambda: amx, raising=False)
    monkeypatch.setattr("torch.cpu._is_avx512_bf16_supported", lambda: avx, raising=False)
    assert precision("auto", CPU).name == name


def test_auto_on_a_torch_that_cannot_tell(monkeypatch):
    monkeypatch.delattr("torch.cpu._is_amx_tile_supported", raising=False)
    monkeypatch.delattr("torch.cpu._is_avx512_bf16_supported", raising=False)
    assert precision("auto", CPU).name == "fp32"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_half_on_a_gpu_brings_a_scaler():
    numbers = precision("fp16", torch.device("cuda", 0))
    assert numbers.scaler.is_enabled()
    with numbers.autocast():
        assert (torch.ones(2, 2, device="cuda") @ torch.ones(2, 2, device="cuda")).dtype == torch.float16
