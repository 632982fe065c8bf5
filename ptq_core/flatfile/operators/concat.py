"""concat: x0, x1, … → y along one axis; int8 requantizes each input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from ptq_core.flatfile.operators.attributes import U32, Clamp, Rule
from ptq_core.flatfile.operators.call import Call
from ptq_core.flatfile.operators.checks import Operator
from ptq_core.flatfile.operators.description import OF_X, OF_X_RANK, Operand, OperatorKind, always
from ptq_core.flatfile.operators.roundoff import Roundoff
from ptq_core.flatfile.tensors import MOVABLE, Array, DType


@dataclass(frozen=True, kw_only=True)
class Concat(Clamp):
    """``axis`` counts from 0 in the stored (NHWC) order."""

    axis: Annotated[U32, Rule.BELOW_RANK]


def _check(c: Operator[Concat]) -> None:
    y, axis, total = c.output, c.attributes.axis, 0
    for i in range(len(c.inputs)):
        x = c.input(i)
        for d, size in enumerate(y.dims):
            if d != axis:
                c.dim("x", x, d, size)
        total += x.dims[axis]
    c.dim("output", y, axis, total)


def _reference(call: Call[Concat]) -> Array:
    parts = [call.rescaled(i) for i in range(len(call.values))]
    return call.clamped(np.concatenate(parts, call.attributes.axis))


def _bound(a: Concat, x: list[Array], e: list[Array], y: Array, r: Roundoff) -> Array:
    return np.concatenate(e, a.axis)


def _apart(a: Concat, rank: int) -> tuple[bool, bool]:
    return a.axis != 1, a.axis != rank - 1


CONCAT = OperatorKind(
    code=9,
    name="concat",
    attributes=Concat,
    types=(DType.F16, *MOVABLE),
    inputs=(Operand("x", rank=OF_X, many=True),),
    output=OF_X_RANK,
    check=_check,
    reference=_reference,
    bound=_bound,
    identity=lambda a, _: not a.bounds,
    moves=True,
    apart=_apart,
    selects=always,
    rescales=always,
    f16_everywhere=True,
)
