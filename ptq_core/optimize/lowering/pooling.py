"""Pooling over one, two or three spatial dimensions, in windows or over the whole: maxima, means, Lp norms."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from ptq_core.flatfile.operators.binary import DIV
from ptq_core.flatfile.operators.description import OperatorKind
from ptq_core.flatfile.operators.pad import PAD, Pad
from ptq_core.flatfile.operators.pool2d import AVERAGE_POOL2D, MAX_POOL2D, Pool2d
from ptq_core.flatfile.operators.scatter_nd import SCATTER_ND, ScatterNd
from ptq_core.flatfile.operators.window_arg_max import WINDOW_ARG_MAX, WindowArgMax
from ptq_core.flatfile.tensors import DType
from ptq_core.optimize.lowering.arithmetic import combine
from ptq_core.optimize.lowering.context import (
    Activation,
    Constant,
    Lowering,
    Unsupported,
    check_numbers,
    get_int,
    get_ints,
    is_used,
)
from ptq_core.optimize.lowering.convolution import Weights, convolve
from ptq_core.optimize.lowering.lookups import gather_places
from ptq_core.optimize.lowering.norms import powers, root
from ptq_core.optimize.lowering.windows import POINT, Axis, picture, whole, window_attributes, window_axes


def lower_max_pool(context: Lowering, node: ir.Node) -> None:
    """MaxPool → max_pool2d; its indices → window_arg_max."""
    x, dims = picture(context, node)
    axes = _pool_axes(node, dims)
    if is_used(node.outputs[0]):
        _pool(context, node, MAX_POOL2D, context.channels_last(x), axes)
    for indices in node.outputs[1:]:
        if is_used(indices):
            context.bind(indices, _places_of_maxima(context, node, str(indices.name), x, axes))


def _places_of_maxima(
    context: Lowering, node: ir.Node, name: str, x: Activation, axes: Sequence[Axis]
) -> Activation:
    """Where in ``x`` the maximum of each window lies, int64; with storage_order 1 columns are counted before rows."""
    dims, node_name = context.dims(x), str(node.name)
    attributes = WindowArgMax(
        kernel=(1, 1, *(axis.kernel for axis in axes)),
        stride=(1, 1, *(axis.stride for axis in axes)),
        dilation=(1, 1, *(axis.dilation for axis in axes)),
        before=(0, 0, *(axis.before for axis in axes)),
    )
    by_columns = bool(get_int(node, "storage_order", 0))
    shape = (*dims[:2], *(axis.outputs for axis in axes))
    out = context.arena_tensor(f"{name}:rows" if by_columns else name, shape, DType.I64)
    found = context.emit(WINDOW_ARG_MAX, node_name, (context.model_layout(x),), out, attributes)
    if not by_columns:
        return Activation(found)
    check_numbers(math.prod(dims), "its table of places")
    turned = np.arange(math.prod(dims)).reshape(-1, *dims[:1:-1])
    table = turned.transpose(0, *range(len(axes), 0, -1)).reshape(-1)
    places = Activation(context.constant_tensor(f"{name}:by columns", Constant(table)))
    rows = context.reshaped(Activation(found), (*shape, 1), f"{name}:column", node_name)
    return gather_places(context, node_name, name, places, rows)


def lower_max_unpool(context: Lowering, node: ir.Node) -> None:
    """MaxUnpool: zeros, and each value at the place in the output that its index names."""
    x, indices = (Activation(context.model_layout(context.activation(node, i))) for i in range(2))
    dims, name, node_name = context.dims(x), str(node.outputs[0].name), str(node.name)
    kernel, spatial = get_ints(node, "kernel_shape") or (), dims[2:]
    strides = get_ints(node, "strides") or (1,) * len(spatial)
    pads = get_ints(node, "pads") or (0,) * 2 * len(spatial)
    if not len(kernel) == len(strides) == len(spatial) == len(pads) // 2 or context.dims(indices) != dims:
        raise Unsupported(f"its window or indices do not fit {list(dims)}")
    sizes = [
        (d - 1) * strides[i] + kernel[i] - pads[i] - pads[i + len(spatial)] for i, d in enumerate(spatial)
    ]
    shape = context.integers(node, 2, "output shape") or (*dims[:2], *sizes)
    if len(shape) != len(dims) or min(shape) < 1:
        raise Unsupported(f"its result has the shape {list(shape)}")
    count, total = math.prod(dims), math.prod(shape)
    zero = context.constant_tensor(f"{name}:zero", Constant(np.zeros(1, np.float32)))
    zeros = context.arena_tensor(f"{name}:zeros", (total,))
    context.emit(PAD, node_name, (zero,), zeros, Pad(before=(0,), after=(total - 1,)))
    rows = context.reshaped(indices, (count, 1), f"{name}:rows", node_name)
    values = context.reshaped(x, (count,), f"{name}:values", node_name)
    out = context.arena_tensor(f"{name}:flat", (total,))
    operands = (zeros, rows.tensor, values.tensor)
    flat = context.emit(SCATTER_ND, node_name, operands, out, ScatterNd(reduction=0))
    context.bind(node.outputs[0], context.reshaped(Activation(flat), tuple(shape), name, node_name))


def lower_average_pool(context: Lowering, node: ir.Node) -> None:
    """AveragePool → average_pool2d; with dilation a sum of the window's taps, divided by how many of them count."""
    x, dims = picture(context, node)
    axes = _pool_axes(node, dims)
    include_pad = bool(get_int(node, "count_include_pad", 0))
    assert not (include_pad and any(axis.extra for axis in axes)), "count_no_overhang has run"
    if all(axis.dilation == 1 for axis in axes):
        _pool(context, node, AVERAGE_POOL2D, context.channels_last(x), axes, include_pad)
        return
    name, node_name = str(node.outputs[0].name), str(node.name)
    counts = functools.reduce(np.multiply.outer, [_counts(axis, include_pad) for axis in axes])
    if counts.min() < 1:
        raise Unsupported("one of its windows lies wholly in the padding")
    total = _window_sums(context, node_name, f"{name}:sum", context.real_input(node), axes)
    divisor = Constant(counts[None, None].astype(np.float32))
    context.bind(node.outputs[0], combine(context, DIV, node_name, name, total, divisor))


