"""How far a float kernel's result may lie from exact arithmetic, propagated operator by operator (docs/numerics.md).

Within an operator the bound is the page's worst case. From operator to operator errors are joined as independent ones, by
the root of the sum of squares: the worst case grows with the product of all layers' norms and is infinite for MobileNetV1,
while rounding errors behave as independent (Higham and Mary, "A New Approach to Probabilistic Rounding Error Analysis",
SIAM J. Sci. Comput. 41(5), 2019). Over the few operators that stand for a node of a model they are added up (`Roundoff`).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from ptq_core.flatfile import winograd
from ptq_core.flatfile.attributes import (
    Concat,
    Conv2d,
    Conv2dAdd,
    Dilate,
    Gather,
    Pad,
    Pool2d,
    Reduce,
    ReduceFunction,
    Resize,
    ResizeMode,
    Rounding,
    Slice,
    Softmax,
    Transpose,
    Unary,
    UnaryFunction,
)
from ptq_core.flatfile.compressed import expand_weights
from ptq_core.flatfile.interpreter import (
    conv_window,
    evaluate_unary,
    interpret,
    pool_window,
    reduced_axes,
    resize_places,
)
from ptq_core.flatfile.program import Array, DType, Op, OpKind, Program
from ptq_core.numerics import functions, reference

UNITS = {DType.F32: 2.0**-24, DType.F16: 2.0**-11}
"""Unit roundoffs."""

SUBNORMAL_STEP = 2.0**-24
"""So far apart are the smallest numbers of half precision; those of float32 are beyond notice."""

SUM_ROUNDINGS = 80
"""Roundings on the way of a value into a sum, however many there are: kSumRoundings of the runtime's numerics/sum_blocks.h."""

SLACK = 8
"""Roundings granted beside the sum of k products: epilogue, folded constants, polynomial exp."""


LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Roundoff:
    """How results are rounded: to ``unit`` (a relative error), and how the errors of several operators come together.

    ``independent`` errors are joined by the root of the sum of squares, others in the worst way, by their sum.
    ``accumulates`` False is for sums that are rounded once, in whatever order: only factors and the result are. ``winograd``
    False leaves out that a convolution may be one by Winograd's transforms, ``blocks`` False that long sums are made of
    blocks: what another runtime is held to.
    """

    unit: float
    independent: bool = True
    accumulates: bool = True
    winograd: bool = True
    blocks: bool = True

    def of_sum(self, n: int) -> int:
        """Roundings on the way of a value into a sum of ``n`` (reduce, average pool, softmax)."""
        return min(n, SUM_ROUNDINGS) if self.blocks else n

    @property
    def power(self) -> int:
        """p of the norm by which errors are joined."""
        return 2 if self.independent else 1

    def own(self, k: int, magnitude: Array, bias: Array | None = None) -> Array:
        """The page's bound for k terms whose magnitudes add up to ``magnitude``."""
        total = magnitude if bias is None else magnitude + np.abs(bias)
        # A partial sum may be infinite, and its sign is then anyone's.
        return np.where(total > LARGEST, np.inf, self.terms(k) * self.unit * total)

    def terms(self, k: int) -> int:
        """Roundings of a sum of k terms, with the slack."""
        return (k if self.accumulates else 0) + SLACK

    def joined(self, *errors: Array) -> Array:
        """(Σ e^p)^(1/p) of errors ≥ 0 that broadcast."""
        if not self.independent:
            return np.asarray(sum(errors))
        return np.asarray(np.sqrt(sum(e * e for e in errors)))

    def carried(self, linear: Callable[[Array, Array], Array], e: Array, w: Array) -> Array:
        """What errors ``e`` of the operand make of Σ w · x, which ``linear`` (e, w) sums; 0 if there are none."""
        if not e.any():
            return np.zeros(())
        sums = linear(e**self.power, np.abs(w) ** self.power)
        return np.asarray(np.sqrt(sums) if self.independent else sums)


def error_bounds(program: Program, inputs: Sequence[Array]) -> list[Array]:
    """Per output, a float64 array: how large |float kernel − exact| may be for these inputs, in real units.

    Two programs that both keep to docs/numerics.md differ by at most twice that. Operators that read or write integers are
    exact where what they read is. Raises ValueError where it is not: one flipped rounding is not small there, and such
    programs are compared with ==.
    """
    program = expand_weights(program)
    values = interpret(program, inputs)
    bounds: dict[int, Array] = {
        i: np.zeros(t.dims) for i, t in enumerate(program.tensors) if t.is_constant or i in program.inputs
    }
    for op in program.ops:
        operands = [cast(Array, values[i]) for i in op.reads]
        y = cast(Array, values[op.outputs[0]])
        incoming = [bounds[i] for i in op.reads]
        if is_float(op, operands, y):
            bounds[op.outputs[0]] = error_bound(op, operands, incoming, y)
        elif any(e.any() for e in incoming):
            raise ValueError(f"{op.kind.label} {op.name} is not a float operator and reads inexact values")
        else:
            bounds[op.outputs[0]] = np.zeros(y.shape)
    return [bounds[i] for i in program.outputs]


