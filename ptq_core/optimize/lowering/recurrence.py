"""LSTM, GRU and RNN over sequences of known length: the inputs of all steps in one product, then step by step.

Gates, their order and formulas are those of ONNX's operators. The weights are stored once, however many steps read them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from ptq_core.flatfile.operators.unary import UnaryFunction
from ptq_core.flatfile.tensors import Array
from ptq_core.optimize.lowering.context import (
    Activation,
    Constant,
    Lowering,
    Unsupported,
    get_float,
    get_int,
    get_string,
    is_used,
)
from ptq_core.optimize.lowering.formula import Formula

State = Activation | None
"""None is zero."""

Step = Callable[[Activation, tuple[State, ...]], tuple[Activation, ...]]
"""(the inputs' part of the gates [N, gates · H], states) → states [N, H], the hidden one first."""

_DIRECTIONS = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}
_ACTIVATIONS: dict[str, Callable[[Formula, Activation], Activation]] = {
    "sigmoid": lambda f, x: f.of(UnaryFunction.SIGMOID, x),
    "tanh": lambda f, x: f.of(UnaryFunction.TANH, x),
    "relu": lambda f, x: f.clamp(x, lo=0.0),
    "softplus": lambda f, x: f.of(UnaryFunction.SOFTPLUS, x),
}


MAX_STEPS = 1024


@dataclass(frozen=True)
class _Direction:
    """The parameters of one direction: ``recurrent`` [gates · H, H], both biases [gates · H], peepholes [3 · H]."""

    recurrent: Array
    input_bias: Array
    recurrent_bias: Array
    peepholes: Array | None
    activations: tuple[str, ...]

    @property
    def hidden(self) -> int:
        return int(self.recurrent.shape[1])


def lower_lstm(context: Lowering, node: ir.Node) -> None:
    """LSTM with its three outputs."""
    if get_int(node, "input_forget", 0):
        raise Unsupported("its input and forget gates are coupled")
    _lower(context, node, ("sigmoid", "tanh", "tanh"), 2, _lstm)


def lower_gru(context: Lowering, node: ir.Node) -> None:
    """GRU with its two outputs."""
    _lower(
        context,
        node,
        ("sigmoid", "tanh"),
        1,
        _gru if get_int(node, "linear_before_reset", 0) else _gru_reset_first,
    )


def lower_rnn(context: Lowering, node: ir.Node) -> None:
    """RNN with its two outputs."""
    _lower(context, node, ("tanh",), 1, _rnn)


def _rnn(f: Formula, d: _Direction) -> tuple[Array, Step]:
    """H = f(x + h·R)."""
    weight = f.constant(d.recurrent)

    def step(x: Activation, states: tuple[State, ...]) -> tuple[Activation, ...]:
        (h,) = states
        gates = x if h is None else f.add(x, f.rows(h, weight))
        return (_ACTIVATIONS[d.activations[0]](f, gates),)

    return d.input_bias + d.recurrent_bias, step


def _lstm(f: Formula, d: _Direction) -> tuple[Array, Step]:
    """i, o, f = σ(x + h·R + p · c); C = f · c + i · g(x + h·R); H = o · h(C)."""
    weight, size = f.constant(d.recurrent), d.hidden
    gate, inner, outer = (_ACTIVATIONS[name] for name in d.activations)
    peep = None if d.peepholes is None else d.peepholes.reshape(3, size)

    def step(x: Activation, states: tuple[State, ...]) -> tuple[Activation, ...]:
        h, c = states
        gates = x if h is None else f.add(x, f.rows(h, weight))
        if peep is None:
            opened = gate(f, f.part(gates, 1, 0, 3 * size))
            i, o, forget = (f.part(opened, 1, k * size, size) for k in range(3))
        else:
            i, o, forget = (f.part(gates, 1, k * size, size) for k in range(3))
            i = gate(f, i if c is None else f.add(i, f.mul(c, peep[0])))
            forget = gate(f, forget if c is None else f.add(forget, f.mul(c, peep[2])))
        cell = f.mul(i, inner(f, f.part(gates, 1, 3 * size, size)))
        cell = cell if c is None else f.add(f.mul(forget, c), cell)
        if peep is not None:
            o = gate(f, f.add(o, f.mul(cell, peep[1])))
        return f.mul(o, outer(f, cell)), cell

    return d.input_bias + d.recurrent_bias, step


def _gru_reset_first(f: Formula, d: _Direction) -> tuple[Array, Step]:
    """z, r = σ(x + h·R); t = g(x + (r · h)·R); H = (1 − z) · t + z · h."""
    size = d.hidden
    weights, last = f.constant(d.recurrent[: 2 * size]), f.constant(d.recurrent[2 * size :])
    gate, inner = (_ACTIVATIONS[name] for name in d.activations)

    def step(x: Activation, states: tuple[State, ...]) -> tuple[Activation, ...]:
        (h,) = states
        gates, candidate = f.part(x, 1, 0, 2 * size), f.part(x, 1, 2 * size, size)
        opened = gate(f, gates if h is None else f.add(gates, f.rows(h, weights)))
        z, r = (f.part(opened, 1, k * size, size) for k in range(2))
        if h is not None:
            candidate = f.add(candidate, f.rows(f.mul(r, h), last))
        return (_mixed(f, z, inner(f, candidate), h),)

    return d.input_bias + d.recurrent_bias, step


