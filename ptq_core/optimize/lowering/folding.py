"""Constant folding: a node whose inputs are all known is computed now."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ptq_core.graph.evaluate import NEVER, ConstantNode, NotComputedError
from ptq_core.optimize.lowering.context import Constant, Lowering, Unsupported

MAX_GROWTH = 64 * 2**20
"""Bytes by which all results together may exceed what they were computed from: one node can ask for any size."""


def is_static(context: Lowering, node: ir.Node) -> bool:
    """True if every input of ``node`` is a constant (or absent) and its result is always the same."""
    if node.op_type in NEVER or node.domain not in ("", "ai.onnx"):
        return False
    return all(value is None or isinstance(context.find(value), Constant) for value in node.inputs)


def fold(context: Lowering, node: ir.Node) -> None:
    """Compute ``node`` and bind its outputs to the results. Unsupported beyond MAX_GROWTH."""
    feeds: dict[str, np.ndarray] = {}
    for value in node.inputs:
        entry = context.find(value)
        if value is not None and isinstance(entry, Constant):
            feeds[str(value.name)] = entry.real
    try:
        known = ConstantNode(node, feeds, context.opset)
        growth = known.growth
        context.growth += max(0, growth)
        if context.growth > MAX_GROWTH:
            raise Unsupported(
                f"its constant result of {growth} more bytes than it reads makes the model larger by more than {MAX_GROWTH}"
            )
        results = known.results()
    except NotComputedError as reason:
        raise Unsupported(str(reason)) from reason
    for value in node.outputs:
        if value.name in results:
            context.bind(value, Constant(results[str(value.name)]))
