"""Simplifications of a float graph that quantize and opt share, in their one order.

Each pass takes the model, changes it in place without changing what it computes (up to float rounding), and returns the
nodes it removed: name → the name of the node they went into.
"""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir

from ptq_core.graph.edits import drop_unread
from ptq_core.graph.passes.count_no_overhang import count_no_overhang
from ptq_core.graph.passes.fold_batch_norm import fold_batch_norm
from ptq_core.graph.passes.fold_bias_add import fold_bias_add
from ptq_core.graph.passes.fuse_matmul_add import fuse_matmul_add
from ptq_core.graph.passes.lift_constants import lift_constants
from ptq_core.graph.passes.remove_identity import remove_identity
from ptq_core.graph.passes.split_gemm_rows import split_gemm_rows
from ptq_core.graph.passes.spread_axes import spread_axes

SIMPLIFY_PASSES: tuple[Callable[[ir.Model], dict[str, str]], ...] = (
    lift_constants,
    remove_identity,
    spread_axes,
    fold_bias_add,
    fold_batch_norm,
    fold_bias_add,
    fuse_matmul_add,
    split_gemm_rows,
    count_no_overhang,
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
    drop_unread(graph, list(graph.initializers.values()))
