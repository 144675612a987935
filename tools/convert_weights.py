"""Bring checkpoints of ST-GCN and ST-GCN++ from PYSKL and MMAction2 here, or ours there.

python tools/convert_weights.py j.pth models/st_gcn_pp.ntu-xsub.pt
python tools/convert_weights.py --to pyskl models/mine.pt mine.pth

Beside the weights comes their side-car, a .yaml of the same name: network, arguments, layout. The graph is the file's own, for
PYSKL's NTU skeleton has other bones at the hands than the layout of the same name here. Two things are not in the weights:
the layout, known by the number of joints or said by --layout; and the stride of a block, taken to be 2 where the block has
a residual projection (block 0 has stride 1), as in every published configuration.

Clips as PYSKL feeds them are (N, M, T, V, C), here (N, C, T, V, M); coordinates must be normalised as in training.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch
import yaml
from torch import Tensor

from feeder.skeleton import known_layouts, load_skeleton
from net import st_gcn, st_gcn_pp
from processor.sidecar import write_sidecar
from tools.command import run
from tools.pyskl_names import ST_GCN, ST_GCN_PP, rename
from torchlight.checkpoint import read_weights
from torchlight.errors import DataError
from torchlight.files import atomic_write

PREFERRED = ("ntu-rgb+d",)  # where several layouts have as many joints

NOT_WEIGHTS = (  # classes and functions that a checkpoint may name beside its weights
    "mmengine.logging.history_buffer.HistoryBuffer",
    *(f"numpy.{each}" for each in ("ndarray", "dtype")),
    *(f"numpy.{core}.multiarray.{each}" for core in ("core", "_core") for each in ("scalar", "_reconstruct")),
)

Weights = Mapping[str, Tensor]


class Network(NamedTuple):
    model: str  # as in a config file
    module: ModuleType
    rules: tuple[tuple[str, str], ...]
    block: str  # what precedes the number of a block


NETWORKS = (
    Network("net.st_gcn.Model", st_gcn, ST_GCN, "st_gcn_networks."),
    Network("net.st_gcn_pp.Model", st_gcn_pp, ST_GCN_PP, "blocks."),
)


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("checkpoint", type=Path, metavar="IN", help="file of torch.save: weights, or a dict that holds them")
    p.add_argument("out", type=Path, metavar="OUT", help="file to write; with --to here also OUT.yaml")
    p.add_argument("--to", choices=("here", "pyskl", "mmaction2"), default="here", help="whose names (default: here)")
    p.add_argument("--layout", help="the skeleton, a name or a YAML file (default: known by the number of joints)")
    arg = p.parse_args()
    settings = arg.out.parent / f"{arg.out.stem}.yaml"
    if arg.checkpoint.resolve() in (arg.out.resolve(), settings.resolve()) or arg.out == settings:
        raise DataError(f"{arg.out}: choose a name that is neither IN's nor that of a .yaml")
    if arg.to != "here":
        network, weights = to_pyskl(read_checkpoint(arg.checkpoint), arg.checkpoint)
        if arg.to == "mmaction2":
            weights = OrderedDict((key.replace("cls_head.fc_cls.", "cls_head.fc."), weights[key]) for key in weights)
        write(arg.out, {"meta": {}, "state_dict": weights})
        print(f"{arg.out}: {network.model}, {len(weights)} weights by the names of {arg.to}")
        return

    found = convert(arg.checkpoint, arg.layout)
    save(found, arg.out)
    model_args = found.description["model_args"]
    print(f"model: {found.description['model']}")
    print(yaml.safe_dump({"model_args": model_args}, sort_keys=False, default_flow_style=None), end="")
    if "layout" not in model_args["graph_args"]:
        print(f"no layout is known for {found.joints} joints: give it with --layout, or fill it in in {settings}")
    elif not arg.layout and len(several := layouts_of(found.joints)) > 1:
        print(f"{found.joints} joints: taken for {several[0]}; --layout says it if it is {' or '.join(several[1:])}")
    print(f"{arg.out}: {len(found.weights)} weights; {settings}: its side-car")


class Converted(NamedTuple):
    """A checkpoint of PYSKL or MMAction2 as it is here.

    Attributes:
        weights: by our names.
        description: of its side-car, as far as the weights tell it: model, model_args, and skeleton if it is known.
        joints: V.
    """

    weights: OrderedDict[str, Tensor]
    description: dict
    joints: int


def convert(checkpoint: Path, layout: str | None = None) -> Converted:
    """Read and convert a checkpoint.

    Args:
        layout: of its joints, a name or a YAML file; None: the usual one of so many joints.

    Raises:
        DataError, UsageError: it cannot be read, or is of no network that is known here.
    """
    network, weights, model_args = from_pyskl(read_checkpoint(checkpoint), checkpoint)
    joints = weights["data_bn.weight"].numel() // model_args["in_channels"]
    if layout:
        skeleton = load_skeleton(layout)
        if skeleton.num_joint != joints:
            raise DataError(f"--layout {layout} has {skeleton.num_joint} joints, the network has {joints}")
        model_args["graph_args"]["layout"] = layout
    description = {"model": network.model, "model_args": model_args}
    if "layout" in model_args["graph_args"]:
        description["skeleton"] = load_skeleton(model_args["graph_args"]["layout"]).description
    return Converted(weights, description, joints)


def save(found: Converted, out: Path) -> None:
    """Write the side-car, and then the weights: where these are, all is there."""
    out.parent.mkdir(parents=True, exist_ok=True)
    write_sidecar(out, found.description)
    write(out, found.weights)


def read_checkpoint(path: Path) -> OrderedDict[str, Tensor]:
    """The weights in a checkpoint; what mmcv and MMEngine keep beside them, scores and histories, is passed over."""
    with torch.serialization.safe_globals([(Ignored, name) for name in NOT_WEIGHTS]):
        return read_weights(path)


class Ignored:
    """In the place of an object of NOT_WEIGHTS: made of anything, holds nothing."""

    def __init__(self, *_: object) -> None: ...

    def __setstate__(self, _: object) -> None: ...


def write(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as file:
        torch.save(content, file)


def from_pyskl(weights: Weights, source: object) -> tuple[Network, OrderedDict[str, Tensor], dict]:
    """The network, its weights by our names, and its arguments; graph_args lacks the layout if it is not known.

    Args:
        weights: by PYSKL's names or MMAction2's, which differ in the head.
        source: what to call them in an error.

    Raises:
        DataError: a weight with an unknown name, or of another shape than the others require.
    """
    weights = OrderedDict(
        (re.sub(r"^cls_head\.fc\.", "cls_head.fc_cls.", key.removeprefix("module.")), value)
        for key, value in weights.items()
    )
    if not any(key.startswith("backbone.gcn.") for key in weights):
        raise DataError(f"{source}: no weight begins with backbone.gcn.; a checkpoint of PYSKL or MMAction2 is needed")
    network = NETWORKS[any(".tcn.branches." in key for key in weights)]
    weights = rename(weights, [(theirs, ours) for ours, theirs in network.rules], source)
    if network.module is st_gcn:
        weights = share_graph(weights, source)
        head_to_conv(weights)
    return network, weights, describe(network, weights, source)


def to_pyskl(weights: Weights, source: object) -> tuple[Network, OrderedDict[str, Tensor]]:
    """The network and its weights by PYSKL's names; DataError as from_pyskl."""
    weights = OrderedDict((key.removeprefix("module."), value) for key, value in weights.items())
    for network in NETWORKS:
        if any(key.startswith(network.block) for key in weights):
            break
    else:
        starts = " or ".join(network.block for network in NETWORKS)
        raise DataError(f"{source}: no weight begins with {starts}; weights of net.st_gcn or net.st_gcn_pp are needed")
    describe(network, weights, source)
    if network.module is st_gcn:
        weights = repeat_graph(weights)
        weights["fcn.weight"] = weights["fcn.weight"].flatten(1)
    return network, rename(weights, network.rules, source)


