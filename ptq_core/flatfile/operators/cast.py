"""cast: x → y of another type and the same shape, values that stand for themselves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ptq_core.flatfile.operators.attributes import NoAttributes
from ptq_core.flatfile.operators.call import Call
from ptq_core.flatfile.operators.description import Operand, OperatorKind, Scales
from ptq_core.flatfile.operators.roundoff import UNITS
from ptq_core.flatfile.tensors import INTEGERS, UNSCALED, Array, DType, Tensor


def _cast(x: Array, dtype: DType) -> Array:
    """Floats are rounded towards 0 and saturate, no number is 0; integers lose their high bits."""
    if x.dtype.kind != "f" or dtype not in INTEGERS:
        with np.errstate(over="ignore"):
            return x.astype(dtype.numpy)
    whole, (low, high) = np.trunc(x.astype(np.float64)), _range(dtype)
    inside = (whole >= low) & (whole < high)
    ends = np.where(whole >= high, np.iinfo(dtype.numpy).max, np.iinfo(dtype.numpy).min)
    y = np.where(inside, np.where(inside, whole, 0).astype(dtype.numpy), ends.astype(dtype.numpy))
    return np.where(np.isnan(whole), 0, y).astype(dtype.numpy)


def _range(dtype: DType) -> tuple[float, float]:
    """The least integer, and the one behind the largest."""
    info = np.iinfo(dtype.numpy)
    return float(info.min), float(int(info.max) + 1)


def _reference(call: Call[NoAttributes]) -> Array:
    return _cast(call.value(0), call.out.dtype)


def _steps(
    _: NoAttributes, inputs: Sequence[Tensor], out: Tensor, x: Sequence[Array], e: Sequence[Array], y: Array
) -> Array:
    """What the ends of the interval become; ONNX defines nothing for floats beyond an integer's range."""
    exact, wide = x[0].astype(np.float64), y.astype(np.float64)
    with np.errstate(all="ignore"):
        ends = [exact - e[0], exact + e[0]]
        low_end, high_end = (_cast(end, out.dtype).astype(np.float64) for end in ends)
        apart = np.abs(high_end - low_end)
    steps = np.where(e[0] > 0, apart, 0.0)
    if out.dtype == DType.BOOL:
        steps = np.where((e[0] > 0) & (np.abs(exact) <= e[0]), 1.0, steps)
    if out.dtype == DType.F32:
        return np.where(e[0] > 0, steps + 2 * UNITS[DType.F32] * np.abs(wide), 0.0)
    if out.dtype in INTEGERS and x[0].dtype.kind == "f":
        low, high = _range(out.dtype)
        return np.where((ends[0] > low - 1) & (ends[1] < high), steps, np.inf)
    return steps


CAST = OperatorKind(
    code=32,
    name="cast",
    since=lambda _: 4,
    attributes=NoAttributes,
    types=UNSCALED,
    output=Operand("output", {x: tuple(y for y in UNSCALED if y != x) for x in UNSCALED}, scales=Scales.NONE),
    same_shape=True,
    reference=_reference,
    steps=_steps,
    elementwise=True,
)
