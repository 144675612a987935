"""The temporal-convolution baseline against its description, written out with functions of torch."""

import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from net.tcn import Model
from tests.net.test_st_gcn import assert_close, clip, shake

WIDENING = {3: 2, 6: 2}  # number of the unit -> stride


def naive(model: Model, x: torch.Tensor) -> torch.Tensor:
    state = model.state_dict()

    def norm(name, x):
        mean, var, weight, bias = (state[f"{name}.{key}"] for key in ("running_mean", "running_var", "weight", "bias"))
        return (x - mean[:, None]) / (var[:, None] + 1e-5).sqrt() * weight[:, None] + bias[:, None]

    def conv(name, x, stride=1, padding=4):
        return F.conv1d(x, state[f"{name}.weight"], state[f"{name}.bias"], stride, padding)

    N, C, T, V, M = x.shape
    flat = torch.zeros(N, M * V * C, T)
    for m in range(M):
        for v in range(V):
            for c in range(C):
                flat[:, (m * V + v) * C + c] = x[:, c, :, v, m]
    if "data_bn.weight" in state:
        flat = norm("data_bn", flat)
    y = conv("backbone.0", flat)
    for i in range(9):
        name, stride = f"backbone.{i + 1}", WIDENING.get(i, 1)
        shortcut = y
        if i in WIDENING:
            shortcut = conv(f"{name}.shortcut.2", norm(f"{name}.shortcut.0", y).relu(), stride, 0)
        y = conv(f"{name}.unit.3", norm(f"{name}.unit.0", y).relu(), stride) + shortcut
    y = norm("backbone.10", y).relu().mean(2, keepdim=True)
    return conv("fcn", y, padding=0)[:, :, 0]


def build(channel=108, use_data_bn=True) -> Model:
    torch.manual_seed(0)
    return shake(Model(channel, 7, use_data_bn=use_data_bn)).eval()


@pytest.mark.parametrize("use_data_bn", [True, False])
def test_equals_its_description(use_data_bn):
    model = build(use_data_bn=use_data_bn)
    with torch.no_grad():
        assert_close(model(clip(T=30)), naive(model, clip(T=30)), 1e-5)


@settings(max_examples=6, deadline=None)
@given(st.integers(1, 3), st.integers(1, 40), st.sampled_from([(3, 18, 2), (2, 25, 1), (1, 1, 1)]))
def test_any_size_of_clip_and_fused(N, T, shape):
    C, V, M = shape
    model, x = build(C * V * M), clip(N, C, T, V, M)
    with torch.no_grad():
        expected = naive(model, x)
        assert_close(model(x), expected, 1e-5)
        assert_close(model.fuse()(x), expected, 1e-4)
        bfloat16 = model.fuse(torch.bfloat16)(x)
    assert bfloat16.dtype == torch.float32
    assert_close(bfloat16, expected, 0.1)


def test_fusing_leaves_the_network_alone():
    model = build().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    fused = model.fuse()
    assert model.training and not fused(clip()).requires_grad
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(pickle.loads(pickle.dumps(fused))(clip()), fused(clip()))


def test_arguments_of_the_original_config_files():
    model = Model(channel=150, num_class=60, window_size=300, use_data_bn=True)
    assert model(clip(V=25)).shape == (2, 60)
    assert [m.p for m in model.modules() if isinstance(m, torch.nn.Dropout)] == [0.5] * 9


def test_clips_of_another_size_are_refused_in_one_line():
    with pytest.raises(ValueError, match=r"3 channels \* 18 joints \* 2 persons = 108, but .* channel is 150"):
        Model(150, 60)(clip())


def test_every_parameter_learns():
    model = build().train()  # with dropout
    F.cross_entropy(model(clip()), torch.tensor([0, 1])).backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())
    model.zero_grad()
    F.cross_entropy(model.eval()(clip()), torch.tensor([0, 1])).backward()  # no batch statistics to cancel a bias
    assert all(parameter.grad.abs().max() > 0 for parameter in model.parameters())
