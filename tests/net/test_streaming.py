"""Fed frame by frame, in any chunks, in any company: the features of the ordinary network on the whole sequence."""

import copy
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from feeder.readers import penn_action
from net import st_gcn, st_gcn_pp
from net.streaming import State
from tests.net.test_st_gcn import OPENPOSE, SMALL, assert_close, clip, shake

NETWORKS = {"st_gcn": st_gcn.Model, "st_gcn_pp": st_gcn_pp.Model}
NARROW = [[13, 1], [20, 2], [20, 1], [20, 2]]
BLOCKS = {"small": SMALL, "narrow": NARROW, "one": [[8, 1]], "strided": [[8, 2], [8, 2], [12, 1]], "by 3": [[8, 3], [8, 1]],
          "by 5": [[8, 1], [9, 5], [9, 1]]}  # fmt: skip


def network(name="st_gcn", blocks=SMALL, dtype=torch.float64, layout="openpose", **kwargs):
    torch.manual_seed(0)
    graph = {"layout": layout, "strategy": "spatial"}
    model = shake(NETWORKS[name](3, 5, graph, blocks=blocks, **kwargs))
    if name == "st_gcn_pp":
        for block in model.blocks:  # a graph as if it had been learned
            block.gcn.A.data += 0.1 * torch.randn(block.gcn.A.shape)
    return model.eval().to(dtype)


def features(model, x):
    with torch.no_grad():
        return model.extract_feature(x)[1]


def fed(stream, x, sizes):
    """The features of a sequence (N, C, T, V, M) that comes in chunks of these sizes, over and over, to its end."""
    out, t, i = [], 0, 0
    while t < x.shape[2]:
        size = sizes[i % len(sizes)]
        out.append(stream(x[:, :, t] if size == 1 else x[:, :, t : t + size]))
        t, i = t + size, i + 1
    return torch.cat([*out, stream.flush()], 2)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("blocks", BLOCKS)
def test_frame_by_frame_the_features_are_those_of_the_whole_sequence(name, blocks):
    model = network(name, BLOCKS[blocks])
    x = clip(T=41, dtype=torch.float64)
    for sizes in ([1], [4], [41]):
        assert_close(fed(model.stream(torch.float64), x, sizes), features(model, x), 1e-10)


@pytest.mark.parametrize("kernel", [1, 3, 5, 9, 15])
@pytest.mark.parametrize("T", [1, 2, 3, 4, 5, 30])
def test_any_kernel_and_sequences_shorter_than_it(kernel, T):
    model = network(blocks=[[8, 1], [8, 2], [9, 4]], temporal_kernel_size=kernel)
    x = clip(T=T, dtype=torch.float64)
    assert_close(fed(model.stream(torch.float64), x, [1]), features(model, x), 1e-10)


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(list(NETWORKS)), st.lists(st.integers(1, 9), min_size=1, max_size=5), st.integers(1, 60),
       st.integers(1, 3), st.integers(1, 3))  # fmt: skip
