"""ST-GCN: the keys are the original's, the numbers those of the plain formulation, whatever the shape of the clip."""

import copy
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from net.st_gcn import BLOCKS, Model
from tests.net.plain import PlainSTGCN

OPENPOSE = {"layout": "openpose", "strategy": "spatial"}
SMALL = [[8, 1], [8, 1], [12, 2], [12, 1], [12, 2]]
KEYS = Path(__file__).with_name("state_dict_keys.txt").read_text().split()


def shake(model: nn.Module, seed: int = 0) -> nn.Module:
    """Random parameters and statistics of a size that lets every one of them show in the logits."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(tensor, low, high):
        tensor.copy_(torch.rand(tensor.shape, generator=generator, dtype=torch.float64) * (high - low) + low)

    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
                for tensor, low, high in (
                    (module.weight, 0.5, 1.5),
                    (module.bias, -0.5, 0.5),
                    (module.running_mean, -0.5, 0.5),
                    (module.running_var, 0.5, 1.5),
                ):
                    uniform(tensor, low, high)
            elif isinstance(module, (nn.Conv1d, nn.Conv2d)):
                bound = 1.7 * module.weight[0].numel() ** -0.5
                uniform(module.weight, -bound, bound)
                uniform(module.bias, -0.5, 0.5)
            elif isinstance(module, nn.ParameterList):
                for parameter in module:
                    uniform(parameter, 0.5, 1.5)
    return model


def plain_twin(model: Model, **kwargs) -> PlainSTGCN:
    in_channels = model.data_bn.num_features // model.A.shape[1]
    twin = PlainSTGCN(in_channels, model.fcn.out_channels, model.A, **kwargs).to(model.A.dtype)
    twin.load_state_dict(model.state_dict())
    return twin.train(model.training)


def small(num_class=5, in_channels=3, layout="openpose", **kwargs) -> Model:
    torch.manual_seed(0)
    return shake(Model(in_channels, num_class, {"layout": layout, "strategy": "spatial"}, blocks=SMALL, **kwargs))


def clip(N=2, C=3, T=20, V=18, M=2, dtype=torch.float32, seed=1):
    return torch.randn(N, C, T, V, M, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def assert_close(actual, expected, tolerance):
    assert actual.shape == expected.shape
    assert (actual - expected).abs().max() <= tolerance * expected.abs().max()


def test_state_dict_has_the_172_keys_of_the_original():
    model = Model(3, 400, OPENPOSE)
    assert len(KEYS) == 172
    assert sorted(model.state_dict()) == sorted(KEYS)
    shapes = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    assert shapes["A"] == shapes["edge_importance.9"] == (3, 18, 18)
    assert shapes["data_bn.weight"] == (54,)
    assert shapes["st_gcn_networks.0.gcn.conv.weight"] == (192, 3, 1, 1)
    assert shapes["st_gcn_networks.4.residual.0.weight"] == (128, 64, 1, 1)
    assert shapes["st_gcn_networks.7.tcn.2.weight"] == (256, 256, 9, 1)
    assert shapes["fcn.weight"] == (400, 256, 1, 1)


def test_no_edge_importance_means_no_such_keys():
    model = Model(3, 400, OPENPOSE, edge_importance_weighting=False)
    assert sorted(model.state_dict()) == sorted(key for key in KEYS if not key.startswith("edge_importance"))


@pytest.mark.parametrize("layout, V", [("openpose", 18), ("ntu-rgb+d", 25)])
def test_full_network_equals_the_plain_formulation(layout, V):
    model = shake(Model(3, 400, {"layout": layout, "strategy": "spatial"})).eval()
    twin = plain_twin(model)
    x = clip(T=32, V=V)
    with torch.no_grad():
        assert_close(model(x), twin(x), 1e-5)
        for actual, expected in zip(model.extract_feature(x), twin.extract_feature(x)):
            assert_close(actual, expected, 1e-5)


@pytest.mark.parametrize("weighting", [True, False])
def test_gradients_and_batch_statistics_equal_the_plain_formulation_in_float64(weighting):
    model = small(edge_importance_weighting=weighting).double().train()
    twin = plain_twin(model, blocks=SMALL, edge_importance_weighting=weighting)
    x, label = clip(dtype=torch.float64), torch.tensor([1, 4])
    logits, expected = model(x), twin(x)
    assert_close(logits, expected, 1e-12)
    F.cross_entropy(logits, label).backward()
    F.cross_entropy(expected, label).backward()
    scale = max(parameter.grad.abs().max() for parameter in twin.parameters())
    for (name, parameter), (twin_name, twin_parameter) in zip(
        sorted(model.named_parameters()), sorted(twin.named_parameters()), strict=True
    ):
        assert name == twin_name
        assert (parameter.grad - twin_parameter.grad).abs().max() <= 1e-10 * scale, name
    for name, value in model.state_dict().items():
        assert torch.allclose(value, twin.state_dict()[name], rtol=1e-10), name


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 3),
    st.integers(1, 4),
    st.integers(1, 37),
    st.sampled_from([("openpose", 18), ("ntu-rgb+d", 25), ("penn-action", 13)]),
    st.integers(1, 3),
)
def test_any_size_of_clip(N, C, T, layout, M):
    name, V = layout
    model = small(in_channels=C, layout=name).eval()
    twin = plain_twin(model, blocks=SMALL)
    x = clip(N, C, T, V, M)
    with torch.no_grad():
        assert_close(model(x), twin(x), 1e-5)
        output, feature = model.extract_feature(x)
        frames = (T + 3) // 4
        assert output.shape == (N, 5, frames, V, M) and feature.shape == (N, 12, frames, V, M)
        assert_close(output.mean((2, 3, 4)), model(x), 1e-4)
        for dtype, tolerance in ((torch.float32, 1e-4), (torch.bfloat16, 0.1)):
            assert_close(model.fuse(dtype)(x), twin(x), tolerance)


def test_a_skeleton_of_one_joint(tmp_path):
    path = tmp_path / "point.yaml"
    path.write_text("name: point\njoints: [point]\nbones: []\ncentre: point\n")
    model = small(layout=str(path)).eval()
    x = clip(V=1)
    with torch.no_grad():
        assert_close(model(x), plain_twin(model, blocks=SMALL)(x), 1e-5)
        assert_close(model.fuse()(x), model(x), 1e-4)


@pytest.mark.parametrize("strategy, subsets", [("uniform", 1), ("distance", 2), ("spatial_exact", 3)])
def test_any_number_of_subsets(strategy, subsets):
    model = shake(Model(3, 5, {"layout": "openpose", "strategy": strategy}, blocks=SMALL)).eval()
    assert model.A.shape[0] == subsets
    with torch.no_grad():
        assert_close(model(clip()), plain_twin(model, blocks=SMALL)(clip()), 1e-5)


def test_adjacency_comes_from_the_checkpoint_not_from_the_layout():
    trained = small().eval()
    trained.A.copy_(torch.rand(3, 18, 18, generator=torch.Generator().manual_seed(2)))
    model = small().eval()
    assert not torch.equal(model(clip()), trained(clip()))
    layout = model.graph.A.copy()
    model.load_state_dict(trained.state_dict(), strict=True)
    np.testing.assert_array_equal(model.graph.A, layout)
    assert torch.equal(model(clip()), trained(clip()))
    assert_close(model.fuse()(clip()), trained(clip()), 1e-4)


def test_blocks_set_widths_strides_and_residuals():
    model = Model(3, 5, OPENPOSE, blocks=SMALL)
    kinds = [type(block.residual).__name__ for block in model.st_gcn_networks]
    assert kinds == ["NoneType", "Identity", "Sequential", "Identity", "Sequential"]
    assert [key for key in model.state_dict() if "residual.0.weight" in key] == [
        "st_gcn_networks.2.residual.0.weight",
        "st_gcn_networks.4.residual.0.weight",
    ]
    assert Model(3, 5, OPENPOSE, blocks=BLOCKS).state_dict().keys() == set(KEYS)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"blocks": [[64, 1], [64]]}, r"blocks\[1\] must be \[channels, stride\].*found \[64\]"),
        ({"blocks": [[64, 0]]}, r"blocks\[0\]"),
        ({"blocks": []}, "at least one"),
        ({"blocks": 64}, "blocks must be a list"),
        ({"temporal_kernel_size": 8}, "temporal_kernel_size must be odd; found 8"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        Model(3, 5, OPENPOSE, **arguments)


def test_dropout_is_in_every_block_but_the_first():
    model = Model(3, 5, OPENPOSE, dropout=0.3, blocks=SMALL)
    assert [block.tcn[4].p for block in model.st_gcn_networks] == [0.0, 0.3, 0.3, 0.3, 0.3]
    x = clip()
    assert not torch.equal(model(x), model(x))
    F.cross_entropy(model(x), torch.tensor([0, 1])).backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())


def test_initial_weights_are_those_the_original_trains_from_and_repeat_with_the_seed():
    torch.manual_seed(7)
    model = Model(3, 400, OPENPOSE)
    convolutions = torch.cat([m.weight.flatten() for m in model.modules() if isinstance(m, nn.Conv2d)])
    norms = torch.cat([m.weight for m in model.modules() if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d))])
    assert abs(convolutions.mean()) < 1e-4 and abs(convolutions.std() - 0.02) < 1e-4
    assert abs(norms.mean() - 1) < 2e-3 and abs(norms.std() - 0.02) < 2e-3
    assert all((value == 0).all() for name, value in model.named_parameters() if name.endswith("bias"))
    assert all((importance == 1).all() for importance in model.edge_importance)
    torch.manual_seed(7)
    again = Model(3, 400, OPENPOSE).state_dict()
    assert all(torch.equal(value, again[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("weighting", [True, False])
def test_survives_pickle_and_deepcopy(weighting):
    model = small(edge_importance_weighting=weighting).eval()
    expected = model(clip())
    for other in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert torch.equal(other(clip()), expected)
    fused = model.fuse()
    assert torch.equal(pickle.loads(pickle.dumps(fused))(clip()), fused(clip()))


def test_exports_for_any_number_of_clips_and_frames():
    model = small().eval()
    shape = {0: torch.export.Dim("N", min=1, max=64), 2: torch.export.Dim("T", min=5, max=2000)}
    exported = torch.export.export(model, (clip(),), dynamic_shapes=(shape,)).module()
    for N, T in ((1, 5), (3, 7), (4, 64)):
        assert_close(exported(clip(N, T=T)), model(clip(N, T=T)), 1e-5)


def test_data_parallel_wrapper_and_a_replica_give_the_same():
    model = small().eval()
    expected = model(clip())
    assert torch.equal(nn.DataParallel(model)(clip()), expected)
    # What DataParallel makes for a second device: modules without parameters, whose copies are plain attributes.
    replicas = {module: module._replicate_for_data_parallel() for module in model.modules()}
    for module, replica in replicas.items():
        for name, child in module._modules.items():
            setattr(replica, name, replicas.get(child))
        for name, parameter in module._parameters.items():
            setattr(replica, name, None if parameter is None else parameter.detach().clone())
    assert torch.equal(replicas[model](clip()), expected)


def test_bfloat16_autocast_stays_close_and_trains():
    model = small().eval()
    expected = model(clip())
    with torch.autocast("cpu", torch.bfloat16):
        assert_close(model(clip()).float(), expected, 0.1)
        loss = F.cross_entropy(model.train()(clip()), torch.tensor([0, 1]))
    loss.backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())


def test_activations_stay_channels_last_through_every_block():
    model = small().eval()
    seen = []
    for block in model.st_gcn_networks:
        block.register_forward_hook(lambda module, inputs, y: seen.append(y.permute(0, 2, 3, 1).is_contiguous()))
    model(clip())
    assert seen == [True] * len(SMALL)


@pytest.mark.parametrize("weighting", [True, False])
def test_fused_equals_the_network_and_leaves_it_alone(weighting):
    model = shake(Model(3, 400, OPENPOSE, edge_importance_weighting=weighting)).train()
    before = copy.deepcopy(model.state_dict())
    fused = model.fuse()
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    model.eval()
    x = clip(N=3, T=40)
    with torch.no_grad():
        assert_close(fused(x), model(x), 1e-4)
        for actual, expected in zip(fused.extract_feature(x), model.extract_feature(x)):
            assert_close(actual, expected, 1e-4)
    logits = fused(x)
    model.fcn.bias.data += 1  # the weights of the moment of fusing are kept
    assert torch.equal(fused(x), logits) and not logits.requires_grad


def test_fused_bfloat16_takes_and_gives_float32():
    model = small().eval()
    far = clip() * 0.1 + 3  # metres in front of the camera: too coarse for bfloat16 before the first normalisation
    model.data_bn.running_mean.fill_(3)
    model.data_bn.running_var.fill_(0.01)
    fused = model.fuse(torch.bfloat16)
    for actual, expected in zip((fused(far), *fused.extract_feature(far)), (model(far), *model.extract_feature(far))):
        assert actual.dtype == torch.float32
        assert_close(actual, expected, 0.05)


@pytest.mark.parametrize("tile_bytes", [1, 50_000, 1 << 30])
def test_tiles_of_any_size_give_the_same(tile_bytes, monkeypatch):
    model = small().eval()
    monkeypatch.setattr("net.fused.TILE_BYTES", tile_bytes)
    with torch.no_grad():
        assert_close(model.fuse()(clip(N=5)), model(clip(N=5)), 1e-4)


def test_fused_network_is_moved_like_any_other():
    fused = small().fuse().double()
    assert all(buffer.dtype == torch.float64 for buffer in fused.buffers())
    assert not list(fused.parameters())


def test_the_order_of_input_channels_is_joint_then_channel():
    model = small().eval()
    joint, channel = 4, 2
    model.data_bn.weight.data.zero_()
    model.data_bn.bias.data.zero_()
    silent = model(clip())
    model.data_bn.weight.data[joint * 3 + channel] = 1
    x = clip()
    x[:, channel, :, joint] = model.data_bn.running_mean[joint * 3 + channel]  # normalised to zero
    assert_close(model(x), silent, 1e-6)
    x[:, channel, :, joint] += 1
    assert not np.allclose(model(x).detach(), silent.detach())
