"""where: a, b, condition bool → y, a where the condition is true and b elsewhere, with numpy broadcasting."""

from __future__ import annotations

import numpy as np

from ptq_core.flatfile.operators.attributes import NoAttributes
from ptq_core.flatfile.operators.call import Call
from ptq_core.flatfile.operators.checks import Operator
from ptq_core.flatfile.operators.description import Operand, OperatorKind, Scales, always
from ptq_core.flatfile.operators.roundoff import Roundoff
from ptq_core.flatfile.tensors import MOVABLE, Array, DType


def _check(c: Operator[NoAttributes]) -> None:
    c.broadcast(*(c.input(i) for i in range(3)))


def _reference(call: Call[NoAttributes]) -> Array:
    return np.asarray(np.where(call.value(2), call.value(0), call.value(1)))


def _bound(_: NoAttributes, x: list[Array], e: list[Array], y: Array, r: Roundoff) -> Array:
    """Where the condition may be another, the other value is as good."""
    chosen = np.where(x[2] != 0, e[0], e[1])
    with np.errstate(invalid="ignore"):
        other = np.abs(x[0] - x[1]) + np.maximum(e[0], e[1])
    return np.where(e[2] > 0, other, chosen)


WHERE = OperatorKind(
    code=34,
    name="where",
    since=lambda _: 4,
    attributes=NoAttributes,
    types=MOVABLE,
    inputs=(
        Operand("a", scales=Scales.OF_OUTPUT),
        Operand("b", scales=Scales.OF_OUTPUT),
        Operand("condition", dict.fromkeys(MOVABLE, (DType.BOOL,)), scales=Scales.NONE, table=True),
    ),
    check=_check,
    reference=_reference,
    bound=_bound,
    elementwise=True,
    selects=always,
)
