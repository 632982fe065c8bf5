"""Ranges to scales, and real numbers to integers: the only place that does either (docs/numerics.md)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]

IntArray = NDArray[Any]
"""int8 for up to 8 bits, int16 for 9–16."""

MIN_SCALE = np.float32(2.0**-100)
"""Smallest scale: far above the subnormals, so that 1/scale and products of two scales stay normal or harmless."""

MAX_BIAS_STEPS = 2.0**30
"""Largest |bias| in steps of its scale: leaves half of int32 to the accumulated products."""


def levels(bits: int) -> int:
    """The largest integer of a symmetric ``bits``-bit range: 127 for 8 bits, and 1 for 2 and for 1 bit.

    The formula 2**(bits−1) − 1 would leave one bit no level but 0.
    """
    return max(1, (1 << (bits - 1)) - 1)


def storage_type(bits: int) -> np.dtype[Any]:
    """The integer type that ``bits`` bits are stored in: int8 up to 8, int16 up to 16."""
    return np.dtype(np.int8 if bits <= 8 else np.int16)


def integer_range(bits: int, *, symmetric: bool) -> tuple[int, int]:
    """(q_min, q_max) of an activation: [−2**(bits−1), 2**(bits−1) − 1], 2**bits integers; one bit symmetric: [−1, 1]."""
    return -(1 << (bits - 1)), levels(bits) if symmetric else (1 << (bits - 1)) - 1


def symmetric_scale(threshold: float, bits: int) -> np.float32:
    """Scale that maps ``threshold`` (> 0, real units) to the largest ``bits``-bit integer; zero point 0.

    A threshold of 0 (a tensor that is zero everywhere) gives 1. Raises ValueError for NaN, infinity or a negative one.
    """
    if not np.isfinite(threshold) or threshold < 0:
        raise ValueError(f"threshold {threshold} is not a finite number >= 0")
    if threshold == 0:
        return np.float32(1)
    return np.float32(max(float(np.float32(threshold) / np.float32(levels(bits))), float(MIN_SCALE)))


def affine_params(low: float, high: float, bits: int, *, symmetric: bool) -> tuple[np.float32, int]:
    """(scale, zero point) for the range [``low``, ``high``] in real units; 0 is always represented exactly.

    Symmetric: scale max(−low, high) / levels, zero point 0. Asymmetric, with low ≤ 0 ≤ high enforced by widening:

        scale      = (high − low) / (q_max − q_min)
        zero point = sat(rne(q_min − low / scale), q_min, q_max)

    in float64, the scale rounded to float32 before it divides. low = high = 0 gives scale 1.
    Raises ValueError for NaN, infinity or low > high.
    """
    if not (np.isfinite(low) and np.isfinite(high)) or low > high:
        raise ValueError(f"[{low}, {high}] is not a finite range")
    low, high = min(low, 0.0), max(high, 0.0)
    if symmetric:
        return symmetric_scale(max(-low, high), bits), 0
    q_min, q_max = integer_range(bits, symmetric=False)
    if low == high:
        return np.float32(1), 0
    scale = np.float32(max((high - low) / (q_max - q_min), float(MIN_SCALE)))
    return scale, int(np.clip(np.rint(q_min - low / float(scale)), q_min, q_max))


def weight_scales(weight: FloatArray, axis: int | None, bits: int) -> FloatArray:
    """Abs-max scales of ``weight``: shape [channels] along ``axis``, or [1] for None.

    With one bit, whose integers are the signs, the scale is mean |w| over the weights that are not 0, the least-squares
    solution (Rastegari et al., XNOR-Net, ECCV 2016, section 3.1). A channel of zeros takes the largest scale of the others
    (1 if all are zero), so that its bias keeps a fine step.
    """
    magnitudes = np.abs(weight)
    over = None if axis is None else tuple(d for d in range(weight.ndim) if d != axis)
    maxima = np.atleast_1d(magnitudes.max(axis=over))
    if bits == 1:
        count = np.atleast_1d((magnitudes > 0).sum(axis=over))
        total = np.atleast_1d(magnitudes.sum(axis=over, dtype=np.float64))
        scales = (total / np.maximum(count, 1)).astype(np.float32)
    else:
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
) -> IntArray:
    """sat(rne(x / scale)) in the symmetric range [−levels, levels]; ``scale`` [channels] runs along ``axis``.

    With one bit: the sign of x, and 0 where x is exactly 0. The result has ``storage_type(bits)``.
    """
    if bits == 1:
        return np.sign(x).astype(np.int8)
    limit = levels(bits)
    steps = np.rint(x / _along(np.asarray(scale, np.float32), axis, x.ndim))
    q: IntArray = np.clip(steps, -limit, limit).astype(storage_type(bits))
    return q


def quantize_affine(x: FloatArray, scale: np.float32, zero_point: int, q_min: int, q_max: int) -> IntArray:
    """sat(rne(x / scale) + zero_point, q_min, q_max), what QuantizeLinear computes; int8 if the bounds fit it, else int16."""
    steps = np.rint(x / np.float32(scale)).astype(np.float64) + zero_point
    q: IntArray = np.clip(steps, q_min, q_max).astype(np.int8 if q_max < 128 else np.int16)
    return q


def quantize_bias(bias: FloatArray, scale: FloatArray) -> NDArray[np.int32]:
    """rne(bias / scale), divided in float64, to int32; both [channels].

    A value beyond int32 saturates; `scales_for_bias` keeps that from happening, and the flat file refuses such a channel.
    """
    steps = np.rint(bias.astype(np.float64) / scale.astype(np.float64))
    return np.clip(steps, -(2.0**31), 2.0**31 - 1).astype(np.int32)


def dequantize(
    q: NDArray[np.integer], scale: FloatArray | np.float32, *, axis: int | None = None
) -> FloatArray:
    """float32(q) · scale, zero point 0; ``scale`` [channels] runs along ``axis``."""
    return (q.astype(np.float32) * _along(np.asarray(scale, np.float32), axis, q.ndim)).astype(np.float32)


def _along(scale: FloatArray, axis: int | None, rank: int) -> FloatArray:
    if axis is None or scale.ndim == 0:
        return scale.reshape(()) if scale.size == 1 else scale
    return scale.reshape([-1 if d == axis else 1 for d in range(rank)])
