"""Functions of one tensor, reductions and resizing on NumPy arrays in NHWC; the rules are those of docs/numerics.md.

Functions that are written with +, · and comparisons compute in the type of x, so that float32 rounds at every step; the
transcendental ones give float64, which the caller rounds once. Faster kernels are compared with that, and the lookup
tables of int8 are made of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ptq_core.numerics.reference import dequantize, quantize
from ptq_core.numerics.requantize import requantize

Array = npt.NDArray[Any]
F32 = np.float32


def hard_sigmoid(x: Array, alpha: float, beta: float) -> Array:
    """max(0, min(1, alpha · x + beta)) in x's type."""
    return np.asarray(np.clip(F32(alpha) * x + F32(beta), F32(0), F32(1)))


def hard_swish(x: Array) -> Array:
    """x · max(0, min(1, x / 6 + 0.5)) in x's type, with the division as ONNX has it: a product with float32(1/6)."""
    return np.asarray(x * hard_sigmoid(x, 1 / 6, 0.5))


def sigmoid(x: Array) -> Array:
    """1 / (1 + e^−x) in float64, without overflow."""
    x = x.astype(np.float64)
    small = np.exp(-np.abs(x))
    return np.asarray(np.where(x >= 0, 1.0, small) / (1.0 + small))


def softplus(x: Array) -> Array:
    """log(1 + e^x) in float64, without overflow."""
    x = x.astype(np.float64)
    return np.asarray(np.maximum(x, 0.0) + np.log1p(np.exp(-np.abs(x))))


def erf(x: Array) -> Array:
    """The error function in float64; NumPy has none."""
    flat = [math.erf(value) for value in x.astype(np.float64).reshape(-1)]
    return np.asarray(flat, np.float64).reshape(x.shape)


def mish(x: Array) -> Array:
    """x · tanh(softplus(x)) in float64."""
    return np.asarray(x.astype(np.float64) * np.tanh(softplus(x)))


def gelu(x: Array) -> Array:
    """x / 2 · (1 + erf(x / √2)) in float64."""
    wide = x.astype(np.float64)
    return np.asarray(wide / 2 * (1 + erf(wide / math.sqrt(2))))


def silu(x: Array) -> Array:
    """x · sigmoid(x) in float64."""
    return np.asarray(x.astype(np.float64) * sigmoid(x))


def elu(x: Array, alpha: float) -> Array:
    """x where it is positive, else alpha · (e^x − 1), in float64."""
    wide = x.astype(np.float64)
    return np.where(wide < 0, float(F32(alpha)) * np.expm1(np.minimum(wide, 0)), wide)


def leaky_relu(x: Array, alpha: float) -> Array:
    """x where it is not negative, else alpha · x, in x's type."""
    return np.where(x < 0, F32(alpha) * x, x)


REDUCTIONS: dict[str, Callable[..., Any]] = {
    "mean": np.mean,
    "sum": np.sum,
    "max": np.max,
    "min": np.min,
    "prod": np.prod,
    "l2": lambda x, **keys: np.sqrt(np.sum(x * x, **keys)),
}


def reduce(x: Array, function: str, axes: tuple[int, ...]) -> Array:
    """``x`` with ``axes`` reduced to 1 by a row of REDUCTIONS; float32 from float64, int8 (max, min) as it is."""
    wide = x if x.dtype == np.int8 else x.astype(np.float64)
    return np.asarray(REDUCTIONS[function](wide, axis=axes, keepdims=True), x.dtype)


def reduce_mean_i8(
    x: Array, axes: tuple[int, ...], s_in: np.float32, z_in: int, s_out: np.float32, z_out: int
) -> Array:
    """q = sat(rne(float32(Σ (x − z_in)) · (s_in / (s_out · float32(n)))) + z_out), n elements per sum. Clamp afterwards."""
    sums = (x.astype(np.int64) - z_in).sum(axis=axes, keepdims=True).astype(np.int32)
    n = F32(math.prod(x.shape[i] for i in axes))
    return requantize(sums, F32(s_in) / (F32(s_out) * n), z_out)


