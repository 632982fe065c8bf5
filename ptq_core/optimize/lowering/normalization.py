"""Normalizations by their formulas; BatchNormalization of constants as two operators per channel."""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from ptq_core.flatfile.operators.attributes import Clamp
from ptq_core.flatfile.operators.binary import ADD, DIV, MUL, POW, SUB
from ptq_core.flatfile.operators.pool2d import AVERAGE_POOL2D, Pool2d
from ptq_core.flatfile.operators.reduce import REDUCE, Reduce, ReduceFunction
from ptq_core.flatfile.operators.unary import UnaryFunction
from ptq_core.flatfile.tensors import Array
from ptq_core.optimize.lowering.arithmetic import apply, combine
from ptq_core.optimize.lowering.context import (
    Activation,
    Constant,
    Entry,
    Lowering,
    Unsupported,
    get_float,
    get_int,
    get_ints,
    normal_axis,
)


def lower_batch_normalization(context: Lowering, node: ir.Node) -> None:
    """BatchNormalization (inference) → mul and add per channel; fold passes move both into a convolution before it."""
    if get_int(node, "training_mode", 0):
        raise Unsupported("it is in training mode")
    x = context.real_input(node)
    rank = len(context.dims(x))
    channels = (context.dims(x)[1],) if rank > 1 else ()
    given = [_parameter(context, node, i) for i in range(1, 5)]
    if any(context.dims(values) != channels for values in given):
        raise Unsupported(
            f"its scale, bias, mean or variance are not one number for each of {list(channels)} channels"
        )
    x = Activation(context.channels_last(x), True) if rank == 4 else x
    constants = [values for values in given if isinstance(values, Constant)]
    if len(constants) == 4:
        _scale_and_add(context, node, x, [c.real.astype(np.float64) for c in constants])
        return
    name, node_name = str(node.outputs[0].name), str(node.name)
    gamma, beta, mean, variance = (
        _per_channel(context, node_name, f"{name}:{i}", values, rank) for i, values in enumerate(given)
    )
    epsilon = Constant(np.array(get_float(node, "epsilon", 1e-5), np.float32))
    if isinstance(variance, Constant):
        scale: Entry = Constant(np.sqrt(variance.real + epsilon.array))
    else:
        shifted = combine(context, ADD, node_name, f"{name}:variance", variance, epsilon)
        scale = apply(context, UnaryFunction.SQRT, node_name, f"{name}:deviation", shifted)
    y = combine(context, SUB, node_name, f"{name}:centred", x, mean)
    y = combine(context, DIV, node_name, f"{name}:normal", y, scale)
    y = combine(context, MUL, node_name, f"{name}:scaled", y, gamma)
    context.bind(node.outputs[0], combine(context, ADD, node_name, name, y, beta))


def _parameter(context: Lowering, node: ir.Node, position: int) -> Entry:
    entry = context.find(node.inputs[position]) if position < len(node.inputs) else None
    if entry is None:
        raise Unsupported(f"input {position} is missing")
    return entry


def _per_channel(context: Lowering, node_name: str, name: str, values: Entry, rank: int) -> Entry:
    """``values`` [C] so that they broadcast with [N, C, …] of ``rank``."""
    shape = (1, *context.dims(values), *[1] * (rank - 2))
    if isinstance(values, Constant):
        return Constant(values.real.reshape(shape))
    return context.reshaped(values, shape, name, node_name)


def _scale_and_add(context: Lowering, node: ir.Node, x: Activation, parameters: list[Array]) -> None:
    gamma, beta, mean, variance = parameters
    scale = gamma / np.sqrt(variance + get_float(node, "epsilon", 1e-5))
    offset = beta - mean * scale
    source = context.tensor(x)
    rank = len(source.dims)
    shape = (len(scale),) if x.channels_last or rank == 2 else (len(scale), *[1] * (rank - 2))
    name, node_name, index = str(node.outputs[0].name), str(node.name), x.tensor
    for kind, what, values, out_name in (
        (MUL, "scale", scale, f"{name}:scaled"),
        (ADD, "offset", offset, name),
    ):
        constant = context.constant_tensor(
            f"{name}:{what}", Constant(values.astype(np.float32).reshape(shape))
        )
        out = context.arena_tensor(out_name, source.dims)
        index = context.emit(kind, node_name, (index, constant), out, Clamp())
    context.bind(node.outputs[0], Activation(index, x.channels_last))


def lower_instance_normalization(context: Lowering, node: ir.Node) -> None:
    """InstanceNormalization over all dimensions behind the channels."""
    x = context.real_input(node)
    rank = len(context.dims(x))
    if rank < 3:
        raise Unsupported(f"its input has {rank} dimensions, not 3 or more")
    x = Activation(context.channels_last(x), True) if rank == 4 else x
    name, node_name = str(node.outputs[0].name), str(node.name)
    scale, bias = (
        _per_channel(context, node_name, f"{name}:{i}", _parameter(context, node, i), rank) for i in (1, 2)
    )
    _normalize(context, node, x, tuple(range(2, rank)), scale, bias)