def share_graph(weights: Weights, source: object) -> OrderedDict[str, Tensor]:
    """ST-GCN there has a copy of A in every block (`A.i` after renaming), here one `A`."""
    blocks = range(count_blocks(weights, "st_gcn_networks."))
    copies = {f"A.{i}": weights[f"A.{i}"] for i in blocks if f"A.{i}" in weights}
    if len(copies) < max(1, len(blocks)):
        raise DataError(f"{source}: not the whole of net.st_gcn.Model: {len(blocks)} blocks but {len(copies)} graphs A")
    for key, A in copies.items():
        if not torch.equal(A, copies["A.0"]):
            raise DataError(f"{source}: A of block {key[2:]} differs from that of block 0; net.st_gcn has one for all")
    rest = [(key, value) for key, value in weights.items() if key not in copies]
    return OrderedDict([("A", copies["A.0"]), *rest])


def repeat_graph(weights: Weights) -> OrderedDict[str, Tensor]:
    blocks = count_blocks(weights, "st_gcn_networks.")
    copies = [(f"A.{i}", weights["A"].clone()) for i in range(blocks)]
    return OrderedDict([*copies, *((key, value) for key, value in weights.items() if key != "A")])


def head_to_conv(weights: dict[str, Tensor]) -> None:
    """The head of net.st_gcn is a 1x1 convolution, PYSKL's a linear layer."""
    weight = weights.get("fcn.weight")
    if weight is not None and weight.dim() == 2:
        weights["fcn.weight"] = weight[:, :, None, None]


