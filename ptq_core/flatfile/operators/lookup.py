"""lookup: x i8, table i8 [256] → y = table[x + 128]: a function of one int8 tensor."""

from __future__ import annotations

import numpy as np

from ptq_core.flatfile.operators.attributes import NoAttributes
from ptq_core.flatfile.operators.call import Call
from ptq_core.flatfile.operators.checks import Operator
from ptq_core.flatfile.operators.description import Operand, OperatorKind
from ptq_core.flatfile.tensors import Array, DType


def _check(c: Operator[NoAttributes]) -> None:
    x, table, y = c.input(0), c.input(1), c.output
    c.dtype("x", x, (DType.I8,))
    c.dtype("table", table, (DType.I8,))
    c.dtype("output", y, (DType.I8,))
    c.same_shape(x, y)
    c.rank("table", table, 1)
    c.dim("table", table, 0, 256)
    c.constant("table", table)
    c.per_tensor("x", x)
    c.per_tensor("output", y)
    c.same_qparams(table, y)


def _reference(call: Call[NoAttributes]) -> Array:
    return call.value(1)[call.value(0).astype(np.int32) + 128]


LOOKUP = OperatorKind(
    code=18,
    name="lookup",
    attributes=NoAttributes,
    types=(DType.I8,),
    inputs=(Operand("x"), Operand("table", table=True)),
    check=_check,
    reference=_reference,
    elementwise=True,
)
