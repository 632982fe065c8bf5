"""top_k: x → y i64, the indices of the k largest (or smallest) elements along one axis, the best first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from ptq_core.flatfile.operators.attributes import FLAG, U32, Attributes, Rule
from ptq_core.flatfile.operators.call import Call
from ptq_core.flatfile.operators.checks import Operator
from ptq_core.flatfile.operators.description import OF_X, Operand, OperatorKind, Scales
from ptq_core.flatfile.tensors import ORDERED, Array, DType, Tensor


@dataclass(frozen=True, kw_only=True)
class TopK(Attributes):
    """``axis`` counts from 0 in the stored order, where y has k elements; ``largest`` 0 takes the smallest."""

    axis: Annotated[U32, Rule.BELOW_RANK]
    largest: Annotated[U32, FLAG] = 1


def _check(c: Operator[TopK]) -> None:
    x, y, axis = c.input(0), c.output, c.attributes.axis
    for d, size in enumerate(x.dims):
        if d != axis:
            c.dim("output", y, d, size)
    if y.dims[axis] > x.dims[axis]:
        c.refuse("output", f"{y.dims[axis]} of {x.dims[axis]} elements", "at most all")


def _order(x: Array, a: TopK) -> Array:
    """Indices of x along the axis, the best first; the first of equal ones, and no numbers last."""
    if not a.largest:
        return np.argsort(x, axis=a.axis, kind="stable")
    if x.dtype.kind == "f":
        return np.argsort(-x, axis=a.axis, kind="stable")
    backwards = np.argsort(np.flip(x, a.axis), axis=a.axis, kind="stable")
    return np.asarray(x.shape[a.axis] - 1 - np.flip(backwards, a.axis))


def _reference(call: Call[TopK]) -> Array:
    axis = call.attributes.axis
    best = _order(call.value(0), call.attributes).take(range(call.out.dims[axis]), axis)
    return np.asarray(best, np.int64)


def _steps(
    a: TopK, inputs: Sequence[Tensor], out: Tensor, x: Sequence[Array], e: Sequence[Array], y: Array
) -> Array:
    """A place may be k-th if its value may be what the k-th largest may be."""
    if not e[0].any():
        return np.zeros(y.shape)
    values, wide = (np.moveaxis(v, a.axis, -1) for v in (x[0].astype(np.float64), e[0]))
    chosen = np.moveaxis(y, a.axis, -1)
    values = values if a.largest else -values
    low, high = (-np.sort(-end, axis=-1)[..., : chosen.shape[-1]] for end in (values - wide, values + wide))
    may_be = (values + wide)[..., None, :] >= low[..., None]
    may_be &= (values - wide)[..., None, :] <= high[..., None]
    apart = np.abs(np.arange(values.shape[-1]) - chosen[..., None])
    return np.moveaxis(np.where(may_be, apart, 0).max(axis=-1).astype(np.float64), -1, a.axis)


def _work(a: TopK, inputs: Sequence[Tensor], out: Tensor) -> int:
    return 32 * inputs[0].elements


TOP_K = OperatorKind(
    code=37,
    name="top_k",
    since=lambda _: 4,
    attributes=TopK,
    types=ORDERED,
    output=Operand("output", dict.fromkeys(ORDERED, (DType.I64,)), rank=OF_X, scales=Scales.NONE),
    check=_check,
    reference=_reference,
    steps=_steps,
    work=_work,
    reads_order=True,
)
