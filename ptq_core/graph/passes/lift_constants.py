"""Constant nodes become initializers, so that later passes see one kind of constant."""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes.common import LiftConstantsToInitializersPass


def lift_constants(model: ir.Model) -> dict[str, str]:
    """Requires nothing; ensures that no Constant node is left in the main graph."""
    names = {node.name: "an initializer" for node in model.graph if node.op_type == "Constant"}
    LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    left = {node.name for node in model.graph if node.op_type == "Constant"}
    return {str(name): into for name, into in names.items() if name not in left}