def test_any_chunks(name, sizes, T, N, M):
    model = network(name)
    x = clip(N, T=T, M=M, dtype=torch.float64)
    assert_close(fed(model.stream(torch.float64), x, sizes), features(model, x), 1e-10)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_ten_blocks_of_the_paper_in_float32(name):
    torch.manual_seed(0)
    model = shake(NETWORKS[name](3, 400, OPENPOSE)).eval()
    x = clip(1, T=120, M=1)
    stream = model.stream()
    assert (stream.stride, stream.delay) == (4, 76)
    assert_close(fed(stream, x, [4]), features(model, x), 1e-4)
    with torch.no_grad():
        assert_close(model.stream(window=120).eval()(x), features(model, x)[:, :, : (120 - 76 + 3) // 4], 1e-4)


@pytest.mark.parametrize("name", NETWORKS)
def test_real_sequences_in_float32(name, real_data):
    model = network(name, [[32, 1], [32, 1], [64, 2], [64, 1]], torch.float32, "penn-action")
    for number in (1, 1500):
        sequence = penn_action.read(real_data / "penn_action" / "labels" / f"{number:04d}.mat")
        points = sequence.keypoints / np.array(sequence.frame_size) - 0.5
        x = torch.from_numpy(np.concatenate([points, sequence.scores[..., None]], -1)).float()  # (M, T, V, C)
        x = x.permute(3, 1, 2, 0)[None]
        assert_close(fed(model.stream(), x, [1]), features(model, x), 1e-4)


def test_bfloat16_stays_close():
    model = network(dtype=torch.float32)
    actual = fed(model.stream(torch.bfloat16), clip(T=60), [4])
    assert actual.dtype == torch.bfloat16
    assert_close(actual.float(), features(model, clip(T=60)), 0.1)


@pytest.mark.parametrize("name", NETWORKS)
def test_feature_j_is_known_with_frame_j_times_stride_plus_delay(name):
    model = network(name)
    stream, x, come = model.stream(torch.float64), clip(T=60, dtype=torch.float64), []
    for t in range(60):
        come += [t] * stream(x[:, :, t]).shape[2]
    assert (stream.stride, stream.delay) == (4, 4 * (1 + 1 + 1 + 2 + 2))
    assert come == [4 * j + stream.delay for j in range(len(come))] and len(come) == 8


def test_reset_begins_anew_and_a_state_that_is_put_back_goes_on():
    model, x = network(), clip(T=50, dtype=torch.float64)
    stream = model.stream(torch.float64)
    first = fed(stream, x, [7])
    with pytest.raises(ValueError, match="are over"):
        stream(x[:, :, 0])
    stream.reset()
    assert torch.equal(fed(stream, x, [7]), first)
    stream.reset()
    before = [stream(x[:, :, :23])]
    state = stream.state
    early = torch.cat([*before, stream.flush()], 2)  # as if the sequence ended here
    stream.state = state
    assert_close(early, features(model, x[:, :, :23]), 1e-10)
    assert_close(torch.cat([*before, fed(stream, x[:, :, 23:], [1])], 2), features(model, x), 1e-10)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("phase", [0, 3])
def test_persons_who_come_and_go_have_the_features_that_they_have_alone(name, phase):
    """Three sequences of which one begins 8 and one 20 frames later; the second leaves after 32 frames."""
    model, M = network(name), 2
    starts, x = [0, 8, 20], clip(3, T=60, M=M, dtype=torch.float64)
    stream, parts = model.stream(torch.float64), {0: [], 1: [], 2: []}
    rows = []
    for t in range(phase, 60, 4):
        new = [i for i, start in enumerate(starts) if start + phase == t or (t == phase and start == 0)]
        for i in new:
            begin = stream.begin(1, 18, M)
            if phase:  # its first frames alone, so that all are in the same phase
                stream_of_one = model.stream(torch.float64)
                stream_of_one.state = begin
                parts[i].append(stream_of_one(x[i : i + 1, :, starts[i] : starts[i] + phase]))
                begin = stream_of_one.state
            stream.state = begin if not rows else State.join([stream.state, begin])
            rows.append(i)
        feature = stream(x[rows, :, t : t + 4])
        for row, i in enumerate(rows):
            parts[i].append(feature[row : row + 1])
        if t + 4 >= 40 + phase and 1 in rows:
            keep = [row for row, i in enumerate(rows) if i != 1]
            gone = copy.deepcopy(stream)
            gone.state = stream.state[[rows.index(1)]]
            parts[1].append(gone.flush())
            stream.state, rows = stream.state[keep], [i for i in rows if i != 1]
    for row, i in enumerate(rows):
        last = copy.deepcopy(stream)
        parts[i].append(last.flush()[row : row + 1])
    for i, end in ((0, 60), (1, 40 + phase), (2, 60)):
        expected = features(model, x[i : i + 1, :, starts[i] : end])
        actual = torch.cat(parts[i], 2)
        before = actual.shape[2] - expected.shape[2]  # those of a beginning for which older ones did not wait
        assert (actual[:, :, :before] == 0).all()
        assert_close(actual[:, :, before:], expected, 1e-10)


def test_a_state_of_many_is_sliced_like_a_tensor():
    model, x = network(), clip(4, T=40, dtype=torch.float64)
    stream = model.stream(torch.float64)
    stream(x[:, :, :21])
    for rows in ([2], [3, 0], slice(1, 3), torch.tensor([True, False, False, True])):
        part = copy.deepcopy(stream)
        part.state = stream.state[rows]
        expected = features(model, x[rows])
        actual = torch.cat([features(model, x[rows])[:, :, :0], part(x[rows, :, 21:]), part.flush()], 2)
        assert_close(actual, expected[:, :, -actual.shape[2] :], 1e-10)


def test_ages_that_do_not_fit_are_said():
    stream, x = network().stream(torch.float64), clip(1, T=9, dtype=torch.float64)
    stream(x[:, :, :8])
    old = stream.state
    stream.reset()
    stream(x[:, :, :1])
    stream.state = State(torch.tensor([8, 1]), State.join([old, old]).kept, old.recent, old.seen)
    with pytest.raises(ValueError, match="differ by multiples of 4 frames"):
        stream(x.expand(2, -1, -1, -1, -1))


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("masked", [False, True])
def test_the_running_prediction_is_that_of_the_mean_of_the_latest_features(name, masked):
    model = network(name, masked_pool=masked)
    x = clip(2, T=90, M=3, dtype=torch.float64)
    x[0, :, :, :, 2] = 0
    x[1, :, 40:, :, 1] = 0  # gone after 40 frames
    stream, whole = model.stream(torch.float64, window=32), features(model, x)
    for t in range(0, 88, 4):
        stream(x[:, :, t : t + 4])
        for frames, ago in ((32, 0), (16, 0), (16, 12)):
            known = max(0, (t + 3 - ago - stream.delay) // 4 + 1)
            P = min(known, frames // 4)
            if P == 0:
                continue
            feature = whole[:, :, known - P : known].mean((2, 3))  # (N, C', M)
            there = torch.ones(2, 3, dtype=torch.float64)
            if masked:
                there[0, 2] = 0
                there[1, 1] = 4 * (known - P) < 40
            pooled = (feature * there[:, None]).sum(2) / there.sum(1)[:, None]
            expected = F.linear(pooled, model.fcn.weight.flatten(1), model.fcn.bias)
            assert_close(stream.logits(frames, ago), expected, 1e-10)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("T", [1, 6, 50])
def test_of_a_sequence_in_the_window_that_is_over_the_prediction_is_the_ordinary_one(name, masked, T):
    model, x = network(name, masked_pool=masked), clip(2, T=T, M=2, dtype=torch.float64)
    x[0, ..., 1] = 0
    stream = model.stream(torch.float64, window=64)
    fed(stream, x, [3])
    with torch.no_grad():
        assert_close(stream.logits(), model(x), 1e-10)
        P = -(-T // 4)
        if P > 3:  # of the features before the last three
            feature = features(model, x)[:, :, P - 7 : P - 3].mean((2, 3, 4))
            expected = F.linear(feature, model.fcn.weight.flatten(1), model.fcn.bias)
            if not masked:
                assert_close(stream.logits(16, ago=12), expected, 1e-10)


def flops(function):
    with FlopCounterMode(display=False) as counter:
        function()
    return counter.get_total_flops()


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("frames, fewer", [(64, 12), (300, 40)])
def test_a_prediction_every_fourth_frame_takes_so_many_times_fewer_flops_than_a_window(name, frames, fewer):
    torch.manual_seed(0)
    model = NETWORKS[name](3, 400, OPENPOSE).eval()
    stream, x = model.stream(), torch.randn(1, 3, frames, 18, 1)
    stream(x[:, :, :1])

    def one_by_one():
        for t in range(4):
            stream(x[:, :, t])
        stream.logits()

    def four_at_once():
        stream(x[:, :, :4])
        stream.logits()

    with torch.no_grad():
        window = flops(lambda: model(x))
    assert flops(one_by_one) == flops(four_at_once)
    assert window >= fewer * flops(four_at_once)


def test_survives_pickle_and_deepcopy_with_its_state():
    model, x = network(), clip(T=40, dtype=torch.float64)
    stream = model.stream(torch.float64)
    stream(x[:, :, :20])
    others = [pickle.loads(pickle.dumps(stream)), copy.deepcopy(stream)]
    expected = stream(x[:, :, 20:])
    assert all(torch.equal(other(x[:, :, 20:]), expected) for other in others)


def test_the_network_is_left_alone():
    model = network()
    before = copy.deepcopy(model.state_dict())
    stream = model.stream(torch.float64)
    assert not stream(clip(T=40, dtype=torch.float64)).requires_grad
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
