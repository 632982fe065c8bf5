"""How far a float kernel's result may lie from exact arithmetic, propagated operator by operator (docs/numerics.md).

Within an operator the bound is the page's worst case. From operator to operator errors are joined as independent ones, by
the root of the sum of squares: the worst case grows with the product of all layers' norms and is infinite for MobileNetV1,
while rounding errors behave as independent (Higham and Mary, "A New Approach to Probabilistic Rounding Error Analysis",
SIAM J. Sci. Comput. 41(5), 2019).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import numpy as np

from ptq_core.flatfile.attributes import Concat, Conv2d, Pad, Pool2d, Softmax, Transpose
from ptq_core.flatfile.interpreter import conv_window, interpret, pool_window
from ptq_core.flatfile.program import Array, Op, OpKind, Program
from ptq_core.numerics import reference

UNIT = 2.0**-24
"""The unit roundoff of float32."""

SLACK = 8
"""Roundings granted beside the sum of k products: epilogue, folded constants, polynomial exp."""


def error_bounds(program: Program, inputs: Sequence[Array]) -> list[Array]:
    """Per output, a float64 array: how large |float32 kernel − exact| may be for these inputs, in real units.

    Two programs that both keep to docs/numerics.md differ by at most twice that. Raises ValueError for a program with int8
    operators: one flipped rounding is not small there, and they are compared with ==.
    """
    values = interpret(program, inputs)
    bounds: dict[int, Array] = {
        i: np.zeros(t.dims) for i, t in enumerate(program.tensors) if t.is_constant or i in program.inputs
    }
    for op in program.ops:
        propagate = _RULES.get(op.kind)
        operands = [cast(Array, values[i]) for i in op.reads]
        y = cast(Array, values[op.outputs[0]])
        if propagate is None or any(v.dtype != np.float32 for v in (*operands, y)):
            raise ValueError(f"{op.kind.label} {op.name} is not a float operator")
        bounds[op.outputs[0]] = propagate(
            op, [v.astype(np.float64) for v in operands], [bounds[i] for i in op.reads], y.astype(np.float64)
        )
    return [bounds[i] for i in program.outputs]


Rule = Callable[[Op, list[Array], list[Array], Array], Array]


def _products(k: int, incoming: Array, magnitude: Array, bias: Array | None) -> Array:
    """Joins the propagated error with the page's bound for k products; ``incoming`` is Σ (w · e)²."""
    total = magnitude if bias is None else magnitude + np.abs(bias)
    return np.asarray(np.sqrt(incoming + ((k + SLACK) * UNIT * total) ** 2))


def _joined(*errors: Array) -> Array:
    return np.asarray(np.sqrt(sum(e * e for e in errors)))


def _conv2d(op: Op, x: list[Array], e: list[Array], y: Array) -> Array:
    a = cast(Conv2d, op.attributes)
    window = conv_window(a, x[1].shape)
    incoming = reference.conv2d_sums(e[0] ** 2, x[1] ** 2, window, a.groups)
    magnitude = reference.conv2d_sums(np.abs(x[0]), np.abs(x[1]), window, a.groups)
    return _products(int(np.prod(x[1].shape[1:])), incoming, magnitude, x[2] if len(x) > 2 else None)


def _fully_connected(op: Op, x: list[Array], e: list[Array], y: Array) -> Array:
    incoming = e[0] ** 2 @ (x[1] ** 2).T
    magnitude = np.abs(x[0]) @ np.abs(x[1]).T
    return _products(x[1].shape[1], incoming, magnitude, x[2] if len(x) > 2 else None)


def _sum(op: Op, x: list[Array], e: list[Array], y: Array) -> Array:
    # |a| + |b| instead of |y|: another kernel may have folded the addend into a bias before a clamp or a multiplication.
    return _joined(e[0], e[1], SLACK * UNIT * (np.abs(x[0]) + np.abs(x[1])))


def _mul(op: Op, x: list[Array], e: list[Array], y: Array) -> Array:
    a, b = np.abs(x[0]), np.abs(x[1])
    return _joined(a * e[1], b * e[0], SLACK * UNIT * a * b)


def _div(op: Op, x: list[Array], e: list[Array], y: Array) -> Array:
    smallest = np.maximum(np.abs(x[1]) - e[1], np.finfo(np.float32).tiny)
    quotient = np.abs(x[0]) / smallest
    return _joined(e[0] / smallest, quotient * e[1] / smallest, SLACK * UNIT * quotient)


def _max_pool2d(op: Op, x: list[Array], e: list[Array], y: Array) -> Array:
    return reference.max_pool2d(e[0], pool_window(cast(Pool2d, op.attributes)))


def _average_pool2d(op: Op, x: list[Array], e: list[Array], y: Array) -> Array:
    a = cast(Pool2d, op.attributes)
    window, n = pool_window(a), a.kernel_h * a.kernel_w
    counts = reference.window_counts(x[0].shape[1], x[0].shape[2], window, bool(a.count_include_pad))
    incoming = np.asarray(sum(v for _, _, v in window.taps(e[0] ** 2, 0.0)))
    magnitude = np.asarray(sum(v for _, _, v in window.taps(np.abs(x[0]), 0.0)))
    return np.asarray(_products(n, incoming, magnitude, None) / counts)


def _softmax(op: Op, x: list[Array], e: list[Array], y: Array) -> Array:
    # exp(x + e) / Σ: numerator and denominator each move by at most a factor exp(max e).
    axis = cast(Softmax, op.attributes).axis
    worst = 2 * e[0].max(axis=axis, keepdims=True)
    bound: Array = y * (np.expm1(worst) + (y.shape[axis] + 2 * SLACK) * UNIT)
    return bound


def _pad(op: Op, x: list[Array], e: list[Array], y: Array) -> Array:
    a = cast(Pad, op.attributes)
    return np.pad(e[0], tuple(zip(a.before, a.after, strict=True)))


_RULES: dict[OpKind, Rule] = {
    OpKind.CONV2D: _conv2d,
    OpKind.FULLY_CONNECTED: _fully_connected,
    OpKind.ADD: _sum,
    OpKind.SUB: _sum,
    OpKind.MUL: _mul,
    OpKind.DIV: _div,
    OpKind.MAX_POOL2D: _max_pool2d,
    OpKind.AVERAGE_POOL2D: _average_pool2d,
    OpKind.CONCAT: lambda op, x, e, y: np.concatenate(e, cast(Concat, op.attributes).axis),
    OpKind.SOFTMAX: _softmax,
    OpKind.CLAMP: lambda op, x, e, y: e[0],
    OpKind.TRANSPOSE: lambda op, x, e, y: e[0].transpose(cast(Transpose, op.attributes).perm),
    OpKind.RESHAPE: lambda op, x, e, y: e[0].reshape(y.shape),
    OpKind.PAD: _pad,
}
