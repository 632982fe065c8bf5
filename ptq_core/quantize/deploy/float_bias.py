"""Biases in float: a constant with the values that the int32 bias stands for."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ptq_core.graph.edits import add_constant, constant_array
from ptq_core.numerics import qparams


def make_biases_float(graph: ir.Graph) -> None:
    """Compute every DequantizeLinear of int32 constants."""
    for node in list(graph):
        integers = constant_array(node.inputs[0]) if node.op_type == "DequantizeLinear" else None
        if integers is None or integers.dtype != np.int32:
            continue
        scales = constant_array(node.inputs[1])
        assert scales is not None
        axis = None if scales.ndim == 0 else 0
        values = qparams.dequantize(integers, scales.reshape(-1), axis=axis)
        node.outputs[0].replace_all_uses_with(add_constant(graph, f"{node.name}/float", values))
        graph.remove(node, safe=True)
