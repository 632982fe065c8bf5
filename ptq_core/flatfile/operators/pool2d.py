"""max_pool2d, average_pool2d: x [N,H,W,C] → y [N,OH,OW,C]."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from ptq_core.flatfile.operators.attributes import FLAG, GEOMETRY, PADDING, U32, Clamp
from ptq_core.flatfile.operators.call import Call
from ptq_core.flatfile.operators.checks import MAX_WINDOW, Operator, Window, scale_of
from ptq_core.flatfile.operators.description import Operand, OperatorKind, Scales, always
from ptq_core.flatfile.operators.roundoff import Roundoff
from ptq_core.flatfile.tensors import ANY_REAL, Array, DType, Tensor
from ptq_core.numerics import reference


@dataclass(frozen=True, kw_only=True)
class Pool2d(Clamp):
    """A pooling window; ``count_include_pad`` 1 counts padding as zeros in an average, 0 leaves it out."""

    kernel_h: Annotated[U32, GEOMETRY]
    kernel_w: Annotated[U32, GEOMETRY]
    stride_h: Annotated[U32, GEOMETRY] = 1
    stride_w: Annotated[U32, GEOMETRY] = 1
    dilation_h: Annotated[U32, GEOMETRY] = 1
    dilation_w: Annotated[U32, GEOMETRY] = 1
    pad_top: Annotated[U32, PADDING] = 0
    pad_left: Annotated[U32, PADDING] = 0
    pad_bottom: Annotated[U32, PADDING] = 0
    pad_right: Annotated[U32, PADDING] = 0
    count_include_pad: Annotated[U32, FLAG] = 0


def _windows(c: Operator[Pool2d], maximum: bool) -> None:
    x, y, a = c.input(0), c.output, c.attributes
    height = Window("height", a.kernel_h, a.stride_h, a.dilation_h, a.pad_top, a.pad_bottom)
    width = Window("width", a.kernel_w, a.stride_w, a.dilation_w, a.pad_left, a.pad_right)
    if maximum and a.count_include_pad:
        c.refuse("count_include_pad", a.count_include_pad, "0 in a maximum")
    if not maximum and (a.dilation_h, a.dilation_w) != (1, 1):
        c.refuse("dilation", f"{a.dilation_h} × {a.dilation_w}", "1 × 1 in an average")
    if a.kernel_h * a.kernel_w > MAX_WINDOW:
        c.refuse("kernel", f"{a.kernel_h} × {a.kernel_w}", f"at most {MAX_WINDOW} elements")
    c.dim("output", y, 0, x.dims[0])
    c.dim("output", y, 3, x.dims[3])
    sides = ((height, x.dims[1], y.dims[1]), (width, x.dims[2], y.dims[2]))
    for window, size, output in sides:
        c.window_output(window, size, output)
    for window, size, output in sides:
        c.no_empty_window(window, size, output)


def _check_max(c: Operator[Pool2d]) -> None:
    _windows(c, maximum=True)


def _check_average(c: Operator[Pool2d]) -> None:
    _windows(c, maximum=False)
    x, y = c.input(0), c.output
    if x.dtype == DType.I8:
        c.multiplier("requantization", scale_of(x.qparams) / scale_of(y.qparams))


def pool_window(a: Pool2d) -> reference.Window:
    """The window that pooling attributes describe."""
    return reference.Window(
        (a.kernel_h, a.kernel_w),
        (a.stride_h, a.stride_w),
        (a.dilation_h, a.dilation_w),
        (a.pad_top, a.pad_left, a.pad_bottom, a.pad_right),
    )


def _max_reference(call: Call[Pool2d]) -> Array:
    return call.clamped(reference.max_pool2d(call.value(0), pool_window(call.attributes)))


def _average_reference(call: Call[Pool2d]) -> Array:
    a = call.attributes
    window, include_pad = pool_window(a), bool(a.count_include_pad)
    if not call.int8:
        return call.clamped(reference.average_pool2d(call.value(0), window, include_pad))
    s, out = call.qparams(0), call.out_qparams
    return call.clamped(
        reference.average_pool2d_i8(
            call.value(0), window, include_pad, s.scale, s.zero_point, out.scale, out.zero_point
        )
    )


def _max_bound(a: Pool2d, x: list[Array], e: list[Array], y: Array, r: Roundoff) -> Array:
    return reference.max_pool2d(e[0], pool_window(a))


def _average_bound(a: Pool2d, x: list[Array], e: list[Array], y: Array, r: Roundoff) -> Array:
    window, n = pool_window(a), a.kernel_h * a.kernel_w
    counts = reference.window_counts(x[0].shape[1], x[0].shape[2], window, bool(a.count_include_pad))

    def total(values: Array, _weight: Array) -> Array:
        return np.asarray(sum(v for _, _, v in window.taps(values, 0.0)))

    one = np.ones(())
    own = r.own(r.of_sum(n), total(np.abs(x[0]), one))
    return np.asarray(r.joined(r.carried(total, e[0], one), own) / counts)


def _work(a: Pool2d, inputs: Sequence[Tensor], y: Tensor) -> int:
    x = inputs[0]
    return y.elements * min(a.kernel_h, x.dims[1]) * min(a.kernel_w, x.dims[2])


MAX_POOL2D = OperatorKind(
    code=7,
    name="max_pool2d",
    attributes=Pool2d,
    types=ANY_REAL,
    inputs=(Operand("x", rank=4, scales=Scales.OF_OUTPUT),),
    output=Operand("output", rank=4),
    check=_check_max,
    reference=_max_reference,
    bound=_max_bound,
    work=_work,
    apart=lambda _a, _rank: (True, True),
    selects=always,
)

AVERAGE_POOL2D = OperatorKind(
    code=8,
    name="average_pool2d",
    attributes=Pool2d,
    types=ANY_REAL,
    inputs=(Operand("x", rank=4),),
    output=Operand("output", rank=4),
    check=_check_average,
    reference=_average_reference,
    bound=_average_bound,
    work=_work,
    apart=lambda _a, _rank: (True, True),
    rescales=always,
)
