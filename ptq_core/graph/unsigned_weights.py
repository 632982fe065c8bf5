"""int8 weights of integer operators as uint8, which onnxruntime multiplies exactly on every CPU.

On x86 without VNNI its sums of uint8 · int8 saturate at 16 bits. `session.x64quantprecision` avoids that in the same way
(graph/session.py), but only where the graph is optimized.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class _Places:
    """Where an operator has its weights, their zero point, and the zero point of what they are multiplied with."""

    weight: int
    zero_point: int
    of_input: int | None


_OPERATORS = {
    "QLinearConv": _Places(3, 5, 2),
    "QLinearMatMul": _Places(3, 5, 2),
    "QGemm": _Places(3, 5, 2),
    "ConvInteger": _Places(1, 3, 2),
    "MatMulInteger": _Places(1, 3, 2),
    "MatMulIntegerToFloat": _Places(1, 5, 4),
    "DynamicQuantizeMatMul": _Places(1, 3, None),
}


def use_unsigned_weights(proto: onnx.ModelProto, weights: dict[str, Array]) -> None:
    """Let the integer operators of ``proto`` with uint8 inputs read constants that are 128 more, with their zero points.

    ``weights`` are constants that are inputs of ``proto``; new ones are added to its initializers. Equal results, by
    w − z = (w + 128) − (z + 128).
    """
    constants = {tensor.name: tensor for tensor in proto.graph.initializer}
    made: dict[str, Array] = {}

    def array(name: str) -> Array | None:
        if name in weights:
            return weights[name]
        return onnx.numpy_helper.to_array(constants[name]) if name in constants else None

    for node in proto.graph.node:
        places = _OPERATORS.get(node.op_type)
        if places is None or len(node.input) <= places.weight:
            continue
        read = [*node.input, *[""] * (places.zero_point + 1 - len(node.input))]
        weight, zero_point = array(read[places.weight]), array(read[places.zero_point])
        of_input = None if places.of_input is None else array(read[places.of_input])
        signed = of_input is not None and of_input.dtype == np.int8
        if (
            weight is None
            or weight.dtype != np.int8
            or signed
            or (read[places.zero_point] and zero_point is None)
        ):
            continue
        for place, values in ((places.weight, weight), (places.zero_point, zero_point)):
            name = f"{read[place] or node.name}/uint8"
            made[name] = (np.int16(128) + (np.zeros((), np.int16) if values is None else values)).astype(
                np.uint8
            )
            read[place] = name
        del node.input[:]
        node.input.extend(read)
    proto.graph.initializer.extend(
        onnx.numpy_helper.from_array(values, name) for name, values in made.items()
    )
