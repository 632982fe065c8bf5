"""arg_max: x → y i32, the index of the largest element along one axis."""

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
class ArgMax(Attributes):
    """``axis`` counts from 0 in the stored order; ``select_last`` 1 takes the last of equal maxima."""

    axis: Annotated[U32, Rule.BELOW_RANK]
    select_last: Annotated[U32, FLAG] = 0


def _check(c: Operator[ArgMax]) -> None:
    x, y, a = c.input(0), c.output, c.attributes
    for axis, size in enumerate(x.dims):
        c.dim("output", y, axis, 1 if axis == a.axis else size)


def _reference(call: Call[ArgMax]) -> Array:
    x, axis = call.value(0), call.attributes.axis
    if not call.attributes.select_last:
        return np.asarray(np.argmax(x, axis=axis, keepdims=True), np.int32)
    backwards = np.argmax(np.flip(x, axis), axis=axis, keepdims=True)
    return np.asarray(x.shape[axis] - 1 - backwards, np.int32)


def _steps(
    a: ArgMax, inputs: Sequence[Tensor], out: Tensor, x: Sequence[Array], e: Sequence[Array], y: Array
) -> Array:
    """Any place whose value may be the largest."""
    if not e[0].any():
        return np.zeros(y.shape)
    values = x[0].astype(np.float64)
    places = np.arange(values.shape[a.axis]).reshape([-1 if i == a.axis else 1 for i in range(values.ndim)])
    may_win = values + e[0] >= (values - e[0]).max(axis=a.axis, keepdims=True)
    apart = np.where(may_win, np.abs(places - y), 0)
    return np.asarray(apart.max(axis=a.axis, keepdims=True), np.float64)


ARG_MAX = OperatorKind(
    code=27,
    name="arg_max",
    attributes=ArgMax,
    types=ORDERED,
    output=Operand("output", dict.fromkeys(ORDERED, (DType.I32,)), rank=OF_X, scales=Scales.NONE),
    check=_check,
    reference=_reference,
    steps=_steps,
    reads_order=True,
)
