"""The output dims of every operator: (attributes, input dims, wanted output dims) → dims (docs/flat_format.md).

The generator of programs asks it; the readers check shapes by code of their own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ptq_core.flatfile.operators.arg_max import ARG_MAX, ArgMax
from ptq_core.flatfile.operators.attributes import Attributes, Clamp
from ptq_core.flatfile.operators.binary import ADD, DIV, MAXIMUM, MINIMUM, MOD, MUL, POW, SUB
from ptq_core.flatfile.operators.compare import COMPARE
from ptq_core.flatfile.operators.concat import CONCAT, Concat
from ptq_core.flatfile.operators.conv2d import CONV2D, Conv2d
from ptq_core.flatfile.operators.conv2d_add import CONV2D_ADD
from ptq_core.flatfile.operators.description import OperatorKind
from ptq_core.flatfile.operators.dilate import DILATE, Dilate
from ptq_core.flatfile.operators.fully_connected import FULLY_CONNECTED
from ptq_core.flatfile.operators.gather import GATHER, Gather
from ptq_core.flatfile.operators.gather_nd import GATHER_ND
from ptq_core.flatfile.operators.grid_sample import GRID_SAMPLE, GridSample
from ptq_core.flatfile.operators.lookup import LOOKUP
from ptq_core.flatfile.operators.matmul import MATMUL, Matmul
from ptq_core.flatfile.operators.pad import PAD, Pad
from ptq_core.flatfile.operators.pool2d import AVERAGE_POOL2D, MAX_POOL2D, Pool2d
from ptq_core.flatfile.operators.reduce import REDUCE, Reduce
from ptq_core.flatfile.operators.reshape import RESHAPE
from ptq_core.flatfile.operators.resize import RESIZE, Resize
from ptq_core.flatfile.operators.slice import SLICE, Slice
from ptq_core.flatfile.operators.softmax import SOFTMAX, Softmax
from ptq_core.flatfile.operators.top_k import TOP_K, TopK
from ptq_core.flatfile.operators.transpose import TRANSPOSE, Transpose
from ptq_core.flatfile.operators.where import WHERE
from ptq_core.flatfile.operators.window_arg_max import WINDOW_ARG_MAX, WindowArgMax


class Misfit(Exception):  # noqa: N818 - no error of the project's
    """Shapes that do not fit the operator."""


Dims = tuple[int, ...]


def _expect(condition: bool, message: str) -> None:
    if not condition:
        raise Misfit(message)


def _conv(a: Conv2d, dims: list[Dims], _: Dims) -> Dims:
    x, w = dims[0], dims[1]
    _expect(len(x) == 4 and len(w) == 4, f"x {list(x)} and w {list(w)} need 4 dimensions")
    _expect(
        a.groups > 0 and w[3] * a.groups == x[3] and w[0] % a.groups == 0,
        f"{x[3]} channels, {a.groups} groups, weights {list(w)}",
    )
    _expect(len(dims) < 3 or dims[2] == (w[0],), f"bias for {w[0]} outputs has another shape")
    return (x[0], *_positions(a, x, (w[1], w[2])), w[0])


def _conv2d_add(a: Conv2d, dims: list[Dims], y: Dims) -> Dims:
    x, w, r, *bias = dims
    out = _conv(a, [x, w, *bias], y)
    _expect(r == out, f"residual {list(r)} is added to {list(out)}")
    return out


def _positions(a: Conv2d | Pool2d, x: Dims, kernel: tuple[int, int]) -> tuple[int, int]:
    _expect(min(a.stride_h, a.stride_w, a.dilation_h, a.dilation_w, *kernel) > 0, "its window is empty")
    rows = x[1] + a.pad_top + a.pad_bottom - (kernel[0] - 1) * a.dilation_h - 1
    columns = x[2] + a.pad_left + a.pad_right - (kernel[1] - 1) * a.dilation_w - 1
    _expect(rows >= 0 and columns >= 0, f"its window is larger than the padded input {list(x)}")
    return rows // a.stride_h + 1, columns // a.stride_w + 1


def _pool(a: Pool2d, dims: list[Dims], _: Dims) -> Dims:
    x = dims[0]
    _expect(len(x) == 4, f"x {list(x)} needs 4 dimensions")
    oh, ow = _positions(a, x, (a.kernel_h, a.kernel_w))
    inside = (
        a.pad_top <= (a.kernel_h - 1) * a.dilation_h
        and a.pad_left <= (a.kernel_w - 1) * a.dilation_w
        and (oh - 1) * a.stride_h < x[1] + a.pad_top
        and (ow - 1) * a.stride_w < x[2] + a.pad_left
    )
    _expect(inside, "a window lies wholly in the padding")
    return x[0], oh, ow, x[3]


def _fully_connected(_: Clamp, dims: list[Dims], __: Dims) -> Dims:
    x, w = dims[0], dims[1]
    _expect(len(x) == 2 and len(w) == 2 and x[1] == w[1], f"x {list(x)} and w {list(w)} do not fit")
    _expect(len(dims) < 3 or dims[2] == (w[0],), f"bias for {w[0]} outputs has another shape")
    return x[0], w[0]


def _matmul(at: Matmul, dims: list[Dims], _: Dims) -> Dims:
    a, b = dims
    _expect(min(len(a), len(b)) >= 2, f"{list(a)} and {list(b)} are not both matrices")
    b = (*b[:-2], b[-1], b[-2]) if at.transpose_b else b
    _expect(a[-1] == b[-2], f"{list(a)} and {list(b)} do not fit")
    return (*_broadcast(at, [a[:-2], b[:-2]], ()), a[-2], b[-1])


def _broadcast(_: Attributes, dims: list[Dims], __: Dims) -> Dims:
    a, b = dims
    rank = max(len(a), len(b))
    a, b = (1,) * (rank - len(a)) + a, (1,) * (rank - len(b)) + b
    _expect(
        all(p == q or 1 in (p, q) for p, q in zip(a, b, strict=True)),
        f"{list(a)} and {list(b)} do not broadcast",
    )
    return tuple(max(p, q) for p, q in zip(a, b, strict=True))


def _where(a: Attributes, dims: list[Dims], y: Dims) -> Dims:
    return _broadcast(a, [_broadcast(a, dims[:2], y), dims[2]], y)


def _concat(a: Concat, dims: list[Dims], _: Dims) -> Dims:
    first = dims[0]
    _expect(a.axis < len(first), f"axis is {a.axis} of {len(first)} dimensions")
    rest = [d[: a.axis] + d[a.axis + 1 :] for d in dims]
    _expect(
        all(r == rest[0] and len(d) == len(first) for r, d in zip(rest, dims, strict=True)),
        "its inputs do not fit",
    )
    return (*first[: a.axis], sum(d[a.axis] for d in dims), *first[a.axis + 1 :])


def _softmax(a: Softmax, dims: list[Dims], _: Dims) -> Dims:
    _expect(a.axis < len(dims[0]), f"axis is {a.axis} of {len(dims[0])} dimensions")
    return dims[0]


def _transpose(a: Transpose, dims: list[Dims], _: Dims) -> Dims:
    x = dims[0]
    _expect(
        sorted(a.perm) == list(range(len(x))), f"perm {list(a.perm)} does not permute {len(x)} dimensions"
    )
    return tuple(x[i] for i in a.perm)


def _reshape(_: object, dims: list[Dims], y: Dims) -> Dims:
    _expect(
        math.prod(dims[0]) == math.prod(y), f"{list(dims[0])} and {list(y)} differ in their element counts"
    )
    return y


def _pad(a: Pad, dims: list[Dims], _: Dims) -> Dims:
    x = dims[0]
    _expect(len(a.before) == len(x) == len(a.after), "before and after need one entry per dimension")
    return tuple(b + d + e for b, d, e in zip(a.before, x, a.after, strict=True))


def _lookup(_: object, dims: list[Dims], __: Dims) -> Dims:
    _expect(dims[1] == (256,), f"its table has dims {list(dims[1])}, expected [256]")
    return dims[0]


def _resize(_: Resize, dims: list[Dims], y: Dims) -> Dims:
    x = dims[0]
    _expect(len(x) == 4 and len(y) == 4, f"x {list(x)} and y {list(y)} need 4 dimensions")
    return x[0], y[1], y[2], x[3]


def _window_arg_max(a: WindowArgMax, dims: list[Dims], y: Dims) -> Dims:
    """Padding behind is what is needed, so y has any number of windows that hold input."""
    x = dims[0]
    _expect(len(y) == len(x) == len(a.kernel), f"y {list(y)} has not the rank of x {list(x)}")
    for d, size in enumerate(x):
        for o in range(y[d]):
            first = o * a.stride[d] - a.before[d]
            taps = range(first, first + a.kernel[d] * a.dilation[d], a.dilation[d])
            _expect(any(0 <= at < size for at in taps), "a window lies wholly in the padding")
    return y


def _grid_sample(_: GridSample, dims: list[Dims], __: Dims) -> Dims:
    x, grid = dims
    _expect(
        3 <= len(x) <= 5 and len(grid) == len(x), f"x {list(x)} and grid {list(grid)} need 3 to 5 dimensions"
    )
    _expect(grid[0] == x[0] and grid[-1] == len(x) - 2, f"grid {list(grid)} does not fit {list(x)}")
    return (*grid[:-1], x[-1])


def _slice(a: Slice, dims: list[Dims], y: Dims) -> Dims:
    x = dims[0]
    _expect(len(y) == len(x) == len(a.start) == len(a.step), f"y {list(y)} has not the rank of x {list(x)}")
    for start, step, size, count in zip(a.start, a.step, x, y, strict=True):
        last = start + (count - 1) * step
        _expect(step != 0, "step is 0")
        _expect(
            0 <= start < size and 0 <= last < size,
            f"it reads {start} … {last} of a dimension of {size}",
        )
    return y


def _gather(a: Gather, dims: list[Dims], _: Dims) -> Dims:
    x, indices = dims
    _expect(a.axis < len(x), f"axis is {a.axis} of {len(x)} dimensions")
    _expect(len(indices) == 1, f"its indices have {len(indices)} dimensions, expected 1")
    return (*x[: a.axis], indices[0], *x[a.axis + 1 :])


def _gather_nd(_: object, dims: list[Dims], __: Dims) -> Dims:
    x, indices = dims
    _expect(len(indices) > 0 and 1 <= indices[-1] <= len(x), f"rows of {list(indices)} for {list(x)}")
    return (*indices[:-1], *x[indices[-1] :])


def _top_k(a: TopK, dims: list[Dims], y: Dims) -> Dims:
    x = dims[0]
    _expect(a.axis < len(x), f"axis is {a.axis} of {len(x)} dimensions")
    return (*x[: a.axis], y[a.axis], *x[a.axis + 1 :])


def _reduce(a: Reduce, dims: list[Dims], _: Dims) -> Dims:
    x = dims[0]
    _expect(a.axes >> len(x) == 0, f"axes is {a.axes:#x} of {len(x)} dimensions")
    return tuple(1 if a.axes >> i & 1 else d for i, d in enumerate(x))


def _dilate(a: Dilate, dims: list[Dims], _: Dims) -> Dims:
    x = dims[0]
    _expect(len(a.step) == len(x) and min(a.step, default=1) >= 1, f"step is {list(a.step)}")
    return tuple((d - 1) * step + 1 for d, step in zip(x, a.step, strict=True))


def _arg_max(a: ArgMax, dims: list[Dims], _: Dims) -> Dims:
    x = dims[0]
    _expect(a.axis < len(x), f"axis is {a.axis} of {len(x)} dimensions")
    return (*x[: a.axis], 1, *x[a.axis + 1 :])


SHAPES: dict[OperatorKind[Any], Callable[[Any, list[Dims], Dims], Dims]] = {
    CONV2D: _conv,
    CONV2D_ADD: _conv2d_add,
    FULLY_CONNECTED: _fully_connected,
    MATMUL: _matmul,
    ADD: _broadcast,
    SUB: _broadcast,
    MUL: _broadcast,
    DIV: _broadcast,
    MAX_POOL2D: _pool,
    AVERAGE_POOL2D: _pool,
    CONCAT: _concat,
    SOFTMAX: _softmax,
    TRANSPOSE: _transpose,
    RESHAPE: _reshape,
    PAD: _pad,
    LOOKUP: _lookup,
    MAXIMUM: _broadcast,
    MINIMUM: _broadcast,
    POW: _broadcast,
    MOD: _broadcast,
    COMPARE: _broadcast,
    WHERE: _where,
    GATHER_ND: _gather_nd,
    TOP_K: _top_k,
    RESIZE: _resize,
    GRID_SAMPLE: _grid_sample,
    WINDOW_ARG_MAX: _window_arg_max,
    SLICE: _slice,
    GATHER: _gather,
    REDUCE: _reduce,
    DILATE: _dilate,
    ARG_MAX: _arg_max,
}


def shape_of(kind: OperatorKind[Any], attributes: Any, dims: list[Dims], y: Dims = ()) -> Dims:
    """The output dims; Misfit where the inputs' do not fit. ``y`` is what is wanted where attributes leave it open."""
    return dims[0] if kind not in SHAPES and kind.same_shape else SHAPES[kind](attributes, dims, y)
