"""Identity, inference-time Dropout and a Cast to the type that its input has vanish."""

from __future__ import annotations

import onnx_ir as ir

REMOVED = ("Identity", "Dropout")


def remove_identity(model: ir.Model) -> dict[str, str]:
    """Requires nothing; ensures that none of these is left, except where it makes a graph output or a mask is used."""
    removed = {}
    for node in list(model.graph):
        source, result = (node.inputs[0] if node.inputs else None), node.outputs[0]
        mask_used = any(output.uses() or output.is_graph_output() for output in node.outputs[1:])
        if source is None or not _changes_nothing(node, source) or result.is_graph_output() or mask_used:
            continue
        result.replace_all_uses_with(source)
        model.graph.remove(node, safe=True)
        removed[str(node.name)] = "nothing: it does not change values"
    return removed


def _changes_nothing(node: ir.Node, source: ir.Value) -> bool:
    if node.op_type == "Cast":
        return source.dtype is not None and int(source.dtype) == node.attributes.get_int("to", 0)
    return node.op_type in REMOVED
