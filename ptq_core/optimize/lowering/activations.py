"""Functions of one value: clamps, the functions of `unary`, softmax."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from ptq_core.flatfile.operators.attributes import Clamp
from ptq_core.flatfile.operators.binary import ADD, DIV, MAXIMUM, MINIMUM, MUL, SUB
from ptq_core.flatfile.operators.clamp import CLAMP
from ptq_core.flatfile.operators.reduce import REDUCE, Reduce, ReduceFunction
from ptq_core.flatfile.operators.softmax import SOFTMAX, Softmax
from ptq_core.flatfile.operators.unary import UnaryFunction
from ptq_core.optimize.lowering.arithmetic import apply, combine
from ptq_core.optimize.lowering.context import (
    Activation,
    Constant,
    Lowering,
    Unsupported,
    get_float,
    get_int,
    get_string,
    normal_axis,
)


def lower_unary(
    function: UnaryFunction, alpha: float | None = None, beta: float | None = None
) -> Callable[[Lowering, ir.Node], None]:
    """The lowering of a function of one value; ``alpha`` and ``beta`` are the defaults of attributes that it has."""

    def lower(context: Lowering, node: ir.Node) -> None:
        x = context.real_input(node)
        parameters = (
            0.0 if alpha is None else get_float(node, "alpha", alpha),
            0.0 if beta is None else get_float(node, "beta", beta),
        )
        out = apply(context, function, str(node.name), str(node.outputs[0].name), x, *parameters)
        context.bind(node.outputs[0], out)

    return lower


def lower_gelu(context: Lowering, node: ir.Node) -> None:
    """Gelu by the error function, or its approximation by tanh: x · sigmoid(x · (c + d · x²))."""
    if get_string(node, "approximate", "none") == "none":
        lower_unary(UnaryFunction.GELU)(context, node)
        return
    # (1 + tanh z) / 2 = sigmoid(2 z) with z = √(2/π) · (x + 0.044715 · x³)
    c = 2 * math.sqrt(2 / math.pi)
    x, name, node_name = context.real_input(node), str(node.outputs[0].name), str(node.name)
    linear, cubic = (Constant(np.array(value, np.float32)) for value in (c, 0.044715 * c))
    square = combine(context, MUL, node_name, f"{name}:square", x, x)
    scaled = combine(context, MUL, node_name, f"{name}:cubic", square, cubic)
    slope = combine(context, ADD, node_name, f"{name}:slope", scaled, linear)
    bent = combine(context, MUL, node_name, f"{name}:bent", slope, x)
    gate = apply(context, UnaryFunction.SIGMOID, node_name, f"{name}:gate", bent)
    context.bind(node.outputs[0], combine(context, MUL, node_name, name, x, gate))


def lower_swish(context: Lowering, node: ir.Node) -> None:
    """Swish x · sigmoid(alpha · x) → silu, with other alphas three operators."""
    alpha = get_float(node, "alpha", 1.0)
    if alpha == 1.0:
        lower_unary(UnaryFunction.SILU)(context, node)
        return
    x, name, node_name = context.real_input(node), str(node.outputs[0].name), str(node.name)
    factor = Constant(np.array(alpha, np.float32))
    scaled = combine(context, MUL, node_name, f"{name}:scaled", x, factor)
    gate = apply(context, UnaryFunction.SIGMOID, node_name, f"{name}:gate", scaled)
    context.bind(node.outputs[0], combine(context, MUL, node_name, name, x, gate))


def lower_celu(context: Lowering, node: ir.Node) -> None:
    """Celu: alpha · elu(x / alpha)."""
    x, name, node_name = context.real_input(node), str(node.outputs[0].name), str(node.name)
    if get_float(node, "alpha", 1.0) <= 0:
        raise Unsupported("its alpha is not above 0")
    alpha = Constant(np.array(get_float(node, "alpha", 1.0), np.float32))
    scaled = combine(context, DIV, node_name, f"{name}:scaled", x, alpha)
    y = apply(context, UnaryFunction.ELU, node_name, f"{name}:elu", scaled, 1.0)
    context.bind(node.outputs[0], combine(context, MUL, node_name, name, y, alpha))


def lower_selu(context: Lowering, node: ir.Node) -> None:
    """Selu: gamma · elu(x); the defaults are ONNX's."""
    x, name, node_name = context.real_input(node), str(node.outputs[0].name), str(node.name)
    y = apply(
        context,
        UnaryFunction.ELU,
        node_name,
        f"{name}:elu",
        x,
        get_float(node, "alpha", 1.67326319217681884765625),
    )
    gamma = Constant(np.array(get_float(node, "gamma", 1.05070102214813232421875), np.float32))
    context.bind(node.outputs[0], combine(context, MUL, node_name, name, y, gamma))


