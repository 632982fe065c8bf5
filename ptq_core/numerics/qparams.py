"""Ranges to scales, and real numbers to integers: the only place that does either (docs/numerics.md)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]

MIN_SCALE = np.float32(2.0**-100)
"""Smallest scale: far above the subnormals, so that 1/scale and products of two scales stay normal or harmless."""

MAX_BIAS_STEPS = 2.0**30
"""Largest |bias| in steps of its scale: leaves half of int32 to the accumulated products."""


def levels(bits: int) -> int:
    """The largest integer of a symmetric ``bits``-bit range: 127 for 8 bits."""
    return int(2 ** (bits - 1)) - 1


def symmetric_scale(threshold: float, bits: int) -> np.float32:
    """Scale that maps ``threshold`` (> 0, real units) to the largest ``bits``-bit integer; zero point 0.

    A threshold of 0 (a tensor that is zero everywhere) gives 1. Raises ValueError for NaN, infinity or a negative one.
    """
    if not np.isfinite(threshold) or threshold < 0:
        raise ValueError(f"threshold {threshold} is not a finite number >= 0")
    if threshold == 0:
        return np.float32(1)
    return np.float32(max(float(np.float32(threshold) / np.float32(levels(bits))), float(MIN_SCALE)))


def weight_scales(weight: FloatArray, axis: int | None, bits: int) -> FloatArray:
    """Abs-max scales of ``weight``: shape [channels] along ``axis``, or [1] for None.

    A channel of zeros takes the largest scale of the others (1 if all are zero), so that its bias keeps a fine step.
    """
    if axis is None:
        maxima = np.abs(weight).max(keepdims=True).reshape(1)
    else:
        maxima = np.abs(weight).max(axis=tuple(d for d in range(weight.ndim) if d != axis))
    scales = (maxima.astype(np.float32) / np.float32(levels(bits))).astype(np.float32)
    scales[maxima == 0] = scales.max() if scales.max() > 0 else 1
    raised: FloatArray = np.maximum(scales, MIN_SCALE)
    return raised


def scales_for_bias(scales: FloatArray, input_scale: np.float32, bias: FloatArray) -> FloatArray:
    """Weight ``scales`` [channels] raised where ``bias`` [channels] would not fit int32 in steps of input_scale · scale."""
    needed = (np.abs(bias).astype(np.float64) / (float(input_scale) * MAX_BIAS_STEPS)).astype(np.float32)
    raised: FloatArray = np.maximum(scales, needed)
    return raised


def quantize(
    x: FloatArray, scale: FloatArray | np.float32, *, axis: int | None = None, bits: int = 8
) -> NDArray[np.int8]:
    """sat(rne(x / scale)) to int8, symmetric range of ``bits`` bits; ``scale`` [channels] runs along ``axis``."""
    limit = levels(bits)
    steps = np.rint(x / _along(np.asarray(scale, np.float32), axis, x.ndim))
    q: NDArray[np.int8] = np.clip(steps, -limit, limit).astype(np.int8)
    return q


def quantize_bias(bias: FloatArray, scale: FloatArray) -> NDArray[np.int32]:
    """rne(bias / scale) to int32; both [channels]. Raises OverflowError if a value does not fit."""
    steps = np.rint(bias.astype(np.float64) / scale.astype(np.float64))
    if np.abs(steps).max(initial=0) > 2.0**31 - 1:
        raise OverflowError("bias does not fit int32")
    return steps.astype(np.int32)


def dequantize(
    q: NDArray[np.integer], scale: FloatArray | np.float32, *, axis: int | None = None
) -> FloatArray:
    """float32(q) · scale, zero point 0; ``scale`` [channels] runs along ``axis``."""
    return (q.astype(np.float32) * _along(np.asarray(scale, np.float32), axis, q.ndim)).astype(np.float32)


def _along(scale: FloatArray, axis: int | None, rank: int) -> FloatArray:
    if axis is None or scale.ndim == 0:
        return scale.reshape(()) if scale.size == 1 else scale
    return scale.reshape([-1 if d == axis else 1 for d in range(rank)])
