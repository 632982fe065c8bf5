"""transpose: y.dims[i] = x.dims[perm[i]]."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ptq_core.flatfile.layout import MAX_RANK
from ptq_core.flatfile.operators.attributes import Attributes, U32s
from ptq_core.flatfile.operators.call import Call
from ptq_core.flatfile.operators.checks import Operator, moved
from ptq_core.flatfile.operators.description import OperatorKind, always
from ptq_core.flatfile.operators.roundoff import Roundoff
from ptq_core.flatfile.tensors import FLOAT_OR_INT8, Array


@dataclass(frozen=True, kw_only=True)
class Transpose(Attributes):
    """y.dims[i] = x.dims[perm[i]]; one entry per dimension."""

    perm: U32s


def _check(c: Operator[Transpose]) -> None:
    x, y = moved(c)
    rank, perm = len(x.dims), c.entries["perm"]
    c.rank("output", y, rank)
    for i in range(MAX_RANK):
        if perm[i] >= rank or perm[i] in perm[:i] if i < rank else perm[i] != 0:
            c.refuse(f"perm[{i}]", perm[i], f"a permutation of {rank} dimensions, 0 beyond")
        if i < rank:
            c.dim("output", y, i, x.dims[perm[i]])
    c.per_tensor("x", x)
    c.same_qparams(x, y)


def _reference(call: Call[Transpose]) -> Array:
    return np.ascontiguousarray(call.value(0).transpose(call.attributes.perm))


def _bound(a: Transpose, x: list[Array], e: list[Array], y: Array, r: Roundoff) -> Array:
    return e[0].transpose(a.perm)


TRANSPOSE = OperatorKind(
    code=14,
    name="transpose",
    attributes=Transpose,
    types=FLOAT_OR_INT8,
    check=_check,
    reference=_reference,
    bound=_bound,
    identity=lambda a, dims: a.perm == tuple(range(len(dims))),
    moves=True,
    permutes=True,
    selects=always,
)
