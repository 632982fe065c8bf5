"""Recognise activations that exporters write as several operators."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ptq_core.flatfile.operators.attributes import Clamp
from ptq_core.flatfile.operators.binary import ADD, DIV, MUL
from ptq_core.flatfile.operators.description import OperatorKind
from ptq_core.flatfile.operators.unary import UNARY, Unary, UnaryFunction
from ptq_core.flatfile.program import Op, Program
from ptq_core.optimize.rewrite import Rewriter, clamp_of, is_clamped, unary_of

PRODUCT = (MUL, DIV)


@dataclass(frozen=True)
class _Gate:
    """A function of ``x`` such that ``factor`` · x · gate(x) is the ``activation`` of x."""

    x: int | None
    activation: UnaryFunction
    factor: float


def fuse_activation(program: Program) -> list[str]:
    """x · sigmoid(x) ⇒ silu; x · hard_sigmoid(x), x · clip(x + 3, 0, 6) / 6 ⇒ hard_swish; x · tanh(softplus(x)) ⇒ mish;
    x · (1 + erf(x / √2)) / 2 ⇒ gelu; clip(x + 3, 0, 6) / 6 ⇒ hard_sigmoid. Factors and numbers may come in any order.

    Requires that nothing else reads the values between. Ensures equal values up to the rounding of the steps between.
    """
    rewriter = Rewriter(program)
    for op in rewriter.ops(*PRODUCT):
        found = _recognised(rewriter, op)
        # A constant of higher rank would have added dimensions.
        if found is not None and rewriter.tensor(found.inputs[0]).dims == rewriter.tensor(op.outputs[0]).dims:
            rewriter.replace(op, [found])
    return rewriter.changes


def _recognised(rewriter: Rewriter, op: Op) -> Op | None:
    """The activation that ends in ``op``."""
    factors = _factors(rewriter, op)
    if factors is None:
        return None
    number, values = factors
    if len(values) == 1 and _is(number, 1 / 6):
        x = _relu6_of_sum(rewriter, values[0])
        return None if x is None else _unary(op, x, UnaryFunction.HARD_SIGMOID, float(np.float32(1 / 6)), 0.5)
    if len(values) == 2:
        for x, index in (values, values[::-1]):
            gates = (recognise(rewriter, index) for recognise in _GATES)
            for gate in gates:
                if gate is not None and gate.x == x and _is(number, gate.factor):
                    return _unary(op, x, gate.activation)
    return None


def _factors(rewriter: Rewriter, op: Op) -> tuple[float, list[int]] | None:
    """(product of the numbers, values) that ``op`` and the products before it multiply; None if it divides by a value."""
    number, values = 1.0, list[int]()
    for position, index in enumerate(op.reads):
        divides = op.kind == DIV and position == 1
        constant = _number(rewriter, index)
        if constant is not None:
            if divides and constant == 0:
                return None
            number = number / constant if divides else number * constant
            continue
        inner = _inner(rewriter, index, *PRODUCT)
        factors = (1.0, [index]) if inner is None else _factors(rewriter, inner)
        if divides or factors is None:
            return None
        number, values = number * factors[0], values + factors[1]
    return number, values


def _unary_gate(rewriter: Rewriter, index: int) -> _Gate | None:
    """sigmoid(x), hard_sigmoid(x) of slope 1/6, tanh(softplus(x))."""
    gate = _inner(rewriter, index, UNARY)
    if gate is None:
        return None
    a, x = unary_of(gate), gate.inputs[0]
    if a.function == UnaryFunction.SIGMOID:
        return _Gate(x, UnaryFunction.SILU, 1.0)
    if a.function == UnaryFunction.HARD_SIGMOID and _is(a.alpha, 1 / 6) and a.beta == 0.5:
        return _Gate(x, UnaryFunction.HARD_SWISH, 1.0)
    plus = _inner(rewriter, x, UNARY) if a.function == UnaryFunction.TANH else None
    if plus is not None and unary_of(plus).function == UnaryFunction.SOFTPLUS:
        return _Gate(plus.inputs[0], UnaryFunction.MISH, 1.0)
    return None


def _relu6_gate(rewriter: Rewriter, index: int) -> _Gate | None:
    """clip(x + 3, 0, 6)."""
    x = _relu6_of_sum(rewriter, index)
    return None if x is None else _Gate(x, UnaryFunction.HARD_SWISH, 1 / 6)


def _erf_gate(rewriter: Rewriter, index: int) -> _Gate | None:
    """1 + erf(x / √2)."""
    total = _inner(rewriter, index, ADD)
    for value, one in (total.inputs, total.inputs[::-1]) if total is not None else ():
        erf = _inner(rewriter, value, UNARY)
        scaled = None if erf is None else _inner(rewriter, erf.inputs[0], *PRODUCT)
        if _number(rewriter, one) == 1.0 and erf is not None and scaled is not None:
            factors = _factors(rewriter, scaled)
            if (
                unary_of(erf).function == UnaryFunction.ERF
                and factors is not None
                and len(factors[1]) == 1
                and _is(factors[0], 1 / math.sqrt(2))
            ):
                return _Gate(factors[1][0], UnaryFunction.GELU, 0.5)
    return None


_GATES: tuple[Callable[[Rewriter, int], _Gate | None], ...] = (_unary_gate, _relu6_gate, _erf_gate)


def _relu6_of_sum(rewriter: Rewriter, index: int) -> int | None:
    """x if ``index`` is clip(x + 3, 0, 6); fuse_clamp has made that one operator."""
    total = rewriter.producer(index, ADD)
    if total is None or rewriter.sole_consumer(index) is None:
        return None
    if (clamp_of(total).lo, clamp_of(total).hi) != (0.0, 6.0):
        return None
    pairs = ((x, three) for x, three in (total.inputs, total.inputs[::-1]))
    return next((x for x, three in pairs if _number(rewriter, three) == 3.0), None)


def _inner(rewriter: Rewriter, index: int | None, *kinds: OperatorKind[Any]) -> Op | None:
    """The producer of ``index`` if it is of ``kinds``, clamps nothing, and its output has one reader."""
    op = rewriter.producer(index, *kinds)
    if op is None or is_clamped(op) or rewriter.sole_consumer(op.outputs[0]) is None:
        return None
    return op


def _number(rewriter: Rewriter, index: int | None) -> float | None:
    """The value of a float constant of one element."""
    tensor = rewriter.tensor(index)
    if tensor.data is None or tensor.elements != 1 or tensor.qparams is not None:
        return None
    return float(tensor.data.reshape(-1)[0])


def _is(number: float, wanted: float) -> bool:
    """Equal but for the roundings of a few float32 numbers."""
    return bool(np.isclose(number, wanted, rtol=1e-6, atol=0.0))


def _unary(op: Op, x: int, function: UnaryFunction, alpha: float = 0.0, beta: float = 0.0) -> Op:
    bounds: Clamp = clamp_of(op)
    attributes = Unary(function=int(function), alpha=alpha, beta=beta, lo=bounds.lo, hi=bounds.hi)
    return dataclasses.replace(op, kind=UNARY, inputs=(x,), attributes=attributes)
