"""Constant folding: a node whose inputs are all known is computed now, by onnx's own reference evaluator."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from onnx.reference import ReferenceEvaluator

from ptq_core.optimize.lowering.context import Constant, Lowering, Unsupported

# Values that differ from run to run must stay what they are.
_RANDOM = frozenset({"RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Bernoulli"})


def is_static(context: Lowering, node: ir.Node) -> bool:
    """True if every input of ``node`` is a constant (or absent) and its result is always the same."""
    if node.op_type in _RANDOM or node.domain not in ("", "ai.onnx"):
        return False
    return all(value is None or isinstance(context.find(value), Constant) for value in node.inputs)


def fold(context: Lowering, node: ir.Node) -> None:
    """Compute ``node`` and bind its outputs to the results."""
    feeds: dict[str, np.ndarray] = {}
    for value in node.inputs:
        entry = context.find(value)
        if value is not None and isinstance(entry, Constant):
            feeds[str(value.name)] = entry.real
    proto = ir.to_proto(node)
    inputs = [
        onnx.helper.make_tensor_value_info(
            name, onnx.helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
        )
        for name, array in feeds.items()
    ]
    outputs = [onnx.helper.make_empty_tensor_value_info(name) for name in proto.output if name]
    graph = onnx.helper.make_graph([proto], "constant", inputs, outputs)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", context.opset)])
    try:
        results: Any = ReferenceEvaluator(model).run(None, feeds)
    except Exception as error:  # the evaluator's operators raise whatever NumPy raises
        raise Unsupported(f"its constant result cannot be computed: {error}") from error
    names = [name for name in proto.output if name]
    for value in node.outputs:
        if value.name in names:
            context.bind(value, Constant(np.asarray(results[names.index(str(value.name))])))
