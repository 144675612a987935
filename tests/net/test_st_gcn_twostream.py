"""The two-stream network: the formula by hand, clips of any length, the names of the original."""

import pickle

import pytest
import torch

from net.st_gcn_twostream import Model, motion
from tests.net.test_st_gcn import KEYS, OPENPOSE, SMALL, assert_close, clip, plain_twin, shake


def small() -> Model:
    torch.manual_seed(0)
    return shake(Model(3, 5, OPENPOSE, blocks=SMALL)).eval()


def test_state_dict_has_the_original_prefixes():
    expected = [f"{stream}.{key}" for stream in ("origin_stream", "motion_stream") for key in KEYS]
    assert sorted(Model(3, 60, OPENPOSE).state_dict()) == sorted(expected)


@pytest.mark.parametrize("T", [1, 2, 3, 4, 17])
def test_motion_frame_by_frame(T):
    x = clip(T=T)
    expected = torch.zeros_like(x)
    for t in range(1, T - 1):
        expected[:, :, t] = x[:, :, t] - 0.5 * x[:, :, t + 1] - 0.5 * x[:, :, t - 1]
    assert torch.equal(motion(x), expected)


def test_motion_is_zero_at_constant_speed():
    x = torch.arange(6.0).view(1, 1, 6, 1, 1).expand(1, 3, 6, 18, 2)
    assert (motion(x) == 0).all()


@pytest.mark.parametrize("T", [1, 2, 20])
def test_logits_are_the_sum_of_two_plain_networks(T):
    model, x = small(), clip(T=T)
    m = torch.cat([torch.zeros_like(x[:, :, :1])] * min(T, 2), 2)
    if T > 2:
        inner = x[:, :, 1:-1] - 0.5 * x[:, :, 2:] - 0.5 * x[:, :, :-2]
        m = torch.cat([m[:, :, :1], inner, m[:, :, 1:]], 2)
    origin, moving = (plain_twin(stream, blocks=SMALL) for stream in (model.origin_stream, model.motion_stream))
    with torch.no_grad():
        assert_close(model(x), origin(x) + moving(m), 1e-5)


def test_features_are_joined_and_scores_summed():
    model, x = small(), clip()
    output, feature = model.extract_feature(x)
    assert feature.shape == (2, 24, 5, 18, 2)
    assert_close(feature[:, :12], model.origin_stream.extract_feature(x)[1], 1e-6)
    assert_close(output.mean((2, 3, 4)), model(x), 1e-4)


def test_fused_equals_the_network_and_can_be_pickled():
    model, x = small(), clip()
    fused = model.fuse()
    with torch.no_grad():
        for actual, expected in zip((fused(x), *fused.extract_feature(x)), (model(x), *model.extract_feature(x))):
            assert_close(actual, expected, 1e-4)
        assert_close(model.fuse(torch.bfloat16)(x), model(x), 0.1)
    assert torch.equal(pickle.loads(pickle.dumps(model))(x), model(x))
    assert torch.equal(pickle.loads(pickle.dumps(fused))(x), fused(x))


def test_input_is_not_changed():
    x = clip()
    small()(x)
    assert torch.equal(x, clip())
