"""Reductions over any dimensions, norms, the index of the maximum, and sums up to each element."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from ptq_core.flatfile.operators.arg_max import ARG_MAX, ArgMax
from ptq_core.flatfile.operators.attributes import Clamp
from ptq_core.flatfile.operators.binary import ADD, DIV, SUB
from ptq_core.flatfile.operators.clamp import CLAMP
from ptq_core.flatfile.operators.cum_sum import CUM_SUM, CumSum
from ptq_core.flatfile.operators.pool2d import AVERAGE_POOL2D, Pool2d
from ptq_core.flatfile.operators.reduce import REDUCE, Reduce, ReduceFunction
from ptq_core.flatfile.operators.unary import UnaryFunction
from ptq_core.flatfile.tensors import INTEGERS, DType
from ptq_core.optimize.lowering.arithmetic import apply, combine
from ptq_core.optimize.lowering.context import (
    Activation,
    Constant,
    Lowering,
    get_axes,
    get_int,
    normal_axis,
    require_type,
)
from ptq_core.optimize.lowering.logic import cast
from ptq_core.optimize.lowering.norms import powers, root

FLOAT_MAX, FLOAT_TINY = float(np.finfo(np.float32).max), float(np.finfo(np.float32).tiny)


Step = Callable[[Lowering, str, str, Activation], Activation]
"""(lowering, name of the node, name of the result, x) → a function of each element."""


def lower_reduce(
    function: ReduceFunction, *, before: Step | None = None, after: UnaryFunction | None = None
) -> Callable[[Lowering, ir.Node], None]:
    """The lowering of a reduction, with a function of each element ``before`` it and one ``after`` it."""

    def lower(context: Lowering, node: ir.Node) -> None:
        x, name, node_name = context.real_input(node), str(node.outputs[0].name), str(node.name)
        axes, keep = reduced_axes(context, node, x), bool(get_int(node, "keepdims", 1))
        if before is not None:
            x = before(context, node_name, f"{name}:before", x)
        if axes:
            x = reduced(
                context, node_name, name if after is None else f"{name}:reduced", x, function, axes, keep
            )
        elif function == ReduceFunction.L2:  # the root of one square
            x = apply(context, UnaryFunction.ABS, node_name, name, x)
        if after is not None:
            x = apply(context, after, node_name, name, x)
        context.bind(node.outputs[0], x)

    return lower


def lower_log_sum_exp(context: Lowering, node: ir.Node) -> None:
    """ReduceLogSumExp: m + log Σ eˣ⁻ᵐ, m the largest x, which keeps the powers in range."""
    x, name, node_name = context.real_input(node), str(node.outputs[0].name), str(node.name)
    axes, keep = reduced_axes(context, node, x), bool(get_int(node, "keepdims", 1))
    if not axes:
        context.bind(node.outputs[0], x)
        return
    largest = reduced(context, node_name, f"{name}:largest", x, ReduceFunction.MAX, axes)
    # Of infinities there is no difference.
    out = context.arena_tensor(f"{name}:finite", context.tensor(largest).dims)
    limits = Clamp(lo=-FLOAT_MAX, hi=FLOAT_MAX)
    largest = Activation(
        context.emit(CLAMP, node_name, (largest.tensor,), out, limits), largest.channels_last
    )
    shifted = combine(context, SUB, node_name, f"{name}:shifted", x, largest)
    powers = apply(context, UnaryFunction.EXP, node_name, f"{name}:powers", shifted)
    total = reduced(context, node_name, f"{name}:sum", powers, ReduceFunction.SUM, axes)
    log = apply(context, UnaryFunction.LOG, node_name, f"{name}:log", total)
    y = combine(context, ADD, node_name, name if keep else f"{name}:kept", log, largest)
    context.bind(node.outputs[0], y if keep else without(context, node_name, name, y, axes))


def lower_lp_normalization(context: Lowering, node: ir.Node) -> None:
    """LpNormalization: x over its norm along one axis; 0 stays 0."""
    x, name, node_name = context.real_input(node), str(node.outputs[0].name), str(node.name)
    axes, p = (normal_axis(get_int(node, "axis", -1), len(context.dims(x))),), get_int(node, "p", 2)
    norm = _norm(context, node_name, f"{name}:norm", x, p, axes)
    out = context.arena_tensor(f"{name}:positive", context.tensor(norm).dims)
    above = context.emit(CLAMP, node_name, (norm.tensor,), out, Clamp(lo=FLOAT_TINY))
    divisor = Activation(above, norm.channels_last)
    context.bind(node.outputs[0], combine(context, DIV, node_name, name, x, divisor))


def lower_global_lp_pool(context: Lowering, node: ir.Node) -> None:
    """GlobalLpPool: the norm of each channel."""
    x = context.real_input(node)
    axes = tuple(range(2, len(context.dims(x))))
    name, p = str(node.outputs[0].name), get_int(node, "p", 2)
    context.bind(node.outputs[0], _norm(context, str(node.name), name, x, p, axes))


def _norm(
    context: Lowering, node_name: str, name: str, x: Activation, p: int, axes: tuple[int, ...]
) -> Activation:
    if p == 2:
        return reduced(context, node_name, name, x, ReduceFunction.L2, axes)
    terms = powers(context, node_name, name, x, p)
    part = name if p == 1 else f"{name}:sum"
    return root(
        context, node_name, name, reduced(context, node_name, part, terms, ReduceFunction.SUM, axes), p
    )


def reduced_axes(context: Lowering, node: ir.Node, x: Activation) -> tuple[int, ...]:
    """The dimensions that ``node`` reduces, in order; all where it names none, unless it asks for nothing then."""
    rank, axes = len(context.dims(x)), get_axes(context, node)
    if not axes:
        axes = () if get_int(node, "noop_with_empty_axes", 0) else tuple(range(rank))
    return tuple(sorted({normal_axis(axis, rank) for axis in axes}))


def reduced(
    context: Lowering,
    node_name: str,
    name: str,
    x: Activation,
    function: ReduceFunction,
    axes: tuple[int, ...],
    keep: bool = True,
) -> Activation:
    """Emit a reduction over ``axes``; a mean over height and width is an average_pool2d, which has kernels of its own."""
    rank = len(context.dims(x))
    if rank == 4 and axes == (2, 3):
        x = Activation(context.channels_last(x), True)
    elif rank == 4 and axes == (1, 2):  # the model itself works in NHWC
        x = Activation(context.model_layout(x))
    stored = tuple(sorted(context.stored_axis(x, axis) for axis in axes))
    source = context.tensor(x)
    dims = tuple(1 if i in stored else d for i, d in enumerate(source.dims))
    out = context.arena_tensor(name if keep else f"{name}:kept", dims)
    if function == ReduceFunction.MEAN and len(dims) == 4 and stored == (1, 2):
        window = Pool2d(kernel_h=source.dims[1], kernel_w=source.dims[2])
        context.emit(AVERAGE_POOL2D, node_name, (x.tensor,), out, window)
    else:
        attributes = Reduce(function=int(function), axes=sum(1 << i for i in stored))
        context.emit(REDUCE, node_name, (x.tensor,), out, attributes)
    y = Activation(out, x.channels_last)
    return y if keep else without(context, node_name, name, y, axes)


def without(context: Lowering, node_name: str, name: str, x: Activation, axes: tuple[int, ...]) -> Activation:
    """``x`` without the dimensions ``axes``, which are 1."""
    left = tuple(d for i, d in enumerate(context.dims(x)) if i not in axes)
    return context.reshaped(x, left, name, node_name)


def lower_arg_max(context: Lowering, node: ir.Node) -> None:
    """ArgMax along one axis."""
    x = context.activation(node, 0)
    require_type(context.tensor(x), ARG_MAX.types)
    _arg_max(context, node, x)


def lower_arg_min(context: Lowering, node: ir.Node) -> None:
    """ArgMin: the largest of −x; of integers, of −1 − x, which exists of every one."""
    x, name, node_name = context.activation(node, 0), f"{node.outputs[0].name}:negative", str(node.name)
    dtype = context.tensor(x).dtype
    require_type(context.tensor(x), (DType.F32, *INTEGERS))
    if dtype == DType.F32:
        _arg_max(context, node, apply(context, UnaryFunction.NEG, node_name, name, x))
        return
    most = Constant(np.array(255 if dtype == DType.U8 else -1, dtype.numpy))
    _arg_max(context, node, combine(context, SUB, node_name, name, most, x))


def _arg_max(context: Lowering, node: ir.Node, x: Activation) -> None:
    """The runtime's indices are int32, ONNX's int64."""
    dims = context.dims(x)
    axis = normal_axis(get_int(node, "axis", 0), len(dims))
    if axis != 1:
        x = Activation(context.model_layout(x))
    stored = context.stored_axis(x, axis)
    shape = tuple(1 if i == stored else d for i, d in enumerate(context.tensor(x).dims))
    name, keep = str(node.outputs[0].name), bool(get_int(node, "keepdims", 1))
    out = context.arena_tensor(f"{name}:int32", shape, DType.I32)
    attributes = ArgMax(axis=stored, select_last=get_int(node, "select_last_index", 0))
    context.emit(ARG_MAX, str(node.name), (x.tensor,), out, attributes)
    y = Activation(out, x.channels_last)
    y = cast(context, str(node.name), name if keep else f"{name}:kept", y, DType.I64)
    if not keep:
        y = context.reshaped(y, (*dims[:axis], *dims[axis + 1 :]), name, str(node.name))
    context.bind(node.outputs[0], y)


def lower_cum_sum(context: Lowering, node: ir.Node) -> None:
    """CumSum along a constant axis."""
    x = context.activation(node, 0)
    (axis,) = context.integers(node, 1, "axis") or (0,)
    attributes = CumSum(
        axis=context.stored_axis(x, normal_axis(axis, len(context.dims(x)))),
        exclusive=int(bool(get_int(node, "exclusive", 0))),
        reverse=int(bool(get_int(node, "reverse", 0))),
    )
    out = context.like(str(node.outputs[0].name), context.tensor(x).dims, x.tensor)
    y = context.emit(CUM_SUM, str(node.name), (x.tensor,), out, attributes)
    context.bind(node.outputs[0], Activation(y, x.channels_last))
