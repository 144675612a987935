"""CTR-GCN: the keys are those of the release, the numbers those of the plain formulation, whatever the shape of the clip."""

import copy
import pickle
from collections import OrderedDict

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from net.ctr_gcn import Model
from net.graph import Graph
from net.st_gcn import BLOCKS
from tests.net.plain_ctr import plain_ctr_gcn
from tests.net.test_st_gcn import assert_close, clip, shake
from torchlight.checkpoint import load_weights

OPENPOSE = {"layout": "openpose", "strategy": "directed"}
NTU = {"layout": "ntu-rgb+d", "strategy": "directed"}
NARROW = [[16, 1], [16, 1], [20, 2], [20, 1], [32, 2]]


def small(in_channels=3, num_person=2, layout="openpose", blocks=NARROW, dtype=torch.float32, **kwargs) -> Model:
    """Random weights everywhere; the graph is another in every block, with links that no skeleton has."""
    torch.manual_seed(0)
    model = shake(
        Model(in_channels, 5, {"layout": layout, "strategy": "directed"}, num_person, blocks=blocks, **kwargs)
    )
    model.to(dtype)
    with torch.no_grad():
        for block in model.blocks:
            block.gcn1.alpha.uniform_(0.5, 1)
            block.gcn1.PA += 0.1 * torch.randn(block.gcn1.PA.shape)
            block.gcn1.bn.running_var.fill_(
                10.0
            )  # the sum over three subsets and as many neighbours, brought back to about 1
    return model.eval()


