"""convert: x f32 → y f16, or x f16 → y f32, of the same shape; to the nearest, ties to even, from 65520 on infinity."""

from __future__ import annotations

from ptq_core.flatfile.operators.attributes import NoAttributes
from ptq_core.flatfile.operators.call import Call
from ptq_core.flatfile.operators.description import Operand, OperatorKind
from ptq_core.flatfile.operators.roundoff import Roundoff
from ptq_core.flatfile.tensors import FLOATS, Array, DType


def _reference(call: Call[NoAttributes]) -> Array:
    return call.value(0)  # who calls it widens and rounds


def _bound(_: NoAttributes, x: list[Array], e: list[Array], y: Array, r: Roundoff) -> Array:
    return e[0]


CONVERT = OperatorKind(
    code=29,
    name="convert",
    since=lambda _: 3,
    attributes=NoAttributes,
    types=FLOATS,
    output=Operand("output", {DType.F32: (DType.F16,), DType.F16: (DType.F32,)}),
    same_shape=True,
    reference=_reference,
    bound=_bound,
    elementwise=True,
    converts=True,
    f16_everywhere=True,
)
