"""quantize: x f32 → y i8 of the same shape."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ptq_core.flatfile.operators.attributes import NoAttributes
from ptq_core.flatfile.operators.call import Call
from ptq_core.flatfile.operators.description import Operand, OperatorKind
from ptq_core.flatfile.operators.roundoff import UNITS
from ptq_core.flatfile.tensors import Array, DType, Tensor
from ptq_core.numerics import reference


def _reference(call: Call[NoAttributes]) -> Array:
    return reference.quantize(call.value(0), call.out_qparams.scale, call.out_qparams.zero_point)


def _steps(
    _: NoAttributes, inputs: Sequence[Tensor], out: Tensor, x: Sequence[Array], e: Sequence[Array], y: Array
) -> Array:
    assert out.qparams is not None
    exact = x[0].astype(np.float64)
    wide = np.where(e[0] > 0, e[0] + 2 * UNITS[DType.F32] * np.abs(exact), 0.0)
    with np.errstate(invalid="ignore"):
        least, most = (
            np.clip(np.rint(end / float(out.qparams.scale)) + out.qparams.zero_point, -128, 127)
            for end in (exact - wide, exact + wide)
        )
        steps = most - least
    return np.where(wide > 0, np.nan_to_num(steps, nan=np.inf), 0.0)


QUANTIZE = OperatorKind(
    code=11,
    name="quantize",
    attributes=NoAttributes,
    types=(DType.F32,),
    output=Operand("output", {DType.F32: (DType.I8,)}),
    same_shape=True,
    reference=_reference,
    steps=_steps,
    elementwise=True,
    converts=True,
)
