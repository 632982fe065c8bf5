"""transpose: y.dims[i] = x.dims[perm[i]]."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from ptq_core.flatfile.operators.attributes import Attributes, Rule, U32s
from ptq_core.flatfile.operators.call import Call
from ptq_core.flatfile.operators.checks import Operator
from ptq_core.flatfile.operators.description import MOVED, OF_X_RANK, OperatorKind, always
from ptq_core.flatfile.operators.roundoff import Roundoff
from ptq_core.flatfile.tensors import MOVABLE, Array


@dataclass(frozen=True, kw_only=True)
class Transpose(Attributes):
    """y.dims[i] = x.dims[perm[i]]; one entry per dimension."""

    perm: Annotated[U32s, Rule.BELOW_RANK]


def _check(c: Operator[Transpose]) -> None:
    perm = c.attributes.perm
    for i, axis in enumerate(perm):
        if axis in perm[:i]:
            c.refuse(f"perm[{i}]", axis, "a permutation of the dimensions")
        c.dim("output", c.output, i, c.input(0).dims[axis])


def _reference(call: Call[Transpose]) -> Array:
    return np.ascontiguousarray(call.value(0).transpose(call.attributes.perm))


def _bound(a: Transpose, x: list[Array], e: list[Array], y: Array, r: Roundoff) -> Array:
    return e[0].transpose(a.perm)


TRANSPOSE = OperatorKind(
    code=14,
    name="transpose",
    attributes=Transpose,
    types=MOVABLE,
    inputs=(MOVED,),
    output=OF_X_RANK,
    check=_check,
    reference=_reference,
    bound=_bound,
    identity=lambda a, dims: a.perm == tuple(range(len(dims))),
    moves=True,
    permutes=True,
    selects=always,
)
