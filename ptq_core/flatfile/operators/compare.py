"""compare: a, b → y bool with numpy broadcasting."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from ptq_core.flatfile.operators.attributes import U32, Attributes, Named
from ptq_core.flatfile.operators.call import Call
from ptq_core.flatfile.operators.checks import Operator
from ptq_core.flatfile.operators.description import Operand, OperatorKind, Scales
from ptq_core.flatfile.tensors import UNSCALED, Array, DType, Tensor


class Comparison(enum.IntEnum):
    """What is true where y is."""

    EQUAL = 0
    NOT_EQUAL = 1
    LESS = 2
    LESS_OR_EQUAL = 3


@dataclass(frozen=True, kw_only=True)
class Compare(Attributes):
    """``comparison`` is of a with b."""

    comparison: Annotated[U32, Named(Comparison)]


FUNCTIONS: dict[Comparison, Callable[[Array, Array], Array]] = {
    Comparison.EQUAL: np.equal,
    Comparison.NOT_EQUAL: np.not_equal,
    Comparison.LESS: np.less,
    Comparison.LESS_OR_EQUAL: np.less_equal,
}


def _check(c: Operator[Compare]) -> None:
    c.broadcast(c.input(0), c.input(1))


def _reference(call: Call[Compare]) -> Array:
    return np.asarray(FUNCTIONS[Comparison(call.attributes.comparison)](call.value(0), call.value(1)))


def _steps(
    _: Compare, inputs: Sequence[Tensor], out: Tensor, x: Sequence[Array], e: Sequence[Array], y: Array
) -> Array:
    """Either may be right where the operands are as close as they are inexact."""
    inexact = e[0] + e[1]
    with np.errstate(invalid="ignore"):
        near = np.abs(x[0].astype(np.float64) - x[1].astype(np.float64)) <= inexact
    return np.broadcast_to((near & (inexact > 0)).astype(np.float64), y.shape)


COMPARE = OperatorKind(
    code=33,
    name="compare",
    since=lambda _: 4,
    attributes=Compare,
    types=UNSCALED,
    inputs=(Operand("a"), Operand("b")),
    output=Operand("output", dict.fromkeys(UNSCALED, (DType.BOOL,)), scales=Scales.NONE),
    check=_check,
    reference=_reference,
    steps=_steps,
    elementwise=True,
)
