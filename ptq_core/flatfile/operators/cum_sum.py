"""cum_sum: x → y: the sum of x up to each element along one axis, itself included or not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from ptq_core.flatfile.operators.attributes import FLAG, U32, Attributes, Rule
from ptq_core.flatfile.operators.call import Call
from ptq_core.flatfile.operators.description import OperatorKind
from ptq_core.flatfile.operators.roundoff import Roundoff
from ptq_core.flatfile.tensors import Array, DType


@dataclass(frozen=True, kw_only=True)
class CumSum(Attributes):
    """``axis`` counts from 0 in the stored order; ``exclusive`` leaves the element itself out, ``reverse`` sums from the end."""

    axis: Annotated[U32, Rule.BELOW_RANK]
    exclusive: Annotated[U32, FLAG] = 0
    reverse: Annotated[U32, FLAG] = 0


def _summed(a: CumSum, x: Array) -> Array:
    """The sums in float64 of floats; integers wrap around in their own type."""
    backwards = np.flip(x, a.axis) if a.reverse else x
    lines = np.moveaxis(backwards, a.axis, -1)
    if a.exclusive:
        lines = np.concatenate([np.zeros_like(lines[..., :1]), lines[..., :-1]], axis=-1)
    with np.errstate(over="ignore", invalid="ignore"):
        sums = np.cumsum(lines, axis=-1, dtype=np.float64 if x.dtype.kind == "f" else x.dtype)
    sums = np.moveaxis(sums, -1, a.axis)
    return np.flip(sums, a.axis) if a.reverse else sums


def _reference(call: Call[CumSum]) -> Array:
    x = call.value(0)
    with np.errstate(over="ignore"):
        return _summed(call.attributes, x).astype(x.dtype)


def _bound(a: CumSum, x: list[Array], e: list[Array], y: Array, r: Roundoff) -> Array:
    """Ours is rounded once, others' sums at each element."""
    own = r.own(0 if r.blocks else x[0].shape[a.axis], _summed(a, np.abs(x[0])))
    return r.joined(own, r.carried(lambda errors, _: _summed(a, errors), e[0], np.ones(())))


CUM_SUM = OperatorKind(
    code=39,
    name="cum_sum",
    since=lambda _: 5,
    attributes=CumSum,
    types=(DType.F32, DType.I32, DType.I64),
    same_shape=True,
    reference=_reference,
    bound=_bound,
)
