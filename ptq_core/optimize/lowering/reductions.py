"""Reductions over any dimensions and the index of the maximum."""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir

from ptq_core.flatfile.operators.arg_max import ARG_MAX, ArgMax
from ptq_core.flatfile.operators.pool2d import AVERAGE_POOL2D, Pool2d
from ptq_core.flatfile.operators.reduce import REDUCE, Reduce, ReduceFunction
from ptq_core.flatfile.operators.unary import UnaryFunction
from ptq_core.flatfile.tensors import DType
from ptq_core.optimize.lowering.arithmetic import apply
from ptq_core.optimize.lowering.context import (
    Activation,
    Lowering,
    get_axes,
    get_int,
    normal_axis,
)


def lower_reduce(function: ReduceFunction) -> Callable[[Lowering, ir.Node], None]:
    """The lowering of a reduction; a mean over height and width is an average_pool2d, which has kernels of its own."""

    def lower(context: Lowering, node: ir.Node) -> None:
        x = context.real_input(node)
        rank = len(context.dims(x))
        axes = get_axes(context, node)
        if not axes:
            axes = () if get_int(node, "noop_with_empty_axes", 0) else tuple(range(rank))
        axes = tuple(sorted({normal_axis(axis, rank) for axis in axes}))
        if not axes:
            if function == ReduceFunction.L2:  # the root of one square
                x = apply(context, UnaryFunction.ABS, str(node.name), str(node.outputs[0].name), x)
            context.bind(node.outputs[0], x)
            return
        if rank == 4 and axes == (2, 3):
            x = Activation(context.channels_last(x), True)
        elif rank == 4 and axes == (1, 2):  # the model itself works in NHWC
            x = Activation(context.model_layout(x))
        stored = tuple(sorted(context.stored_axis(x, axis) for axis in axes))
        source = context.tensor(x)
        dims = tuple(1 if i in stored else d for i, d in enumerate(source.dims))
        name, keep = str(node.outputs[0].name), bool(get_int(node, "keepdims", 1))
        out = context.arena_tensor(name if keep else f"{name}:kept", dims)
        if function == ReduceFunction.MEAN and len(dims) == 4 and stored == (1, 2):
            window = Pool2d(kernel_h=source.dims[1], kernel_w=source.dims[2])
            context.emit(AVERAGE_POOL2D, str(node.name), (x.tensor,), out, window)
        else:
            attributes = Reduce(function=int(function), axes=sum(1 << i for i in stored))
            context.emit(REDUCE, str(node.name), (x.tensor,), out, attributes)
        y = Activation(out, x.channels_last)
        if not keep:
            left = tuple(d for i, d in enumerate(context.dims(x)) if i not in axes)
            y = context.reshaped(y, left, name, str(node.name))
        context.bind(node.outputs[0], y)

    return lower


def lower_arg_max(context: Lowering, node: ir.Node) -> None:
    """ArgMax along one axis; the indices are int32, where ONNX has int64."""
    x = context.activation(node, 0)
    dims = context.dims(x)
    axis = normal_axis(get_int(node, "axis", 0), len(dims))
    if axis != 1:
        x = Activation(context.model_layout(x))
    stored = context.stored_axis(x, axis)
    shape = tuple(1 if i == stored else d for i, d in enumerate(context.tensor(x).dims))
    name, keep = str(node.outputs[0].name), bool(get_int(node, "keepdims", 1))
    out = context.arena_tensor(name if keep else f"{name}:kept", shape, DType.I32)
    attributes = ArgMax(axis=stored, select_last=get_int(node, "select_last_index", 0))
    context.emit(ARG_MAX, str(node.name), (x.tensor,), out, attributes)
    y = Activation(out, x.channels_last)
    if not keep:
        y = context.reshaped(y, (*dims[:axis], *dims[axis + 1 :]), name, str(node.name))
    context.bind(node.outputs[0], y)
