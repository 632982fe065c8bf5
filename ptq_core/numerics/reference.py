"""Every operator of the flat format, slow and readable, on NumPy arrays in NHWC; the rules are those of docs/numerics.md.

Functions named `*_i8` take int8 and are exact; the others take float32 and sum in float64, so that their result is
the value which float kernels are compared with. Windows are given as ``stride`` (h, w), ``dilation`` (h, w) and ``pads``
(top, left, bottom, right) in elements.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ptq_core.numerics.requantize import INT8_MAX, INT8_MIN, requantize, saturate

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Window:
    """How a kernel of ``kernel`` (h, w) elements slides over a picture."""

    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        """(OH, OW) = floor((size + pads − (kernel − 1) · dilation − 1) / stride) + 1."""
        top, left, bottom, right = self.pads
        sizes = (height + top + bottom, width + left + right)
        return (
            (sizes[0] - (self.kernel[0] - 1) * self.dilation[0] - 1) // self.stride[0] + 1,
            (sizes[1] - (self.kernel[1] - 1) * self.dilation[1] - 1) // self.stride[1] + 1,
        )

    def taps(self, x: Array, fill: float) -> Iterator[tuple[int, int, Array]]:
        """Yield (kh, kw, values [N,OH,OW,C]) for each kernel position; ``x`` is [N,H,W,C], padded with ``fill``."""
        top, left, bottom, right = self.pads
        oh, ow = self.output_size(x.shape[1], x.shape[2])
        padded = x
        if any(self.pads):  # by hand: np.pad takes longer than the sums of a small convolution
            n, height, width, channels = x.shape
            padded = np.full((n, top + height + bottom, left + width + right, channels), fill, x.dtype)
            padded[:, top : top + height, left : left + width] = x
        for kh in range(self.kernel[0]):
            for kw in range(self.kernel[1]):
                h, w = kh * self.dilation[0], kw * self.dilation[1]
                rows = slice(h, h + (oh - 1) * self.stride[0] + 1, self.stride[0])
                columns = slice(w, w + (ow - 1) * self.stride[1] + 1, self.stride[1])
                yield kh, kw, padded[:, rows, columns, :]


def conv2d_sums(x: Array, w: Array, window: Window, groups: int) -> Array:
    """Σ x · w as float64 [N,OH,OW,O]; ``x`` float64 [N,H,W,C], ``w`` [O,KH,KW,C/groups]. Exact for integers below 2^53."""
    n, height, width, channels = x.shape
    outputs = w.shape[0]
    oh, ow = window.output_size(height, width)
    weights = w.astype(np.float64)
    sums = np.zeros((n, oh, ow, outputs))
    for kh, kw, values in window.taps(x, 0.0):
        tap = weights[:, kh, kw, :]
        if groups == channels and outputs == channels:
            sums += values * tap[:, 0]
            continue
        for group in range(groups):
            inside = slice(group * channels // groups, (group + 1) * channels // groups)
            outside = slice(group * outputs // groups, (group + 1) * outputs // groups)
            sums[..., outside] += values[..., inside] @ tap[outside].T
    return sums


def conv2d(
    x: Array, w: Array, bias: Array | None, window: Window, groups: int, lo: float, hi: float
) -> Array:
    """float32 convolution [N,OH,OW,O], rounded once from the float64 sum."""
    sums = conv2d_sums(x.astype(np.float64), w, window, groups)
    return clamp(_with_bias(sums, bias).astype(np.float32), lo, hi)


def conv2d_i8_sums(x: Array, z_in: int, w: Array, bias: Array | None, window: Window, groups: int) -> Array:
    """acc = Σ (x − z_in) · w + bias, exact, int32 [N,OH,OW,O]; padding counts as z_in."""
    return _int32(_with_bias(conv2d_sums(x.astype(np.float64) - z_in, w, window, groups), bias))


def fully_connected(x: Array, w: Array, bias: Array | None, lo: float, hi: float) -> Array:
    """float32 [N,O] = ``x`` [N,K] · ``w`` [O,K]ᵀ + ``bias`` [O], rounded once from the float64 sum."""
    sums = x.astype(np.float64) @ w.astype(np.float64).T
    return clamp(_with_bias(sums, bias).astype(np.float32), lo, hi)


def fully_connected_i8_sums(x: Array, z_in: int, w: Array, bias: Array | None) -> Array:
    """acc = Σ (x − z_in) · w + bias, exact, int32 [N,O]."""
    return _int32(_with_bias((x.astype(np.float64) - z_in) @ w.astype(np.float64).T, bias))


def matmul(a: Array, b: Array, lo: float, hi: float) -> Array:
    """float32 [..., M, N] = ``a`` [..., M, K] · ``b`` [..., K, N], rounded once from the float64 sum."""
    return clamp((a.astype(np.float64) @ b.astype(np.float64)).astype(np.float32), lo, hi)


def matmul_i8_sums(a: Array, z_a: int, b: Array, z_b: int) -> Array:
    """acc = Σ (a − z_a) · (b − z_b), exact, int32 [..., M, N]."""
    return _int32((a.astype(np.float64) - z_a) @ (b.astype(np.float64) - z_b))


def scale_sums(acc: Array, s_in: np.float32, s_w: Array, lo: float, hi: float) -> Array:
    """y = sat(float32(acc) · (s_in · s_w), lo, hi): the float output of an int8 operator."""
    return clamp(acc.astype(np.float32) * (np.float32(s_in) * s_w), lo, hi)


@dataclass(frozen=True)
class Scales:
    """(scale, zero point) of the two inputs and the output of an int8 operator."""

    a: tuple[np.float32, int]
    b: tuple[np.float32, int]
    out: tuple[np.float32, int]


def add_i8(a: Array, b: Array, scales: Scales) -> Array:
    """int8 sum of ``a`` and ``b`` (broadcast). Clamp afterwards."""
    left, right = _summands(a, b, scales)
    return saturate(np.rint(left + right), scales.out[1])


def sub_i8(a: Array, b: Array, scales: Scales) -> Array:
    """int8 difference of ``a`` and ``b`` (broadcast). Clamp afterwards."""
    left, right = _summands(a, b, scales)
    return saturate(np.rint(left - right), scales.out[1])


def mul_i8(a: Array, b: Array, scales: Scales) -> Array:
    """q = sat(rne(float32((a − z_a) · (b − z_b)) · ((s_a · s_b) / s_out)) + z_out) (broadcast). Clamp afterwards."""
    (s_a, z_a), (s_b, z_b), (s_out, z_out) = scales.a, scales.b, scales.out
    products = (a.astype(np.int32) - z_a) * (b.astype(np.int32) - z_b)
    return requantize(products, (s_a * s_b) / s_out, z_out)


def _summands(a: Array, b: Array, scales: Scales) -> tuple[Array, Array]:
    (s_a, z_a), (s_b, z_b), (s_out, _) = scales.a, scales.b, scales.out
    left = (a.astype(np.int32) - z_a).astype(np.float32) * (s_a / s_out)
    right = (b.astype(np.int32) - z_b).astype(np.float32) * (s_b / s_out)
    return left, right


def max_pool2d(x: Array, window: Window) -> Array:
    """Maximum over each window in x's own type; padding is never the maximum."""
    fill = INT8_MIN if x.dtype == np.int8 else -np.inf
    result: Array | None = None
    for _, _, values in window.taps(x, fill):
        result = values.copy() if result is None else np.maximum(result, values)
    assert result is not None
    return result


