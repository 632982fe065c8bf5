"""Multiply-accumulates of operators, from their weights and the shapes of what they read and write."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import onnx_ir as ir

from ptq_core.graph.edits import constant_array
from ptq_core.graph.input_shapes import batch_names

Shape = tuple[int, ...]


def counted(node: ir.Node) -> bool:
    """Whether ``node`` is one that multiplies and accumulates."""
    return node.op_type in _COUNTS and node.domain in ("", "ai.onnx")


def macs(node: ir.Node, shapes: Mapping[str, Shape]) -> int | None:
    """Of one run of ``node`` with a batch of 1 where that is open; 0 for other operators; None where a shape is unknown.

    ``shapes`` are those of values by name, where the model does not tell them: of ``shape_values``.
    """
    return _COUNTS[node.op_type](node, shapes) if counted(node) else 0


def shape_values(node: ir.Node) -> tuple[ir.Value, ...]:
    """The values of a counted ``node`` whose shapes tell its number."""
    return tuple(value for value in (node.inputs[0], node.outputs[0]) if value is not None)


def _shape(node: ir.Node, value: ir.Value | None, shapes: Mapping[str, Shape]) -> Shape | None:
    if value is None:
        return None
    array = constant_array(value)
    if array is not None:
        return array.shape
    dims = list(value.shape) if value.shape is not None else None
    if dims and not isinstance(dims[0], int) and node.graph is not None:
        # windows or tokens of a whole batch are open too, and are not one
        dims[0] = 1 if dims[0].value in batch_names(node.graph.inputs) else dims[0]
    if dims is not None and all(isinstance(dim, int) for dim in dims):
        return tuple(int(dim) for dim in dims)  # type: ignore[arg-type]
    return shapes.get(str(value.name))


def _convolution(node: ir.Node, shapes: Mapping[str, Shape]) -> int | None:
    """[O, I / groups, k…]: each output needs the weights of its filter."""
    weight, output = _shape(node, node.inputs[1], shapes), _shape(node, node.outputs[0], shapes)
    return None if weight is None or output is None else math.prod(output) * math.prod(weight[1:])


def _transposed(node: ir.Node, shapes: Mapping[str, Shape]) -> int | None:
    """[I, O / groups, k…]: each input meets the weights of its channel."""
    weight, read = _shape(node, node.inputs[1], shapes), _shape(node, node.inputs[0], shapes)
    return None if weight is None or read is None else math.prod(read) * math.prod(weight[1:])


def _product(node: ir.Node, shapes: Mapping[str, Shape]) -> int | None:
    first, output = _shape(node, node.inputs[0], shapes), _shape(node, node.outputs[0], shapes)
    if first is None or output is None:
        return None
    inner = first[0 if node.attributes.get_int("transA", 0) else -1] if first else 1
    return math.prod(output) * inner


_COUNTS: Mapping[str, Callable[[ir.Node, Mapping[str, Shape]], int | None]] = {
    "Conv": _convolution,
    "ConvTranspose": _transposed,
    "Gemm": _product,
    "MatMul": _product,
}
