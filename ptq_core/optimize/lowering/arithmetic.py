"""Operators of two values with NumPy broadcasting, and of any number of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir

from ptq_core.flatfile.operators.attributes import Clamp
from ptq_core.flatfile.operators.binary import ADD, MAXIMUM, MUL, POW
from ptq_core.flatfile.operators.clamp import CLAMP
from ptq_core.flatfile.operators.description import OperatorKind
from ptq_core.flatfile.operators.unary import UNARY, Unary, UnaryFunction
from ptq_core.flatfile.tensors import Array, DType
from ptq_core.optimize.lowering.context import Activation, Constant, Entry, Lowering, Unsupported, to_last


def lower_arithmetic(kind: OperatorKind[Any]) -> Callable[[Lowering, ir.Node], None]:
    """The lowering of an operator of one or more inputs that combines them pairwise, from the left."""

    def lower(context: Lowering, node: ir.Node) -> None:
        context.bind(node.outputs[0], _combine_all(context, node, kind, str(node.outputs[0].name)))

    return lower


def lower_mean(context: Lowering, node: ir.Node) -> None:
    """Mean of n values → n − 1 additions and a multiplication with 1/n."""
    name = str(node.outputs[0].name)
    total = _combine_all(context, node, ADD, f"{name}:sum")
    share = Constant(np.array(1 / len(node.inputs), np.float32))
    context.bind(node.outputs[0], combine(context, MUL, str(node.name), name, total, share))


def lower_pow(context: Lowering, node: ir.Node) -> None:
    """Pow; the exponents 1, 2 and 0.5 have cheaper names."""
    base, exponent = _operands(context, node)
    name, node_name = str(node.outputs[0].name), str(node.name)
    single = isinstance(exponent, Constant) and exponent.array.size == 1 and exponent.array.ndim == 0
    value = float(exponent.real.reshape(-1)[0]) if isinstance(exponent, Constant) and single else math.nan
    if isinstance(base, Activation) and value == 1:
        context.bind(node.outputs[0], base)
    elif isinstance(base, Activation) and value == 2:
        context.bind(node.outputs[0], combine(context, MUL, node_name, name, base, base))
    elif isinstance(base, Activation) and value == 0.5:
        context.bind(node.outputs[0], apply(context, UnaryFunction.SQRT, node_name, name, base))
    else:
        context.bind(node.outputs[0], combine(context, POW, node_name, name, base, exponent))


def lower_prelu(context: Lowering, node: ir.Node) -> None:
    """PRelu: leaky_relu for one slope; max(x, slope · x) where no slope exceeds 1; else max(x, 0) + slope · min(x, 0)."""
    x = context.real_input(node)
    _, slope = _operands(context, node)
    name, node_name = str(node.outputs[0].name), str(node.name)
    if isinstance(slope, Constant) and slope.array.size == 1:
        alpha = float(slope.real.reshape(-1)[0])
        context.bind(node.outputs[0], apply(context, UnaryFunction.LEAKY_RELU, node_name, name, x, alpha))
        return
    if isinstance(slope, Constant) and slope.real.max() <= 1:
        scaled = combine(context, MUL, node_name, f"{name}:scaled", x, slope)
        context.bind(node.outputs[0], combine(context, MAXIMUM, node_name, name, x, scaled))
        return
    above = _clamped(context, node_name, f"{name}:above", x, Clamp(lo=0.0))
    below = _clamped(context, node_name, f"{name}:below", x, Clamp(hi=0.0))
    scaled = combine(context, MUL, node_name, f"{name}:scaled", below, slope)
    context.bind(node.outputs[0], combine(context, ADD, node_name, name, above, scaled))


def combine(
    context: Lowering, kind: OperatorKind[Any], node_name: str, name: str, left: Entry, right: Entry
) -> Activation:
    """Emit ``kind`` of two values, at least one of them computed at run time; constants get the layout of the other."""
    operands = (left, right)
    dims = _broadcast([context.dims(entry) for entry in operands])
    running = [entry for entry in operands if isinstance(entry, Activation)]
    # With the channels last if one operand lies so already; that needs the result and all run-time operands to have one rank.
    rank = len(dims)
    last = any(entry.channels_last for entry in running) and all(
        len(context.dims(entry)) == rank for entry in running
    )
    inputs = []
    for entry, side in zip(operands, ("left", "right"), strict=True):
        if isinstance(entry, Activation):
            tensor = context.channels_last(entry) if last else context.model_layout(entry)
            if context.program.tensors[tensor].dtype != DType.F32:
                raise Unsupported("an input is quantized and not dequantized")
            inputs.append(tensor)
        else:
            constant = _as_channels_last(entry, rank) if last else entry
            inputs.append(context.constant_tensor(f"{name}:{side}", constant))
    stored = tuple(dims[i] for i in to_last(rank)) if last else dims
    out = context.arena_tensor(name, stored)
    return Activation(context.emit(kind, node_name, tuple(inputs), out, Clamp()), last)


def apply(
    context: Lowering,
    function: UnaryFunction,
    node_name: str,
    name: str,
    x: Activation,
    alpha: float = 0.0,
    beta: float = 0.0,
) -> Activation:
    """Emit a function of one value, in the layout that it has."""
    out = context.arena_tensor(name, context.tensor(x).dims)
    attributes = Unary(function=int(function), alpha=float(np.float32(alpha)), beta=float(np.float32(beta)))
    return Activation(context.emit(UNARY, node_name, (x.tensor,), out, attributes), x.channels_last)


def _combine_all(context: Lowering, node: ir.Node, kind: OperatorKind[Any], name: str) -> Activation:
    first, *rest = _operands(context, node)
    for position, entry in enumerate(rest, 1):
        partial = name if position == len(rest) else f"{name}:{position}"
        first = combine(context, kind, str(node.name), partial, first, entry)
    if isinstance(first, Constant):
        raise Unsupported("its inputs are constants")
    return first


def _operands(context: Lowering, node: ir.Node) -> list[Entry]:
    entries = [context.find(value) for value in node.inputs]
    if any(entry is None for entry in entries):
        raise Unsupported("an input is missing")
    return [entry for entry in entries if entry is not None]


def _clamped(context: Lowering, node_name: str, name: str, x: Activation, bounds: Clamp) -> Activation:
    out = context.arena_tensor(name, context.tensor(x).dims)
    return Activation(context.emit(CLAMP, node_name, (x.tensor,), out, bounds), x.channels_last)


def _broadcast(shapes: list[tuple[int, ...]]) -> tuple[int, ...]:
    try:
        return tuple(np.broadcast_shapes(*shapes))
    except ValueError:
        raise Unsupported(f"its shapes {[list(s) for s in shapes]} do not broadcast") from None


def _as_channels_last(constant: Constant, rank: int) -> Constant:
    """A constant that broadcasts with the channels second as one that broadcasts with them last."""

    def moved(array: Array) -> Array:
        spread: Array = array.reshape((1,) * (rank - array.ndim) + array.shape)
        moved_array: Array = spread.transpose(to_last(rank))
        return moved_array

    if constant.qparams is not None and constant.qparams.per_tensor:
        return Constant(moved(constant.array), constant.qparams)
    return Constant(moved(constant.real))
