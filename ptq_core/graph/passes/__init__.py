"""Simplifications of a float graph that quantize and opt share, in their one order.

Each pass takes the model, changes it in place without changing what it computes (up to float rounding), and returns the
nodes it removed: name → the name of the node they went into.
"""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir

from ptq_core.graph.passes.fold_batch_norm import fold_batch_norm
from ptq_core.graph.passes.fold_bias_add import fold_bias_add
from ptq_core.graph.passes.fuse_matmul_add import fuse_matmul_add
from ptq_core.graph.passes.lift_constants import lift_constants
from ptq_core.graph.passes.remove_identity import remove_identity

SIMPLIFY_PASSES: tuple[Callable[[ir.Model], dict[str, str]], ...] = (
    lift_constants,
    remove_identity,
    fold_batch_norm,
    fold_bias_add,
    fuse_matmul_add,
)


def simplify(model: ir.Model) -> dict[str, str]:
    """Run all passes; returns the removed nodes, each with the node it ended in, and drops unused constants."""
    removed: dict[str, str] = {}
    for one_pass in SIMPLIFY_PASSES:
        removed |= one_pass(model)
    remove_unused_constants(model.graph)
    return removed


def remove_unused_constants(graph: ir.Graph) -> None:
    """Drop initializers that nothing reads."""
    for name, value in list(graph.initializers.items()):
        if not value.uses() and not value.is_graph_output() and not value.is_graph_input():
            del graph.initializers[name]