def lower_layer_normalization(context: Lowering, node: ir.Node) -> None:
    """LayerNormalization over the dimensions from `axis` on, with its outputs mean and 1 / deviation where they are used."""
    x = context.real_input(node)
    rank = len(context.dims(x))
    axis = normal_axis(get_int(node, "axis", -1), rank)
    bias = context.find(node.inputs[2]) if len(node.inputs) > 2 else None
    _normalize(context, node, x, tuple(range(axis, rank)), _parameter(context, node, 1), bias)


def lower_mean_variance_normalization(context: Lowering, node: ir.Node) -> None:
    """MeanVarianceNormalization: (x − mean) / (√variance + 1e-9)."""
    x, name, node_name = context.real_input(node), str(node.outputs[0].name), str(node.name)
    rank = len(context.dims(x))
    axes = tuple(sorted({normal_axis(axis, rank) for axis in get_ints(node, "axes") or (0, 2, 3)}))
    centred, _, variance = _moments(context, node_name, name, x, axes)
    root = apply(context, UnaryFunction.SQRT, node_name, f"{name}:root", variance)
    tiny = Constant(np.array(1e-9, np.float32))
    deviation = combine(context, ADD, node_name, f"{name}:deviation", root, tiny)
    context.bind(node.outputs[0], combine(context, DIV, node_name, name, centred, deviation))


def lower_local_response_normalization(context: Lowering, node: ir.Node) -> None:
    """LRN: x / (bias + alpha · mean of x² over `size` neighbouring channels)^beta, zeros beyond the channels counted."""
    x, name, node_name = context.real_input(node), str(node.outputs[0].name), str(node.name)
    dims, size = context.dims(x), get_int(node, "size", 1)
    if len(dims) < 2 or size < 1:
        raise Unsupported(f"its input has {len(dims)} dimensions, its window {size} channels")
    squares = combine(context, MUL, node_name, f"{name}:squares", x, x)
    # The channels as the rows of a picture one pixel wide: a mean over neighbouring rows.
    rows = (dims[0], dims[1], 1, math.prod(dims[2:]))
    picture = context.reshape(context.model_layout(squares), rows, f"{name}:rows", node_name)
    before = (size - 1) // 2
    window = Pool2d(
        kernel_h=size,
        kernel_w=1,
        pad_top=before,
        pad_bottom=size - 1 - before,
        count_include_pad=int(size > 1),
    )
    means = context.emit(
        AVERAGE_POOL2D, node_name, (picture,), context.arena_tensor(f"{name}:means", rows), window
    )
    y = Activation(context.reshape(means, dims, f"{name}:mean", node_name))
    for kind, what, default in ((MUL, "alpha", 1e-4), (ADD, "bias", 1.0), (POW, "beta", 0.75)):
        factor = Constant(np.array(get_float(node, what, default), np.float32))
        y = combine(context, kind, node_name, f"{name}:{what}", y, factor)
    context.bind(node.outputs[0], combine(context, DIV, node_name, name, x, y))


def _moments(
    context: Lowering, node_name: str, name: str, x: Activation, axes: tuple[int, ...]
) -> tuple[Activation, Activation, Activation]:
    """(x − mean, mean, variance) over ``axes`` of the model's layout."""
    stored = tuple(context.stored_axis(x, axis) for axis in axes)

    def mean(entry: Activation, what: str) -> Activation:
        dims = tuple(1 if i in stored else d for i, d in enumerate(context.tensor(entry).dims))
        out = context.arena_tensor(f"{name}:{what}", dims)
        attributes = Reduce(function=int(ReduceFunction.MEAN), axes=sum(1 << i for i in stored))
        context.emit(REDUCE, node_name, (entry.tensor,), out, attributes)
        return Activation(out, x.channels_last)

    average = mean(x, "mean")
    centred = combine(context, SUB, node_name, f"{name}:centred", x, average)
    squares = combine(context, MUL, node_name, f"{name}:squares", centred, centred)
    return centred, average, mean(squares, "mean_square")


def _normalize(
    context: Lowering,
    node: ir.Node,
    x: Activation,
    axes: tuple[int, ...],
    scale: Entry,
    bias: Entry | None,
) -> None:
    """(x − mean) / √(variance + epsilon) · scale + bias, mean and variance over ``axes`` of the model's layout."""
    name, node_name = str(node.outputs[0].name), str(node.name)
    epsilon = Constant(np.array(get_float(node, "epsilon", 1e-5), np.float32))
    centred, average, mean_square = _moments(context, node_name, name, x, axes)
    variance = combine(context, ADD, node_name, f"{name}:variance", mean_square, epsilon)
    deviation = apply(context, UnaryFunction.SQRT, node_name, f"{name}:deviation", variance)
    y = combine(context, DIV, node_name, f"{name}:normal", centred, deviation)
    y = combine(context, MUL, node_name, name if bias is None else f"{name}:scaled", y, scale)
    if bias is not None:
        y = combine(context, ADD, node_name, name, y, bias)
    if context.dims(y) != context.dims(x):
        raise Unsupported("its scale or bias is larger than its input")
    context.bind(node.outputs[0], y)
    if len(node.outputs) > 1:
        context.bind(node.outputs[1], average)
    if len(node.outputs) > 2:
        inverse = apply(context, UnaryFunction.RECIPROCAL, node_name, str(node.outputs[2].name), deviation)
        context.bind(node.outputs[2], inverse)
