"""dilate: x with step − 1 fillers between neighbours of each dimension."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from ptq_core.flatfile.operators.attributes import Filled, Range, U32s
from ptq_core.flatfile.operators.call import Call
from ptq_core.flatfile.operators.checks import Operator
from ptq_core.flatfile.operators.description import MOVED, OF_X_RANK, OperatorKind, always
from ptq_core.flatfile.operators.roundoff import Roundoff
from ptq_core.flatfile.tensors import MOVABLE, Array


@dataclass(frozen=True, kw_only=True)
class Dilate(Filled):
    """step − 1 fillers between neighbours, one step per dimension."""

    step: Annotated[U32s, Range(1, 2**32 - 1)]


def _check(c: Operator[Dilate]) -> None:
    x, a = c.input(0), c.attributes
    for d, step in enumerate(a.step):
        c.dim("output", c.output, d, (x.dims[d] - 1) * step + 1)
    c.filler(x.dtype, a.value, a.q_value)


def _dilated(x: Array, step: tuple[int, ...], fill: float) -> Array:
    y = np.full([(d - 1) * s + 1 for d, s in zip(x.shape, step, strict=True)], fill, x.dtype)
    y[tuple(slice(None, None, s) for s in step)] = x
    return y


def _reference(call: Call[Dilate]) -> Array:
    a = call.attributes
    return _dilated(call.value(0), a.step, call.filler)


def _bound(a: Dilate, x: list[Array], e: list[Array], y: Array, r: Roundoff) -> Array:
    return _dilated(e[0], a.step, 0.0)


DILATE = OperatorKind(
    code=26,
    name="dilate",
    attributes=Dilate,
    types=MOVABLE,
    inputs=(MOVED,),
    output=OF_X_RANK,
    check=_check,
    reference=_reference,
    bound=_bound,
    identity=lambda _a, _d: True,
    moves=True,
    selects=always,
)