def lower_softsign(context: Lowering, node: ir.Node) -> None:
    """Softsign: x / (1 + |x|)."""
    x, name, node_name = context.real_input(node), str(node.outputs[0].name), str(node.name)
    size = apply(context, UnaryFunction.ABS, node_name, f"{name}:size", x)
    divisor = combine(context, ADD, node_name, f"{name}:divisor", size, Constant(np.array(1, np.float32)))
    context.bind(node.outputs[0], combine(context, DIV, node_name, name, x, divisor))


def lower_relu(context: Lowering, node: ir.Node) -> None:
    """Relu → clamp to [0, inf]."""
    _emit_clamp(context, node, 0.0, math.inf)


def lower_clip(context: Lowering, node: ir.Node) -> None:
    """Clip → clamp; with computed bounds the smaller of `max` and the larger of `min` and x."""
    given = [context.find(value) for value in node.inputs[1:3]]
    if any(isinstance(bound, Activation) for bound in given):
        y, name, node_name = context.real_input(node), str(node.outputs[0].name), str(node.name)
        present = [(kind, b) for kind, b in zip((MAXIMUM, MINIMUM), given, strict=False) if b is not None]
        for i, (kind, bound) in enumerate(present, 1):
            y = combine(context, kind, node_name, name if i == len(present) else f"{name}:above", y, bound)
        context.bind(node.outputs[0], y)
        return
    bounds = []
    for position, name, default in ((1, "min", -math.inf), (2, "max", math.inf)):
        found = context.constant(node, position, f"bound {name}")
        bounds.append(
            get_float(node, name, default) if found is None else float(np.float32(found.real.reshape(-1)[0]))
        )
    if math.isnan(bounds[0]) or math.isnan(bounds[1]):
        raise Unsupported("a bound is not a number")
    _emit_clamp(context, node, min(bounds), bounds[1])  # ONNX: min(max(x, lo), hi), also where lo > hi


def lower_softmax(context: Lowering, node: ir.Node) -> None:
    """Softmax along one axis."""
    x = context.real_input(node)
    axis = normal_axis(get_int(node, "axis", -1), len(context.dims(x)))
    out = context.arena_tensor(str(node.outputs[0].name), context.tensor(x).dims)
    context.emit(SOFTMAX, str(node.name), (x.tensor,), out, Softmax(axis=context.stored_axis(x, axis)))
    context.bind(node.outputs[0], Activation(out, x.channels_last))


def lower_log_softmax(context: Lowering, node: ir.Node) -> None:
    """LogSoftmax: t − log Σ eᵗ with t = x − max x, which keeps the small ones."""
    x, name, node_name = context.real_input(node), str(node.outputs[0].name), str(node.name)
    axis = context.stored_axis(x, normal_axis(get_int(node, "axis", -1), len(context.dims(x))))

    def reduced(entry: Activation, function: ReduceFunction, what: str) -> Activation:
        dims = context.tensor(entry).dims
        out = context.arena_tensor(f"{name}:{what}", (*dims[:axis], 1, *dims[axis + 1 :]))
        attributes = Reduce(function=int(function), axes=1 << axis)
        context.emit(REDUCE, node_name, (entry.tensor,), out, attributes)
        return Activation(out, x.channels_last)

    largest = reduced(x, ReduceFunction.MAX, "max")
    shifted = combine(context, SUB, node_name, f"{name}:shifted", x, largest)
    powers = apply(context, UnaryFunction.EXP, node_name, f"{name}:powers", shifted)
    total = reduced(powers, ReduceFunction.SUM, "sum")
    log = apply(context, UnaryFunction.LOG, node_name, f"{name}:log", total)
    context.bind(node.outputs[0], combine(context, SUB, node_name, name, shifted, log))


def _emit_clamp(context: Lowering, node: ir.Node, lo: float, hi: float) -> None:
    x = context.real_input(node)
    out = context.arena_tensor(str(node.outputs[0].name), context.tensor(x).dims)
    context.emit(CLAMP, str(node.name), (x.tensor,), out, Clamp(lo=lo, hi=hi))
    context.bind(node.outputs[0], Activation(out, x.channels_last))