def is_float(op: Op, operands: Sequence[Array], y: Array) -> bool:
    """True if ``op``, which makes ``y`` of ``operands``, computes on floats and has a rule here."""
    floats = operands[:1] if op.kind == OpKind.GATHER else operands
    return op.kind in _RULES and all(v.dtype in (np.float32, np.float16) for v in (*floats, y))


def error_bound(
    op: Op, operands: Sequence[Array], incoming: Sequence[Array], y: Array, roundoff: Roundoff | None = None
) -> Array:
    """The bound of ``y`` (float32, float16) that ``op`` makes of ``operands``, whose own are ``incoming``; float64.

    By default of ``y``'s own type, with independent errors.
    """
    half = y.dtype == np.float16
    r = roundoff or Roundoff(UNITS[DType.F16 if half else DType.F32])
    exact = y.astype(np.float64)
    bound = _RULES[op.kind](op, [v.astype(np.float64) for v in operands], list(incoming), exact, r)
    if half:  # every operator rounds what it writes
        bound = r.joined(bound, r.unit * np.abs(exact)) + SLACK * SUBNORMAL_STEP
    return np.asarray(np.broadcast_to(bound, y.shape))


Rule = Callable[[Op, list[Array], list[Array], Array, Roundoff], Array]
"""(operator, inputs, their bounds, output, roundoff) → the output's bound, or what broadcasts to it."""


def _conv2d(op: Op, x: list[Array], e: list[Array], y: Array, r: Roundoff) -> Array:
    a = cast(Conv2d, op.attributes)
    window = conv_window(a, x[1].shape)
    sums = functools.partial(reference.conv2d_sums, window=window, groups=a.groups)
    magnitude = sums(np.abs(x[0]), np.abs(x[1]))
    bias = x[2] if len(x) > 2 else None
    own = r.own(int(np.prod(x[1].shape[1:])), magnitude, bias)
    if r.winograd and may_be_winograd(x[1], window, a.groups):
        by_winograd = winograd.magnitude(x[0], x[1], window)
        single = Roundoff(UNITS[DType.F32])
        own = np.maximum(own, single.own(x[0].shape[3], by_winograd, bias))
    return r.joined(r.carried(sums, e[0], x[1]), own)


WINOGRAD_MOST_ERROR = 2.0
"""Bound of Winograd's way over that of a direct sum, at most: kWinogradMostError of the runtime's kernels/winograd/error.h."""

_UNDECIDED = 1e-9
"""The runtime adds up in another order: so near to the limit it may decide either way."""


def may_be_winograd(w: Array, window: reference.Window, groups: int) -> bool:
    """Whether a runtime may take Winograd's way for weights ``w`` [O,KH,KW,C/groups]; which do depends on CPU and size."""
    if not winograd.is_candidate(window, groups):
        return False
    channels = w.shape[3]
    ratios = winograd.growth(w) * (channels + SLACK) / (9 * channels + SLACK)
    return bool(np.all(ratios <= WINOGRAD_MOST_ERROR * (1 + _UNDECIDED)))


def _conv2d_add(op: Op, x: list[Array], e: list[Array], y: Array, r: Roundoff) -> Array:
    own = _conv2d(op, [x[0], x[1], *x[3:]], [e[0], e[1]], y, r)
    a = cast(Conv2dAdd, op.attributes)
    convolution = reference.conv2d_sums(np.abs(x[0]), np.abs(x[1]), conv_window(a, x[1].shape), a.groups)
    if len(x) > 3:
        convolution = convolution + np.abs(x[3])
    return r.joined(own, e[2], SLACK * r.unit * (convolution + np.abs(x[2])))


def _fully_connected(op: Op, x: list[Array], e: list[Array], y: Array, r: Roundoff) -> Array:
    magnitude = np.abs(x[0]) @ np.abs(x[1]).T
    own = r.own(x[1].shape[1], magnitude, x[2] if len(x) > 2 else None)
    return r.joined(r.carried(lambda errors, w: errors @ w.T, e[0], x[1]), own)


