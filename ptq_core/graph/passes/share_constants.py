"""Equal constants are stored once, whoever reads them."""

from __future__ import annotations

import hashlib

import onnx_ir as ir

ZERO_POINT = 2
"""Its place among the inputs of QuantizeLinear and DequantizeLinear."""


def share_constants(model: ir.Model) -> dict[str, str]:
    """Requires nothing; ensures that no two initializers of the main graph are equal in type, shape and bytes. No node goes.

    But zero points stay apart: with session.x64quantprecision onnxruntime 1.32 does not open a model whose weights share one,
    as it converts it once for each of them, under one name. The first one of equals, in the model's order, keeps its name;
    inputs and outputs of the graph stay.
    """
    graph = model.graph
    kept: dict[tuple[object, ...], ir.Value] = {}
    for name, value in list(graph.initializers.items()):
        tensor = value.const_value
        if tensor is None or value.is_graph_input() or value.is_graph_output() or _is_zero_point(value):
            continue
        key = (tensor.dtype, tuple(tensor.shape), hashlib.sha256(tensor.tobytes()).digest())
        first = kept.setdefault(key, value)
        if first is not value:
            value.replace_all_uses_with(first)
            del graph.initializers[name]
    return {}


def _is_zero_point(value: ir.Value) -> bool:
    return any(
        use.node.op_type in ("QuantizeLinear", "DequantizeLinear") and use.idx == ZERO_POINT
        for use in value.uses()
    )
