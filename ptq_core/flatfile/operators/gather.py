"""gather: x, constant indices [K] → y: x with dimension axis replaced by K."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from ptq_core.flatfile.operators.attributes import U32, Attributes, Rule
from ptq_core.flatfile.operators.call import Call
from ptq_core.flatfile.operators.checks import Operator
from ptq_core.flatfile.operators.description import MOVED, OF_X_RANK, Operand, OperatorKind, Scales, always
from ptq_core.flatfile.operators.roundoff import Roundoff
from ptq_core.flatfile.refusal import shown
from ptq_core.flatfile.tensors import MOVABLE, Array, DType


@dataclass(frozen=True, kw_only=True)
class Gather(Attributes):
    """``axis`` counts from 0 in the stored (NHWC) order."""

    axis: Annotated[U32, Rule.BELOW_RANK]


def _check(c: Operator[Gather]) -> None:
    x, indices, a = c.input(0), c.input(1), c.attributes
    assert indices.data is not None
    outside = (indices.data < 0) | (indices.data >= x.dims[a.axis])
    if outside.any():
        k = int(outside.argmax())
        c.refuse(f"indices {shown(indices.name)} [{k}]", indices.data[k], f"0 … {x.dims[a.axis] - 1}")
    for axis, size in enumerate(x.dims):
        c.dim("output", c.output, axis, indices.dims[0] if axis == a.axis else size)


def _reference(call: Call[Gather]) -> Array:
    return call.value(0).take(call.value(1), call.attributes.axis)


def _bound(a: Gather, x: list[Array], e: list[Array], y: Array, r: Roundoff) -> Array:
    return e[0].take(x[1].astype(np.int64), a.axis)


INDICES = Operand(
    "indices",
    dict.fromkeys(MOVABLE, (DType.I32,)),
    rank=1,
    scales=Scales.NONE,
    constant=True,
    table=True,
)

GATHER = OperatorKind(
    code=24,
    name="gather",
    attributes=Gather,
    types=MOVABLE,
    inputs=(MOVED, INDICES),
    output=OF_X_RANK,
    check=_check,
    reference=_reference,
    bound=_bound,
    moves=True,
    selects=always,
)
