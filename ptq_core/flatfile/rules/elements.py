"""Rules of operators that compute each element by itself, or along a channel: arithmetic, functions, conversions, softmax."""

from __future__ import annotations

import math

from ptq_core.flatfile.attributes import Clamp, Softmax, Unary, UnaryFunction
from ptq_core.flatfile.checks import ANY_REAL, FLOATS, Entries, Operator, scale_of
from ptq_core.flatfile.program import DType, OpKind

INT8_BINARIES = frozenset({OpKind.ADD, OpKind.SUB, OpKind.MUL})

PARAMETERS: dict[int, tuple[str, ...]] = {
    UnaryFunction.HARD_SIGMOID: ("alpha", "beta"),
    UnaryFunction.LEAKY_RELU: ("alpha",),
    UnaryFunction.ELU: ("alpha",),
}
"""Which functions of `unary` have an alpha or a beta."""


def binary(c: Operator, _: Entries) -> None:
    x, b, y = c.input(0), c.input(1), c.output
    allowed = ANY_REAL if c.op.kind in INT8_BINARIES else FLOATS
    c.dtype("a", x, (DType.F32,) if c.op.kind == OpKind.POW else allowed)
    c.dtype("b", b, (x.dtype,))
    c.dtype("output", y, (x.dtype,))
    assert isinstance(c.op.attributes, Clamp)
    c.activation(c.op.attributes)
    rank = max(len(x.dims), len(b.dims))
    c.rank("output", y, rank)
    left, right = ((1,) * (rank - len(t.dims)) + t.dims for t in (x, b))
    for axis, (p, q) in enumerate(zip(left, right, strict=True)):
        if p != q and 1 not in (p, q):
            c.refuse("inputs", f"dimension {axis} is {p} and {q}", "shapes broadcast")
        c.dim("output", y, axis, max(p, q))
    if x.dtype != DType.I8:
        return
    c.per_tensor("a", x)
    c.per_tensor("b", b)
    c.per_tensor("output", y)
    x_scale, b_scale, y_scale = (scale_of(t.qparams) for t in (x, b, y))
    product = c.op.kind == OpKind.MUL
    c.multiplier("a", (x_scale * b_scale if product else x_scale) / y_scale)
    if not product:
        c.multiplier("b", b_scale / y_scale)


def clamp_operator(c: Operator, _: Entries) -> None:
    x, y = c.input(0), c.output
    c.dtype("x", x, ANY_REAL)
    c.dtype("output", y, (x.dtype,))
    c.same_shape(x, y)
    assert isinstance(c.op.attributes, Clamp)
    c.activation(c.op.attributes)
    c.per_tensor("x", x)
    c.per_tensor("output", y)


def quantize(c: Operator, _: Entries) -> None:
    x, y = c.input(0), c.output
    c.dtype("x", x, (DType.F32,))
    c.dtype("output", y, (DType.I8,))
    c.same_shape(x, y)
    c.per_tensor("output", y)


def dequantize(c: Operator, _: Entries) -> None:
    x, y = c.input(0), c.output
    c.dtype("x", x, (DType.I8,))
    c.dtype("output", y, (DType.F32,))
    c.same_shape(x, y)
    c.per_tensor("x", x)


def convert(c: Operator, _: Entries) -> None:
    x, y = c.input(0), c.output
    c.dtype("x", x, FLOATS)
    c.dtype("output", y, (DType.F16 if x.dtype == DType.F32 else DType.F32,))
    c.same_shape(x, y)


def unary(c: Operator, _: Entries) -> None:
    x, y, a = c.input(0), c.output, c.op.attributes
    assert isinstance(a, Unary)
    c.dtype("x", x, FLOATS)
    c.dtype("output", y, (x.dtype,))
    c.same_shape(x, y)
    c.below("function", a.function, len(UnaryFunction))
    for name in ("alpha", "beta"):
        value, used = getattr(a, name), name in PARAMETERS.get(a.function, ())
        if not math.isfinite(value) or (value and not used):
            c.refuse(name, value, "finite" if used else "0, as the function has none")
    c.activation(a)


def lookup(c: Operator, _: Entries) -> None:
    x, table, y = c.input(0), c.input(1), c.output
    c.dtype("x", x, (DType.I8,))
    c.dtype("table", table, (DType.I8,))
    c.dtype("output", y, (DType.I8,))
    c.same_shape(x, y)
    c.rank("table", table, 1)
    c.dim("table", table, 0, 256)
    c.constant("table", table)
    c.per_tensor("x", x)
    c.per_tensor("output", y)
    c.same_qparams(table, y)


def softmax(c: Operator, _: Entries) -> None:
    x, y = c.input(0), c.output
    assert isinstance(c.op.attributes, Softmax)
    c.dtype("x", x, (DType.F32,))
    c.dtype("output", y, (DType.F32,))
    c.same_shape(x, y)
    c.axis(c.op.attributes.axis, x)
