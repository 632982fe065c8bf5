"""conv2d_add: x, w, r [N,OH,OW,O], (b) → y: what a conv2d and an add of its output and r compute."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from ptq_core.flatfile.operators.attributes import F32, I32, INT8_MAX, INT8_MIN, Range, Rule
from ptq_core.flatfile.operators.call import Call
from ptq_core.flatfile.operators.checks import Operator, scale_of
from ptq_core.flatfile.operators.conv2d import (
    Conv2d,
    conv_apart,
    conv_bound,
    conv_magnitude,
    conv_shapes,
    conv_window,
    conv_work,
)
from ptq_core.flatfile.operators.description import Operand, OperatorKind
from ptq_core.flatfile.operators.roundoff import SLACK, Roundoff
from ptq_core.flatfile.operators.weighted import BIAS, sums_fit, weights
from ptq_core.flatfile.tensors import ANY_REAL, Array, DType
from ptq_core.numerics import reference
from ptq_core.numerics.reference import Scales
from ptq_core.numerics.requantize import multiplier, requantize


@dataclass(frozen=True, kw_only=True)
class Conv2dAdd(Conv2d):
    """A convolution and the addition of a residual: ``lo`` … ``q_max`` bound the sum, ``conv_lo`` … the convolution.

    ``scale`` and ``zero_point`` are those of the convolution's own int8 output; 1 and 0 for f32.
    """

    conv_lo: Annotated[F32, Rule.CLAMP] = -math.inf
    conv_hi: F32 = math.inf
    conv_q_min: I32 = INT8_MIN
    conv_q_max: I32 = INT8_MAX
    scale: Annotated[F32, Rule.POSITIVE] = 1.0
    zero_point: Annotated[I32, Range(INT8_MIN, INT8_MAX)] = 0


def _check(c: Operator[Conv2dAdd]) -> None:
    a, r, bias, y = c.attributes, c.input(2), c.optional(3), c.output
    conv_shapes(c, bias)
    c.same_shape(r, y)
    sums_fit(c, bias, np.float32(a.scale))
    if y.dtype == DType.I8:
        c.multiplier("scale", np.float32(a.scale) / scale_of(y.qparams))
        c.multiplier("r", scale_of(r.qparams) / scale_of(y.qparams))


def _reference(call: Call[Conv2dAdd]) -> Array:
    a = call.attributes
    x, w, r, bias = call.value(0), call.value(1), call.value(2), call.optional(3)
    window = conv_window(a, w.shape)
    if not call.int8:
        return call.clamped(reference.conv2d(x, w, bias, window, a.groups, a.conv_lo, a.conv_hi) + r)
    acc = reference.conv2d_i8_sums(x, call.qparams(0).zero_point, w, bias, window, a.groups)
    scale = np.float32(a.scale)
    own = multiplier(call.qparams(0).scale, call.qparams(1).scales, scale)
    y = requantize(acc, own, a.zero_point, a.conv_q_min, a.conv_q_max)
    residual, out = call.qparams(2), call.out_qparams
    scales = Scales((scale, a.zero_point), (residual.scale, residual.zero_point), (out.scale, out.zero_point))
    return call.clamped(reference.add_i8(y, r, scales))


def _bound(a: Conv2dAdd, x: list[Array], e: list[Array], y: Array, r: Roundoff) -> Array:
    convolution = conv_magnitude(a, x)
    own = conv_bound(a, [x[0], x[1], *x[3:]], [e[0], e[1]], convolution, r)
    if len(x) > 3:
        convolution = convolution + np.abs(x[3])
    return r.joined(own, e[2], SLACK * r.unit * (convolution + np.abs(x[2])))


CONV2D_ADD = OperatorKind(
    code=28,
    name="conv2d_add",
    attributes=Conv2dAdd,
    types=ANY_REAL,
    inputs=(
        Operand("x", rank=4, copied=True),
        weights(4),
        Operand("r", rank=4, per_element=True),
        BIAS,
    ),
    output=Operand("output", rank=4),
    check=_check,
    reference=_reference,
    bound=_bound,
    work=conv_work,
    weighted=True,
    apart=conv_apart,
)