def window_counts(height: int, width: int, window: Window, include_pad: bool) -> Array:
    """Elements counted per output position, float32 [1,OH,OW,1]."""
    ones = np.ones((1, height, width, 1))
    return np.asarray(sum(v for _, _, v in window.taps(ones, float(include_pad))), np.float32)


def average_pool2d(x: Array, window: Window, include_pad: bool) -> Array:
    """float32 mean over each window, from a float64 sum."""
    sums = np.asarray(sum(values for _, _, values in window.taps(x.astype(np.float64), 0.0)))
    counts = window_counts(x.shape[1], x.shape[2], window, include_pad)
    return (sums / counts).astype(np.float32)


def average_pool2d_i8(
    x: Array, window: Window, include_pad: bool, s_in: np.float32, z_in: int, s_out: np.float32, z_out: int
) -> Array:
    """q = sat(rne(float32(Σ (x − z_in)) · (s_in / (s_out · float32(n)))) + z_out); n elements counted. Clamp afterwards."""
    sums = np.asarray(sum(values for _, _, values in window.taps(x.astype(np.float64) - z_in, 0.0)))
    counts = window_counts(x.shape[1], x.shape[2], window, include_pad)
    return requantize(_int32(sums), s_in / (s_out * counts), z_out)


def rescale_i8(x: Array, s_in: np.float32, z_in: int, s_out: np.float32, z_out: int) -> Array:
    """q = sat(rne((float32(x − z_in) · s_in) / s_out) + z_out): dequantize, then quantize."""
    return quantize(dequantize(x, np.float32(s_in), z_in), np.float32(s_out), z_out)


def clamp(x: Array, lo: float, hi: float) -> Array:
    """sat(x, lo, hi) in x's own type."""
    return np.clip(x, x.dtype.type(lo), x.dtype.type(hi))


def clamp_i8(x: Array, q_min: int = INT8_MIN, q_max: int = INT8_MAX) -> Array:
    """sat(x, q_min, q_max), int8."""
    return np.clip(x, np.int8(q_min), np.int8(q_max))


def softmax(x: Array, axis: int) -> Array:
    """exp(x − max) / Σ exp(x − max) along ``axis``, float32 from float64."""
    shifted = x.astype(np.float64) - x.max(axis=axis, keepdims=True)
    powers = np.exp(shifted)
    return np.asarray(powers / powers.sum(axis=axis, keepdims=True), np.float32)


def quantize(x: Array, scale: Array | np.float32, zero_point: int) -> Array:
    """q = sat(rne(x / scale) + zero_point, −128, 127) as int8; ``scale`` broadcasts to ``x``."""
    with np.errstate(over="ignore"):
        return saturate(np.rint(x.astype(np.float32) / scale), zero_point)


def dequantize(q: Array, scale: Array | np.float32, zero_point: int) -> Array:
    """y = float32(q − zero_point) · scale; ``q`` int8 or int32, ``scale`` broadcasts to ``q``."""
    return np.asarray((q.astype(np.int64) - zero_point).astype(np.float32) * scale, np.float32)


def _with_bias(sums: Array, bias: Array | None) -> Array:
    return sums if bias is None else sums + bias.astype(np.float64)


def _int32(sums: Array) -> Array:
    info = np.iinfo(np.int32)
    if sums.size and (sums.min() < info.min or sums.max() > info.max):
        raise OverflowError("an int32 accumulator overflows")
    return sums.astype(np.int32)