def coordinates(mode: str, size: int, outputs: int, scale: float) -> Array:
    """Where each of ``outputs`` pixels lies in a dimension of ``size``, float32 [outputs]; ``mode`` is ONNX's name."""
    i, s = np.arange(outputs, dtype=F32), F32(scale)
    if mode == "asymmetric":
        return np.asarray(i / s, F32)
    if mode == "align_corners":
        return (
            np.zeros(outputs, F32) if outputs == 1 else np.asarray(i * F32(size - 1) / F32(outputs - 1), F32)
        )
    if mode == "pytorch_half_pixel" and outputs == 1:
        return np.zeros(1, F32)
    return np.asarray((i + F32(0.5)) / s - F32(0.5), F32)


def nearest_indices(places: Array, rounding: str, size: int) -> Array:
    """The pixel of a dimension of ``size`` that is nearest to each of ``places``; ``rounding`` is ONNX's name."""
    low = np.floor(places)
    part = places - low
    up = {
        "round_prefer_floor": part > 0.5,
        "round_prefer_ceil": part >= 0.5,
        "floor": np.zeros(places.shape, bool),
        "ceil": part > 0,
    }[rounding]
    return np.asarray(np.clip(low.astype(np.int64) + up, 0, size - 1))


def neighbours(places: Array, size: int) -> tuple[Array, Array, Array, Array]:
    """(index before, its weight, index behind, its weight) of each of ``places``; weights are float32.

    Where both are the same pixel (the last one), each has the weight 0.5, as in onnxruntime.
    """
    inside = np.clip(places, F32(0), F32(size - 1))
    before = np.floor(inside).astype(np.int64)
    behind = np.minimum(before + 1, size - 1)
    same = before == behind
    weight_behind = np.where(same, F32(0.5), inside - before.astype(F32))
    weight_before = np.where(same, F32(0.5), behind.astype(F32) - inside)
    return before, np.asarray(weight_before, F32), behind, np.asarray(weight_behind, F32)


def resize_linear(x: Array, rows: Array, columns: Array) -> Array:
    """[N,OH,OW,C] of x's type from ``x`` float [N,H,W,C] at the places ``rows`` [OH] × ``columns`` [OW].

    ((a · w_a + b · w_b) + c · w_c) + d · w_d for the pixels left above, right above, left below and right below.
    """
    top, w_top, bottom, w_bottom = neighbours(rows, x.shape[1])
    left, w_left, right, w_right = neighbours(columns, x.shape[2])

    def tap(row: Array, w_row: Array, column: Array, w_column: Array) -> Array:
        weights = (w_column[None, :] * w_row[:, None])[None, :, :, None]
        return np.asarray(x[:, row][:, :, column] * weights, x.dtype)

    above = tap(top, w_top, left, w_left) + tap(top, w_top, right, w_right)
    return np.asarray((above + tap(bottom, w_bottom, left, w_left)) + tap(bottom, w_bottom, right, w_right))


def resize_linear_i8(
    x: Array, rows: Array, columns: Array, s_in: np.float32, z_in: int, s_out: np.float32, z_out: int
) -> Array:
    """Dequantize, `resize_linear`, quantize. Clamp afterwards."""
    return quantize(resize_linear(dequantize(x, F32(s_in), z_in), rows, columns), F32(s_out), z_out)


def resize_nearest(x: Array, rows: Array, columns: Array, rounding: str) -> Array:
    """[N,OH,OW,C] from ``x`` [N,H,W,C] of any type at the places ``rows`` [OH] × ``columns`` [OW]."""
    picked = x[:, nearest_indices(rows, rounding, x.shape[1])]
    return np.asarray(picked[:, :, nearest_indices(columns, rounding, x.shape[2])])
