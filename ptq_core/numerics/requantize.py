"""From exact integer sums to int8 with one rounding: the rules of docs/numerics.md, "Requantize"."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

INT8_MIN = -128
INT8_MAX = 127

Array = npt.NDArray[Any]


def multiplier(s_in: np.float32, s_w: Array, s_out: np.float32) -> Array:
    """m = (s_in · s_w) / s_out in float32: two roundings, in this order. ``s_w`` is float32 [O] or [1]."""
    product = np.float32(s_in) * np.asarray(s_w, np.float32)
    return np.asarray(product / np.float32(s_out), np.float32)


def requantize(
    acc: Array, m: Array | np.float32, zero_point: int, q_min: int = INT8_MIN, q_max: int = INT8_MAX
) -> Array:
    """q = sat(rne(float32(acc) · m) + zero_point, q_min, q_max) as int8.

    ``acc`` is int32 of any shape, ``m`` float32 that broadcasts to it (per output channel: the last dimension).
    """
    with np.errstate(over="ignore"):
        scaled = np.rint(acc.astype(np.float32) * m)
    return saturate(scaled, zero_point, q_min, q_max)


def saturate(rounded: Array, zero_point: int, q_min: int = INT8_MIN, q_max: int = INT8_MAX) -> Array:
    """sat(rounded + zero_point, q_min, q_max) as int8; ``rounded`` is float32 with integral values or ±inf."""
    shifted = np.clip(rounded.astype(np.float64) + zero_point, q_min, q_max)
    return shifted.astype(np.int8)


def quantize_bound(bound: float, scale: np.float32, zero_point: int) -> int:
    """sat(rne(bound / scale) + zero_point, −128, 127): a bound in real units as a clamp of the requantizer."""
    with np.errstate(over="ignore"):
        rounded = np.rint(np.float32(bound) / np.float32(scale))
    return int(saturate(np.asarray(rounded, np.float32), zero_point))
