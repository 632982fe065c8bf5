"""Dynamic quantization becomes float operators on dequantized weights: the activations are computed without its rounding."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ptq_core.graph.dialects.integers import Scale, Writer
from ptq_core.graph.dialects.qoperators import MICROSOFT
from ptq_core.graph.edits import constant_array, input_of

INTEGER_OPERATORS = {"ConvInteger": ("Conv", 0), "MatMulInteger": ("MatMul", -1)}
"""Integers of a DynamicQuantizeLinear times constant ones → the float operator, and the axis of its weights' channels."""

FUSED = {"DynamicQuantizeMatMul": (2, 3, 4), "MatMulIntegerToFloat": (3, 5, 6)}
"""Of com.microsoft: where they have the scale of the weights, their zero point and the bias."""

DYNAMIC = ("DynamicQuantizeLinear", *INTEGER_OPERATORS, *(f"{MICROSOFT}.{op_type}" for op_type in FUSED))
"""All that these rewrites know, with the domains."""


def dequantize_dynamic(model: ir.Model) -> list[str]:
    """DynamicQuantizeLinear → ConvInteger or MatMulInteger → Cast → Mul by both scales ⇒ Conv or MatMul of the floats.

    So do onnxruntime's operators that are several of these in one. Requires constant weights and scales, and that nothing else
    reads the integers on the way; others stay. Ensures values as near to those as a step of the activation's 255.
    """
    graph, writer, changes = model.graph, Writer(model.graph), []
    for node in list(graph):
        if node.graph is None:
            continue
        if node.op_type in INTEGER_OPERATORS and node.domain in ("", "ai.onnx"):
            made = _from_integers(writer, node)
        elif node.domain == MICROSOFT and node.op_type in FUSED:
            made = _from_fused(writer, node)
        else:
            continue
        if made:
            changes.append(f"{node.op_type} `{node.name}` ⇒ {made} of floats, with dequantized weights")
    return changes


def _from_integers(writer: Writer, node: ir.Node) -> str | None:
    x = _dynamic(input_of(node, 0))
    cast = _sole_reader(node.outputs[0], "Cast")
    scaled = None if cast is None else _sole_reader(cast.outputs[0], "Mul")
    if x is None or not x.inputs or cast is None or scaled is None or input_of(node, 2) is not x.outputs[2]:
        return None
    if cast.attributes.get_int("to", 0) != ir.DataType.FLOAT:
        return None
    factor = input_of(scaled, 1) if scaled.inputs[0] is cast.outputs[0] else scaled.inputs[0]
    scales = _other_factor(factor, x.outputs[1])
    float_type, axis = INTEGER_OPERATORS[node.op_type]
    weights = _weights(writer, scaled, input_of(node, 1), scales, input_of(node, 3), axis)
    if weights is None:
        return None
    kept = list(node.attributes.values())
    y = writer.emit(scaled, float_type, [x.inputs[0], weights], float_type, kept)
    writer.take_over(scaled, y)
    return float_type


def _from_fused(writer: Writer, node: ir.Node) -> str | None:
    scale, zero_point, bias = (input_of(node, place) for place in FUSED[node.op_type])
    x = input_of(node, 0)
    if node.op_type == "MatMulIntegerToFloat":
        source = _dynamic(x)
        same = source is not None and input_of(node, 2) is source.outputs[1]
        x = input_of(source, 0) if source is not None and same else None
    scales = constant_array(scale)
    weights = None if x is None else _weights(writer, node, input_of(node, 1), scales, zero_point, -1)
    if weights is None:
        return None
    y = writer.emit(node, "MatMul", [x, weights], "MatMul")
    if bias is not None:
        y = writer.emit(node, "Add", [y, bias], "Add")
    writer.take_over(node, y)
    return "MatMul"


def _weights(
    writer: Writer,
    before: ir.Node,
    q: ir.Value | None,
    scales: np.ndarray | None,
    zero_point: ir.Value | None,
    axis: int,
) -> ir.Value | None:
    """The constant integers ``q`` as floats; None where they or the scales are not constant, or run along something else."""
    integers = constant_array(q)
    if q is None or integers is None or scales is None:
        return None
    of_outputs = integers.shape[axis] if integers.ndim else 1
    z = constant_array(zero_point)
    if scales.size not in (1, of_outputs) or (
        zero_point is not None and (z is None or z.size not in (1, scales.size))
    ):
        return None
    # A factor per output of a convolution is [O, 1, 1]; [O] would run along the width.
    if scales.size > 1 and axis == 0 and scales.shape[-2:] != (1, 1):
        return None
    flat = scales.reshape(()) if scales.size == 1 else scales.reshape(-1)
    scale = writer.constant(f"{before.name}/weight_scale", flat.astype(np.float32))
    return writer.dequantized(
        before, q, Scale(scale, _spread(writer, before, zero_point, flat), axis), "weights"
    )


def _spread(
    writer: Writer, node: ir.Node, zero_point: ir.Value | None, scales: np.ndarray
) -> ir.Value | None:
    """``zero_point`` in the shape of the scales, as DequantizeLinear has it."""
    z = constant_array(zero_point)
    if z is None or z.shape == scales.shape:
        return zero_point
    return writer.constant(
        f"{node.name}/weight_zero_point", np.broadcast_to(z.reshape(-1), scales.shape or (1,))
    )


def _dynamic(q: ir.Value | None) -> ir.Node | None:
    """The DynamicQuantizeLinear that writes the integers ``q``."""
    node = None if q is None else q.producer()
    return (
        node
        if node is not None and node.op_type == "DynamicQuantizeLinear" and q is node.outputs[0]
        else None
    )


def _other_factor(product: ir.Value | None, factor: ir.Value) -> np.ndarray | None:
    """The constant that ``factor`` is multiplied with in the Mul that writes ``product``."""
    node = None if product is None else product.producer()
    if node is None or node.op_type != "Mul" or factor not in node.inputs:
        return None
    return constant_array(input_of(node, 1) if node.inputs[0] is factor else node.inputs[0])


def _sole_reader(value: ir.Value, op_type: str) -> ir.Node | None:
    readers = list(value.uses())
    if len(readers) != 1 or value.is_graph_output() or readers[0].node.op_type != op_type:
        return None
    return readers[0].node