def keys_of_the_release(blocks, num_class, V, M, C=3, K=3) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the weights that Chen et al. have published, in no order."""
    shapes = {}

    def norm(name, width):
        for part in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{name}.{part}"] = (width,)
        shapes[f"{name}.num_batches_tracked"] = ()

    def conv(name, out, width, kernel=1):
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = (out, width, kernel, 1), (out,)

    norm("data_bn", M * V * C)
    width = C
    for i, (out, stride) in enumerate(blocks):
        gcn, tcn = f"l{i + 1}.gcn1", f"l{i + 1}.tcn1.branches"
        shapes[f"{gcn}.PA"], shapes[f"{gcn}.alpha"] = (K, V, V), (1,)
        features = 8 if width == 3 else width // 8
        for k in range(K):
            conv(f"{gcn}.convs.{k}.conv1", features, width)
            conv(f"{gcn}.convs.{k}.conv2", features, width)
            conv(f"{gcn}.convs.{k}.conv3", out, width)
            conv(f"{gcn}.convs.{k}.conv4", out, features)
        norm(f"{gcn}.bn", out)
        if width != out:
            conv(f"{gcn}.down.0", out, width)
            norm(f"{gcn}.down.1", out)
        for b in range(4):
            conv(f"{tcn}.{b}.0", out // 4, out)
            norm(f"{tcn}.{b}.1", out // 4)
        for b in range(2):
            conv(f"{tcn}.{b}.3.conv", out // 4, out // 4, kernel=5)
            norm(f"{tcn}.{b}.3.bn", out // 4)
        norm(f"{tcn}.2.4", out // 4)
        if i > 0 and (width != out or stride > 1):
            conv(f"l{i + 1}.residual.conv", out, width)
            norm(f"l{i + 1}.residual.bn", out)
        width = out
    shapes["fc.weight"], shapes["fc.bias"] = (num_class, width), (num_class,)
    return shapes


@pytest.mark.parametrize("layout, num_class, V, M", [("ntu-rgb+d", 60, 25, 2), ("nw-ucla", 10, 20, 1)])
def test_keys_and_shapes_are_those_of_the_release(layout, num_class, V, M):
    model = Model(3, num_class, {"layout": layout, "strategy": "directed"}, M)
    found = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    assert found == keys_of_the_release(BLOCKS, num_class, V, M)
    named = ("data_bn.weight", "l1.gcn1.convs.2.conv4.bias", "l5.residual.conv.weight", "l8.gcn1.down.1.running_var")
    assert set(named) <= set(found)


def test_size_of_the_published_network():
    assert sum(p.numel() for p in Model(3, 120, NTU, 2).parameters()) == 1_462_092  # 1.46 M in table 5 of the paper


def test_full_network_equals_the_plain_formulation_in_float64():
    model = small(layout="ntu-rgb+d", blocks=None, dtype=torch.float64)
    x = clip(T=20, V=25, dtype=torch.float64)
    with torch.no_grad():
        expected = plain_ctr_gcn(model.state_dict(), x, BLOCKS)
        assert_close(model(x), expected, 1e-11)
        assert_close(model.fuse(torch.float64)(x), expected, 1e-11)


def test_gradients_and_batch_statistics_equal_the_plain_formulation_in_float64():
    model = small(dtype=torch.float64).train()
    x, label = clip(dtype=torch.float64), torch.tensor([1, 4])
    state = {name: value.detach().clone() for name, value in model.state_dict().items()}
    parameters = dict(model.named_parameters())
    for name in parameters:
        state[name].requires_grad_()
    expected = plain_ctr_gcn(state, x, NARROW, training=True)
    logits = model(x)
    assert_close(logits, expected, 1e-11)
    F.cross_entropy(logits, label).backward()
    F.cross_entropy(expected, label).backward()
    scale = max(state[name].grad.abs().max() for name in parameters)
    for name, parameter in parameters.items():
        assert torch.isfinite(parameter.grad).all()
        assert (parameter.grad - state[name].grad).abs().max() <= 1e-9 * scale, name


@settings(max_examples=15, deadline=None)
@given(
    st.integers(1, 3),
    st.integers(1, 9),
    st.integers(1, 37),
    st.sampled_from([("openpose", 18), ("ntu-rgb+d", 25), ("penn-action", 13)]),
    st.integers(1, 3),
)
def test_any_size_of_clip(N, C, T, layout, M):
    name, V = layout
    model = small(C, M, name)
    x = clip(N, C, T, V, M)
    with torch.no_grad():
        expected = plain_ctr_gcn(model.state_dict(), x, NARROW)
        assert_close(model(x), expected, 1e-4)
        output, feature = model.extract_feature(x)
        frames = (T + 3) // 4
        assert output.shape == (N, 5, frames, V, M) and feature.shape == (N, 32, frames, V, M)
        assert_close(output.mean((2, 3, 4)), expected, 1e-4)
        for dtype, tolerance in ((torch.float32, 1e-4), (torch.bfloat16, 0.15)):
            assert_close(model.fuse(dtype)(x), expected, tolerance)


def test_a_skeleton_of_one_joint_and_one_subset(tmp_path):
    path = tmp_path / "point.yaml"
    path.write_text("name: point\njoints: [point]\nbones: []\ncentre: point\n")
    for strategy, K in (("uniform", 1), ("directed", 3)):
        model = shake(Model(3, 5, {"layout": str(path), "strategy": strategy}, 2, blocks=NARROW)).eval()
        assert model.l1.gcn1.PA.shape == (K, 1, 1)
        with torch.no_grad():
            assert_close(model(clip(V=1)), plain_ctr_gcn(model.state_dict(), clip(V=1), NARROW), 1e-5)
            assert_close(model.fuse()(clip(V=1)), model(clip(V=1)), 1e-4)


def test_the_graph_begins_as_the_skeleton_and_as_one_for_all_channels():
    model = Model(3, 5, NTU, 2, blocks=NARROW)
    PA = model.l1.gcn1.PA
    assert torch.equal(PA, torch.tensor(Graph(**NTU).A).mT) and not model.l1.gcn1.alpha.any()
    assert PA[1, 20].nonzero().flatten().tolist() == [
        1,
        2,
        4,
        8,
    ]  # spine, neck and shoulders feed what is between them
    F.cross_entropy(model(clip(V=25)), torch.tensor([0, 1])).backward()
    assert all(block.gcn1.PA.grad.any() and block.gcn1.alpha.grad.any() for block in model.blocks)


def test_initial_weights_are_as_in_the_release_and_repeat_with_the_seed():
    torch.manual_seed(7)
    model = Model(3, 50, NTU, 2)
    assert (model.l3.gcn1.bn.weight == 1e-6).all() and (model.data_bn.weight == 1).all()
    for conv in (model.l9.gcn1.convs[1].conv3, model.l9.tcn1.branches[0][3].conv, model.l8.residual.conv):
        fan_out = conv.out_channels * conv.kernel_size[0]
        assert not conv.bias.any() and conv.weight.std().item() == pytest.approx((2 / fan_out) ** 0.5, rel=0.05)
    assert model.fc.weight.std().item() == pytest.approx((2 / 50) ** 0.5, rel=0.05)
    torch.manual_seed(7)
    again = Model(3, 50, NTU, 2).state_dict()
    assert all(torch.equal(value, again[name]) for name, value in model.state_dict().items())


def test_a_checkpoint_of_the_release_loads_whole(tmp_path):
    weights = OrderedDict((name, torch.rand(shape)) for name, shape in keys_of_the_release(BLOCKS, 10, 20, 1).items())
    torch.save(weights, tmp_path / "runs-65-20670.pt")  # the release names them by epoch and iteration
    model = Model(3, 10, {"layout": "nw-ucla", "strategy": "directed"}, 1)
    load_weights(model, tmp_path / "runs-65-20670.pt")
    state = model.state_dict()
    assert all(torch.equal(state[name], value.to(state[name].dtype)) for name, value in weights.items())


@pytest.mark.parametrize(
    "blocks, message",
    [
        ([[64, 1], [64]], r"blocks\[1\] must be \[channels, stride\].*found \[64\]"),
        ([[64, 1], [10, 1]], r"blocks\[1\] needs as many channels for each of 4 branches; found 10 channels"),
    ],
)
def test_wrong_blocks(blocks, message):
    with pytest.raises(ValueError, match=message):
        Model(3, 5, OPENPOSE, 2, blocks=blocks)


def test_another_number_of_persons_is_refused():
    for form in (small(num_person=1), small(num_person=1).fuse()):
        with pytest.raises(ValueError, match="2 persons, but the model's argument num_person is 1"):
            form(clip(M=2))


def test_survives_pickle_and_deepcopy():
    model = small()
    for form in (model, model.fuse()):
        for other in (pickle.loads(pickle.dumps(form)), copy.deepcopy(form)):
            assert torch.equal(other(clip()), form(clip()))


def test_exports_for_any_number_of_clips_and_frames():
    model = small()
    shape = dict.fromkeys((0, 2), torch.export.Dim.DYNAMIC)
    exported = torch.export.export(model, (clip(),), dynamic_shapes=(shape,)).module()
    for N, T in ((1, 5), (3, 7), (4, 64)):
        assert_close(exported(clip(N, T=T)), model(clip(N, T=T)), 1e-5)


def test_bfloat16_autocast_stays_close_and_trains():
    model = small()
    expected = model(clip())
    with torch.autocast("cpu", torch.bfloat16):
        assert_close(model(clip()).float(), expected, 0.15)
        loss = F.cross_entropy(model.train()(clip()), torch.tensor([0, 1]))
    loss.backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())


def test_activations_stay_channels_last_through_every_block():
    model, seen = small(), []
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
