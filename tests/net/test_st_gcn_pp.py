"""ST-GCN++: the numbers are those of the plain formulation with PYSKL's names, whatever the shape of the clip."""

import copy
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from net.graph import Graph
from net.st_gcn_pp import Model
from tests.net.plain_pp import PlainSTGCNPP
from tests.net.test_st_gcn import OPENPOSE, SMALL, assert_close, clip, shake
from tools.convert_weights import from_pyskl, to_pyskl

NARROW = [[13, 1], [13, 1], [20, 2], [20, 1], [20, 2]]  # not a multiple of the six branches


def plain(num_class=5, in_channels=3, layout="openpose", strategy="spatial", blocks=NARROW, dtype=torch.float32):
    """Random weights everywhere; the graph is another in every block, with links that no skeleton has."""
    torch.manual_seed(0)
    A = torch.tensor(Graph(layout, strategy).A)
    network = shake(PlainSTGCNPP(in_channels, num_class, A, blocks=blocks).to(dtype))
    with torch.no_grad():
        for block in network.backbone.gcn:
            block.gcn.A += 0.1 * torch.randn(block.gcn.A.shape, dtype=dtype)
    return network.eval()


def twin(network: PlainSTGCNPP, layout="openpose", strategy="spatial", blocks=NARROW, **kwargs) -> Model:
    in_channels = network.backbone.gcn[0].gcn.conv.in_channels
    graph_args = {"layout": layout, "strategy": strategy}
    model = Model(in_channels, network.cls_head.fc_cls.out_features, graph_args, blocks=blocks, **kwargs)
    _, weights, _ = from_pyskl(network.state_dict(), "plain")
    model.to(network.cls_head.fc_cls.weight.dtype).load_state_dict(weights, strict=True)
    return model.train(network.training)


def small() -> Model:
    return twin(plain())


def pyskl(x):
    return x.permute(0, 4, 2, 3, 1)  # (N, C, T, V, M) -> (N, M, T, V, C)


@pytest.mark.parametrize("layout, V", [("coco", 17), ("ntu-rgb+d", 25)])
def test_full_network_equals_the_plain_formulation(layout, V):
    network = plain(60, layout=layout, blocks=[[64, 1]] * 4 + [[128, 2], [128, 1], [128, 1], [256, 2]] + [[256, 1]] * 2)
    model = twin(network, layout, blocks=None)
    x = clip(T=32, V=V)
    with torch.no_grad():
        expected = network(pyskl(x))
        assert_close(model(x), expected, 1e-5)
        assert_close(model.fuse()(x), expected, 1e-4)


def test_size_of_the_published_network():
    model = Model(3, 60, {"layout": "ntu-rgb+d", "strategy": "spatial"})
    assert sum(parameter.numel() for parameter in model.parameters()) == 1_403_144
    assert model.blocks[0].tcn.branches[0].conv.out_channels == 14  # 64 - 5 * 10
    assert [type(block.residual).__name__ for block in model.blocks[:5]] == [
        *("NoneType", "Identity", "Identity", "Identity", "Sequential")
    ]


def test_gradients_and_batch_statistics_equal_the_plain_formulation_in_float64():
    network = plain(dtype=torch.float64).train()
    model = twin(network)
    x, label = clip(dtype=torch.float64), torch.tensor([1, 4])
    logits, expected = model(x), network(pyskl(x))
    assert_close(logits, expected, 1e-12)
    F.cross_entropy(logits, label).backward()
    F.cross_entropy(expected, label).backward()
    parameters = dict(model.named_parameters())
    state = model.state_dict()
    _, actual = to_pyskl(
        {name: parameters[name].grad if name in parameters else state[name] for name in state}, "model"
    )
    gradients = {name: parameter.grad for name, parameter in network.named_parameters()}
    scale = max(gradient.abs().max() for gradient in gradients.values())
    for name, gradient in gradients.items():
        assert (actual[name] - gradient).abs().max() <= 1e-10 * scale, name
    _, statistics = to_pyskl(state, "model")
    for name, value in network.state_dict().items():
        assert torch.allclose(statistics[name], value, rtol=1e-10), name


@settings(max_examples=20, deadline=None)
@given(
    st.integers(1, 3),
    st.integers(1, 4),
    st.integers(1, 37),
    st.sampled_from([("openpose", 18), ("ntu-rgb+d", 25), ("penn-action", 13)]),
    st.integers(1, 3),
)
def test_any_size_of_clip(N, C, T, layout, M):
    name, V = layout
    network = plain(in_channels=C, layout=name)
    model = twin(network, name)
    x = clip(N, C, T, V, M)
    with torch.no_grad():
        expected = network(pyskl(x))
        assert_close(model(x), expected, 1e-5)
        output, feature = model.extract_feature(x)
        frames = (T + 3) // 4
        assert output.shape == (N, 5, frames, V, M) and feature.shape == (N, 20, frames, V, M)
        assert_close(output.mean((2, 3, 4)), expected, 1e-4)
        for dtype, tolerance in ((torch.float32, 1e-4), (torch.bfloat16, 0.1)):
            assert_close(model.fuse(dtype)(x), expected, tolerance)


