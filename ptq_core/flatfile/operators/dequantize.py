"""dequantize: x i8 → y f32 of the same shape."""

from __future__ import annotations

from collections.abc import Sequence

from ptq_core.flatfile.operators.attributes import NoAttributes
from ptq_core.flatfile.operators.call import Call
from ptq_core.flatfile.operators.description import Operand, OperatorKind
from ptq_core.flatfile.tensors import Array, DType, Tensor
from ptq_core.numerics import reference


def _reference(call: Call[NoAttributes]) -> Array:
    return reference.dequantize(call.value(0), call.qparams(0).scale, call.qparams(0).zero_point)


def _steps(
    _: NoAttributes, inputs: Sequence[Tensor], out: Tensor, x: Sequence[Array], e: Sequence[Array], y: Array
) -> Array:
    qparams = inputs[0].qparams
    assert qparams is not None
    return e[0] * float(qparams.scale)


DEQUANTIZE = OperatorKind(
    code=12,
    name="dequantize",
    attributes=NoAttributes,
    types=(DType.I8,),
    output=Operand("output", {DType.I8: (DType.F32,)}),
    same_shape=True,
    reference=_reference,
    steps=_steps,
    elementwise=True,
    converts=True,
)
