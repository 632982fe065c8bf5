"""reduce: x → y of the same rank, reduced dimensions are 1."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np

from ptq_core.flatfile.operators.attributes import U32, Clamp, Named
from ptq_core.flatfile.operators.call import Call
from ptq_core.flatfile.operators.checks import MAX_WINDOW, Operator, scale_of
from ptq_core.flatfile.operators.description import OF_X_RANK, OperatorKind
from ptq_core.flatfile.operators.roundoff import Roundoff
from ptq_core.flatfile.tensors import FLOAT_OR_INT8, Array, DType
from ptq_core.numerics import functions


class ReduceFunction(enum.IntEnum):
    """Functions of `reduce`."""

    MEAN = 0
    SUM = 1
    MAX = 2
    MIN = 3
    PROD = 4
    L2 = 5


@dataclass(frozen=True, kw_only=True)
class Reduce(Clamp):
    """Bit i of ``axes`` is set if dimension i is reduced to 1."""

    function: Annotated[U32, Named(ReduceFunction)]
    axes: U32


def _selects(a: Reduce) -> bool:
    return a.function in (ReduceFunction.MAX, ReduceFunction.MIN)


def _check(c: Operator[Reduce]) -> None:
    x, y, a = c.input(0), c.output, c.attributes
    quantized = x.dtype == DType.I8
    if quantized and not _selects(a) and a.function != ReduceFunction.MEAN:
        c.refuse("function", ReduceFunction(a.function).name.lower(), "in i8 there are mean, max and min")
    if a.axes >> len(x.dims):
        c.refuse("axes", f"{a.axes:#x}", f"bits of {len(x.dims)} dimensions")
    for axis, size in enumerate(x.dims):
        c.dim("output", y, axis, 1 if a.axes >> axis & 1 else size)
    if _selects(a):
        c.same_qparams(x, y)
        return
    if not quantized:
        return
    count = x.elements // y.elements
    if count > MAX_WINDOW:
        c.refuse("axes", f"a mean of {count} elements", f"at most {MAX_WINDOW}")
    c.multiplier("requantization", scale_of(x.qparams) / (scale_of(y.qparams) * np.float32(count)))


def _axes(a: Reduce, rank: int) -> tuple[int, ...]:
    """The dimensions whose bits are set."""
    return tuple(i for i in range(rank) if a.axes >> i & 1)


def _reference(call: Call[Reduce]) -> Array:
    a, x = call.attributes, call.value(0)
    axes = _axes(a, x.ndim)
    if call.int8 and a.function == ReduceFunction.MEAN:
        s, out = call.qparams(0), call.out_qparams
        return call.clamped(
            functions.reduce_mean_i8(x, axes, s.scale, s.zero_point, out.scale, out.zero_point)
        )
    return call.clamped(functions.reduce(x, ReduceFunction(a.function).name.lower(), axes))


def _bound(a: Reduce, x: list[Array], e: list[Array], y: Array, r: Roundoff) -> Array:
    axes = _axes(a, x[0].ndim)
    keys: dict[str, Any] = {"axis": axes, "keepdims": True}
    n = int(np.prod([x[0].shape[i] for i in axes]))
    if _selects(a):
        return np.asarray(e[0].max(**keys))
    if a.function == ReduceFunction.PROD:
        size = np.abs(x[0])
        return r.joined((size + e[0]).prod(**keys) - size.prod(**keys), r.own(n, np.abs(y)))
    incoming = r.carried(lambda errors, _: errors.sum(**keys), e[0], np.ones(()))
    if a.function == ReduceFunction.L2:
        return r.joined(incoming, r.own(r.of_sum(n), np.abs(y)))
    total = r.joined(incoming, r.own(r.of_sum(n), np.abs(x[0]).sum(**keys)))
    return total / n if a.function == ReduceFunction.MEAN else total


def _is_identity(a: Reduce, _: tuple[int, ...]) -> bool:
    return not a.bounds and a.function != ReduceFunction.L2


REDUCE = OperatorKind(
    code=25,
    name="reduce",
    attributes=Reduce,
    types=FLOAT_OR_INT8,
    output=OF_X_RANK,
    check=_check,
    reference=_reference,
    bound=_bound,
    identity=_is_identity,
    selects=_selects,
    rescales=lambda a: a.function == ReduceFunction.MEAN,
)
