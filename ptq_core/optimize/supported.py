"""The table of ONNX operators as `--print-supported-ops` and its like print it."""

from __future__ import annotations

from collections import Counter

import onnx_ir as ir

from ptq_core.graph.dialects.dynamic import DYNAMIC
from ptq_core.graph.dialects.qoperators import MICROSOFT, QOPERATORS, QUANTIZATION
from ptq_core.optimize.lowering.operators import OPERATORS

Cells = tuple[str, ...]

DIALECTS: dict[str, Cells] = {
    **{
        ".".join(part for part in (domain, op_type) if part): (
            "no",
            "yes",
            f"as DequantizeLinear, {row.float_type}, QuantizeLinear",
        )
        for (domain, op_type), row in QOPERATORS.items()
    },
    **{f"{MICROSOFT}.{op_type}": ("yes", "yes", f"as ONNX's {op_type}") for op_type in QUANTIZATION},
    **dict.fromkeys(DYNAMIC, ("yes", "-", "constant weights, which become float32")),
}
"""What is brought to operators of the table before it is lowered (graph/dialects): float32, int8, limits."""


def supported_rows() -> list[Cells]:
    """OPERATORS as a table, its header first: op type, float32, int8, limits; `-` for nothing."""
    return [
        ("operator", "float32", "int8", "limits"),
        *((op_type, *_cells(op_type)) for op_type in (*OPERATORS, *DIALECTS)),
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
    if op_type in DIALECTS:
        return DIALECTS[op_type]
    row = OPERATORS.get(op_type)
    if row is None:
        return ("no", "no", "only where all its inputs are constant")
    return ("yes", row.int8 or "-", row.limits or "-")
