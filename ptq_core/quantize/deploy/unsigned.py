"""Activations in uint8 instead of int8, with the same x − z.

Integers of −128 … 127 and their zero points are 128 more. Those that a clamp keeps in 0 … 127 stay as they are: two products
of theirs with int8 weights fit int16 (`int16_pairs`).
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ptq_core.graph.edits import add_constant, constant_array
from ptq_core.quantize.deploy.small_integers import is_small

_WEIGHTS = {"Conv": 1, "ConvTranspose": 1, "Gemm": 1, "MatMul": 1}
"""Op type → the input that stays int8 where it is a constant."""


def make_activations_unsigned(graph: ir.Graph) -> None:
    """Change what QuantizeLinear writes, and the constants that are read like it, with all that stands between Q and DQ."""
    for node in list(graph):
        if node.op_type == "QuantizeLinear" and node.outputs[0].dtype == ir.DataType.INT8:
            shift = 0 if _is_small(node) else 128
            _shift_input(graph, node, 2, shift)
            _shift_readers(graph, node.outputs[0], shift)
        elif node.op_type == "DequantizeLinear" and _is_constant_activation(node):
            _shift_input(graph, node, 0, 128)
            _shift_input(graph, node, 2, 128)


def _is_small(quantize: ir.Node) -> bool:
    readers = [use.node for use in quantize.outputs[0].uses()]
    if len(readers) == 1 and readers[0].op_type == "Clip":
        return is_small(readers[0].outputs[0])
    return is_small(quantize.outputs[0])


def _shift_readers(graph: ir.Graph, integers: ir.Value, shift: int) -> None:
    integers.type = ir.TensorType(ir.DataType.UINT8)
    for node, _ in list(integers.uses()):
        if node.op_type == "DequantizeLinear":
            _shift_input(graph, node, 2, shift)
        else:
            assert node.op_type == "Clip", node.op_type
            _shift_input(graph, node, 1, shift)
            _shift_input(graph, node, 2, shift)
            _shift_readers(graph, node.outputs[0], shift)


def _is_constant_activation(node: ir.Node) -> bool:
    array = constant_array(node.inputs[0])
    if array is None or array.dtype != np.int8:
        return False
    return not all(_WEIGHTS.get(reader.op_type) == index for reader, index in node.outputs[0].uses())


def _shift_input(graph: ir.Graph, node: ir.Node, index: int, shift: int) -> None:
    value = node.inputs[index]
    array = constant_array(value)
    assert value is not None
    assert array is not None
    shifted = (array.astype(np.int16) + shift).astype(np.uint8)
    node.replace_input_with(index, add_constant(graph, f"{value.name}/uint8", shifted))
