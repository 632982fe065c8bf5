"""Identity and inference-time Dropout vanish."""

from __future__ import annotations

import onnx_ir as ir

REMOVED = ("Identity", "Dropout")


def remove_identity(model: ir.Model) -> dict[str, str]:
    """Requires nothing; ensures that no Identity or Dropout is left, except where it makes a graph output or a mask is used."""
    removed = {}
    for node in list(model.graph):
        source, result = (node.inputs[0] if node.inputs else None), node.outputs[0]
        mask_used = any(output.uses() or output.is_graph_output() for output in node.outputs[1:])
        if node.op_type not in REMOVED or source is None or result.is_graph_output() or mask_used:
            continue
        result.replace_all_uses_with(source)
        model.graph.remove(node, safe=True)
        removed[str(node.name)] = "nothing: it does not change values"
    return removed