def _gru(f: Formula, d: _Direction) -> tuple[Array, Step]:
    """The same with t = g(x + r · (h·R + b))."""
    size = d.hidden
    # The bias of the candidate is multiplied with r; those of the gates are added like the inputs'.
    inside = np.where(np.arange(3 * size) < 2 * size, 0, d.recurrent_bias)
    weights, bias = f.constant(d.recurrent), f.constant(inside)
    gate, inner = (_ACTIVATIONS[name] for name in d.activations)

    def step(x: Activation, states: tuple[State, ...]) -> tuple[Activation, ...]:
        (h,) = states
        gates, candidate = f.part(x, 1, 0, 2 * size), f.part(x, 1, 2 * size, size)
        product = None if h is None else f.rows(h, weights, bias)
        if product is not None:
            gates = f.add(gates, f.part(product, 1, 0, 2 * size))
        opened = gate(f, gates)
        z, r = (f.part(opened, 1, k * size, size) for k in range(2))
        past = inside[2 * size :] if product is None else f.part(product, 1, 2 * size, size)
        return (_mixed(f, z, inner(f, f.add(candidate, f.mul(r, past))), h),)

    return d.input_bias + d.recurrent_bias - inside, step


def _mixed(f: Formula, z: Activation, candidate: Activation, h: State) -> Activation:
    fresh = f.mul(f.sub(1.0, z), candidate)
    return fresh if h is None else f.add(fresh, f.mul(z, h))


def _lower(
    context: Lowering,
    node: ir.Node,
    activations: tuple[str, ...],
    states: int,
    cell: Callable[[Formula, _Direction], tuple[Array, Step]],
) -> None:
    """``states`` is how many the cell has; initial ones are the inputs from 5 on, last ones the outputs from 1 on."""
    f = Formula(context, node)
    batch_first = bool(get_int(node, "layout", 0))
    x = f.turned(f.x, 1, 0, 2) if batch_first else f.x
    steps, count, width = context.dims(x)
    _check(context, node, steps)
    reversals = _DIRECTIONS.get(get_string(node, "direction", "forward"))
    if reversals is None:
        raise Unsupported("its direction is unknown")
    weights, directions = _parameters(context, node, activations, len(reversals))
    hidden = directions[0].hidden
    lines = f.shaped(x, steps * count, width)
    sequences, ends = [], []
    for k, (direction, backwards) in enumerate(zip(directions, reversals, strict=True)):
        bias, step = cell(f, direction)
        inputs = f.rows(lines, f.constant(weights[k]), f.constant(bias))
        state = tuple(_initial(context, node, f, 5 + i, k, batch_first) for i in range(states))
        outputs = {}
        for t in reversed(range(steps)) if backwards else range(steps):
            state = step(f.part(inputs, 0, t * count, count), state)
            outputs[t] = state[0]
        if is_used(node.outputs[0]):
            line = f.joined([f.shaped(outputs[t], 1, count, hidden) for t in range(steps)], 0)
            sequences.append(f.shaped(line, steps, 1, count, hidden))
        ends.append([f.shaped(s, 1, count, hidden) for s in state if s is not None])
    if is_used(node.outputs[0]):
        y = f.joined(sequences, 1)
        f.done(f.turned(y, 2, 0, 1, 3) if batch_first else y)
    for i, value in enumerate(node.outputs[1:]):
        if is_used(value):
            last = f.joined([end[i] for end in ends], 0)
            f.done(f.turned(last, 1, 0, 2) if batch_first else last, 1 + i)


def _check(context: Lowering, node: ir.Node, steps: int) -> None:
    if steps > MAX_STEPS:
        raise Unsupported(f"it has {steps} steps; at most {MAX_STEPS}, as each becomes operators of its own")
    lengths = context.constant(node, 4, "list of lengths")
    if lengths is not None and (lengths.array != steps).any():
        raise Unsupported(f"its sequences are of other lengths than its input, {steps}")
    if get_float(node, "clip", 0.0):
        raise Unsupported("it clips its gates")


def _parameters(
    context: Lowering, node: ir.Node, activations: tuple[str, ...], count: int
) -> tuple[Array, list[_Direction]]:
    """The input weights [directions, gates · H, I], and the rest for each direction."""
    weights, recurrent = context.required(node, 1, "weights").real, context.required(node, 2, "weights").real
    bias, peepholes = context.constant(node, 3, "bias"), context.constant(node, 7, "peepholes")
    rows = recurrent.shape[1]
    biases = np.zeros((count, 2 * rows), np.float32) if bias is None else bias.real
    attribute = node.attributes.get("activations")
    names = activations * count if attribute is None else tuple(n.lower() for n in attribute.as_strings())
    if len(names) != count * len(activations) or not set(names) <= set(_ACTIVATIONS):
        raise Unsupported(f"its activations are {', '.join(names)}; there are {', '.join(_ACTIVATIONS)}")
    if not len(weights) == len(recurrent) == len(biases) == count:
        raise Unsupported(f"its weights are not for {count} directions")
    each = len(activations)
    return weights, [
        _Direction(
            recurrent[k],
            biases[k][:rows],
            biases[k][rows:],
            None if peepholes is None else peepholes.real[k],
            names[k * each : (k + 1) * each],
        )
        for k in range(count)
    ]


def _initial(
    context: Lowering, node: ir.Node, f: Formula, position: int, direction: int, batch_first: bool
) -> State:
    """The state before the first step, [N, H]."""
    if position >= len(node.inputs) or node.inputs[position] is None:
        return None
    entry = context.find(node.inputs[position])
    if isinstance(entry, Constant):
        values = entry.real[:, direction] if batch_first else entry.real[direction]
        return Activation(f.constant(values)) if values.any() else None
    given = context.real_input(node, position)
    given = f.turned(given, 1, 0, 2) if batch_first else given
    _, count, hidden = context.dims(given)
    return f.shaped(f.part(given, 0, direction, 1), count, hidden)
