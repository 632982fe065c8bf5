"""BatchNormalization as two operators per channel; InstanceNormalization and LayerNormalization by their formula."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ptq_core.flatfile.operators.attributes import Clamp
from ptq_core.flatfile.operators.binary import ADD, DIV, MUL, SUB
from ptq_core.flatfile.operators.reduce import REDUCE, Reduce, ReduceFunction
from ptq_core.flatfile.operators.unary import UnaryFunction
from ptq_core.optimize.lowering.arithmetic import apply, combine
from ptq_core.optimize.lowering.context import (
    Activation,
    Constant,
    Lowering,
    Unsupported,
    get_float,
    get_int,
    normal_axis,
)


def lower_batch_normalization(context: Lowering, node: ir.Node) -> None:
    """BatchNormalization (inference) → mul and add per channel; fold passes move both into a convolution before it."""
    if get_int(node, "training_mode", 0):
        raise Unsupported("it is in training mode")
    gamma, beta, mean, variance = (
        context.required(node, i, what).real.astype(np.float64)
        for i, what in ((1, "scale"), (2, "bias"), (3, "mean"), (4, "variance"))
    )
    x = context.real_input(node)
    rank = len(context.dims(x))
    channels = (context.dims(x)[1],) if rank > 1 else ()
    if any(values.shape != channels for values in (gamma, beta, mean, variance)):
        raise Unsupported(
            f"its scale, bias, mean or variance are not one number for each of {list(channels)} channels"
        )
    scale = gamma / np.sqrt(variance + get_float(node, "epsilon", 1e-5))
    offset = beta - mean * scale
    last = rank == 4 or x.channels_last
    source = context.channels_last(x) if last else x.tensor
    shape = (len(scale),) if last or rank == 2 else (len(scale), *[1] * (rank - 2))
    dims = context.program.tensors[source].dims
    name, node_name = str(node.outputs[0].name), str(node.name)
    for kind, what, values, out_name in (
        (MUL, "scale", scale, f"{name}:scaled"),
        (ADD, "offset", offset, name),
    ):
        constant = context.constant_tensor(
            f"{name}:{what}", Constant(values.astype(np.float32).reshape(shape))
        )
        out = context.arena_tensor(out_name, dims)
        source = context.emit(kind, node_name, (source, constant), out, Clamp())
    context.bind(node.outputs[0], Activation(source, last))


def lower_instance_normalization(context: Lowering, node: ir.Node) -> None:
    """InstanceNormalization over all dimensions behind the channels."""
    x = context.real_input(node)
    rank = len(context.dims(x))
    if rank < 3:
        raise Unsupported(f"its input has {rank} dimensions, not 3 or more")
    x = Activation(context.channels_last(x), True) if rank == 4 else x
    shape = (-1, *[1] * (rank - 2))
    scale, bias = (context.required(node, i, w).real.reshape(shape) for i, w in ((1, "scale"), (2, "bias")))
    _normalize(context, node, x, tuple(range(2, rank)), Constant(scale), Constant(bias))


def lower_layer_normalization(context: Lowering, node: ir.Node) -> None:
    """LayerNormalization over the dimensions from `axis` on, with its outputs mean and 1 / deviation where they are used."""
    x = context.real_input(node)
    rank = len(context.dims(x))
    axis = normal_axis(get_int(node, "axis", -1), rank)
    scale, bias = context.required(node, 1, "scale"), context.constant(node, 2, "bias")
    _normalize(context, node, x, tuple(range(axis, rank)), scale, bias)


def _normalize(
    context: Lowering,
    node: ir.Node,
    x: Activation,
    axes: tuple[int, ...],
    scale: Constant,
    bias: Constant | None,
) -> None:
    """(x − mean) / √(variance + epsilon) · scale + bias, mean and variance over ``axes`` of the model's layout."""
    name, node_name = str(node.outputs[0].name), str(node.name)
    stored = tuple(context.stored_axis(x, axis) for axis in axes)

    def mean(entry: Activation, what: str) -> Activation:
        dims = tuple(1 if i in stored else d for i, d in enumerate(context.tensor(entry).dims))
        out = context.arena_tensor(f"{name}:{what}", dims)
        attributes = Reduce(function=int(ReduceFunction.MEAN), axes=sum(1 << i for i in stored))
        context.emit(REDUCE, node_name, (entry.tensor,), out, attributes)
        return Activation(out, x.channels_last)

    epsilon = Constant(np.array(get_float(node, "epsilon", 1e-5), np.float32))
    average = mean(x, "mean")
    centred = combine(context, SUB, node_name, f"{name}:centred", x, average)
    squares = combine(context, MUL, node_name, f"{name}:squares", centred, centred)
    variance = combine(context, ADD, node_name, f"{name}:variance", mean(squares, "mean_square"), epsilon)
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
