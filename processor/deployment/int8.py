"""An ONNX model whose convolutions compute in 8 bits: onnxruntime's static quantisation.

The range of every activation is that of calibration clips. Weights have a scale for each output channel. Activations are
unsigned and weights signed, which is what processors with VNNI or its like multiply fastest. The batch norm of the input,
the sums over neighbouring joints and what comes after the last block stay in float32.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from processor.deployment.program import INPUT, quiet, with_description

OPERATORS = ("Conv", "Add", "Relu")


def quantise(content: bytes, batches: Iterable[np.ndarray], description: Mapping[str, Any]) -> bytes:
    """The bytes of a float32 ONNX file -> those of its quantised form.

    Args:
        batches: clips (N, C, T, V, M) of the training, as the network gets them.
        description: plain values, which go into the file.
    """
    import onnx
    from onnxruntime import quantization
    from onnxruntime.quantization import QuantType

    class Reader(quantization.CalibrationDataReader):
        def __init__(self):
            self.batches = iter(batches)

        def get_next(self) -> dict[str, np.ndarray] | None:
            batch = next(self.batches, None)
            return None if batch is None else {INPUT: batch}

    with tempfile.TemporaryDirectory() as folder, quiet():
        path = Path(folder) / "int8.onnx"
        quantization.quantize_static(
            onnx.load_from_string(content),
            path,
            Reader(),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=list(OPERATORS),
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        return with_description(onnx.load(path), description)