def _sum(op: Op, x: list[Array], e: list[Array], y: Array, r: Roundoff) -> Array:
    # |a| + |b| instead of |y|: another kernel may have folded the addend into a bias before a clamp or a multiplication.
    return r.joined(e[0], e[1], SLACK * r.unit * (np.abs(x[0]) + np.abs(x[1])))


def _mul(op: Op, x: list[Array], e: list[Array], y: Array, r: Roundoff) -> Array:
    a, b = np.abs(x[0]), np.abs(x[1])
    return r.joined(a * e[1], b * e[0], SLACK * r.unit * a * b)


def _div(op: Op, x: list[Array], e: list[Array], y: Array, r: Roundoff) -> Array:
    smallest = np.maximum(np.abs(x[1]) - e[1], np.finfo(np.float32).tiny)
    quotient = np.abs(x[0]) / smallest
    return r.joined(e[0] / smallest, quotient * e[1] / smallest, SLACK * r.unit * quotient)


def _max_pool2d(op: Op, x: list[Array], e: list[Array], y: Array, r: Roundoff) -> Array:
    return reference.max_pool2d(e[0], pool_window(cast(Pool2d, op.attributes)))


def _average_pool2d(op: Op, x: list[Array], e: list[Array], y: Array, r: Roundoff) -> Array:
    a = cast(Pool2d, op.attributes)
    window, n = pool_window(a), a.kernel_h * a.kernel_w
    counts = reference.window_counts(x[0].shape[1], x[0].shape[2], window, bool(a.count_include_pad))

    def total(values: Array, _weight: Array) -> Array:
        return np.asarray(sum(v for _, _, v in window.taps(values, 0.0)))

    one = np.ones(())
    own = r.own(r.of_sum(n), total(np.abs(x[0]), one))
    return np.asarray(r.joined(r.carried(total, e[0], one), own) / counts)


def _softmax(op: Op, x: list[Array], e: list[Array], y: Array, r: Roundoff) -> Array:
    # exp(x + e) / Σ: numerator and denominator each move by at most a factor exp(max e); x − max is rounded before exp.
    axis = cast(Softmax, op.attributes).axis
    worst = 2 * e[0].max(axis=axis, keepdims=True)
    below = x[0].max(axis=axis, keepdims=True) - x[0]
    roundings = r.terms(r.of_sum(y.shape[axis])) + SLACK + below
    bound: Array = y * (np.expm1(worst) + roundings * r.unit)
    return bound


def _pad(op: Op, x: list[Array], e: list[Array], y: Array, r: Roundoff) -> Array:
    a = cast(Pad, op.attributes)
    return np.pad(e[0], tuple(zip(a.before, a.after, strict=True)))


_SLOPES = {
    UnaryFunction.ABS: 1.0,
    UnaryFunction.HARD_SWISH: 1.5,
    UnaryFunction.SILU: 1.1,
    UnaryFunction.MISH: 1.1,
    UnaryFunction.GELU: 1.13,
}
"""The largest slope of the functions that are not monotone."""

_UNIT_RANGE = {
    UnaryFunction.SIGMOID,
    UnaryFunction.TANH,
    UnaryFunction.ERF,
    UnaryFunction.SOFTPLUS,
    UnaryFunction.ELU,
    UnaryFunction.HARD_SIGMOID,
}
_GATED = {UnaryFunction.HARD_SWISH, UnaryFunction.SILU, UnaryFunction.MISH, UnaryFunction.GELU}
_EXACT = {UnaryFunction.ABS, UnaryFunction.NEG, UnaryFunction.FLOOR, UnaryFunction.CEIL, UnaryFunction.ROUND}


def _unary(op: Op, x: list[Array], e: list[Array], y: Array, r: Roundoff) -> Array:
    a = cast(Unary, op.attributes)
    with np.errstate(all="ignore"):
        own = SLACK * r.unit * _magnitude(a, x[0], y)
        if a.function in _SLOPES:
            return r.joined(_SLOPES[UnaryFunction(a.function)] * e[0], own)
        if a.function == UnaryFunction.RECIPROCAL:
            return _div(op, [np.ones_like(y), x[0]], [np.zeros_like(y), e[0]], y, r)
        # Monotone: the ends of the interval are the worst.
        ends = [np.abs(evaluate_unary(a, x[0] + sign * e[0]) - evaluate_unary(a, x[0])) for sign in (-1, 1)]
        worst = np.where(e[0] > 0, np.maximum(*ends), 0.0)
        return r.joined(np.where(np.isnan(worst), np.inf, worst), own)