@pytest.mark.parametrize("strategy, subsets", [("uniform", 1), ("distance", 2), ("spatial_exact", 3)])
def test_any_number_of_subsets(strategy, subsets):
    network = plain(strategy=strategy)
    model = twin(network, strategy=strategy)
    assert model.blocks[0].gcn.A.shape[0] == subsets
    with torch.no_grad():
        assert_close(model(clip()), network(pyskl(clip())), 1e-5)
        assert_close(model.fuse()(clip()), network(pyskl(clip())), 1e-4)


def test_a_skeleton_of_one_joint(tmp_path):
    path = tmp_path / "point.yaml"
    path.write_text("name: point\njoints: [point]\nbones: []\ncentre: point\n")
    network = plain(layout=str(path))
    model = twin(network, str(path))
    x = clip(V=1)
    with torch.no_grad():
        assert_close(model(x), network(pyskl(x)), 1e-5)
        assert_close(model.fuse()(x), model(x), 1e-4)


def test_the_graph_is_learned_and_begins_as_the_skeleton():
    model = Model(3, 5, OPENPOSE, blocks=SMALL)
    A = torch.tensor(model.graph.A)
    assert all(torch.equal(block.gcn.A, A) for block in model.blocks)
    F.cross_entropy(model(clip()), torch.tensor([0, 1])).backward()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter -= 0.1 * parameter.grad
    assert not any(torch.equal(block.gcn.A, A) for block in model.blocks)
    assert torch.equal(torch.tensor(model.graph.A), A)


def test_dropout_is_in_every_block_but_the_first():
    model = Model(3, 5, OPENPOSE, dropout=0.3, blocks=SMALL)
    assert [block.tcn.dropout.p for block in model.blocks] == [0.0, 0.3, 0.3, 0.3, 0.3]
    assert not torch.equal(model(clip()), model(clip()))
    F.cross_entropy(model(clip()), torch.tensor([0, 1])).backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())


@pytest.mark.parametrize(
    "blocks, message",
    [
        ([[64, 1], [64]], r"blocks\[1\] must be \[channels, stride\].*found \[64\]"),
        ([[64, 1], [5, 1]], r"blocks\[1\] needs a channel for each of 6 branches; found 5 channels"),
        ([], "at least one"),
    ],
)
def test_wrong_blocks(blocks, message):
    with pytest.raises(ValueError, match=message):
        Model(3, 5, OPENPOSE, blocks=blocks)


def test_initial_weights_repeat_with_the_seed():
    states = []
    for _ in range(2):
        torch.manual_seed(7)
        states.append(Model(3, 5, OPENPOSE, blocks=SMALL).state_dict())
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def test_survives_pickle_and_deepcopy():
    model = small()
    expected = model(clip())
    for other in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert torch.equal(other(clip()), expected)
    fused = model.fuse()
    for other in (pickle.loads(pickle.dumps(fused)), copy.deepcopy(fused)):
        assert torch.equal(other(clip()), fused(clip()))


def test_exports_for_any_number_of_clips_and_frames():
    model = small()
    shape = {0: torch.export.Dim("N", min=1, max=64), 2: torch.export.Dim("T", min=5, max=2000)}
    exported = torch.export.export(model, (clip(),), dynamic_shapes=(shape,)).module()
    for N, T in ((1, 5), (3, 7), (4, 64)):
        assert_close(exported(clip(N, T=T)), model(clip(N, T=T)), 1e-5)


def test_bfloat16_autocast_stays_close_and_trains():
    model = small()
    expected = model(clip())
    with torch.autocast("cpu", torch.bfloat16):
        assert_close(model(clip()).float(), expected, 0.1)
        loss = F.cross_entropy(model.train()(clip()), torch.tensor([0, 1]))
    loss.backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())


def test_activations_stay_channels_last_through_every_block():
    model = small()
    seen = []
    for block in model.blocks:
        block.register_forward_hook(lambda module, inputs, y: seen.append(y.permute(0, 2, 3, 1).is_contiguous()))
    model(clip())
    assert seen == [True] * len(NARROW)


@pytest.mark.parametrize("tile_bytes", [1, 50_000, 1 << 30])
def test_fused_equals_the_network_in_tiles_of_any_size(tile_bytes, monkeypatch):
    model = small()
    monkeypatch.setattr("net.fused.TILE_BYTES", tile_bytes)
    x = clip(N=5)
    with torch.no_grad():
        fused = model.fuse()
        assert_close(fused(x), model(x), 1e-4)
        for actual, expected in zip(fused.extract_feature(x), model.extract_feature(x)):
            assert_close(actual, expected, 1e-4)


def test_fusing_leaves_the_network_alone_and_keeps_the_weights_of_the_moment():
    model = small().train()
    before = copy.deepcopy(model.state_dict())
    fused = model.fuse()
    logits = fused(clip())
    assert model.training and not logits.requires_grad and not list(fused.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 1
    assert torch.equal(fused(clip()), logits)


def test_fused_double_is_float64_throughout():
    model = twin(plain(dtype=torch.float64))
    x = clip(dtype=torch.float64)
    with torch.no_grad():
        assert_close(model.fuse(torch.float64)(x), model(x), 1e-12)
