"""Recognise activations that exporters write as several operators."""

from __future__ import annotations

import dataclasses

import numpy as np

from ptq_core.flatfile.attributes import Clamp, Unary, UnaryFunction
from ptq_core.flatfile.program import Op, OpKind, Program
from ptq_core.optimize.rewrite import Rewriter, clamp_of, is_clamped, unary_of

_SIXTH = np.float32(1 / 6)


def fuse_activation(program: Program) -> list[str]:
    """x · sigmoid(x) ⇒ silu; x · hard_sigmoid(x), x · clip(x + 3, 0, 6) / 6 ⇒ hard_swish; clip(x + 3, 0, 6) / 6 ⇒ hard_sigmoid;
    x · tanh(softplus(x)) ⇒ mish.

    Requires that nothing else reads the values between. Ensures equal values up to the rounding of the steps between.
    """
    rewriter = Rewriter(program)
    for op in rewriter.ops(OpKind.MUL, OpKind.DIV):
        for recognise in (_gated, _hard_swish_of_product, _hard_sigmoid):
            found = recognise(rewriter, op)
            if found is not None and _keeps_shape(rewriter, found):
                rewriter.replace(op, [_with_clamp(found, op)])
                break
    return rewriter.changes


def _gated(rewriter: Rewriter, op: Op) -> Op | None:
    """x · gate(x)."""
    if op.kind != OpKind.MUL:
        return None
    for x, gate in (op.inputs, op.inputs[::-1]):
        inner = _inner(rewriter, gate, OpKind.UNARY)
        if inner is None or is_clamped(inner):
            continue
        a = unary_of(inner)
        if inner.inputs[0] == x and a.function == UnaryFunction.SIGMOID:
            return _unary(op, x, UnaryFunction.SILU)
        if inner.inputs[0] == x and _is_hard_sigmoid(a):
            return _unary(op, x, UnaryFunction.HARD_SWISH)
        plus = _inner(rewriter, inner.inputs[0], OpKind.UNARY)
        if (
            a.function == UnaryFunction.TANH
            and plus is not None
            and not is_clamped(plus)
            and unary_of(plus).function == UnaryFunction.SOFTPLUS
            and plus.inputs[0] == x
        ):
            return _unary(op, x, UnaryFunction.MISH)
    return None


def _hard_swish_of_product(rewriter: Rewriter, op: Op) -> Op | None:
    """(x · clip(x + 3, 0, 6)) / 6."""
    product = _sixth(rewriter, op)
    if product is None or product.kind != OpKind.MUL or is_clamped(product):
        return None
    for x, gate in (product.inputs, product.inputs[::-1]):
        if x is not None and _relu6_of_sum(rewriter, gate) == x:
            return _unary(op, x, UnaryFunction.HARD_SWISH)
    return None


def _hard_sigmoid(rewriter: Rewriter, op: Op) -> Op | None:
    """clip(x + 3, 0, 6) / 6."""
    clipped = _sixth(rewriter, op)
    x = None if clipped is None else _relu6_of_sum(rewriter, clipped.outputs[0])
    if x is None:
        return None
    return _unary(op, x, UnaryFunction.HARD_SIGMOID, float(_SIXTH), 0.5)


def _keeps_shape(rewriter: Rewriter, op: Op) -> bool:
    """False where a constant of higher rank has added dimensions."""
    return rewriter.tensor(op.inputs[0]).dims == rewriter.tensor(op.outputs[0]).dims


def _sixth(rewriter: Rewriter, op: Op) -> Op | None:
    """The operator whose output ``op`` divides by 6."""
    wanted = 6.0 if op.kind == OpKind.DIV else float(_SIXTH)
    for value, factor in (op.inputs, op.inputs[::-1]):
        if _is_scalar(rewriter, factor, wanted):
            return _inner(rewriter, value, OpKind.ADD, OpKind.MUL)
        if op.kind == OpKind.DIV:
            break
    return None


def _relu6_of_sum(rewriter: Rewriter, index: int | None) -> int | None:
    """x if ``index`` is clip(x + 3, 0, 6); fuse_clamp has made that one operator."""
    total = _inner(rewriter, index, OpKind.ADD)
    if total is None or (clamp_of(total).lo, clamp_of(total).hi) != (0.0, 6.0):
        return None
    for x, three in (total.inputs, total.inputs[::-1]):
        if _is_scalar(rewriter, three, 3.0):
            return x
    return None


def _inner(rewriter: Rewriter, index: int | None, *kinds: OpKind) -> Op | None:
    """The producer of ``index`` if it is of ``kinds`` and its output has one reader."""
    op = rewriter.producer(index, *kinds)
    return op if op is not None and rewriter.sole_consumer(op.outputs[0]) is not None else None


def _is_scalar(rewriter: Rewriter, index: int | None, value: float) -> bool:
    tensor = rewriter.tensor(index)
    if tensor.data is None or tensor.elements != 1 or tensor.qparams is not None:
        return False
    return bool(np.isclose(tensor.data.reshape(-1)[0], value, rtol=1e-6, atol=0.0))


def _is_hard_sigmoid(a: Unary) -> bool:
    near = np.isclose(a.alpha, _SIXTH, rtol=1e-6, atol=0.0)
    return a.function == UnaryFunction.HARD_SIGMOID and bool(near) and a.beta == 0.5


def _unary(op: Op, x: int | None, function: UnaryFunction, alpha: float = 0.0, beta: float = 0.0) -> Op:
    attributes = Unary(function=int(function), alpha=alpha, beta=beta)
    return Op(OpKind.UNARY, op.name, (x,), op.outputs, attributes)


def _with_clamp(fused: Op, op: Op) -> Op:
    bounds: Clamp = clamp_of(op)
    attributes = dataclasses.replace(unary_of(fused), lo=bounds.lo, hi=bounds.hi)
    return dataclasses.replace(fused, attributes=attributes)
