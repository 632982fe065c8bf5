"""Operators of two values with NumPy broadcasting, and of any number of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from ptq_core.flatfile.operators.attributes import Clamp
from ptq_core.flatfile.operators.binary import ADD, DIV, MAXIMUM, MOD, MUL, POW, SUB
from ptq_core.flatfile.operators.clamp import CLAMP
from ptq_core.flatfile.operators.description import OperatorKind
from ptq_core.flatfile.operators.unary import UNARY, Unary, UnaryFunction
from ptq_core.flatfile.tensors import Array, DType
from ptq_core.optimize.lowering.context import (
    Activation,
    Constant,
    Entry,
    Lowering,
    Unsupported,
    get_int,
    require_type,
    to_last,
)


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


def lower_mod(context: Lowering, node: ir.Node) -> None:
    """Mod: of integers with the sign of the divisor; with fmod that of the dividend, of integers as a − (a / b) · b."""
    a, b = operands_of(context, node)
    name, node_name = str(node.outputs[0].name), str(node.name)
    fmod = bool(get_int(node, "fmod", 0))
    floats = any(isinstance(e, Activation) and context.tensor(e).dtype == DType.F32 for e in (a, b))
    if floats and not fmod:
        raise Unsupported("it computes on float32 without fmod")
    if floats or not fmod:
        context.bind(node.outputs[0], combine(context, MOD, node_name, name, a, b))
        return
    quotient = combine(context, DIV, node_name, f"{name}:quotient", a, b)
    product = combine(context, MUL, node_name, f"{name}:product", quotient, b)
    context.bind(node.outputs[0], combine(context, SUB, node_name, name, a, product))


def lower_pow(context: Lowering, node: ir.Node) -> None:
    """Pow; the exponents 1, 2 and 0.5 have cheaper names."""
    base, exponent = operands_of(context, node)
    name, node_name = str(node.outputs[0].name), str(node.name)
    single = isinstance(exponent, Constant) and exponent.array.size == 1 and exponent.array.ndim == 0
    if isinstance(exponent, Constant) and exponent.array.dtype.kind in "iu":
        exponent = Constant(exponent.real.astype(np.float32))
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
    _, slope = operands_of(context, node)
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
    (a, b), stored, last = aligned(context, name, (left, right))
    dtype = operand_type(context, (a, b), kind)
    out = context.arena_tensor(name, stored, dtype)
    return Activation(context.emit(kind, node_name, (a, b), out, Clamp()), last)


def aligned(
    context: Lowering, name: str, operands: Sequence[Entry]
) -> tuple[tuple[int, ...], tuple[int, ...], bool]:
    """(tensors of ``operands``, dims of what they broadcast to, whether channels lie last); constants are laid likewise."""
    dims = broadcast_dims([context.dims(entry) for entry in operands])
    running = [entry for entry in operands if isinstance(entry, Activation)]
    # With the channels last if one operand lies so already; that needs the result and all run-time operands to have one rank.
    rank = len(dims)
    last = any(entry.channels_last for entry in running) and all(
        len(context.dims(entry)) == rank for entry in running
    )
    inputs = []
    for entry, side in zip(operands, SIDES, strict=False):
        if isinstance(entry, Activation):
            inputs.append(context.channels_last(entry) if last else context.model_layout(entry))
        else:
            constant = _as_channels_last(entry, rank) if last else entry
            inputs.append(context.constant_tensor(f"{name}:{side}", constant))
    return tuple(inputs), tuple(dims[i] for i in to_last(rank)) if last else dims, last


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


def operand_type(context: Lowering, tensors: Sequence[int], kind: OperatorKind[Any]) -> DType:
    """That of the operands ``tensors`` of ``kind``; constants may still be quantized. Unsupported if it has no kernel."""
    operands = [context.program.tensors[i] for i in tensors]
    x = next((tensor for tensor in operands if not tensor.is_constant), operands[0])
    require_type(x, [dtype for dtype in kind.types if dtype != DType.I8])
    return x.dtype


SIDES = ("left", "right", "third")


def _combine_all(context: Lowering, node: ir.Node, kind: OperatorKind[Any], name: str) -> Activation:
    first, *rest = operands_of(context, node)
    for position, entry in enumerate(rest, 1):
        partial = name if position == len(rest) else f"{name}:{position}"
        first = combine(context, kind, str(node.name), partial, first, entry)
    if isinstance(first, Constant):
        raise Unsupported("its inputs are constants")
    return first


def operands_of(context: Lowering, node: ir.Node) -> list[Entry]:
    entries = [context.find(value) for value in node.inputs]
    if any(entry is None for entry in entries):
        raise Unsupported("an input is missing")
    return [entry for entry in entries if entry is not None]


def _clamped(context: Lowering, node_name: str, name: str, x: Activation, bounds: Clamp) -> Activation:
    out = context.arena_tensor(name, context.tensor(x).dims)
    return Activation(context.emit(CLAMP, node_name, (x.tensor,), out, bounds), x.channels_last)


def broadcast_dims(shapes: list[tuple[int, ...]]) -> tuple[int, ...]:
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
