"""Equal constants are stored once, whoever reads them."""

from __future__ import annotations

import hashlib

import onnx_ir as ir


def share_constants(model: ir.Model) -> dict[str, str]:
    """Requires nothing; ensures that no two initializers of the main graph are equal in type, shape and bytes. No node goes.

    The first one, in the model's order, keeps its name; inputs and outputs of the graph stay.
    """
    graph = model.graph
    kept: dict[tuple[object, ...], ir.Value] = {}
    for name, value in list(graph.initializers.items()):
        tensor = value.const_value
        if tensor is None or value.is_graph_input() or value.is_graph_output():
            continue
        key = (tensor.dtype, tuple(tensor.shape), hashlib.sha256(tensor.tobytes()).digest())
        first = kept.setdefault(key, value)
        if first is not value:
            value.replace_all_uses_with(first)
            del graph.initializers[name]
    return {}
