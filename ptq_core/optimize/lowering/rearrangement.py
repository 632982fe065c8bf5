"""Nodes that put elements elsewhere as their other, constant inputs say: run once on the numbers of the elements."""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from ptq_core.flatfile.layout import MAX_ELEMENTS
from ptq_core.flatfile.operators.pad import PAD, Pad
from ptq_core.flatfile.tensors import Array
from ptq_core.graph.evaluate import ConstantNode, NotComputedError
from ptq_core.optimize.lowering.context import (
    Activation,
    Constant,
    Lowering,
    Unsupported,
    check_numbers,
    get_int,
    normal_axis,
)
from ptq_core.optimize.lowering.selection import gathered

_DATA = {"ScatterElements": [0, 2], "ScatterND": [0, 2]}
"""Op type → the inputs whose elements come out, where it is not just the first."""


def lower_rearrangement(context: Lowering, node: ir.Node) -> None:
    """One gather of all elements in a row; where the node writes zeros, of one more that is zero."""
    data = _data_positions(node)
    entries = [_elements(context, node, position) for position in data]
    sizes = [math.prod(context.dims(entry)) for entry in entries]
    total = sum(sizes)
    check_numbers(total, "its list of elements")
    numbers = iter(np.split(np.arange(1, total + 1, dtype=np.float64), np.cumsum(sizes)[:-1]))
    feeds: dict[str, Array] = {}
    for position, value in enumerate(node.inputs):
        if value is None:
            continue
        entry = context.find(value)
        if position in data:
            feeds[str(value.name)] = next(numbers).reshape(context.dims(entries[data.index(position)]))
            if node.op_type == "GatherElements":
                feeds[str(value.name)] = _within(context, node, feeds[str(value.name)])
        elif isinstance(entry, Constant):
            feeds[str(value.name)] = entry.array
        else:
            raise Unsupported("its list of places is not a constant")
    try:
        known = ConstantNode(node, feeds, context.opset)
        check_numbers(known.growth // 8 + total, "its list of places")
        (places,) = known.results().values()
    except NotComputedError as reason:
        raise Unsupported(str(reason)) from reason
    if places.size == 0:
        raise Unsupported(f"its result has the shape {list(places.shape)}")
    name, node_name = str(node.outputs[0].name), str(node.name)
    flat = _in_a_row(context, node_name, name, entries)
    indices = np.asarray(places, np.int64).reshape(-1) - 1
    if (indices < 0).any():
        flat = _with_zero(context, node_name, name, flat)
        indices = np.where(indices < 0, total, indices)
    moved = gathered(context, node_name, f"{name}:moved", flat, 0, indices.astype(np.int32))
    context.bind(node.outputs[0], context.reshaped(moved, places.shape, name, node_name))


def _within(context: Lowering, node: ir.Node, numbers: Array) -> Array:
    """``numbers`` without those that a smaller list of indices does not reach; the evaluator wants them of one size."""
    reach = context.required(node, 1, "list of places").array.shape
    axis = normal_axis(get_int(node, "axis", 0), numbers.ndim)
    return numbers[tuple(slice(None if i == axis else n) for i, n in enumerate(reach))]


def _elements(context: Lowering, node: ir.Node, position: int) -> Activation:
    """Data as it comes; a quantized constant is what it stands for, as it lies in a row with floats."""
    value = node.inputs[position]
    entry = context.find(value)
    if value is None or not isinstance(entry, Constant) or entry.qparams is None:
        return context.activation(node, position)
    return Activation(context.constant_tensor(str(value.name), Constant(entry.real)))


def _data_positions(node: ir.Node) -> list[int]:
    """The inputs whose elements come out."""
    return _DATA.get(node.op_type, [0])


def _in_a_row(context: Lowering, node_name: str, name: str, entries: list[Activation]) -> Activation:
    rows = [
        context.reshaped(entry, (math.prod(context.dims(entry)),), f"{name}:row{i}", node_name)
        for i, entry in enumerate(entries)
    ]
    if len(rows) == 1:
        return rows[0]
    return Activation(context.join([row.tensor for row in rows], 0, f"{name}:row", node_name))


def _with_zero(context: Lowering, node_name: str, name: str, flat: Activation) -> Activation:
    tensor = context.tensor(flat)
    zero = 0 if tensor.qparams is None else tensor.qparams.zero_point
    out = context.like(f"{name}:zero", (tensor.dims[0] + 1,), flat.tensor)
    attributes = Pad(before=(0,), after=(1,), q_value=zero)
    return Activation(context.emit(PAD, node_name, (flat.tensor,), out, attributes))


def lower_expand(context: Lowering, node: ir.Node) -> None:
    """Expand to a constant shape: a gather of the one element along each dimension that grows."""
    x = context.activation(node, 0)
    dims, shape = context.dims(x), context.integers(node, 1, "shape") or ()
    try:
        wide = tuple(np.broadcast_shapes(dims, shape))
    except ValueError:
        raise Unsupported(f"{list(dims)} cannot be expanded to {list(shape)}") from None
    narrow = (1,) * (len(wide) - len(dims)) + dims
    _repeat(context, node, x, narrow, [w // n if n else 0 for n, w in zip(narrow, wide, strict=True)])


def lower_tile(context: Lowering, node: ir.Node) -> None:
    """Tile by constant repeats: a gather along each dimension that is repeated."""
    x = context.activation(node, 0)
    dims, repeats = context.dims(x), context.integers(node, 1, "list of repeats") or ()
    if len(repeats) != len(dims):
        raise Unsupported(f"its {len(repeats)} repeats are not one for each of {len(dims)} dimensions")
    _repeat(context, node, x, dims, repeats)


def _repeat(
    context: Lowering,
    node: ir.Node,
    x: Activation,
    dims: tuple[int, ...],
    repeats: tuple[int, ...] | list[int],
) -> None:
    """``x``, of ``dims`` then, so many times along each dimension."""
    wide = [d * r for d, r in zip(dims, repeats, strict=True)]
    if len(wide) > 8 or not 0 < math.prod(wide) <= MAX_ELEMENTS:
        raise Unsupported(f"its result has the shape {wide}")
    name, node_name = str(node.outputs[0].name), str(node.name)
    x = context.reshaped(x, dims, f"{name}:narrow", node_name)
    for axis, count in enumerate(repeats):
        if count > 1:
            check_numbers(wide[axis], "its list of places")
            indices = np.tile(np.arange(dims[axis], dtype=np.int32), count)
            x = gathered(context, node_name, f"{name}:{axis}", x, axis, indices)
    context.bind(node.outputs[0], x)


def lower_size(context: Lowering, node: ir.Node) -> None:
    """Size is known while lowering: a constant."""
    entry = context.find(node.inputs[0])
    assert entry is not None
    context.bind(node.outputs[0], Constant(np.array(math.prod(context.dims(entry)), np.int64)))


def lower_eye_like(context: Lowering, node: ir.Node) -> None:
    """EyeLike is known while lowering: a constant."""
    entry = context.find(node.inputs[0])
    assert entry is not None
    dims, dtype = context.dims(entry), ir.DataType(get_int(node, "dtype", ir.DataType.FLOAT))
    if len(dims) != 2:
        raise Unsupported(f"its input has {len(dims)} dimensions, not 2")
    check_numbers(math.prod(dims), "it")
    context.bind(node.outputs[0], Constant(np.eye(*dims, k=get_int(node, "k", 0), dtype=dtype.numpy())))
