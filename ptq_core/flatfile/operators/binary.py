"""add, sub, mul, div, maximum, minimum, pow, mod: a, b → y with numpy broadcasting; integers wrap around."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ptq_core.flatfile.operators.attributes import Clamp
from ptq_core.flatfile.operators.call import Call, OutOfRangeError
from ptq_core.flatfile.operators.checks import Operator, scale_of
from ptq_core.flatfile.operators.description import Bound, Operand, OperatorKind, always, never
from ptq_core.flatfile.operators.roundoff import SLACK, Roundoff
from ptq_core.flatfile.tensors import ANY_REAL, FLOATS, INTEGERS, Array, DType
from ptq_core.numerics import reference
from ptq_core.numerics.reference import Scales


def _check(product: bool) -> Callable[[Operator[Clamp]], None]:
    def check(c: Operator[Clamp]) -> None:
        x, b, y = c.input(0), c.input(1), c.output
        c.broadcast(x, b)
        if x.dtype != DType.I8:
            return
        x_scale, b_scale, y_scale = (scale_of(t.qparams) for t in (x, b, y))
        c.multiplier("a", (x_scale * b_scale if product else x_scale) / y_scale)
        if not product:
            c.multiplier("b", b_scale / y_scale)

    return check


Real = Callable[[Array, Array], Array]
Int8 = Callable[[Array, Array, Scales], Array]


def _reference(real: Real, int8: Int8 | None) -> Callable[[Call[Clamp]], Array]:
    """The operator of two tensors that computes ``real`` on float32 and ``int8`` on integers."""

    def compute(call: Call[Clamp]) -> Array:
        a, b = call.value(0), call.value(1)
        if a.dtype.kind in "iub" and not call.int8:
            with np.errstate(over="ignore"):
                return np.asarray(_INTEGER.get(real, real)(a, b), a.dtype)
        if not call.int8 or int8 is None:
            with np.errstate(all="ignore"):
                return call.clamped(np.asarray(real(a, b), np.float32))
        scales = Scales(
            *((q.scale, q.zero_point) for q in (call.qparams(0), call.qparams(1), call.out_qparams))
        )
        return call.clamped(int8(call.value(0), call.value(1), scales))

    return compute


def _quotient(a: Array, b: Array) -> Array:
    """Rounded towards 0; the least number by −1 is itself."""
    if not b.all():
        raise OutOfRangeError("a divisor is 0")
    floor = np.floor_divide(a, b)
    return np.asarray(floor + ((floor < 0) & (floor * b != a)))


def _remainder(a: Array, b: Array) -> Array:
    """With the sign of b."""
    if not b.all():
        raise OutOfRangeError("a divisor is 0")
    return np.asarray(np.remainder(a, b))


_INTEGER: dict[Callable[[Array, Array], Array], Callable[[Array, Array], Array]] = {
    np.divide: _quotient,
    np.fmod: _remainder,
}
"""What integers have in place of a function of floats, where they have another."""


def _wide_power(a: Array, b: Array) -> Array:
    return np.asarray(np.power(a.astype(np.float64), b.astype(np.float64)))


def _sum_bound(_: Clamp, x: list[Array], e: list[Array], y: Array, r: Roundoff) -> Array:
    # |a| + |b| instead of |y|: another kernel may have folded the addend into a bias before a clamp or a multiplication.
    bound = r.joined(e[0], e[1], SLACK * r.unit * (np.abs(x[0]) + np.abs(x[1])))
    return np.where(np.isinf(x[0]) | np.isinf(x[1]), 0.0, bound)  # a mask of −inf is exact


def _mul_bound(_: Clamp, x: list[Array], e: list[Array], y: Array, r: Roundoff) -> Array:
    a, b = np.abs(x[0]), np.abs(x[1])
    return r.joined(a * e[1], b * e[0], SLACK * r.unit * a * b)


def quotient_bound(_: object, x: list[Array], e: list[Array], y: Array, r: Roundoff) -> Array:
    """The bound of x[0] / x[1]."""
    smallest = np.maximum(np.abs(x[1]) - e[1], np.finfo(np.float32).tiny)
    quotient = np.abs(x[0]) / smallest
    return r.joined(e[0] / smallest, quotient * e[1] / smallest, SLACK * r.unit * quotient)


def _extremum_bound(_: Clamp, x: list[Array], e: list[Array], y: Array, r: Roundoff) -> Array:
    return np.asarray(np.maximum(e[0], e[1]))


def _mod_bound(_: Clamp, x: list[Array], e: list[Array], y: Array, r: Roundoff) -> Array:
    """It is exact, and jumps: behind inexact operands it may be anything."""
    return np.where((e[0] > 0) | (e[1] > 0), np.inf, 0.0)


def _pow_bound(_: Clamp, x: list[Array], e: list[Array], y: Array, r: Roundoff) -> Array:
    with np.errstate(all="ignore"):
        # A base of 0 with an exact exponent: the power rises from 0 to e^b.
        along_a = np.abs(np.power(np.abs(x[0]) + e[0], x[1]) - np.power(np.abs(x[0]), x[1]))
        along_b = np.where(e[1] > 0, np.abs(y * np.log(np.abs(x[0]))) * e[1], 0.0)
    slope = np.where(x[1] < 1, 2.0, 1.0)  # a root is steeper below x than above it
    return r.joined(slope * along_a, along_b, SLACK * r.unit * np.abs(y))


def _row(
    code: int,
    name: str,
    real: Real,
    bound: Bound[Clamp],
    int8: Int8 | None = None,
    types: tuple[DType, ...] = FLOATS,
    since: int = 1,
) -> OperatorKind[Clamp]:
    return OperatorKind(
        code=code,
        name=name,
        since=lambda _: since,
        attributes=Clamp,
        types=types,
        inputs=(Operand("a"), Operand("b")),
        check=_check(product=name == "mul"),
        reference=_reference(real, int8),
        bound=bound,
        elementwise=True,
        rescales=never if int8 is None else always,
    )


ADD = _row(3, "add", np.add, _sum_bound, reference.add_i8, (*ANY_REAL, *INTEGERS))
SUB = _row(4, "sub", np.subtract, _sum_bound, reference.sub_i8, (*ANY_REAL, *INTEGERS))
MUL = _row(5, "mul", np.multiply, _mul_bound, reference.mul_i8, (*ANY_REAL, *INTEGERS))
DIV = _row(6, "div", np.divide, quotient_bound, types=(*FLOATS, *INTEGERS))
MAXIMUM = _row(19, "maximum", np.maximum, _extremum_bound, types=(*FLOATS, *INTEGERS, DType.BOOL))
MINIMUM = _row(20, "minimum", np.minimum, _extremum_bound, types=(*FLOATS, *INTEGERS, DType.BOOL))
POW = _row(21, "pow", _wide_power, _pow_bound, types=(DType.F32,))
MOD = _row(31, "mod", np.fmod, _mod_bound, types=(DType.F32, *INTEGERS), since=4)
