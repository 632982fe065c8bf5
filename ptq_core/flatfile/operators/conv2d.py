"""conv2d: x [N,H,W,C], w [O,KH,KW,C/groups], (b [O]) → y [N,OH,OW,O]."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from ptq_core.flatfile import winograd
from ptq_core.flatfile.operators.attributes import GEOMETRY, PADDING, U32, Clamp
from ptq_core.flatfile.operators.call import Call
from ptq_core.flatfile.operators.checks import Operator, Window
from ptq_core.flatfile.operators.description import Operand, OperatorKind
from ptq_core.flatfile.operators.roundoff import SLACK, UNITS, Roundoff
from ptq_core.flatfile.operators.weighted import BIAS, bias_shape, finish, sums, sums_fit, weights
from ptq_core.flatfile.tensors import ANY_REAL, Array, DType, Tensor
from ptq_core.numerics import reference


@dataclass(frozen=True, kw_only=True)
class Conv2d(Clamp):
    """Strides, dilations and pads in elements; ``groups`` divides input and output channels."""

    stride_h: Annotated[U32, GEOMETRY] = 1
    stride_w: Annotated[U32, GEOMETRY] = 1
    dilation_h: Annotated[U32, GEOMETRY] = 1
    dilation_w: Annotated[U32, GEOMETRY] = 1
    pad_top: Annotated[U32, PADDING] = 0
    pad_left: Annotated[U32, PADDING] = 0
    pad_bottom: Annotated[U32, PADDING] = 0
    pad_right: Annotated[U32, PADDING] = 0
    groups: U32 = 1


def conv_shapes(c: Operator[Conv2d], bias: Tensor | None) -> None:
    """The rules of the window and of all shapes."""
    x, w, y, a = c.input(0), c.input(1), c.output, c.attributes
    height = Window("height", w.dims[1], a.stride_h, a.dilation_h, a.pad_top, a.pad_bottom)
    width = Window("width", w.dims[2], a.stride_w, a.dilation_w, a.pad_left, a.pad_right)
    for window in (height, width):
        c.kernel(window)
    if a.groups < 1 or x.dims[3] % a.groups or w.dims[0] % a.groups:
        c.refuse("groups", a.groups, f"divides the {x.dims[3]} channels and the {w.dims[0]} outputs")
    c.dim("w", w, 3, x.dims[3] // a.groups)
    bias_shape(c, bias)
    c.dim("output", y, 0, x.dims[0])
    c.window_output(height, x.dims[1], y.dims[1])
    c.window_output(width, x.dims[2], y.dims[2])
    c.dim("output", y, 3, w.dims[0])


def _check(c: Operator[Conv2d]) -> None:
    bias, qparams = c.optional(2), c.output.qparams
    conv_shapes(c, bias)
    sums_fit(c, bias, None if qparams is None else qparams.scale)


def conv_window(a: Conv2d, weight_dims: tuple[int, ...]) -> reference.Window:
    """The window that convolution attributes describe; ``weight_dims`` is [O, KH, KW, C/groups]."""
    return reference.Window(
        (weight_dims[1], weight_dims[2]),
        (a.stride_h, a.stride_w),
        (a.dilation_h, a.dilation_w),
        (a.pad_top, a.pad_left, a.pad_bottom, a.pad_right),
    )


def _reference(call: Call[Conv2d]) -> Array:
    a, x, w, bias = call.attributes, call.value(0), call.value(1), call.optional(2)
    window = conv_window(a, w.shape)
    if not call.int8:
        return reference.conv2d(x, w, bias, window, a.groups, a.lo, a.hi)
    return finish(call, reference.conv2d_i8_sums(x, call.qparams(0).zero_point, w, bias, window, a.groups))


def conv_magnitude(a: Conv2d, x: list[Array]) -> Array:
    """Σ |x · w| of each output, without the bias."""
    return reference.conv2d_sums(np.abs(x[0]), np.abs(x[1]), conv_window(a, x[1].shape), a.groups)


def conv_bound(a: Conv2d, x: list[Array], e: list[Array], magnitude: Array, r: Roundoff) -> Array:
    """The bound of a convolution's sums of this ``conv_magnitude``, by whichever way they are computed."""
    window = conv_window(a, x[1].shape)
    sums = functools.partial(reference.conv2d_sums, window=window, groups=a.groups)
    bias = x[2] if len(x) > 2 else None
    own = r.own(r.of_products(int(np.prod(x[1].shape[1:]))), magnitude, bias)
    if r.winograd and may_be_winograd(x[1], window, a.groups):
        by_winograd = winograd.magnitude(x[0], x[1], window)
        single = Roundoff(UNITS[DType.F32])
        own = np.maximum(own, single.own(single.of_products(x[0].shape[3]), by_winograd, bias))
    return r.joined(r.carried(sums, e[0], x[1]), own)


def _bound(a: Conv2d, x: list[Array], e: list[Array], y: Array, r: Roundoff) -> Array:
    return conv_bound(a, x, e, conv_magnitude(a, x), r)


WINOGRAD_MOST_ERROR = 2.0
"""Bound of Winograd's way over that of a direct sum, at most: kWinogradMostError of the runtime's kernels/winograd/error.h."""

_UNDECIDED = 1e-9
"""The runtime adds up in another order: so near to the limit it may decide either way."""


def may_be_winograd(w: Array, window: reference.Window, groups: int) -> bool:
    """Whether a runtime may take Winograd's way for weights ``w`` [O,KH,KW,C/groups]; which do depends on CPU and size."""
    if not winograd.is_candidate(window, groups):
        return False
    channels = w.shape[3]
    ratios = winograd.growth(w) * (channels + SLACK) / (9 * channels + SLACK)
    return bool(np.all(ratios <= WINOGRAD_MOST_ERROR * (1 + _UNDECIDED)))


def conv_work(a: Conv2d, inputs: Sequence[Tensor], y: Tensor) -> int:
    """Products, and the pointers to the input that are laid out for each row."""
    x, w = inputs[:2]
    width = x.dims[2] + a.pad_left + a.pad_right
    return y.elements * (w.elements // w.dims[0]) + width * w.dims[1] * y.dims[0] * y.dims[1]


def conv_apart(a: Conv2d, _: int) -> tuple[bool, bool]:
    """Channels only where there are no groups."""
    return True, a.groups == 1


CONV2D = OperatorKind(
    code=1,
    name="conv2d",
    attributes=Conv2d,
    types=ANY_REAL,
    inputs=(Operand("x", rank=4, copied=True), weights(4), BIAS),
    output=sums(4),
    check=_check,
    reference=_reference,
    bound=_bound,
    work=conv_work,
    weighted=True,
    affine=True,
    apart=conv_apart,
)
