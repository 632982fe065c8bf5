"""softmax: x f32 → y of the same shape, along one axis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from ptq_core.flatfile.operators.attributes import U32, Attributes, Rule
from ptq_core.flatfile.operators.call import Call
from ptq_core.flatfile.operators.description import OperatorKind
from ptq_core.flatfile.operators.roundoff import SLACK, Roundoff
from ptq_core.flatfile.tensors import Array, DType
from ptq_core.numerics import reference


@dataclass(frozen=True, kw_only=True)
class Softmax(Attributes):
    """``axis`` counts from 0 in the stored (NHWC) order."""

    axis: Annotated[U32, Rule.BELOW_RANK]


def _reference(call: Call[Softmax]) -> Array:
    return reference.softmax(call.value(0), call.attributes.axis)


def _bound(a: Softmax, x: list[Array], e: list[Array], y: Array, r: Roundoff) -> Array:
    # exp(x + e) / Σ: numerator and denominator each move by at most a factor exp(max e); x − max is rounded before exp.
    worst = 2 * e[0].max(axis=a.axis, keepdims=True)
    below = x[0].max(axis=a.axis, keepdims=True) - x[0]
    below = np.where(y == 0, 0.0, below)  # behind a mask of −inf
    roundings = r.terms(r.of_sum(y.shape[a.axis])) + SLACK + below
    bound: Array = y * (np.expm1(worst) + roundings * r.unit)
    return bound


def _apart(a: Softmax, rank: int) -> tuple[bool, bool]:
    return a.axis != 1, a.axis != rank - 1


SOFTMAX = OperatorKind(
    code=10,
    name="softmax",
    attributes=Softmax,
    types=(DType.F32,),
    same_shape=True,
    reference=_reference,
    bound=_bound,
    apart=_apart,
)
