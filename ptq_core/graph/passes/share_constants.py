"""Equal constants are stored once, whoever reads them."""

from __future__ import annotations

import hashlib

import onnx_ir as ir

ZERO_POINT = 2
"""Its place among the inputs of QuantizeLinear and DequantizeLinear."""


def share_constants(model: ir.Model) -> dict[str, str]:
    """Requires nothing; ensures that no two initializers of the main graph are equal in type, shape and bytes. No node goes.

    But two int8 weights keep a zero point each: with session.x64quantprecision onnxruntime 1.32 does not open a model whose
    weights share one, as it converts it once for each of them, under one name. The first one of equals, in the model's
    order, keeps its name; inputs and outputs of the graph stay.
    """
    graph = model.graph
    kept: dict[tuple[object, ...], ir.Value] = {}
    # Zero points last: whose they are is known when equal weights are one.
    for name, value in sorted(graph.initializers.items(), key=lambda item: _is_zero_point(item[1])):
        tensor = value.const_value
        if tensor is None or value.is_graph_input() or value.is_graph_output():
            continue
        content = hashlib.sha256(tensor.tobytes()).digest()
        first = kept.setdefault((tensor.dtype, tuple(tensor.shape), content, _weight_of(value)), value)
        if first is not value:
            value.replace_all_uses_with(first)
            del graph.initializers[name]
    return {}


def _is_zero_point(value: ir.Value) -> bool:
    return any(
        use.node.op_type in ("QuantizeLinear", "DequantizeLinear") and use.idx == ZERO_POINT
        for use in value.uses()
    )


def _weight_of(value: ir.Value) -> ir.Value | None:
    """The 8-bit weight whose zero point ``value`` is; None if it is none."""
    if value.dtype not in (ir.DataType.INT8, ir.DataType.UINT8) or not _is_zero_point(value):
        return None
    weights = (use.node.inputs[0] for use in value.uses() if use.idx == ZERO_POINT)
    return next((weight for weight in weights if weight is not None and weight.is_initializer()), None)
