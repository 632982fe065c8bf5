"""scatter_nd: x, computed indices […, K], updates → y: x with the updates behind each row of K indices."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np

from ptq_core.flatfile.operators.attributes import U32, Attributes, Named
from ptq_core.flatfile.operators.call import Call
from ptq_core.flatfile.operators.checks import Operator
from ptq_core.flatfile.operators.description import Operand, OperatorKind, Scales
from ptq_core.flatfile.operators.places import INDICES, check_places, in_rows, places
from ptq_core.flatfile.operators.roundoff import Roundoff
from ptq_core.flatfile.tensors import MOVABLE, Array, DType


class Reduction(enum.IntEnum):
    """What is done with what is there already; of several updates of one place, each follows the one before it."""

    NONE = 0
    ADD = 1
    MUL = 2
    MAX = 3
    MIN = 4


@dataclass(frozen=True, kw_only=True)
class ScatterNd(Attributes):
    """``reduction`` NONE replaces."""

    reduction: Annotated[U32, Named(Reduction)]


REDUCED: dict[Reduction, Callable[[Any, Any], Any]] = {
    Reduction.ADD: np.add,
    Reduction.MUL: np.multiply,
    Reduction.MAX: np.maximum,
    Reduction.MIN: np.minimum,
}


def _check(c: Operator[ScatterNd]) -> None:
    check_places(c, "updates", c.input(2))
    dtype, reduction = c.input(0).dtype, c.attributes.reduction
    if reduction != Reduction.NONE and dtype in (DType.I8, DType.BOOL):
        c.refuse("reduction", f"{reduction} of {dtype.label}", "0: it computes nothing with them")


def _scattered(x: Array, indices: Array, updates: Array, reduction: Reduction) -> Array:
    y = x.copy()
    rows = in_rows(y, indices.shape[-1])
    for place, update in zip(places(indices, x.shape), updates.reshape(-1, rows.shape[1]), strict=True):
        with np.errstate(all="ignore"):
            rows[place] = update if reduction == Reduction.NONE else REDUCED[reduction](rows[place], update)
    return y


def _reference(call: Call[ScatterNd]) -> Array:
    x, indices, updates = (call.value(i) for i in range(3))
    return _scattered(x, indices, updates, Reduction(call.attributes.reduction))


def _bound(a: ScatterNd, x: list[Array], e: list[Array], y: Array, r: Roundoff) -> Array:
    """The magnitudes, reduced like the values, once per rounding of the longest chain."""
    if e[1].any():
        return np.full(y.shape, np.inf)
    indices, reduction = x[1].astype(np.int64), Reduction(a.reduction)
    if reduction in (Reduction.NONE, Reduction.MAX, Reduction.MIN):
        joined = Reduction.NONE if reduction == Reduction.NONE else Reduction.MAX
        return _scattered(e[0], indices, e[2], joined)
    longest = int(np.unique(places(indices, x[0].shape), return_counts=True)[1].max())
    with np.errstate(all="ignore"):
        size = _scattered(np.abs(x[0]), indices, np.abs(x[2]), reduction)
        wide = _scattered(np.abs(x[0]) + e[0], indices, np.abs(x[2]) + e[2], reduction)
        return wide - size + (longest + 1) * r.unit * size


SCATTER_ND = OperatorKind(
    code=36,
    name="scatter_nd",
    since=lambda _: 4,
    attributes=ScatterNd,
    types=MOVABLE,
    inputs=(
        Operand("x", scales=Scales.OF_OUTPUT),
        INDICES,
        Operand("updates", scales=Scales.OF_OUTPUT),
    ),
    same_shape=True,
    check=_check,
    reference=_reference,
    bound=_bound,
)
