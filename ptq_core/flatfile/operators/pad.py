"""pad: y.dims[i] = before[i] + x.dims[i] + after[i], filled with a constant."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ptq_core.flatfile.operators.attributes import Filled, U32s
from ptq_core.flatfile.operators.call import Call
from ptq_core.flatfile.operators.checks import Operator
from ptq_core.flatfile.operators.description import MOVED, OF_X_RANK, OperatorKind, always
from ptq_core.flatfile.operators.roundoff import Roundoff
from ptq_core.flatfile.tensors import MOVABLE, Array


@dataclass(frozen=True, kw_only=True)
class Pad(Filled):
    """Elements added before and after, one entry per dimension."""

    before: U32s
    after: U32s


def _check(c: Operator[Pad]) -> None:
    x, a = c.input(0), c.attributes
    for d, (before, after) in enumerate(_widths(a)):
        c.dim("output", c.output, d, before + x.dims[d] + after)
    c.filler(x.dtype, a.value, a.q_value)


def _widths(a: Pad) -> tuple[tuple[int, int], ...]:
    return tuple(zip(a.before, a.after, strict=True))


def _reference(call: Call[Pad]) -> Array:
    a = call.attributes
    return np.pad(call.value(0), _widths(a), constant_values=call.filler)


def _bound(a: Pad, x: list[Array], e: list[Array], y: Array, r: Roundoff) -> Array:
    return np.pad(e[0], _widths(a))


PAD = OperatorKind(
    code=16,
    name="pad",
    attributes=Pad,
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
