"""The table of ONNX operators as `--print-supported-ops` and its like print it."""

from __future__ import annotations

from collections import Counter

import onnx_ir as ir

from ptq_core.graph.dialects.qoperators import QOPERATORS
from ptq_core.optimize.lowering.operators import OPERATORS

Cells = tuple[str, ...]

_DIALECTS = {
    ".".join(part for part in (domain, op_type) if part): row.float_type
    for (domain, op_type), row in QOPERATORS.items()
}
"""What is brought to operators of the table before it is lowered → the float operator in it."""


def supported_rows() -> list[Cells]:
    """OPERATORS as a table, its header first: op type, float32, int8, limits; `-` for nothing."""
    return [
        ("operator", "float32", "int8", "limits"),
        *((op_type, *_cells(op_type)) for op_type in (*OPERATORS, *_DIALECTS)),
    ]


def model_op_rows(model: ir.Model) -> list[Cells]:
    """The op types of ``model`` as a table, its header first: op type, how many, float32, int8, limits."""
    counts = Counter(
        node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}"
        for node in model.graph
    )
    return [
        ("operator", "count", "float32", "int8", "limits"),
        *((op_type, str(count), *_cells(op_type)) for op_type, count in sorted(counts.items())),
    ]


def _cells(op_type: str) -> Cells:
    if op_type in _DIALECTS:
        return ("no", "yes", f"DequantizeLinear, {_DIALECTS[op_type]}, QuantizeLinear")
    row = OPERATORS.get(op_type)
    if row is None:
        return ("no", "no", "only where all its inputs are constant")
    return ("yes", row.int8 or "-", row.limits or "-")
