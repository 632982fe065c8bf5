"""Weights whose distances from their zero point leave −127 … 127 become two that stay, for int8 operators.

w = low + rest with low = clip(w, −127, 127): Σ x · w is Σ x · low + Σ x · rest, one sum over more inputs, exact in integers. An
input that no rest needs is not read twice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from ptq_core.graph.dialects.integer_movement import data_places, kind_of_data
from ptq_core.graph.dialects.integers import Scale, Writer
from ptq_core.graph.edits import constant_array, input_of, producer_of
from ptq_core.graph.op_types import Kind

LIMIT = 127
"""Of an int8 weight, either way (docs/kernels.md)."""


@dataclass(frozen=True)
class _Weights:
    """The DequantizeLinear of constant weights: their distances from the zero point, and along which axis inputs lie."""

    scale: ir.Value
    axis: int
    distances: np.ndarray
    inputs: int


def split_wide_weights(model: ir.Model) -> list[str]:
    """Requires a Conv of one group, a Gemm or a MatMul of dequantized activations of one scale; others stay.

    Ensures equal sums. Distances beyond twice the limit stay too: those of a zero point at the end of the type.
    """
    writer, changes = Writer(model.graph), []
    for node in list(model.graph):
        weights = _weights(node)
        x = None if weights is None else _activation(node)
        if weights is None or x is None:
            continue
        low = np.clip(weights.distances, -LIMIT, LIMIT)
        rest = weights.distances - low
        others = tuple(i for i in range(rest.ndim) if i != weights.inputs)
        again = np.flatnonzero(rest.any(axis=others))
        both = np.concatenate([low, rest.take(again, weights.inputs)], weights.inputs).astype(np.int8)
        q = writer.constant(f"{node.name}/weights", both)
        split = writer.dequantized(node, q, Scale(weights.scale, axis=weights.axis), "both")
        node.replace_input_with(0, _with_again(writer, node, x, again))
        node.replace_input_with(1, split)
        changes.append(f"{node.op_type} `{node.name}` ⇒ reads {again.size} inputs twice, for int8 weights")
    return changes


def _with_again(writer: Writer, node: ir.Node, scale: Scale, again: np.ndarray) -> ir.Value:
    """What ``node`` reads with the inputs ``again`` behind all inputs, quantized as it is."""
    along = {"axis": 1 if node.op_type == "Conv" else -1}
    indices = writer.constant(f"{node.name}/again", again.astype(np.int64))
    x = node.inputs[0]
    joined = writer.emit(
        node, "Concat", [x, writer.emit(node, "Gather", [x, indices], "Gather", along)], "Concat", along
    )
    q = writer.emit(node, "QuantizeLinear", [joined, *scale.inputs], "QuantizeLinear")
    return writer.dequantized(node, q, scale, "twice")


def _activation(node: ir.Node) -> Scale | None:
    """The one scale of the 8-bit integers that reach ``node`` through a DequantizeLinear and what moves its values."""
    made = producer_of(node, 0)
    while made is not None and kind_of_data(made) == Kind.MOVES and data_places(made) == [0]:
        made = producer_of(made, 0)
    if made is None or made.op_type != "DequantizeLinear" or constant_array(input_of(made, 0)) is not None:
        return None
    given = input_of(made, 1)
    if given is None:
        return None
    scale = Scale(given, input_of(made, 2))
    s, z = constant_array(scale.scale), constant_array(scale.zero_point)
    if (
        s is None
        or s.size != 1
        or (scale.zero_point is not None and (z is None or z.size != 1 or z.itemsize != 1))
    ):
        return None
    return scale


def _weights(node: ir.Node) -> _Weights | None:
    """Those of ``node`` that leave the limit, but no sum of two weights."""
    inputs = _inputs_axis(node)
    made = producer_of(node, 1)
    if (
        inputs is None
        or made is None
        or made.op_type != "DequantizeLinear"
        or "block_size" in made.attributes
    ):
        return None
    given, zero_point = input_of(made, 1), input_of(made, 2)
    q, scale = constant_array(input_of(made, 0)), constant_array(given)
    zero = np.zeros(1, np.int16) if zero_point is None else constant_array(zero_point)
    if q is None or scale is None or zero is None or q.dtype not in (np.int8, np.uint8):
        return None
    axis = made.attributes.get_int("axis", 1) % q.ndim if q.ndim else 0
    channels = q.shape[axis] if q.ndim else 1
    if not {scale.size, zero.size} <= {1, channels} or (max(scale.size, zero.size) > 1 and axis == inputs):
        return None
    along = [-1 if i == axis and zero.size > 1 else 1 for i in range(q.ndim)]
    distances = q.astype(np.int16) - zero.astype(np.int16).reshape(along)
    largest = np.abs(distances).max(initial=0)
    if given is None or not LIMIT < largest <= 2 * LIMIT:
        return None
    return _Weights(given, axis, distances, inputs)


def _inputs_axis(node: ir.Node) -> int | None:
    """The axis of the weights of ``node`` that its inputs are counted along; None if it is no such operator."""
    if node.domain not in ("", "ai.onnx") or len(node.inputs) < 2:
        return None
    if node.op_type == "Conv":
        return 1 if node.attributes.get_int("group", 1) == 1 else None
    if node.op_type == "Gemm" and not node.attributes.get_int("transA", 0):
        return 1 if node.attributes.get_int("transB", 0) else 0
    made = producer_of(node, 1)
    known = None if made is None else constant_array(input_of(made, 0))
    return 0 if node.op_type == "MatMul" and known is not None and known.ndim == 2 else None
