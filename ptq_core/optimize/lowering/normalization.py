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


def lower_rms_normalization(context: Lowering, node: ir.Node) -> None:
    """RMSNormalization: x / √(mean(x²) + epsilon) · scale over the dimensions from `axis` on."""
    x, name, node_name = context.real_input(node), str(node.outputs[0].name), str(node.name)
    rank = len(context.dims(x))
    axes = tuple(range(normal_axis(get_int(node, "axis", -1), rank), rank))
    squares = combine(context, MUL, node_name, f"{name}:squares", x, x)
    y = _divided(context, node, x, _mean(context, node_name, f"{name}:mean_square", squares, axes))[0]
    context.bind(node.outputs[0], _scaled(context, node, y, _parameter(context, node, 1), None))


def lower_group_normalization(context: Lowering, node: ir.Node) -> None:
    """GroupNormalization over the channels of a group and all dimensions behind; until opset 20 scale and bias are of groups."""
    x, name, node_name = context.real_input(node), str(node.outputs[0].name), str(node.name)
    dims, groups = context.dims(x), get_int(node, "num_groups", 0)
    if len(dims) < 3 or groups < 1 or dims[1] % groups:
        raise Unsupported(f"its input {list(dims)} does not divide into {groups} groups of channels")
    size = math.prod(dims[1:]) // groups
    together = context.reshaped(x, (dims[0], groups, size), f"{name}:groups", node_name)
    centred, _, variance = _moments(context, node_name, name, together, (2,))
    y, _ = _divided(context, node, centred, variance)
    apart = context.reshaped(y, dims, f"{name}:channels", node_name)
    scale, bias = (_of_groups(context, node, i, dims[1], len(dims)) for i in (1, 2))
    context.bind(node.outputs[0], _scaled(context, node, apart, scale, bias))


def _of_groups(context: Lowering, node: ir.Node, position: int, channels: int, rank: int) -> Entry:
    """Scale or bias, one for each of the ``channels`` or, of constants, for each group of them, as [channels, 1, …]."""
    values = _parameter(context, node, position)
    dims = context.dims(values)
    if isinstance(values, Constant) and len(dims) == 1 and channels % dims[0] == 0:
        values, dims = Constant(np.repeat(values.real, channels // dims[0])), (channels,)
    if dims != (channels,):
        raise Unsupported(f"its scale or bias {list(dims)} is not of {channels} channels")
    return _per_channel(context, str(node.name), f"{node.outputs[0].name}:{position}", values, rank)


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
    average = _mean(context, node_name, f"{name}:mean", x, axes)
    centred = combine(context, SUB, node_name, f"{name}:centred", x, average)
    squares = combine(context, MUL, node_name, f"{name}:squares", centred, centred)
    return centred, average, _mean(context, node_name, f"{name}:mean_square", squares, axes)


def _mean(context: Lowering, node_name: str, name: str, x: Activation, axes: tuple[int, ...]) -> Activation:
    """Over ``axes`` of the model's layout."""
    stored = tuple(context.stored_axis(x, axis) for axis in axes)
    dims = tuple(1 if i in stored else d for i, d in enumerate(context.tensor(x).dims))
    out = context.arena_tensor(name, dims)
    attributes = Reduce(function=int(ReduceFunction.MEAN), axes=sum(1 << i for i in stored))
    return Activation(context.emit(REDUCE, node_name, (x.tensor,), out, attributes), x.channels_last)


def _divided(
    context: Lowering, node: ir.Node, x: Activation, variance: Activation
) -> tuple[Activation, Activation]:
    """(x / deviation, deviation = √(variance + epsilon))."""
    name, node_name = str(node.outputs[0].name), str(node.name)
    epsilon = Constant(np.array(get_float(node, "epsilon", 1e-5), np.float32))
    moved = combine(context, ADD, node_name, f"{name}:variance", variance, epsilon)
    deviation = apply(context, UnaryFunction.SQRT, node_name, f"{name}:deviation", moved)
    return combine(context, DIV, node_name, f"{name}:normal", x, deviation), deviation


def _scaled(context: Lowering, node: ir.Node, x: Activation, scale: Entry, bias: Entry | None) -> Activation:
    """x · scale + bias: the node's output."""
    name, node_name = str(node.outputs[0].name), str(node.name)
    y = combine(context, MUL, node_name, name if bias is None else f"{name}:scaled", x, scale)
    if bias is not None:
        y = combine(context, ADD, node_name, name, y, bias)
    if context.dims(y) != context.dims(x):
        raise Unsupported("its scale or bias is larger than its input")
    return y


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
    centred, average, variance = _moments(context, node_name, name, x, axes)
    normal, deviation = _divided(context, node, centred, variance)
    context.bind(node.outputs[0], _scaled(context, node, normal, scale, bias))
    if len(node.outputs) > 1:
        context.bind(node.outputs[1], average)
    if len(node.outputs) > 2:
        inverse = apply(context, UnaryFunction.RECIPROCAL, node_name, str(node.outputs[2].name), deviation)
        context.bind(node.outputs[2], inverse)
