"""What PYSKL and MMAction2 call the weights of ST-GCN and ST-GCN++, and what they are called here."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

from torchlight.errors import DataError

# our name of a module or parameter, PYSKL's; {i} a block, {k} a branch
ST_GCN = (
    ("data_bn", "backbone.data_bn"),
    ("st_gcn_networks.{i}.gcn.conv", "backbone.gcn.{i}.gcn.conv"),
    ("st_gcn_networks.{i}.tcn.0", "backbone.gcn.{i}.gcn.bn"),
    ("st_gcn_networks.{i}.tcn.2", "backbone.gcn.{i}.tcn.conv"),
    ("st_gcn_networks.{i}.tcn.3", "backbone.gcn.{i}.tcn.bn"),
    ("st_gcn_networks.{i}.residual.0", "backbone.gcn.{i}.residual.conv"),
    ("st_gcn_networks.{i}.residual.1", "backbone.gcn.{i}.residual.bn"),
    ("edge_importance.{i}", "backbone.gcn.{i}.gcn.PA"),
    ("A.{i}", "backbone.gcn.{i}.gcn.A"),  # ours is a single A: see share_graph and repeat_graph
    ("fcn", "cls_head.fc_cls"),
)
ST_GCN_PP = (
    ("data_bn", "backbone.data_bn"),
    ("blocks.{i}.gcn.A", "backbone.gcn.{i}.gcn.A"),
    ("blocks.{i}.gcn.conv", "backbone.gcn.{i}.gcn.conv"),
    ("blocks.{i}.gcn.bn", "backbone.gcn.{i}.gcn.bn"),
    ("blocks.{i}.gcn.shortcut.conv", "backbone.gcn.{i}.gcn.down.0"),
    ("blocks.{i}.gcn.shortcut.bn", "backbone.gcn.{i}.gcn.down.1"),
    ("blocks.{i}.tcn.branches.{k}.reduce", "backbone.gcn.{i}.tcn.branches.{k}.0"),
    ("blocks.{i}.tcn.branches.{k}.bn", "backbone.gcn.{i}.tcn.branches.{k}.1"),
    ("blocks.{i}.tcn.branches.{k}.conv", "backbone.gcn.{i}.tcn.branches.{k}.3.conv"),
    ("blocks.{i}.tcn.branches.{k}", "backbone.gcn.{i}.tcn.branches.{k}"),  # the one without members
    ("blocks.{i}.tcn.merge.bn", "backbone.gcn.{i}.tcn.transform.0"),
    ("blocks.{i}.tcn.merge.conv", "backbone.gcn.{i}.tcn.transform.2"),
    ("blocks.{i}.tcn.bn", "backbone.gcn.{i}.tcn.bn"),
    ("blocks.{i}.residual.conv", "backbone.gcn.{i}.residual.conv"),
    ("blocks.{i}.residual.bn", "backbone.gcn.{i}.residual.bn"),
    ("fcn", "cls_head.fc_cls"),
)
LEAF = r"(?P<leaf>(\.(weight|bias|running_mean|running_var|num_batches_tracked))?)"


def rename(weights: Mapping[str, Any], rules: Sequence[tuple[str, str]], source: object) -> OrderedDict[str, Any]:
    """The weights under other names.

    Args:
        rules: pairs of a name and the new one.
        source: what to call the weights in an error.

    Raises:
        DataError: a name that no rule has.
    """
    patterns = []
    for old, new in rules:
        pattern = re.escape(old).replace(r"\{i\}", r"(?P<i>\d+)").replace(r"\{k\}", r"(?P<k>\d+)", 1)
        patterns.append((re.compile(pattern + LEAF), new))
    renamed = OrderedDict()
    for key, value in weights.items():
        for pattern, new in patterns:
            if match := pattern.fullmatch(key):
                renamed[new.format(**match.groupdict()) + match["leaf"]] = value
                break
        else:
            raise DataError(f"{source}: weight {key} belongs neither to ST-GCN nor to ST-GCN++")
    return renamed
