"""Which integers are known to lie in 0 … 127: those of a clamp, and what operators that only move data make of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from ptq_core.graph.edits import constant_array, producer_of
from ptq_core.graph.op_types import BY_ONNX_TYPE, Kind, kind_of
from ptq_core.quantize.objections import pad_value

SMALL = 127


def is_small(integers: ir.Value | None) -> bool:
    """Whether ``integers``, written by QuantizeLinear or by a Clip of integers, and their zero point are in 0 … `SMALL`."""
    node = None if integers is None else integers.producer()
    if node is None:
        return False
    if node.op_type == "Clip":
        quantize = producer_of(node, 0)
        ends = [constant_array(value) for value in node.inputs[1:3]]
        return quantize is not None and _zero_point_is_small(quantize) and all(_fits(end) for end in ends)
    maker = producer_of(node, 0)
    if node.op_type != "QuantizeLinear" or maker is None or not _zero_point_is_small(node):
        return False
    if maker.op_type == "Clip":
        return len(maker.inputs) == 3 and all(_fits(_quantized(end, node)) for end in maker.inputs[1:])
    sources = [v.producer() for v in maker.inputs if v is not None and constant_array(v) is None]
    dequantized = [s.inputs[0] for s in sources if s is not None and s.op_type == "DequantizeLinear"]
    return (
        _moves(maker) and len(dequantized) == len(sources) and all(is_small(value) for value in dequantized)
    )


def _moves(node: ir.Node) -> bool:
    """Whether no value of ``node``'s output is below the least of its inputs."""
    if node.op_type not in BY_ONNX_TYPE or kind_of(node) is not Kind.MOVES:
        return False
    written = pad_value(node) if node.op_type == "Pad" else 0.0
    return written is not None and written >= 0


def _quantized(real: ir.Value | None, quantize: ir.Node) -> NDArray[Any] | None:
    """The integer that ``quantize`` makes of a constant; None for what is none."""
    end, scale, zero_point = (constant_array(value) for value in (real, *quantize.inputs[1:]))
    if end is None or scale is None or zero_point is None:
        return None
    return np.asarray(np.rint(end / scale) + zero_point)


def _zero_point_is_small(quantize: ir.Node) -> bool:
    return _fits(constant_array(quantize.inputs[2]))


def _fits(end: NDArray[Any] | None) -> bool:
    return end is not None and 0 <= end.item() <= SMALL