def _magnitude(a: Unary, x: Array, y: Array) -> Array:
    """What the roundings of docs/numerics.md, "Float operators", are relative to."""
    if a.function in _EXACT:
        return np.zeros_like(y)
    if a.function in _GATED:
        return np.abs(x)
    if a.function in _UNIT_RANGE:
        return np.abs(y) + 1 + abs(a.alpha)
    return np.abs(y)


def _extremum(op: Op, x: list[Array], e: list[Array], y: Array, r: Roundoff) -> Array:
    return np.asarray(np.maximum(e[0], e[1]))


def _pow(op: Op, x: list[Array], e: list[Array], y: Array, r: Roundoff) -> Array:
    with np.errstate(all="ignore"):
        # A base of 0 with an exact exponent: the power rises from 0 to e^b.
        along_a = np.abs(np.power(np.abs(x[0]) + e[0], x[1]) - np.power(np.abs(x[0]), x[1]))
        along_b = np.where(e[1] > 0, np.abs(y * np.log(np.abs(x[0]))) * e[1], 0.0)
    slope = np.where(x[1] < 1, 2.0, 1.0)  # a root is steeper below x than above it
    return r.joined(slope * along_a, along_b, SLACK * r.unit * np.abs(y))


def _resize(op: Op, x: list[Array], e: list[Array], y: Array, r: Roundoff) -> Array:
    a = cast(Resize, op.attributes)
    rows, columns = resize_places(a, x[0].shape, y.shape)
    if a.mode == ResizeMode.NEAREST:
        return functions.resize_nearest(e[0], rows, columns, Rounding(a.rounding).name.lower())
    magnitude = functions.resize_linear(np.abs(x[0]), rows, columns)
    return r.joined(functions.resize_linear(e[0], rows, columns), SLACK * r.unit * magnitude)


def _slice(op: Op, x: list[Array], e: list[Array], y: Array, r: Roundoff) -> Array:
    a = cast(Slice, op.attributes)
    return functions.strided_slice(e[0], a.start, a.step, y.shape)


def _reduce(op: Op, x: list[Array], e: list[Array], y: Array, r: Roundoff) -> Array:
    a = cast(Reduce, op.attributes)
    axes = reduced_axes(a, x[0].ndim)
    keys: dict[str, Any] = {"axis": axes, "keepdims": True}
    n = int(np.prod([x[0].shape[i] for i in axes]))
    if a.function in (ReduceFunction.MAX, ReduceFunction.MIN):
        return np.asarray(e[0].max(**keys))
    if a.function == ReduceFunction.PROD:
        size = np.abs(x[0])
        return r.joined((size + e[0]).prod(**keys) - size.prod(**keys), r.own(n, np.abs(y)))
    incoming = r.carried(lambda errors, _: errors.sum(**keys), e[0], np.ones(()))
    if a.function == ReduceFunction.L2:
        return r.joined(incoming, r.own(r.of_sum(n), np.abs(y)))
    total = r.joined(incoming, r.own(r.of_sum(n), np.abs(x[0]).sum(**keys)))
    return total / n if a.function == ReduceFunction.MEAN else total


_RULES: dict[OpKind, Rule] = {
    OpKind.CONV2D: _conv2d,
    OpKind.CONV2D_ADD: _conv2d_add,
    OpKind.FULLY_CONNECTED: _fully_connected,
    OpKind.ADD: _sum,
    OpKind.SUB: _sum,
    OpKind.MUL: _mul,
    OpKind.DIV: _div,
    OpKind.MAX_POOL2D: _max_pool2d,
    OpKind.AVERAGE_POOL2D: _average_pool2d,
    OpKind.CONCAT: lambda op, x, e, y, r: np.concatenate(e, cast(Concat, op.attributes).axis),
    OpKind.SOFTMAX: _softmax,
    OpKind.CLAMP: lambda op, x, e, y, r: e[0],
    OpKind.TRANSPOSE: lambda op, x, e, y, r: e[0].transpose(cast(Transpose, op.attributes).perm),
    OpKind.RESHAPE: lambda op, x, e, y, r: e[0].reshape(y.shape),
    OpKind.PAD: _pad,
    OpKind.UNARY: _unary,
    OpKind.MAXIMUM: _extremum,
    OpKind.MINIMUM: _extremum,
    OpKind.POW: _pow,
    OpKind.RESIZE: _resize,
    OpKind.SLICE: _slice,
    OpKind.GATHER: lambda op, x, e, y, r: e[0].take(x[1].astype(np.int64), cast(Gather, op.attributes).axis),
    OpKind.REDUCE: _reduce,
    OpKind.CONVERT: lambda op, x, e, y, r: e[0],
    OpKind.DILATE: lambda op, x, e, y, r: functions.dilate(e[0], cast(Dilate, op.attributes).step, 0.0),
}
