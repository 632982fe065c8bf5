"""Nodes that take a part of a value: Slice, Split, Gather with constant indices."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from ptq_core.flatfile.operators.gather import GATHER, Gather
from ptq_core.flatfile.operators.slice import SLICE, Slice
from ptq_core.flatfile.tensors import DType, Tensor
from ptq_core.optimize.lowering.context import (
    Activation,
    Lowering,
    Unsupported,
    get_axes,
    get_int,
    get_ints,
    normal_axis,
)


def lower_slice(context: Lowering, node: ir.Node) -> None:
    """Slice with constant bounds; negative steps walk backwards."""
    x = context.activation(node, 0)
    dims = context.dims(x)
    starts = get_ints(node, "starts") or context.integers(node, 1, "starts") or ()
    ends = get_ints(node, "ends") or context.integers(node, 2, "ends") or ()
    axes = get_axes(context, node, 3) or tuple(range(len(starts)))
    steps = context.integers(node, 4, "steps") or (1,) * len(starts)
    if not len(starts) == len(ends) == len(axes) == len(steps):
        raise Unsupported("its starts, ends, axes and steps are not equally many")
    picks = [range(d) for d in dims]
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        at = normal_axis(axis, len(dims))
        if step == 0:
            raise Unsupported("a step is 0")
        picks[at] = range(dims[at])[slice(_start(start, step, dims[at]), _end(end, step, dims[at]), step)]
    if any(not pick for pick in picks):
        raise Unsupported("its result is empty")
    context.bind(node.outputs[0], sliced(context, str(node.name), str(node.outputs[0].name), x, picks))


def _start(start: int, step: int, size: int) -> int:
    """ONNX's start for Python: walking backwards, a start before the first element is the first one."""
    return 0 if step < 0 and start < -size else start


def _end(end: int, step: int, size: int) -> int | None:
    """ONNX's end for Python: walking backwards, an end before the first element is "to the beginning"."""
    return None if step < 0 and end < -size else end


def lower_split(context: Lowering, node: ir.Node) -> None:
    """Split → one slice per output that is used."""
    x = context.activation(node, 0)
    dims = context.dims(x)
    axis = normal_axis(get_int(node, "axis", 0), len(dims))
    sizes = get_ints(node, "split") or context.integers(node, 1, "split")
    if sizes is None:
        each = -(-dims[axis] // len(node.outputs))
        sizes = (*[each] * (len(node.outputs) - 1), dims[axis] - each * (len(node.outputs) - 1))
    if sum(sizes) != dims[axis] or min(sizes) < 1 or len(sizes) != len(node.outputs):
        raise Unsupported(f"it splits {dims[axis]} into {list(sizes)}")
    begin = 0
    for value, size in zip(node.outputs, sizes, strict=True):
        picks = [range(d) for d in dims]
        picks[axis] = range(begin, begin + size)
        begin += size
        context.bind(value, sliced(context, str(node.name), str(value.name), x, picks))


def lower_gather(context: Lowering, node: ir.Node) -> None:
    """Gather with constant indices; evenly spaced ones, as a single index, are a slice."""
    x = context.activation(node, 0)
    dims = context.dims(x)
    axis = normal_axis(get_int(node, "axis", 0), len(dims))
    wanted = context.required(node, 1, "list of indices").array
    indices = wanted.reshape(-1).astype(np.int64)
    if indices.size == 0:
        raise Unsupported("its result is empty")
    if indices.min() < -dims[axis] or indices.max() >= dims[axis]:
        raise Unsupported(f"an index is outside a dimension of {dims[axis]}")
    indices = np.where(indices < 0, indices + dims[axis], indices)
    name, node_name = str(node.outputs[0].name), str(node.name)
    part = name if wanted.ndim == 1 else f"{name}:flat"
    steps = set(np.diff(indices).tolist()) or {1}
    if len(steps) == 1 and 0 not in steps:
        picks = [range(d) for d in dims]
        step = steps.pop()
        picks[axis] = range(int(indices[0]), int(indices[-1]) + (1 if step > 0 else -1), step)
        y = sliced(context, str(node.name), part, x, picks)
    else:
        y = gathered(context, str(node.name), part, x, axis, indices.astype(np.int32))
    shape = (*dims[:axis], *wanted.shape, *dims[axis + 1 :])
    if len(shape) > 8 or math.prod(shape) == 0:
        raise Unsupported(f"its result has the shape {list(shape)}")
    context.bind(node.outputs[0], context.reshaped(y, shape, name, node_name))


def sliced(context: Lowering, node_name: str, name: str, x: Activation, picks: Sequence[range]) -> Activation:
    """``x`` reduced to ``picks`` (one range per dimension of the model's layout), in the layout that it has."""
    order = sorted(range(len(picks)), key=lambda axis: context.stored_axis(x, axis))
    stored = [picks[axis] for axis in order]
    out = context.like(name, tuple(len(pick) for pick in stored), x.tensor)
    attributes = Slice(start=tuple(p.start for p in stored), step=tuple(p.step for p in stored))
    return Activation(context.emit(SLICE, node_name, (x.tensor,), out, attributes), x.channels_last)


def gathered(
    context: Lowering, node_name: str, name: str, x: Activation, axis: int, indices: np.ndarray
) -> Activation:
    """``x`` at ``indices`` (int32, from 0) of dimension ``axis`` of the model's layout, in the layout that it has."""
    at = context.stored_axis(x, axis)
    source = context.tensor(x)
    dims = (*source.dims[:at], len(indices), *source.dims[at + 1 :])
    table = context.program.add(Tensor(f"{name}:indices", DType.I32, indices.shape, None, indices))
    out = context.like(name, dims, x.tensor)
    context.emit(GATHER, node_name, (x.tensor, table), out, Gather(axis=at))
    return Activation(out, x.channels_last)
