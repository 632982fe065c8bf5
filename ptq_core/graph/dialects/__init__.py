"""INT8 models of other tools in one dialect: float operators between DequantizeLinear and QuantizeLinear.

Each rewrite takes the model and changes it in place; values of the model keep their names, so that what is made of it can be
compared with the model as it was written.
"""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass, ShapeInferencePass

from ptq_core.graph.dialects.dynamic import dequantize_dynamic
from ptq_core.graph.dialects.integer_edges import convert_edges
from ptq_core.graph.dialects.integer_movement import dequantize_movement
from ptq_core.graph.dialects.other_scales import lower_other_scales
from ptq_core.graph.dialects.qoperators import expand_qoperators
from ptq_core.graph.dialects.wide_weights import split_wide_weights
from ptq_core.graph.passes.lift_constants import lift_constants

DIALECTS: tuple[Callable[[ir.Model], list[str]], ...] = (
    expand_qoperators,
    dequantize_dynamic,
    dequantize_movement,
    convert_edges,
    lower_other_scales,
    split_wide_weights,
)
"""Their order: what integers are moved is known when only QuantizeLinear makes them, and who reads them after that."""


def one_dialect(model: ir.Model) -> list[str]:
    """Run all rewrites; returns a few words per change, nothing for a model that is in the dialect already.

    Again, as long as they find something: shapes behind operators of other domains are known once these are rewritten.
    """
    lift_constants(model)
    changes: list[str] = []
    while found := [words for rewrite in DIALECTS for words in rewrite(model)]:
        changes += found
        RemoveUnusedNodesPass()(model)
        _infer_shapes(model)
    return changes


def _infer_shapes(model: ir.Model) -> None:
    for node in model.graph:
        for value in node.outputs:
            if value.type is None:  # a shape alone cannot be written down
                value.shape = None
    ShapeInferencePass(check_type=False, strict_mode=False, data_prop=True)(model)
