"""Functions of one value that the runtime has by others, chosen so that nothing cancels or overflows on the way."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ptq_core.flatfile.operators.unary import UnaryFunction
from ptq_core.optimize.lowering.context import (
    Activation,
    Lowering,
    Unsupported,
    check_numbers,
    get_float,
    get_int,
    normal_axis,
)
from ptq_core.optimize.lowering.formula import Formula


def lower_tan(context: Lowering, node: ir.Node) -> None:
    """sin x / cos x."""
    f = Formula(context, node)
    f.done(f.div(f.of(UnaryFunction.SIN, f.x), f.of(UnaryFunction.COS, f.x)))


def lower_asin(context: Lowering, node: ir.Node) -> None:
    """atan(x / √((1 − x)(1 + x)))."""
    f = Formula(context, node)
    f.done(f.of(UnaryFunction.ATAN, _over_root(f)))


def lower_acos(context: Lowering, node: ir.Node) -> None:
    """2 · atan(√((1 − x) / (1 + x)))."""
    f = Formula(context, node)
    root = f.of(UnaryFunction.SQRT, f.div(f.sub(1.0, f.x), f.add(1.0, f.x)))
    f.done(f.mul(f.of(UnaryFunction.ATAN, root), 2.0))


def lower_atanh(context: Lowering, node: ir.Node) -> None:
    """asinh(x / √((1 − x)(1 + x)))."""
    f = Formula(context, node)
    f.done(f.of(UnaryFunction.ASINH, _over_root(f)))


def _over_root(f: Formula) -> Activation:
    return f.div(f.x, f.of(UnaryFunction.SQRT, f.mul(f.sub(1.0, f.x), f.add(1.0, f.x))))


def lower_acosh(context: Lowering, node: ir.Node) -> None:
    """asinh(√(x − 1) · √(x + 1))."""
    f = Formula(context, node)
    roots = [f.of(UnaryFunction.SQRT, f.add(f.x, shift)) for shift in (-1.0, 1.0)]
    f.done(f.of(UnaryFunction.ASINH, f.mul(*roots)))


def lower_cosh(context: Lowering, node: ir.Node) -> None:
    """u + 1 / 4u with u = eˣ / 2."""
    f = Formula(context, node)
    f.done(_cosh(f))


def lower_sinh(context: Lowering, node: ir.Node) -> None:
    """tanh(x / 2) · (cosh x + 1), which keeps small ones."""
    f = Formula(context, node)
    half = f.of(UnaryFunction.TANH, f.mul(f.x, 0.5))
    f.done(f.mul(half, f.add(_cosh(f), 1.0)))


def _cosh(f: Formula) -> Activation:
    root = f.of(UnaryFunction.EXP, f.mul(f.of(UnaryFunction.ABS, f.x), 0.5))
    u = f.mul(f.mul(root, 0.5), root)  # eˣ itself overflows before the result does
    return f.add(u, f.div(0.25, u))


def _above(f: Formula, x: Activation, bound: float) -> Activation:
    """1 where x > bound, else 0."""
    return f.clamp(f.of(UnaryFunction.SIGN, f.sub(x, bound)), lo=0.0)


def lower_thresholded_relu(context: Lowering, node: ir.Node) -> None:
    """x above alpha, else 0."""
    f, alpha = Formula(context, node), get_float(node, "alpha", 1.0)
    # Not x itself: −∞ · 0 is no number.
    f.done(f.mul(f.clamp(f.x, lo=alpha), _above(f, f.x, alpha)))


def lower_shrink(context: Lowering, node: ir.Node) -> None:
    """x − bias above lambd, x + bias below −lambd, else 0."""
    f = Formula(context, node)
    bound, bias = get_float(node, "lambd", 0.5), get_float(node, "bias", 0.0)
    if bound < 0:
        raise Unsupported("its lambd is below 0")
    # Not x itself: ∞ · 0 is no number.
    above = f.mul(f.sub(f.clamp(f.x, lo=bound), bias), _above(f, f.x, bound))
    negative = f.of(UnaryFunction.NEG, f.x)
    below = f.mul(f.sub(f.clamp(negative, lo=bound), bias), _above(f, negative, bound))
    f.done(f.sub(above, below))


def lower_hardmax(context: Lowering, node: ir.Node) -> None:
    """1 at the first of the largest along an axis, else 0: the largest ones without those that have one before them."""
    f = Formula(context, node)
    dims = context.dims(f.x)
    axis = normal_axis(get_int(node, "axis", -1), len(dims))
    check_numbers(dims[axis] ** 2, "its matrix")
    largest = f.sub(1.0, f.of(UnaryFunction.SIGN, f.sub(f.largest(f.x, axis), f.x)))
    earlier = f.product(largest, axis, np.tri(dims[axis], k=-1, dtype=np.float32))
    f.done(f.mul(largest, f.sub(1.0, f.clamp(earlier, hi=1.0))))
