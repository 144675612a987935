"""net/temporal.py against nn.Conv2d: the same outputs and gradients, with the flipped kernel and without it."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from net import temporal
from net.st_gcn import Model
from net.temporal import FlippedBackward, TemporalConv


@pytest.mark.parametrize("kernel", [1, 3, 9])
@pytest.mark.parametrize("channels_last", [True, False])
def test_gradients_of_the_flipped_kernel_are_those_of_conv2d(kernel, channels_last):
    torch.manual_seed(0)
    x = torch.randn(3, 5, 11, 4, dtype=torch.float64)
    x = (x.to(memory_format=torch.channels_last) if channels_last else x).requires_grad_()
    weight = torch.randn(7, 5, kernel, 1, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(7, dtype=torch.float64, requires_grad=True)
    outputs = FlippedBackward.apply(x, weight, bias), F.conv2d(x, weight, bias, 1, (kernel // 2, 0))
    upstream = torch.randn_like(outputs[0]).transpose(2, 3).contiguous().transpose(2, 3)  # not channels-last
    gradients = [torch.autograd.grad(y, (x, weight, bias), upstream) for y in outputs]
    torch.testing.assert_close(*outputs)
    for ours, plain in zip(*gradients):
        torch.testing.assert_close(ours, plain, rtol=1e-12, atol=1e-12)


def test_no_gradient_is_computed_for_an_input_that_wants_none():
    conv = TemporalConv(2, 2, 3)
    x = torch.randn(1, 2, 5, 3)
    FlippedBackward.apply(x, conv.weight, conv.bias).sum().backward()
    assert x.grad is None and conv.weight.grad is not None


@pytest.mark.parametrize("stride", [1, 2])
def test_a_network_learns_the_same_with_either(monkeypatch, stride):
    used, forward = [], FlippedBackward.forward
    monkeypatch.setattr(FlippedBackward, "forward", staticmethod(lambda *args: used.append(1) or forward(*args)))
    network = Model(3, 4, {"layout": "openpose", "strategy": "spatial"}, blocks=[[8, 1], [8, stride]])
    x, gradients = torch.randn(2, 3, 20, 18, 1), []
    for amx in (False, True):
        monkeypatch.setattr(temporal, "has_amx", lambda amx=amx: amx)
        network.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            loss = network(x).float().square().sum()
        loss.backward()
        gradients.append([parameter.grad.clone() for parameter in network.parameters()])
    assert len(used) == (2 if stride == 1 else 1)  # a strided convolution is left alone, and so is all without AMX
    for ours, plain in zip(*gradients):
        torch.testing.assert_close(ours, plain, rtol=0.05, atol=0.02 * float(plain.abs().max()) + 1e-4)


def test_it_is_a_conv2d_with_its_keys_and_is_left_alone_in_float32(monkeypatch):
    monkeypatch.setattr(temporal, "has_amx", lambda: True)
    monkeypatch.setattr(FlippedBackward, "forward", staticmethod(lambda *args: pytest.fail("used")))
    conv, plain = TemporalConv(4, 4, 9, 2), nn.Conv2d(4, 4, (9, 1), (2, 1), (4, 0))
    plain.load_state_dict(conv.state_dict())
    x = torch.randn(2, 4, 30, 5)
    torch.testing.assert_close(conv(x), plain(x))
    torch.testing.assert_close(TemporalConv(4, 4, 9)(x).shape, x.shape)