def lower_lp_pool(context: Lowering, node: ir.Node) -> None:
    """LpPool: the p-th root of the sum of |x|^p in each window."""
    _, dims = picture(context, node)
    axes, p = _pool_axes(node, dims), get_int(node, "p", 2)
    name, node_name = str(node.outputs[0].name), str(node.name)
    terms = powers(context, node_name, name, context.real_input(node), p)
    total = _window_sums(context, node_name, name if p == 1 else f"{name}:sum", terms, axes)
    context.bind(node.outputs[0], root(context, node_name, name, total, p))


def lower_global_average_pool(context: Lowering, node: ir.Node) -> None:
    """GlobalAveragePool → average_pool2d over the whole."""
    _pool_whole(context, node, AVERAGE_POOL2D)


def lower_global_max_pool(context: Lowering, node: ir.Node) -> None:
    """GlobalMaxPool → max_pool2d over the whole."""
    _pool_whole(context, node, MAX_POOL2D)


def _pool_whole(context: Lowering, node: ir.Node, kind: OperatorKind[Any]) -> None:
    x, dims = picture(context, node)
    _pool(context, node, kind, context.channels_last(x), [whole(d) for d in dims[2:]])


def _pool_axes(node: ir.Node, dims: tuple[int, ...]) -> tuple[Axis, ...]:
    kernel = get_ints(node, "kernel_shape") or ()
    axes = window_axes(node, dims[2:], kernel, bool(get_int(node, "ceil_mode", 0)))
    for axis in axes:
        last = (axis.outputs - 1) * axis.stride
        if axis.before >= axis.extent or last >= axis.size + axis.before:
            raise Unsupported("one of its windows lies wholly in the padding")
    return axes


def _pool(
    context: Lowering,
    node: ir.Node,
    kind: OperatorKind[Any],
    source: int,
    axes: Sequence[Axis],
    include_pad: bool = False,
) -> None:
    """``kind`` over ``source`` [N, …, C]: of a signal as a picture of one row, of a volume first over its depth.

    The elements that count in a window are all combinations of those that count along each axis, so a mean of means is theirs.
    """
    name, node_name = str(node.outputs[0].name), str(node.name)
    n, *_, channels = context.program.tensors[source].dims
    dims = (n, *(axis.outputs for axis in axes), channels)
    if len(axes) == 3:
        depth, h, w = axes
        x = context.reshape(source, (n, depth.size, h.size * w.size, channels), f"{name}:planes", node_name)
        plane = Axis(h.size * w.size, 1, 1, 1, 0, 0)
        source = _pool_picture(context, node_name, f"{name}:depth", kind, x, (depth, plane), include_pad)
    h, w = (POINT, *axes)[-2:]
    x = context.reshape(source, (-1, h.size, w.size, channels), f"{name}:pictures", node_name)
    pooled = name if len(axes) == 2 else f"{name}:pooled"
    out = _pool_picture(context, node_name, pooled, kind, x, (h, w), include_pad)
    out = context.reshape(out, dims, name, node_name)
    context.bind(node.outputs[0], Activation(out, channels_last=True))


def _pool_picture(
    context: Lowering,
    node_name: str,
    name: str,
    kind: OperatorKind[Any],
    source: int,
    axes: tuple[Axis, Axis],
    include_pad: bool,
) -> int:
    h, w = axes
    n, _, _, channels = context.program.tensors[source].dims
    out = context.like(name, (n, h.outputs, w.outputs, channels), source)
    padded = any((h.before, h.after, w.before, w.after))
    attributes = Pool2d(
        kernel_h=h.kernel,
        kernel_w=w.kernel,
        **window_attributes(h, w),
        count_include_pad=int(include_pad and padded),
    )
    return context.emit(kind, node_name, (source,), out, attributes)


def _window_sums(
    context: Lowering, node_name: str, name: str, x: Activation, axes: Sequence[Axis]
) -> Activation:
    """The sum of each window, padding as zeros: a convolution of each channel with ones."""
    channels = context.dims(x)[1]
    check_numbers(channels * math.prod(axis.kernel for axis in axes), "its window")
    ones = np.ones((channels, *(axis.kernel for axis in axes), 1), np.float32)
    weights = Weights(f"{name}:ones", Constant(ones), groups=channels)
    return Activation(convolve(context, node_name, name, context.channels_last(x), weights, axes), True)


def _counts(axis: Axis, include_pad: bool) -> np.ndarray:
    """How many elements of each window along ``axis`` count, [outputs]."""
    check_numbers(axis.outputs * axis.kernel, "its window")
    first = np.arange(axis.outputs)[:, None] * axis.stride - axis.before
    places = first + np.arange(axis.kernel) * axis.dilation
    low, high = (-axis.before, axis.size + axis.after) if include_pad else (0, axis.size)
    counted: np.ndarray = ((places >= low) & (places < high)).sum(axis=1)
    return counted
