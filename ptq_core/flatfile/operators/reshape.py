"""reshape: x, also i32 → y of as many elements; it may share its input's memory."""

from __future__ import annotations

from ptq_core.flatfile.operators.attributes import NoAttributes
from ptq_core.flatfile.operators.call import Call
from ptq_core.flatfile.operators.checks import Operator
from ptq_core.flatfile.operators.description import MOVED, OperatorKind, always
from ptq_core.flatfile.operators.roundoff import Roundoff
from ptq_core.flatfile.refusal import shown
from ptq_core.flatfile.tensors import MOVABLE, Array, DType


def _check(c: Operator[NoAttributes]) -> None:
    x, y = c.input(0), c.output
    if x.elements != y.elements:
        c.refuse(f"output {shown(y.name)}", f"{y.elements} elements", f"as many as the input, {x.elements}")


def _reference(call: Call[NoAttributes]) -> Array:
    return call.value(0).reshape(call.out.dims)


def _bound(_: NoAttributes, x: list[Array], e: list[Array], y: Array, r: Roundoff) -> Array:
    return e[0].reshape(y.shape)


RESHAPE = OperatorKind(
    code=15,
    name="reshape",
    attributes=NoAttributes,
    types=(DType.F16, *MOVABLE),
    inputs=(MOVED,),
    check=_check,
    reference=_reference,
    bound=_bound,
    identity=lambda _a, _d: True,
    moves=True,
    permutes=True,
    same_bytes=True,
    selects=always,
    f16_everywhere=True,
)
