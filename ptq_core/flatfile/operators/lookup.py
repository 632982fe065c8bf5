"""lookup: x i8, table i8 [256] → y = table[x + 128]: a function of one int8 tensor."""

from __future__ import annotations

import numpy as np

from ptq_core.flatfile.operators.attributes import NoAttributes
from ptq_core.flatfile.operators.call import Call
from ptq_core.flatfile.operators.checks import Operator
from ptq_core.flatfile.operators.description import Operand, OperatorKind, Scales
from ptq_core.flatfile.tensors import Array, DType


def _check(c: Operator[NoAttributes]) -> None:
    c.dim("table", c.input(1), 0, 256)


def _reference(call: Call[NoAttributes]) -> Array:
    return call.value(1)[call.value(0).astype(np.int32) + 128]


LOOKUP = OperatorKind(
    code=18,
    name="lookup",
    attributes=NoAttributes,
    types=(DType.I8,),
    inputs=(Operand("x"), Operand("table", rank=1, scales=Scales.OF_OUTPUT, constant=True, table=True)),
    same_shape=True,
    check=_check,
    reference=_reference,
    elementwise=True,
)
