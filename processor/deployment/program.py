"""A network as a program that needs no file of this project: clips in, logits out, and with them what an answer needs.

program = Program(network.eval().fuse(), open_set)
content = to_onnx(program, example, describe(...))      # the bytes of a file
outputs = load_onnx(content)(clip)                      # float32 arrays, as program(clip)
"""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from net.pool import mean_over_persons
from net.st_gcn_twostream import TwoStream, motion
from processor.open_set import OpenSet

INPUT = "clip"
SIDECAR = "sidecar.json"  # where the description is: a key of ONNX's metadata, one of the extra files of torch.export
AXES = {0: "N", 2: "T", 4: "M"}  # of a clip, those of any length

Run = Callable[[np.ndarray], list[np.ndarray]]  # clip (N, C, T, V, M) float32 -> the outputs, float32


class Program(nn.Module):
    """What is exported.

    Args:
        network: a fused network (net/fused.py).
        open_set: statistics of the features, where the answer asks for them.

    Shape:
        clip (N, C, T, V, M) -> logits (N, num_class); where the network has features, their mean over frames, joints and
        persons (N, C'); with open_set the distance (N,) from everything that was trained on. All float32.
    """

    def __init__(self, network: nn.Module, open_set: OpenSet | None = None):
        super().__init__()
        self.network = network
        self.has_feature = hasattr(network, "extract_feature")
        self.has_distance = open_set is not None
        if self.has_distance:  # around the mean of all features, for float32 has few digits for small differences
            centre = np.linalg.solve(open_set.whiten_all, open_set.mean_all)
            self.register("centre", centre)
            self.register("whiten", open_set.whiten)
            self.register("whiten_all", open_set.whiten_all)
            self.register("means", open_set.means - open_set.whiten @ centre)
            self.register("trained", open_set.trained)
        names = ["logits", "feature", "distance"]
        self.outputs = names[: 1 + self.has_feature + self.has_distance]

    def register(self, name: str, value: np.ndarray) -> None:
        self.register_buffer(name, torch.from_numpy(value).float())

    def forward(self, clip: Tensor) -> tuple[Tensor, ...]:
        if not self.has_feature:
            return (self.network(clip),)
        logits, feature = logits_and_feature(self.network, clip)
        return (logits, feature, self.distance(feature)) if self.has_distance else (logits, feature)

    def distance(self, feature: Tensor) -> Tensor:
        """`OpenSet.distance`: (N, C') -> (N,)."""
        feature = feature - self.centre
        z = F.linear(feature, self.whiten)[:, None] - self.means  # (N, K, C')
        z_all = F.linear(feature, self.whiten_all)  # (N, C')
        score = z.square().sum(2).amin(1) - z_all.square().sum(1)
        return (score - self.trained[0]) / self.trained[1]


def logits_and_feature(network: nn.Module, clip: Tensor) -> tuple[Tensor, Tensor]:
    """Logits (N, num_class) and the mean feature (N, C') of a fused network, from one pass through its blocks."""
    if isinstance(network, TwoStream):
        logits, feature = logits_and_feature(network.origin_stream, clip)
        motion_logits, motion_feature = logits_and_feature(network.motion_stream, motion(clip))
        return logits + motion_logits, torch.cat([feature, motion_feature], 1)
    _, feature = network.extract_feature(clip)  # (N, C', T', V, M)
    person = feature.mean((2, 3)).mT  # (N, M, C')
    pooled = mean_over_persons(person, clip, network.masked_pool)  # (N, C')
    return F.linear(pooled, network.class_weight, network.class_bias), person.mean(1)


def takes_any_number_of_persons(network: nn.Module, clip: Tensor) -> bool:
    """Whether clips (N, C, T, V, M) may have another M than this one."""
    try:
        network(torch.cat([clip, clip], 4))
    except (RuntimeError, ValueError):
        return False
    return True


def trace(program: Program, clip: Tensor) -> torch.export.ExportedProgram:
    """The program as a graph; N and T of its clips are free, and M where the network allows it."""
    free = dict(AXES)
    if not takes_any_number_of_persons(program.network, clip):
        del free[4]
    example = clip[:1].repeat(3, 1, 1, 1, 1)  # an example of length 1 would fix that length
    if 4 in free:
        example = torch.cat([example] * 2, 4)
    with torch.no_grad(), quiet():
        shapes = {INPUT: dict.fromkeys(free, torch.export.Dim.DYNAMIC)}
        exported = torch.export.export(program.eval(), (example,), dynamic_shapes=shapes)
    for node in exported.graph.nodes:  # which would name the folders of this machine
        node.meta.pop("stack_trace", None)
    return exported


def to_torch_export(program: Program, clip: Tensor, description: Mapping[str, Any]) -> bytes:
    """A file for torch.export.load.

    Args:
        clip: an example (N, C, T, V, M).
        description: plain values, which go into the file.
    """
    buffer = io.BytesIO()
    with quiet():
        torch.export.save(trace(program, clip), buffer, extra_files={SIDECAR: json.dumps(description)})
    return buffer.getvalue()


def load_torch_export(content: bytes) -> Run:
    module = torch.export.load(io.BytesIO(content)).module()
    return lambda clip: [output.numpy() for output in module(torch.from_numpy(clip))]


def to_onnx(program: Program, clip: Tensor, description: Mapping[str, Any]) -> bytes:
    """An ONNX file. Arguments as of to_torch_export."""
    with quiet():
        made = torch.onnx.export(
            trace(program, clip), input_names=[INPUT], output_names=program.outputs, dynamo=True, verbose=False
        )
    model = made.model_proto
    for node in model.graph.node:
        del node.metadata_props[:]
    name_axes(model.graph)
    return with_description(model, description)


def name_axes(graph: Any) -> None:
    """N, T, M in place of the exporter's names of them."""
    of_input = graph.input[0].type.tensor_type.shape.dim
    names = {of_input[axis].dim_param: name for axis, name in AXES.items() if of_input[axis].dim_param}
    for value in (*graph.input, *graph.output):
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param in names:
                dim.dim_param = names[dim.dim_param]
    del graph.value_info[:]


def with_description(model: Any, description: Mapping[str, Any]) -> bytes:
    """The bytes of an ONNX model whose metadata are the description alone."""
    del model.metadata_props[:]
    model.metadata_props.add(key=SIDECAR, value=json.dumps(description))
    return model.SerializeToString()


def load_onnx(content: bytes) -> Run:
    """The model in onnxruntime, on the CPU, with as many threads as torch has."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return lambda clip: session.run(None, {INPUT: clip})


@contextmanager
def quiet() -> Iterator[None]:
    """Without what the exporters say about themselves: packages that they do not need, their own former names."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
