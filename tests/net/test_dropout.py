"""net/dropout.py against what dropout is: a share of zeros, a mean that stays, gradients through what was kept."""

import pytest
import torch
from torch import nn

from net import st_gcn, st_gcn_pp, tcn
from net.dropout import Dropout


def layouts():
    x = torch.randn(3, 16, 25, 7)
    return [x, x.to(memory_format=torch.channels_last), x.permute(3, 1, 0, 2), x[:, ::2], x.flatten()[:11]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_what_is_kept_is_scaled_so_that_the_mean_stays(p, dtype):
    torch.manual_seed(0)
    x = torch.ones(200, 1001, dtype=dtype)
    y = Dropout(p)(x)
    assert y.dtype == dtype
    assert (y == 0).double().mean() == pytest.approx(p, abs=0.005)
    assert y[y != 0].double().unique().tolist() == pytest.approx([1 / (1 - p)], rel=5e-3)
    assert y.double().mean() == pytest.approx(1, rel=0.02)


def test_elements_are_lost_independently_of_their_neighbours():
    """Four come from one word of random bits."""
    torch.manual_seed(0)
    lost = (Dropout(0.3)(torch.ones(400_000)) == 0).double()
    for step in (1, 2, 3, 4):
        assert (lost[step:] * lost[:-step]).mean() == pytest.approx(0.09, abs=0.003)


@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize("i", range(5))
def test_gradients_go_through_what_was_kept_in_every_layout(i, inplace):
    x = layouts()[i].clone().requires_grad_()
    y = Dropout(0.4, inplace=inplace)(x * 1.0)
    y.sum().backward()
    assert ((y == 0) == (x.grad == 0)).all() and y.shape == x.shape
    torch.testing.assert_close(y, x * x.grad)


def test_the_seed_decides():
    x = torch.randn(1000)
    masks = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        masks.append(Dropout(0.5)(x) == 0)
    assert torch.equal(masks[0], masks[1]) and not torch.equal(masks[0], masks[2])


def test_nothing_is_lost_in_evaluation_or_with_probability_zero_and_all_with_one():
    x = torch.randn(50)
    assert Dropout(0.5).eval()(x) is x
    torch.testing.assert_close(Dropout(0.0)(x), x)
    assert not Dropout(1.0)(x).any() and not Dropout(1 - 1e-9)(x).any()
    torch.testing.assert_close(Dropout(1e-9)(x), x)  # rounded to 0
    assert Dropout(0.5)(x[:0]).shape == (0,)


@pytest.mark.parametrize("model", [st_gcn.Model, st_gcn_pp.Model])
def test_the_networks_have_no_other(model):
    network = model(3, 4, {"layout": "openpose", "strategy": "spatial"}, dropout=0.5)
    found = [module for module in network.modules() if isinstance(module, nn.Dropout)]
    assert found and all(isinstance(module, Dropout) for module in found)
    assert any(isinstance(module, Dropout) for module in tcn.Model(54, 4).modules())
