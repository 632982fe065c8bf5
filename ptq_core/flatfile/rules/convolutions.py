"""Rules of conv2d, conv2d_add and fully_connected, and of their weights and biases."""

from __future__ import annotations

import math

import numpy as np

from ptq_core.flatfile.attributes import INT8_MAX, INT8_MIN, Clamp, Conv2d, Conv2dAdd
from ptq_core.flatfile.checks import ANY_REAL, FLOAT_OR_INT8, Entries, Operator, Window, scale_of
from ptq_core.flatfile.compressed import is_compressed
from ptq_core.flatfile.program import DType, Tensor
from ptq_core.flatfile.refusal import shown

MAX_INT32 = 2**31 - 1


def conv2d(c: Operator, _: Entries) -> None:
    a = c.op.attributes
    assert isinstance(a, Conv2d)
    bias = c.optional(2)
    _conv_shapes(c, a, bias)
    _convolution(c, bias, _own_scale(c), (a.lo, a.hi, a.q_min, a.q_max))


def conv2d_add(c: Operator, _: Entries) -> None:
    a = c.op.attributes
    assert isinstance(a, Conv2dAdd)
    r, bias, y = c.input(2), c.optional(3), c.output
    _conv_shapes(c, a, bias)
    c.dtype("output", y, (c.input(0).dtype,))
    c.dtype("r", r, (y.dtype,))
    c.same_shape(r, y)
    if not (math.isfinite(a.scale) and a.scale > 0 and INT8_MIN <= a.zero_point <= INT8_MAX):
        c.refuse("scale and zero_point", f"{a.scale} and {a.zero_point}", "those of an i8")
    _convolution(c, bias, np.float32(a.scale), (a.conv_lo, a.conv_hi, a.conv_q_min, a.conv_q_max))
    c.activation(a)
    if y.dtype == DType.I8:
        c.per_tensor("r", r)
        c.multiplier("scale", np.float32(a.scale) / scale_of(y.qparams))
        c.multiplier("r", scale_of(r.qparams) / scale_of(y.qparams))


def fully_connected(c: Operator, _: Entries) -> None:
    a = c.op.attributes
    assert isinstance(a, Clamp)
    x, w, y, bias = c.input(0), c.input(1), c.output, c.optional(2)
    c.rank("x", x, 2)
    c.rank("w", w, 2)
    c.rank("output", y, 2)
    c.dim("w", w, 1, x.dims[1])
    c.dim("output", y, 0, x.dims[0])
    c.dim("output", y, 1, w.dims[0])
    _bias_shape(c, bias, w)
    _convolution(c, bias, _own_scale(c), (a.lo, a.hi, a.q_min, a.q_max))


def _own_scale(c: Operator) -> np.float32 | None:
    return None if c.output.qparams is None else c.output.qparams.scale


def _bias_shape(c: Operator, bias: Tensor | None, w: Tensor) -> None:
    if bias is not None:
        c.rank("b", bias, 1)
        c.dim("b", bias, 0, w.dims[0])


def _conv_shapes(c: Operator, a: Conv2d, bias: Tensor | None) -> None:
    x, w, y = c.input(0), c.input(1), c.output
    c.rank("x", x, 4)
    c.rank("w", w, 4)
    c.rank("output", y, 4)
    height = Window("height", w.dims[1], a.stride_h, a.dilation_h, a.pad_top, a.pad_bottom)
    width = Window("width", w.dims[2], a.stride_w, a.dilation_w, a.pad_left, a.pad_right)
    c.window(height)
    c.window(width)
    if a.groups < 1 or x.dims[3] % a.groups or w.dims[0] % a.groups:
        c.refuse("groups", a.groups, f"divides the {x.dims[3]} channels and the {w.dims[0]} outputs")
    c.dim("w", w, 3, x.dims[3] // a.groups)
    _bias_shape(c, bias, w)
    c.dim("output", y, 0, x.dims[0])
    c.window_output(height, x.dims[1], y.dims[1])
    c.window_output(width, x.dims[2], y.dims[2])
    c.dim("output", y, 3, w.dims[0])


def _convolution(
    c: Operator, bias: Tensor | None, scale: np.float32 | None, clamp: tuple[float, float, int, int]
) -> None:
    """``scale`` and ``clamp`` are those of the convolution's own output, the scale None for f32."""
    x, w, y = c.input(0), c.input(1), c.output
    c.dtype("x", x, ANY_REAL)
    compressed = is_compressed(x, w) and w.is_constant
    if not compressed:
        c.dtype("w", w, (x.dtype,))
    quantized = x.dtype == DType.I8
    c.dtype("output", y, FLOAT_OR_INT8 if quantized else (x.dtype,))
    if bias is not None:
        c.dtype("b", bias, (DType.I32 if quantized else x.dtype,))
    if not w.is_constant or (bias is not None and not bias.is_constant):
        c.refuse("storage", "w or b in the arena", "w and b are constants")
    if quantized:
        c.per_tensor("x", x)
        c.per_tensor("output", y)
        weight_scales(c)
    c.clamp(*clamp)
    if quantized:
        _channels(c, bias, scale if y.dtype == DType.I8 else None)


def weight_scales(c: Operator) -> None:
    w = c.input(1)
    assert w.qparams is not None
    if w.qparams.zero_point:
        c.refuse(f"w {shown(w.name)} zero_point", w.qparams.zero_point, "weights have zero point 0")
    if not w.qparams.per_tensor and w.qparams.axis != 0:
        c.refuse(f"w {shown(w.name)} axis", w.qparams.axis, "scales count the outputs, axis 0")


def _channels(c: Operator, bias: Tensor | None, scale: np.float32 | None) -> None:
    """int8 weights within −127 … 127, no order of summation that overflows int32, finite factors."""
    x, w = c.input(0), c.input(1)
    assert w.data is not None
    assert x.qparams is not None
    assert w.qparams is not None
    weights = w.data.reshape(w.dims[0], -1)
    least = weights.min(axis=1)
    sums = np.abs(weights.astype(np.int16)).sum(axis=1, dtype=np.int64)
    biases = np.zeros(w.dims[0], np.int64)
    if bias is not None and bias.data is not None:
        biases = np.abs(bias.data.astype(np.int64))
    worst = biases + sums * (128 + abs(x.qparams.zero_point))
    factors = np.broadcast_to(x.qparams.scale * w.qparams.scales, (w.dims[0],))
    if scale is not None:
        factors = factors / scale
    faults = (least < -INT8_MAX) | (worst > MAX_INT32) | ~np.isfinite(factors)
    if not faults.any():
        return
    channel = int(faults.argmax())
    if least[channel] < -INT8_MAX:
        c.refuse(f"w {shown(w.name)}", f"output {channel} holds −128", "weights are −127 … 127")
    if worst[channel] > MAX_INT32:
        problem = f"|b| = {biases[channel]} and Σ|w| = {sums[channel]}"
        c.refuse(f"output channel {channel}", problem, "no order of summation overflows int32")
    c.multiplier("requantization", factors[channel])
