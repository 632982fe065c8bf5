"""Rules of operators that gather many elements into one: pooling, reductions, arg_max, resize."""

from __future__ import annotations

import math

import numpy as np

from ptq_core.flatfile.attributes import (
    ArgMax,
    Coordinates,
    Pool2d,
    Reduce,
    ReduceFunction,
    Resize,
    ResizeMode,
    Rounding,
)
from ptq_core.flatfile.checks import ANY_REAL, FLOAT_OR_INT8, Entries, Operator, Window, scale_of
from ptq_core.flatfile.program import DType, OpKind

MAX_WINDOW = 2**22
"""Elements of a pooling window, and of an int8 mean: their int32 sum stays exact."""

SELECTIONS = frozenset({ReduceFunction.MAX, ReduceFunction.MIN})


def pool(c: Operator, _: Entries) -> None:
    x, y, a = c.input(0), c.output, c.op.attributes
    assert isinstance(a, Pool2d)
    maximum = c.op.kind == OpKind.MAX_POOL2D
    height = Window("height", a.kernel_h, a.stride_h, a.dilation_h, a.pad_top, a.pad_bottom)
    width = Window("width", a.kernel_w, a.stride_w, a.dilation_w, a.pad_left, a.pad_right)
    c.dtype("x", x, ANY_REAL)
    c.dtype("output", y, (x.dtype,))
    c.rank("x", x, 4)
    c.rank("output", y, 4)
    c.window(height)
    c.window(width)
    c.activation(a)
    c.below("count_include_pad", a.count_include_pad, 1 if maximum else 2)
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
        _no_empty_window(c, window, size, output)
    c.per_tensor("x", x)
    c.per_tensor("output", y)
    if maximum:
        c.same_qparams(x, y)
    elif x.dtype == DType.I8:
        c.multiplier("requantization", scale_of(x.qparams) / scale_of(y.qparams))


def _no_empty_window(c: Operator, window: Window, size: int, output: int) -> None:
    """Only windows that start in the padding can miss the input: the others hold it with their first tap."""
    in_front = min(output, -(-window.before // window.stride))
    behind = max(-(-(size + window.before) // window.stride), 0)
    for position in [*range(in_front), *range(behind, output)]:
        if window.is_padding(position, size):
            c.refuse(
                window.axis,
                f"the window of output {position} lies wholly in the padding",
                "windows hold input",
            )


def reduce(c: Operator, _: Entries) -> None:
    x, y, a = c.input(0), c.output, c.op.attributes
    assert isinstance(a, Reduce)
    c.dtype("x", x, FLOAT_OR_INT8)
    c.dtype("output", y, (x.dtype,))
    c.per_tensor("x", x)
    c.per_tensor("output", y)
    c.below("function", a.function, len(ReduceFunction))
    selects, quantized = a.function in SELECTIONS, x.dtype == DType.I8
    if quantized and not selects and a.function != ReduceFunction.MEAN:
        c.refuse("function", ReduceFunction(a.function).name.lower(), "in i8 there are mean, max and min")
    if a.axes >> len(x.dims):
        c.refuse("axes", f"{a.axes:#x}", f"bits of {len(x.dims)} dimensions")
    c.activation(a)
    c.rank("output", y, len(x.dims))
    for axis, size in enumerate(x.dims):
        c.dim("output", y, axis, 1 if a.axes >> axis & 1 else size)
    if selects:
        c.same_qparams(x, y)
        return
    count = x.elements // y.elements
    if not quantized:
        return
    if count > MAX_WINDOW:
        c.refuse("axes", f"a mean of {count} elements", f"at most {MAX_WINDOW}")
    if a.function == ReduceFunction.MEAN:
        c.multiplier("requantization", scale_of(x.qparams) / (scale_of(y.qparams) * np.float32(count)))


def arg_max(c: Operator, _: Entries) -> None:
    x, y, a = c.input(0), c.output, c.op.attributes
    assert isinstance(a, ArgMax)
    c.dtype("x", x, FLOAT_OR_INT8)
    c.dtype("output", y, (DType.I32,))
    c.unquantized("output", y)
    c.per_tensor("x", x)
    c.axis(a.axis, x)
    c.rank("output", y, len(x.dims))
    for axis, size in enumerate(x.dims):
        c.dim("output", y, axis, 1 if axis == a.axis else size)
    c.below("select_last", a.select_last, 2)


def resize(c: Operator, _: Entries) -> None:
    x, y, a = c.input(0), c.output, c.op.attributes
    assert isinstance(a, Resize)
    c.dtype("x", x, FLOAT_OR_INT8)
    c.dtype("output", y, (x.dtype,))
    c.rank("x", x, 4)
    c.rank("output", y, 4)
    c.dim("output", y, 0, x.dims[0])
    c.dim("output", y, 3, x.dims[3])
    c.per_tensor("x", x)
    c.per_tensor("output", y)
    c.below("mode", a.mode, len(ResizeMode))
    c.below("coordinates", a.coordinates, len(Coordinates))
    c.below("rounding", a.rounding, 1 if a.mode == ResizeMode.LINEAR else len(Rounding))
    for name in ("scale_h", "scale_w"):
        value = getattr(a, name)
        if not (math.isfinite(value) and value > 0):
            c.refuse(name, value, "positive and finite")
    c.activation(a)
    if a.mode == ResizeMode.NEAREST:
        c.same_qparams(x, y)
