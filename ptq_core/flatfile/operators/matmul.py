"""matmul: a [..., M, K], b [..., K, N] → y [..., M, N], two computed tensors; the dimensions before broadcast as NumPy's do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from ptq_core.flatfile.operators.attributes import FLAG, U32, Clamp
from ptq_core.flatfile.operators.call import Call
from ptq_core.flatfile.operators.checks import Operator, scale_of
from ptq_core.flatfile.operators.description import Operand, OperatorKind, always
from ptq_core.flatfile.operators.roundoff import Roundoff
from ptq_core.flatfile.operators.weighted import MAX_INT32, finish, sums
from ptq_core.flatfile.tensors import ANY_REAL, Array, DType, Tensor
from ptq_core.numerics import reference


@dataclass(frozen=True, kw_only=True)
class Matmul(Clamp):
    """``transpose_b`` 1: b lies as [..., N, K]."""

    transpose_b: Annotated[U32, FLAG] = 0


def _check(c: Operator[Matmul]) -> None:
    a, b, y = c.input(0), c.input(1), c.output
    rank = max(len(a.dims), len(b.dims))
    if min(len(a.dims), len(b.dims)) < 2:
        c.refuse("inputs", f"ranks {len(a.dims)} and {len(b.dims)}", "matrices have 2 dimensions or more")
    depth, columns = (-1, -2) if c.attributes.transpose_b else (-2, -1)
    c.dim("b", b, len(b.dims) + depth, a.dims[-1])
    c.rank("output", y, rank)
    left, right = ((1,) * (rank - len(t.dims)) + t.dims[:-2] for t in (a, b))
    for axis, (p, q) in enumerate(zip(left, right, strict=True)):
        if p != q and 1 not in (p, q):
            c.refuse("inputs", f"dimension {axis} is {p} and {q}", "dimensions before the matrices broadcast")
        c.dim("output", y, axis, max(p, q))
    c.dim("output", y, rank - 2, a.dims[-2])
    c.dim("output", y, rank - 1, b.dims[columns])
    if a.dtype == DType.I8:
        _sums_fit(c, a, b)


def _sums_fit(c: Operator[Matmul], a: Tensor, b: Tensor) -> None:
    assert a.qparams is not None
    assert b.qparams is not None
    worst = a.dims[-1] * (128 + abs(a.qparams.zero_point)) * (128 + abs(b.qparams.zero_point))
    if worst > MAX_INT32:
        c.refuse("sums", f"{a.dims[-1]} products up to {worst}", "no order of summation overflows int32")
    scale = a.qparams.scale * b.qparams.scale
    c.multiplier("requantization", scale if c.output.qparams is None else scale / scale_of(c.output.qparams))


def matrices(a: Matmul, b: Array) -> Array:
    """``b`` as [..., K, N]."""
    return np.swapaxes(b, -1, -2) if a.transpose_b else b


def _reference(call: Call[Matmul]) -> Array:
    at = call.attributes
    a, b = call.value(0), matrices(at, call.value(1))
    if not call.int8:
        return reference.matmul(a, b, at.lo, at.hi)
    return finish(
        call, reference.matmul_i8_sums(a, call.qparams(0).zero_point, b, call.qparams(1).zero_point)
    )


def _bound(at: Matmul, x: list[Array], e: list[Array], y: Array, r: Roundoff) -> Array:
    a, b = x[0], matrices(at, x[1])
    own = r.own(r.of_products(a.shape[-1]), np.abs(a) @ np.abs(b))
    of_a = r.carried(lambda errors, w: errors @ w, e[0], b)
    of_b = r.carried(lambda errors, w: w @ errors, matrices(at, e[1]), a)
    return r.joined(of_a, of_b, own)


def _work(_: Matmul, inputs: Sequence[Tensor], y: Tensor) -> int:
    """Products, and b laid out for them once per matrix."""
    return (y.elements + y.elements // y.dims[-2]) * inputs[0].dims[-1]


MATMUL = OperatorKind(
    code=30,
    name="matmul",
    since=lambda _: 4,
    attributes=Matmul,
    types=ANY_REAL,
    inputs=(Operand("a", copied=True), Operand("b")),
    output=sums(None),
    check=_check,
    reference=_reference,
    bound=_bound,
    work=_work,
    rescales=always,
)