def count_blocks(weights: Weights, prefix: str) -> int:
    return len({key.removeprefix(prefix).split(".")[0] for key in weights if key.startswith(prefix)})


def describe(network: Network, weights: Weights, source: object) -> dict:
    """The arguments of the network that has these weights, by our names; DataError if none has.

    graph_args lacks the layout where none is known for the number of joints.
    """
    plus = network.module is st_gcn_pp
    blocks = []
    try:
        subsets, joints, _ = weights[f"{network.block}0.gcn.A" if plus else "A"].shape
        in_channels = weights[f"{network.block}0.gcn.conv.weight"].shape[1]
        num_class = weights["fcn.weight"].shape[0]
        kernel = 9 if plus else weights["st_gcn_networks.0.tcn.2.weight"].shape[2]
        for i in range(count_blocks(weights, network.block)):
            width = weights[f"{network.block}{i}.gcn.conv.weight"].shape[0] // subsets
            projected = f"{network.block}{i}.residual.{'conv' if plus else '0'}.weight" in weights
            blocks.append([width, 2 if projected else 1])
    except KeyError as error:
        raise DataError(f"{source}: not the whole of {network.model}: lacks {error.args[0]} (its name here)") from None
    except (ValueError, IndexError, ZeroDivisionError):
        raise DataError(
            f"{source}: not {network.model}: a weight of block 0 or of the head has another shape"
        ) from None

    graph_args = {"layout": known[0]} if (known := layouts_of(joints)) else {}
    graph_args |= graph_of(subsets)
    model_args = {"in_channels": in_channels, "num_class": num_class, "graph_args": graph_args}
    if not plus:
        model_args["edge_importance_weighting"] = any(key.startswith("edge_importance.") for key in weights)
        if kernel != 9:
            model_args["temporal_kernel_size"] = kernel
    if blocks != [list(block) for block in st_gcn.BLOCKS]:
        model_args["blocks"] = blocks
    check(network, weights, model_args, joints, source)
    return model_args


def layouts_of(joints: int) -> list[str]:
    """The layouts of resource/skeleton with so many joints, the usual one first."""
    names = [name for name in known_layouts() if load_skeleton(name).num_joint == joints]
    return sorted(names, key=lambda name: name not in PREFERRED)


def graph_of(subsets: int) -> dict:
    """Arguments of net.graph.Graph for K subsets; only their number matters, A comes with the weights."""
    if subsets == 1:
        return {"strategy": "uniform"}
    if subsets % 2:
        hop, graph_args = subsets // 2, {"strategy": "spatial"}
    else:
        hop, graph_args = subsets - 1, {"strategy": "distance"}
    return graph_args if hop == 1 else {**graph_args, "max_hop": hop}


def check(network: Network, weights: Weights, model_args: dict, joints: int, source: object) -> None:
    """DataError unless the network of these arguments has exactly these weights."""
    try:
        with TemporaryDirectory() as folder:  # any skeleton of so many joints will do
            layout = Path(folder) / "star.yaml"
            names = [f"joint {v}" for v in range(joints)]
            star = {"name": "star", "joints": names, "bones": [[name, names[0]] for name in names[1:]]}
            layout.write_text(yaml.safe_dump({**star, "centre": names[0]}), encoding="utf-8")
            graph_args = {**model_args["graph_args"], "layout": str(layout)}
            own = network.module.Model(**{**model_args, "graph_args": graph_args}).state_dict()
    except ValueError as error:
        raise DataError(f"{source}: not {network.model}: {error}") from None
    missing = [key for key in own if key not in weights and not key.endswith("num_batches_tracked")]
    unexpected = [key for key in weights if key not in own]
    if missing or unexpected:
        what = f"lacks {missing[0]} (its name here)" if missing else f"has {unexpected[0]} besides"
        raise DataError(f"{source}: not {network.model}: {what}")
    for key, value in weights.items():
        if value.shape != own[key].shape:
            shapes = f"{tuple(value.shape)}, expected {tuple(own[key].shape)}"
            raise DataError(f"{source}: not {network.model}: shape of {key} (its name here) is {shapes}")


if __name__ == "__main__":
    run(main)
