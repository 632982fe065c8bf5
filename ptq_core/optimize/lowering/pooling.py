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
from ptq_core.flatfile.operators.pool2d import AVERAGE_POOL2D, MAX_POOL2D, Pool2d
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
from ptq_core.optimize.lowering.norms import powers, root
from ptq_core.optimize.lowering.windows import POINT, Axis, picture, whole, window_attributes, window_axes


def lower_max_pool(context: Lowering, node: ir.Node) -> None:
    """MaxPool → max_pool2d; the second output (indices) does not exist here."""
    if any(is_used(value) for value in node.outputs[1:]):
        raise Unsupported("its second output (indices) is used")
    x, dims = picture(context, node)
    _pool(context, node, MAX_POOL2D, context.channels_last(x), _pool_axes(node, dims))


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
