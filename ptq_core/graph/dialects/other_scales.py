"""Quantized activations that int8 has not: more or fewer bits become rounded floats, scales per channel a product.

Both are exact. x → QuantizeLinear → DequantizeLinear is clip(rne(x / s), q_min − z, q_max − z) · s in floats as in integers
of up to 24 bits; and with a scale per channel it is x / s → QuantizeLinear of scale 1 → DequantizeLinear of scale 1 → · s.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from ptq_core.graph.dialects.integers import Scale, Writer, same_scale
from ptq_core.graph.edits import constant_array, input_of

BITS = {
    ir.DataType.INT8: (-128, 127),
    ir.DataType.UINT8: (0, 255),
    ir.DataType.INT16: (-32768, 32767),
    ir.DataType.UINT16: (0, 65535),
    ir.DataType.INT4: (-8, 7),
    ir.DataType.UINT4: (0, 15),
}
"""Types of integers → their ends."""

EIGHT = (ir.DataType.INT8, ir.DataType.UINT8)


@dataclass(frozen=True)
class _Quantized:
    """A QuantizeLinear: its type, and scale and zero point shaped to broadcast to its input."""

    node: ir.Node
    dtype: ir.DataType
    scale: np.ndarray
    zero_point: np.ndarray


def lower_other_scales(model: ir.Model) -> list[str]:
    """Requires constant scales, and that DequantizeLinear alone reads the integers; others stay.

    Ensures that QuantizeLinear of what is computed is of 8 bits with one scale. The product behind it goes into the weights of a
    depthwise convolution, where quantizers put such scales: a scale per channel in and out is one of its weights.
    """
    writer, changes = Writer(model.graph), []
    for node in list(model.graph):
        if node.op_type != "QuantizeLinear" or constant_array(input_of(node, 0)) is not None:
            continue
        found = _quantized(node)
        readers = [use.node for use in node.outputs[0].uses()]
        if found is None or not readers or node.outputs[0].is_graph_output():
            continue
        if not all(r.op_type == "DequantizeLinear" and same_scale(r, node) for r in readers):
            continue
        if found.dtype not in EIGHT:
            _as_floats(writer, found, readers)
            changes.append(f"QuantizeLinear `{node.name}` to {found.dtype.name} ⇒ rounded floats")
        elif found.scale.size > 1 and np.unique(found.zero_point).size == 1:
            _of_scale_one(writer, found, readers)
            changes.append(
                f"QuantizeLinear `{node.name}` of {found.scale.size} scales ⇒ Div + QuantizeLinear"
            )
    return changes


def _quantized(node: ir.Node) -> _Quantized | None:
    """None for scales that are not constant or run along a dimension that is not known, and for types beside BITS."""
    scale, zero = constant_array(input_of(node, 1)), input_of(node, 2)
    zero_point = np.zeros(1, np.uint8) if zero is None else constant_array(zero)
    declared = node.attributes.get_int("output_dtype", 0)
    dtype = ir.DataType(declared or ir.DataType.UINT8) if zero is None else zero.dtype
    if scale is None or zero_point is None or dtype not in BITS or "block_size" in node.attributes:
        return None
    x = node.inputs[0]
    if scale.size < 1 or zero_point.size not in (1, scale.size):
        return None
    shape = [1]
    if scale.size > 1:
        if x is None or x.shape is None:
            return None
        rank, axis = len(x.shape), node.attributes.get_int("axis", 1)
        shape = [-1 if i == axis % rank else 1 for i in range(rank)]
    whole = np.broadcast_to(zero_point.astype(np.int64).reshape(-1), (scale.size,))
    return _Quantized(node, dtype, scale.astype(np.float32).reshape(shape), whole.reshape(shape))


def _as_floats(writer: Writer, q: _Quantized, readers: list[ir.Node]) -> None:
    node, scale = q.node, _constant(writer, q.node, "scale", q.scale)
    low, high = BITS[q.dtype]
    ends = [np.float32(end - q.zero_point) for end in (low, high)]
    steps = writer.emit(node, "Round", [writer.emit(node, "Div", [node.inputs[0], scale], "Div")], "Round")
    if np.unique(q.zero_point).size == 1:
        bounds = [_constant(writer, node, "bound", end.reshape(-1)[0]) for end in ends]
        steps = writer.emit(node, "Clip", [steps, *bounds], "Clip")
    else:
        for op_type, end in zip(("Max", "Min"), ends, strict=True):
            steps = writer.emit(node, op_type, [steps, _constant(writer, node, op_type, end)], op_type)
    for reader in readers:
        writer.take_over(reader, writer.emit(reader, "Mul", [steps, scale], "Mul"))


def _of_scale_one(writer: Writer, q: _Quantized, readers: list[ir.Node]) -> None:
    node, scale = q.node, _constant(writer, q.node, "scales", q.scale)
    zero = np.asarray(q.zero_point.reshape(-1)[0], q.dtype.numpy())
    one = Scale(_constant(writer, node, "one", np.float32(1)), _constant(writer, node, "zero", zero))
    steps = writer.emit(node, "Div", [node.inputs[0], scale], "Div")
    writer.quantize_in_place_of(node, steps, one)
    integers = readers[0].inputs[0]
    for reader in readers:
        assert integers is not None
        x = writer.dequantized(reader, integers, one, "steps")
        if not _into_weights(writer, reader, x, q.scale.reshape(-1)):
            x = writer.emit(reader, "Mul", [x, scale], "Mul")
            writer.take_over(reader, x)


def _into_weights(writer: Writer, reader: ir.Node, x: ir.Value, scales: np.ndarray) -> bool:
    """Let depthwise convolutions read the steps ``x``, and multiply the scales of their weights; False if others read them."""
    convolutions = [use.node for use in reader.outputs[0].uses()]
    found = [_depthwise_weights(conv, scales.size) for conv in convolutions]
    if reader.outputs[0].is_graph_output() or any(weights is None for weights in found):
        return False
    for conv, weights in zip(convolutions, found, strict=True):
        assert weights is not None
        q, integers, given = weights.inputs[0], *map(constant_array, weights.inputs[:2])
        assert q is not None
        assert integers is not None
        assert given is not None
        outputs = len(integers)
        spread = np.repeat(scales, outputs // scales.size) * np.broadcast_to(given.reshape(-1), (outputs,))
        zero = weights.inputs[2] if len(weights.inputs) > 2 else None
        z = constant_array(zero)
        if z is not None and z.size == 1:
            zero = _constant(writer, conv, "weight_zero", np.broadcast_to(z.reshape(-1), (outputs,)))
        scale = Scale(_constant(writer, conv, "weight_scale", spread.astype(np.float32)), zero, axis=0)
        conv.replace_input_with(1, writer.dequantized(conv, q, scale, "weights"))
        conv.replace_input_with(0, x)
    return True


def _depthwise_weights(conv: ir.Node, channels: int) -> ir.Node | None:
    """The DequantizeLinear of the weights of ``conv``, if it has a group for each of the ``channels``."""
    given = input_of(conv, 1)
    if conv.op_type != "Conv" or conv.attributes.get_int("group", 1) != channels or given is None:
        return None
    weights = given.producer()
    if weights is None or weights.op_type != "DequantizeLinear" or constant_array(weights.inputs[0]) is None:
        return None
    scales = constant_array(input_of(weights, 1))
    along_outputs = scales is not None and (scales.size == 1 or weights.attributes.get_int("axis", 1) == 0)
    return weights if along_outputs else None


def _constant(writer: Writer, node: ir.Node, word: str, array: np.ndarray | np.generic) -> ir.Value:
    return writer.constant(f"{node.name}/{word}", np.asarray(array))
