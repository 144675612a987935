import math
from itertools import pairwise

import pytest
import torch

from torchlight.errors import UsageError
from torchlight.optim import build_optimizer, learning_rate, set_learning_rate


def parameters():
    return [torch.nn.Parameter(torch.ones(3))]


@pytest.mark.parametrize(
    ("name", "kind"), [("SGD", torch.optim.SGD), ("Adam", torch.optim.Adam), ("AdamW", torch.optim.AdamW)]
)
def test_optimisers_by_name(name, kind):
    optimizer = build_optimizer(parameters(), name, base_lr=0.2, weight_decay=0.03, nesterov=False)
    assert type(optimizer) is kind
    assert (optimizer.defaults["lr"], optimizer.defaults["weight_decay"]) == (0.2, 0.03)


@pytest.mark.parametrize("nesterov", [True, False])
def test_sgd_of_the_original(nesterov):
    optimizer = build_optimizer(parameters(), "SGD", nesterov=nesterov)
    assert (optimizer.defaults["momentum"], optimizer.defaults["nesterov"]) == (0.9, nesterov)


def test_unknown_names():
    with pytest.raises(UsageError, match="did you mean 'Adam'"):
        build_optimizer(parameters(), "adam")
    with pytest.raises(UsageError, match="did you mean 'cosine'"):
        learning_rate("cosin", 0.1)


def test_step_is_the_originals():
    found = [learning_rate("step", 0.1, [10, 50], 80, 0, epoch, 0.7) for epoch in range(80)]
    assert found == [0.1 * 0.1 ** sum([epoch >= 10, epoch >= 50]) for epoch in range(80)]
    assert found[9:11] == [0.1, pytest.approx(0.01)]


def test_no_step_is_constant():
    assert learning_rate("step", 0.1, [], 80, 0, 79, 0.99) == 0.1


def test_cosine_falls_with_every_iteration_to_nothing():
    found = [learning_rate("cosine", 0.1, (), 4, 0, epoch, i / 5) for epoch in range(4) for i in range(5)]
    assert found[0] == 0.1
    assert all(a > b for a, b in pairwise(found))
    assert found[10] == pytest.approx(0.05)
    assert found[-1] == pytest.approx(0.05 * (1 + math.cos(math.pi * 19 / 20)))
    assert learning_rate("cosine", 0.1, (), 4, 0, 4) == 0
    assert learning_rate("cosine", 0.1, (), 4, 0, 9) == 0


@pytest.mark.parametrize("schedule", ["step", "cosine"])
def test_warm_up_rises_evenly_to_the_whole(schedule):
    found = [learning_rate(schedule, 1.0, [30], 80, 2, epoch, i / 4) for epoch in range(2) for i in range(4)]
    assert found == pytest.approx([0.1 + 0.9 * i / 8 for i in range(8)])
    assert learning_rate(schedule, 1.0, [30], 80, 2, 2) == 1.0


def test_warm_up_longer_than_the_run():
    assert learning_rate("cosine", 1.0, (), 2, 5, 1, 0.5) == pytest.approx(0.1 + 0.9 * 0.3)


def test_every_group_gets_the_rate():
    optimizer = build_optimizer([{"params": parameters()}, {"params": parameters(), "lr": 5.0}], "SGD")
    set_learning_rate(optimizer, 0.25)
    assert [group["lr"] for group in optimizer.param_groups] == [0.25, 0.25]
