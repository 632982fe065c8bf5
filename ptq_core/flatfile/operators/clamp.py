"""clamp: x → y of the same shape and type; int8 also requantizes."""

from __future__ import annotations

from ptq_core.flatfile.operators.attributes import Clamp
from ptq_core.flatfile.operators.call import Call
from ptq_core.flatfile.operators.description import OperatorKind, always
from ptq_core.flatfile.operators.roundoff import Roundoff
from ptq_core.flatfile.tensors import ANY_REAL, Array


def _reference(call: Call[Clamp]) -> Array:
    return call.clamped(call.rescaled(0))


def _bound(_: Clamp, x: list[Array], e: list[Array], y: Array, r: Roundoff) -> Array:
    return e[0]


CLAMP = OperatorKind(
    code=13,
    name="clamp",
    attributes=Clamp,
    types=ANY_REAL,
    same_shape=True,
    reference=_reference,
    bound=_bound,
    identity=lambda a, _: not a.bounds,
    elementwise=True,
    converts=True,
    rescales=always,
    f16_everywhere=True,
)
