"""unary: x → y of the same shape, a float function of each element."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import numpy as np

from ptq_core.flatfile.operators.attributes import F32, U32, Clamp, Named
from ptq_core.flatfile.operators.binary import quotient_bound
from ptq_core.flatfile.operators.call import Call
from ptq_core.flatfile.operators.checks import Operator
from ptq_core.flatfile.operators.description import OperatorKind
from ptq_core.flatfile.operators.roundoff import SLACK, Roundoff
from ptq_core.flatfile.tensors import FLOATS, Array
from ptq_core.numerics import functions


class UnaryFunction(enum.IntEnum):
    """Functions of `unary`; the values are those of the page."""

    SIGMOID = 0
    TANH = 1
    HARD_SIGMOID = 2
    HARD_SWISH = 3
    LEAKY_RELU = 4
    ELU = 5
    EXP = 6
    LOG = 7
    SQRT = 8
    ABS = 9
    NEG = 10
    RECIPROCAL = 11
    FLOOR = 12
    CEIL = 13
    ROUND = 14
    SOFTPLUS = 15
    ERF = 16
    SILU = 17
    MISH = 18
    GELU = 19
    SIGN = 20
    SIN = 21
    COS = 22
    ATAN = 23
    ASINH = 24


@dataclass(frozen=True, kw_only=True)
class Unary(Clamp):
    """``alpha``, ``beta`` belong to `hard_sigmoid`, `leaky_relu` and `elu`, and are 0 elsewhere."""

    function: Annotated[U32, Named(UnaryFunction)]
    alpha: F32 = 0.0
    beta: F32 = 0.0


Real = Callable[[Array, Unary], Array]
Magnitude = Callable[[Unary, Array, Array], Array]
"""(attributes, x, y) → what the roundings of docs/numerics.md, "Float operators", are relative to."""


def _of_result(_: Unary, x: Array, y: Array) -> Array:
    return np.abs(y)


def _of_input(_: Unary, x: Array, y: Array) -> Array:
    return np.abs(x)


def _of_one(a: Unary, x: Array, y: Array) -> Array:
    return np.abs(y) + 1 + abs(a.alpha)


def _exact(_: Unary, x: Array, y: Array) -> Array:
    return np.zeros_like(y)


class _Function(NamedTuple):
    """``real`` gives float64 where the function is transcendental, else computes in x's type."""

    real: Real
    magnitude: Magnitude = _of_result
    slope: float | None = None
    """The largest slope of a function that is not monotone."""
    parameters: tuple[str, ...] = ()


def _wide(x: Array) -> Array:
    return x.astype(np.float64)


FUNCTIONS: dict[UnaryFunction, _Function] = {
    UnaryFunction.SIGMOID: _Function(lambda x, a: functions.sigmoid(x), _of_one),
    UnaryFunction.TANH: _Function(lambda x, a: np.tanh(_wide(x)), _of_one),
    UnaryFunction.HARD_SIGMOID: _Function(
        lambda x, a: functions.hard_sigmoid(x, a.alpha, a.beta), _of_one, parameters=("alpha", "beta")
    ),
    UnaryFunction.HARD_SWISH: _Function(lambda x, a: functions.hard_swish(x), _of_input, 1.5),
    UnaryFunction.LEAKY_RELU: _Function(lambda x, a: functions.leaky_relu(x, a.alpha), parameters=("alpha",)),
    UnaryFunction.ELU: _Function(lambda x, a: functions.elu(x, a.alpha), _of_one, parameters=("alpha",)),
    UnaryFunction.EXP: _Function(lambda x, a: np.exp(_wide(x))),
    UnaryFunction.LOG: _Function(lambda x, a: np.log(_wide(x))),
    UnaryFunction.SQRT: _Function(lambda x, a: np.sqrt(_wide(x))),
    UnaryFunction.ABS: _Function(lambda x, a: np.abs(x), _exact, 1.0),
    UnaryFunction.NEG: _Function(lambda x, a: np.negative(x), _exact),
    UnaryFunction.RECIPROCAL: _Function(lambda x, a: np.asarray(np.float32(1) / x)),
    UnaryFunction.FLOOR: _Function(lambda x, a: np.floor(x), _exact),
    UnaryFunction.CEIL: _Function(lambda x, a: np.ceil(x), _exact),
    UnaryFunction.ROUND: _Function(lambda x, a: np.rint(x), _exact),
    UnaryFunction.SOFTPLUS: _Function(lambda x, a: functions.softplus(x), _of_one),
    UnaryFunction.ERF: _Function(lambda x, a: functions.erf(x), _of_one),
    UnaryFunction.SILU: _Function(lambda x, a: functions.silu(x), _of_input, 1.1),
    UnaryFunction.MISH: _Function(lambda x, a: functions.mish(x), _of_input, 1.1),
    UnaryFunction.GELU: _Function(lambda x, a: functions.gelu(x), _of_input, 1.13),
    UnaryFunction.SIGN: _Function(lambda x, a: np.sign(x), _exact),
    UnaryFunction.SIN: _Function(lambda x, a: np.sin(_wide(x)), _of_input, 1.0),
    UnaryFunction.COS: _Function(lambda x, a: np.cos(_wide(x)), lambda a, x, y: np.abs(x) + 1, 1.0),
    UnaryFunction.ATAN: _Function(lambda x, a: np.arctan(_wide(x))),
    UnaryFunction.ASINH: _Function(lambda x, a: np.arcsinh(_wide(x))),
}


def _check(c: Operator[Unary]) -> None:
    a = c.attributes
    for name in ("alpha", "beta"):
        value, used = getattr(a, name), name in FUNCTIONS[UnaryFunction(a.function)].parameters
        if not math.isfinite(value) or (value and not used):
            c.refuse(name, value, "finite" if used else "0, as the function has none")


def evaluate_unary(a: Unary, x: Array) -> Array:
    """The function of ``a`` without its clamp: float64 where it is transcendental, else in x's type (float32, float64)."""
    with np.errstate(all="ignore"):  # log(−1) is NaN and exp(1000) is inf, as in every float kernel
        return FUNCTIONS[UnaryFunction(a.function)].real(x, a)


def _reference(call: Call[Unary]) -> Array:
    with np.errstate(over="ignore"):
        return call.clamped(evaluate_unary(call.attributes, call.value(0)).astype(np.float32))


def _bound(a: Unary, x: list[Array], e: list[Array], y: Array, r: Roundoff) -> Array:
    function = FUNCTIONS[UnaryFunction(a.function)]
    with np.errstate(all="ignore"):
        own = SLACK * r.unit * function.magnitude(a, x[0], y)
        if function.slope is not None:
            return r.joined(function.slope * e[0], own)
        if a.function == UnaryFunction.RECIPROCAL:
            return quotient_bound(a, [np.ones_like(y), x[0]], [np.zeros_like(y), e[0]], y, r)
        # Monotone: the ends of the interval are the worst.
        ends = [np.abs(evaluate_unary(a, x[0] + sign * e[0]) - evaluate_unary(a, x[0])) for sign in (-1, 1)]
        worst = np.where(e[0] > 0, np.maximum(*ends), 0.0)
        return r.joined(np.where(np.isnan(worst), np.inf, worst), own)


UNARY = OperatorKind(
    code=17,
    name="unary",
    attributes=Unary,
    types=FLOATS,
    same_shape=True,
    check=_check,
    reference=_reference,
    bound=_bound,
    elementwise=True,
    since=lambda a: 4 if a.function >= UnaryFunction.SIGN else 1,
)
