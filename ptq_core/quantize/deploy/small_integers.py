"""Which integers are known to lie in 0 … 127: those that a clamp leaves, and what operators that only move data make of them."""

from __future__ import annotations

import onnx_ir as ir

from ptq_core.graph.edits import constant_array
from ptq_core.graph.op_types import Kind, kind_of

SMALL = 127


def is_small(integers: ir.Value | None) -> bool:
    """Whether ``integers``, written by QuantizeLinear or by a Clip of integers, and their zero point are in 0 … `SMALL`."""
    node = None if integers is None else integers.producer()
    if node is None:
        return False
    if node.op_type == "Clip":
        ends = [constant_array(value) for value in node.inputs[1:3]]
        quantize = node.inputs[0].producer() if node.inputs[0] is not None else None
        return quantize is not None and _zero_point_is_small(quantize) and all(_fits(end) for end in ends)
    mover = (
        node.inputs[0].producer() if node.op_type == "QuantizeLinear" and node.inputs[0] is not None else None
    )
    if mover is None or kind_of(mover) is not Kind.MOVES or not _zero_point_is_small(node):
        return False
    sources = [
        value.producer() for value in mover.inputs if value is not None and constant_array(value) is None
    ]
    return all(s is not None and s.op_type == "DequantizeLinear" and is_small(s.inputs[0]) for s in sources)


def _zero_point_is_small(quantize: ir.Node) -> bool:
    return _fits(constant_array(quantize.inputs[2]))


def _fits(end: object) -> bool:
    return end is not None and 0 <= int(end) <= SMALL  # type: ignore[call-overload]
