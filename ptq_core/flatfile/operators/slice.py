"""slice: y[i] = x[start + i · step] in each dimension; steps may be negative."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ptq_core.flatfile.operators.attributes import Attributes, I32s
from ptq_core.flatfile.operators.call import Call
from ptq_core.flatfile.operators.checks import Operator
from ptq_core.flatfile.operators.description import MOVED, OF_X_RANK, OperatorKind, always
from ptq_core.flatfile.operators.roundoff import Roundoff
from ptq_core.flatfile.tensors import MOVABLE, Array


@dataclass(frozen=True, kw_only=True)
class Slice(Attributes):
    """y[i] = x[start + i · step], one entry per dimension; the output's dims say how many."""

    start: I32s
    step: I32s


def _check(c: Operator[Slice]) -> None:
    x, y, a = c.input(0), c.output, c.attributes
    for d, (start, step) in enumerate(zip(a.start, a.step, strict=True)):
        if step == 0:
            c.refuse(f"step[{d}]", 0, "not 0")
        last = start + (y.dims[d] - 1) * step
        if not (0 <= start < x.dims[d] and 0 <= last < x.dims[d]):
            c.refuse(f"start[{d}], step[{d}]", f"reads {start} … {last}", f"a dimension of {x.dims[d]}")


def _picked(x: Array, a: Slice, dims: tuple[int, ...]) -> Array:
    """y of ``dims``."""
    for axis, (first, stride, count) in enumerate(zip(a.start, a.step, dims, strict=True)):
        x = x.take(first + stride * np.arange(count), axis)
    return x


def _reference(call: Call[Slice]) -> Array:
    return _picked(call.value(0), call.attributes, call.out.dims)


def _bound(a: Slice, x: list[Array], e: list[Array], y: Array, r: Roundoff) -> Array:
    return _picked(e[0], a, y.shape)


def _is_identity(a: Slice, dims: tuple[int, ...]) -> bool:
    return all(step > 0 or d == 1 for step, d in zip(a.step, dims, strict=True))


SLICE = OperatorKind(
    code=23,
    name="slice",
    attributes=Slice,
    types=MOVABLE,
    inputs=(MOVED,),
    output=OF_X_RANK,
    check=_check,
    reference=_reference,
    bound=_bound,
    identity=_is_identity,
    moves=True,
    selects=always,
)
