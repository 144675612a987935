"""Pooling over persons: an empty row changes nothing when it is left out, and what it does when it is counted."""

import pytest
import torch

from net import st_gcn, st_gcn_pp
from net.pool import mean_over_persons

ARGS = {
    "in_channels": 3,
    "num_class": 4,
    "graph_args": {"layout": "openpose", "strategy": "spatial"},
    "blocks": [[6, 1], [8, 2]],
}


def test_the_mean_is_over_those_who_appear():
    feature = torch.tensor([[[1.0], [3.0]], [[1.0], [3.0]], [[1.0], [3.0]]])  # (N, M, C')
    x = torch.zeros(3, 3, 5, 2, 2)
    x[0, 2, 4, 1] = 1  # both appear, once each
    x[1, 0, 0, 0, 0] = 1  # only the first; in the third clip nobody
    assert mean_over_persons(feature, x, True).tolist() == [[2.0], [1.0], [0.0]]
    assert mean_over_persons(feature, x, False).tolist() == [[2.0], [2.0], [2.0]]


@pytest.mark.parametrize("network", [st_gcn, st_gcn_pp])
def test_an_empty_second_person_changes_nothing_when_masked(network):
    torch.manual_seed(0)
    x = torch.randn(2, 3, 12, 18, 1)
    padded = torch.cat([x, torch.zeros_like(x)], -1)
    for masked in (True, False):
        model = network.Model(**ARGS, masked_pool=masked).eval()
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
                torch.nn.init.normal_(module.running_mean)
            if isinstance(module, torch.nn.Conv2d):
                torch.nn.init.normal_(module.weight, 0, 0.3)  # as initialised, the clip hardly shows in the logits
        for form in (model, model.fuse()):
            with torch.no_grad():
                same = torch.allclose(form(x), form(padded), rtol=1e-4, atol=1e-6)
            assert same == masked
