"""What each operator demands of its operands and attributes (docs/flat_format.md), in the order of the C++ reader."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from ptq_core.flatfile.attributes import (
    INT8_MAX,
    INT8_MIN,
    ArgMax,
    Clamp,
    Concat,
    Conv2d,
    Conv2dAdd,
    Coordinates,
    Dilate,
    Gather,
    Pad,
    Pool2d,
    Reduce,
    ReduceFunction,
    Resize,
    ResizeMode,
    Rounding,
    Slice,
    Softmax,
    Unary,
    UnaryFunction,
)
from ptq_core.flatfile.checks import ANY_REAL, FLOAT_OR_INT8, FLOATS, Operator, Window, scale_of
from ptq_core.flatfile.compressed import WEIGHTED, is_compressed
from ptq_core.flatfile.layout import MAX_RANK
from ptq_core.flatfile.program import DType, OpKind, Program, Tensor
from ptq_core.flatfile.refusal import shown

MAX_INT32 = 2**31 - 1
MAX_WINDOW = 2**22
"""Elements of a pooling window, and of an int8 mean: their int32 sum stays exact."""

F16_KINDS = frozenset(
    {
        OpKind.CONV2D,
        OpKind.CONV2D_ADD,
        OpKind.FULLY_CONNECTED,
        OpKind.ADD,
        OpKind.SUB,
        OpKind.MUL,
        OpKind.DIV,
        OpKind.MAXIMUM,
        OpKind.MINIMUM,
        OpKind.MAX_POOL2D,
        OpKind.AVERAGE_POOL2D,
        OpKind.CONCAT,
        OpKind.CLAMP,
        OpKind.RESHAPE,
        OpKind.UNARY,
    }
)
"""Operators that have an f16 form: all their tensors are f16."""
INT8_BINARIES = frozenset({OpKind.ADD, OpKind.SUB, OpKind.MUL})
SELECTIONS = frozenset({ReduceFunction.MAX, ReduceFunction.MIN})
PARAMETERS: dict[int, tuple[str, ...]] = {
    UnaryFunction.HARD_SIGMOID: ("alpha", "beta"),
    UnaryFunction.LEAKY_RELU: ("alpha",),
    UnaryFunction.ELU: ("alpha",),
}
"""Which functions of `unary` have an alpha or a beta."""

Entries = Mapping[str, tuple[int, ...]]


def check_operator(program: Program, step: int, entries: Entries) -> None:
    """Raise FlatFileError for the first rule that operator ``step`` breaks; ``entries`` are its whole attribute arrays."""
    operator = Operator(program, step)
    if operator.op.kind in WEIGHTED:
        w = operator.input(1)
        if w.is_constant and is_compressed(operator.input(0), w):
            _weight_scales(operator)
    with np.errstate(over="ignore", invalid="ignore"):
        RULES[operator.op.kind](operator, entries)


def _clamp(c: Operator, a: Clamp) -> None:
    c.clamp(a.lo, a.hi, a.q_min, a.q_max)


# Convolutions


def _conv2d(c: Operator, _: Entries) -> None:
    a = c.op.attributes
    assert isinstance(a, Conv2d)
    bias = c.optional(2)
    _conv_shapes(c, a, bias)
    _convolution(c, bias, _own_scale(c), (a.lo, a.hi, a.q_min, a.q_max))


def _conv2d_add(c: Operator, _: Entries) -> None:
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
    _clamp(c, a)
    if y.dtype == DType.I8:
        c.per_tensor("r", r)
        c.multiplier("scale", np.float32(a.scale) / scale_of(y.qparams))
        c.multiplier("r", scale_of(r.qparams) / scale_of(y.qparams))


def _fully_connected(c: Operator, _: Entries) -> None:
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
        _weight_scales(c)
    c.clamp(*clamp)
    if quantized:
        _channels(c, bias, scale if y.dtype == DType.I8 else None)


def _weight_scales(c: Operator) -> None:
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


# Arithmetic of elements


def _binary(c: Operator, _: Entries) -> None:
    x, b, y = c.input(0), c.input(1), c.output
    allowed = ANY_REAL if c.op.kind in INT8_BINARIES else FLOATS
    c.dtype("a", x, (DType.F32,) if c.op.kind == OpKind.POW else allowed)
    c.dtype("b", b, (x.dtype,))
    c.dtype("output", y, (x.dtype,))
    assert isinstance(c.op.attributes, Clamp)
    _clamp(c, c.op.attributes)
    rank = max(len(x.dims), len(b.dims))
    c.rank("output", y, rank)
    left, right = ((1,) * (rank - len(t.dims)) + t.dims for t in (x, b))
    for axis, (p, q) in enumerate(zip(left, right, strict=True)):
        if p != q and 1 not in (p, q):
            c.refuse("inputs", f"dimension {axis} is {p} and {q}", "shapes broadcast")
        c.dim("output", y, axis, max(p, q))
    if x.dtype != DType.I8:
        return
    c.per_tensor("a", x)
    c.per_tensor("b", b)
    c.per_tensor("output", y)
    x_scale, b_scale, y_scale = (scale_of(t.qparams) for t in (x, b, y))
    product = c.op.kind == OpKind.MUL
    c.multiplier("a", (x_scale * b_scale if product else x_scale) / y_scale)
    if not product:
        c.multiplier("b", b_scale / y_scale)


def _clamp_operator(c: Operator, _: Entries) -> None:
    x, y = c.input(0), c.output
    c.dtype("x", x, ANY_REAL)
    c.dtype("output", y, (x.dtype,))
    c.same_shape(x, y)
    assert isinstance(c.op.attributes, Clamp)
    _clamp(c, c.op.attributes)
    c.per_tensor("x", x)
    c.per_tensor("output", y)


def _quantize(c: Operator, _: Entries) -> None:
    x, y = c.input(0), c.output
    c.dtype("x", x, (DType.F32,))
    c.dtype("output", y, (DType.I8,))
    c.same_shape(x, y)
    c.per_tensor("output", y)


def _dequantize(c: Operator, _: Entries) -> None:
    x, y = c.input(0), c.output
    c.dtype("x", x, (DType.I8,))
    c.dtype("output", y, (DType.F32,))
    c.same_shape(x, y)
    c.per_tensor("x", x)


def _convert(c: Operator, _: Entries) -> None:
    x, y = c.input(0), c.output
    c.dtype("x", x, FLOATS)
    c.dtype("output", y, (DType.F16 if x.dtype == DType.F32 else DType.F32,))
    c.same_shape(x, y)


def _unary(c: Operator, _: Entries) -> None:
    x, y, a = c.input(0), c.output, c.op.attributes
    assert isinstance(a, Unary)
    c.dtype("x", x, FLOATS)
    c.dtype("output", y, (x.dtype,))
    c.same_shape(x, y)
    c.below("function", a.function, len(UnaryFunction))
    for name in ("alpha", "beta"):
        value, used = getattr(a, name), name in PARAMETERS.get(a.function, ())
        if not math.isfinite(value) or (value and not used):
            c.refuse(name, value, "finite" if used else "0, as the function has none")
    _clamp(c, a)


def _lookup(c: Operator, _: Entries) -> None:
    x, table, y = c.input(0), c.input(1), c.output
    c.dtype("x", x, (DType.I8,))
    c.dtype("table", table, (DType.I8,))
    c.dtype("output", y, (DType.I8,))
    c.same_shape(x, y)
    c.rank("table", table, 1)
    c.dim("table", table, 0, 256)
    c.constant("table", table)
    c.per_tensor("x", x)
    c.per_tensor("output", y)
    c.same_qparams(table, y)


def _softmax(c: Operator, _: Entries) -> None:
    x, y = c.input(0), c.output
    assert isinstance(c.op.attributes, Softmax)
    c.dtype("x", x, (DType.F32,))
    c.dtype("output", y, (DType.F32,))
    c.same_shape(x, y)
    c.axis(c.op.attributes.axis, x)


# Windows and reductions


def _pool(c: Operator, _: Entries) -> None:
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
    _clamp(c, a)
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


def _reduce(c: Operator, _: Entries) -> None:
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
    _clamp(c, a)
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


def _arg_max(c: Operator, _: Entries) -> None:
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


def _resize(c: Operator, _: Entries) -> None:
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
    _clamp(c, a)
    if a.mode == ResizeMode.NEAREST:
        c.same_qparams(x, y)


# Movers


def _moved(c: Operator) -> tuple[Tensor, Tensor]:
    x, y = c.input(0), c.output
    c.dtype("x", x, FLOAT_OR_INT8)
    c.dtype("output", y, (x.dtype,))
    return x, y


def _concat(c: Operator, _: Entries) -> None:
    y, a = c.output, c.op.attributes
    assert isinstance(a, Concat)
    c.dtype("output", y, ANY_REAL)
    _clamp(c, a)
    c.axis(a.axis, y)
    inputs = [c.input(i) for i in range(len(c.inputs))]
    for x in inputs:
        c.dtype("x", x, (y.dtype,))
        c.rank("x", x, len(y.dims))
        for axis, size in enumerate(y.dims):
            if axis != a.axis:
                c.dim("x", x, axis, size)
    c.dim("output", y, a.axis, sum(x.dims[a.axis] for x in inputs))
    for x in inputs:
        c.per_tensor("x", x)
        c.per_tensor("output", y)


def _transpose(c: Operator, entries: Entries) -> None:
    x, y = _moved(c)
    rank, perm = len(x.dims), entries["perm"]
    c.rank("output", y, rank)
    for i in range(MAX_RANK):
        if perm[i] >= rank or perm[i] in perm[:i] if i < rank else perm[i] != 0:
            c.refuse(f"perm[{i}]", perm[i], f"a permutation of {rank} dimensions, 0 beyond")
        if i < rank:
            c.dim("output", y, i, x.dims[perm[i]])
    c.per_tensor("x", x)
    c.same_qparams(x, y)


def _reshape(c: Operator, _: Entries) -> None:
    x, y = c.input(0), c.output
    c.dtype("output", y, (x.dtype,))
    if x.elements != y.elements:
        c.refuse(f"output {shown(y.name)}", f"{y.elements} elements", f"as many as the input, {x.elements}")
    c.per_tensor("x", x)
    c.same_qparams(x, y)


def _pad(c: Operator, entries: Entries) -> None:
    a = c.op.attributes
    assert isinstance(a, Pad)
    x, y = _moved(c)
    c.rank("output", y, len(x.dims))
    c.per_tensor("x", x)
    c.same_qparams(x, y)
    for d, (before, after) in enumerate(zip(entries["before"], entries["after"], strict=True)):
        if d >= len(x.dims) and (before or after):
            c.refuse(f"before[{d}], after[{d}]", f"{before}, {after}", "0 beyond the rank")
        if d < len(x.dims):
            c.dim("output", y, d, before + x.dims[d] + after)
    c.filler(x.dtype, a.value, a.q_value)


def _slice(c: Operator, entries: Entries) -> None:
    assert isinstance(c.op.attributes, Slice)
    x, y = _moved(c)
    c.per_tensor("x", x)
    c.same_qparams(x, y)
    c.rank("output", y, len(x.dims))
    for d, (start, step) in enumerate(zip(entries["start"], entries["step"], strict=True)):
        if d >= len(x.dims):
            if start or step:
                c.refuse(f"start[{d}], step[{d}]", f"{start}, {step}", "0 beyond the rank")
            continue
        if step == 0:
            c.refuse(f"step[{d}]", 0, "not 0")
        last = start + (y.dims[d] - 1) * step
        if not (0 <= start < x.dims[d] and 0 <= last < x.dims[d]):
            c.refuse(f"start[{d}], step[{d}]", f"reads {start} … {last}", f"a dimension of {x.dims[d]}")


def _gather(c: Operator, _: Entries) -> None:
    a = c.op.attributes
    assert isinstance(a, Gather)
    x, y = _moved(c)
    indices = c.input(1)
    c.per_tensor("x", x)
    c.same_qparams(x, y)
    c.axis(a.axis, x)
    c.dtype("indices", indices, (DType.I32,))
    c.constant("indices", indices)
    c.unquantized("indices", indices)
    c.rank("indices", indices, 1)
    assert indices.data is not None
    outside = (indices.data < 0) | (indices.data >= x.dims[a.axis])
    if outside.any():
        k = int(outside.argmax())
        c.refuse(f"indices {shown(indices.name)} [{k}]", indices.data[k], f"0 … {x.dims[a.axis] - 1}")
    c.rank("output", y, len(x.dims))
    for axis, size in enumerate(x.dims):
        c.dim("output", y, axis, indices.dims[0] if axis == a.axis else size)


def _dilate(c: Operator, entries: Entries) -> None:
    a = c.op.attributes
    assert isinstance(a, Dilate)
    x, y = _moved(c)
    c.per_tensor("x", x)
    c.same_qparams(x, y)
    c.rank("output", y, len(x.dims))
    for d, step in enumerate(entries["step"]):
        if step < 1 if d < len(x.dims) else step != 0:
            c.refuse(f"step[{d}]", step, "at least 1, 0 beyond the rank")
        if d < len(x.dims):
            c.dim("output", y, d, (x.dims[d] - 1) * step + 1)
    c.filler(x.dtype, a.value, a.q_value)


RULES: dict[OpKind, Callable[[Operator, Entries], None]] = {
    OpKind.CONV2D: _conv2d,
    OpKind.CONV2D_ADD: _conv2d_add,
    OpKind.FULLY_CONNECTED: _fully_connected,
    OpKind.ADD: _binary,
    OpKind.SUB: _binary,
    OpKind.MUL: _binary,
    OpKind.DIV: _binary,
    OpKind.MAXIMUM: _binary,
    OpKind.MINIMUM: _binary,
    OpKind.POW: _binary,
    OpKind.MAX_POOL2D: _pool,
    OpKind.AVERAGE_POOL2D: _pool,
    OpKind.CONCAT: _concat,
    OpKind.SOFTMAX: _softmax,
    OpKind.QUANTIZE: _quantize,
    OpKind.DEQUANTIZE: _dequantize,
    OpKind.CLAMP: _clamp_operator,
    OpKind.TRANSPOSE: _transpose,
    OpKind.RESHAPE: _reshape,
    OpKind.PAD: _pad,
    OpKind.UNARY: _unary,
    OpKind.LOOKUP: _lookup,
    OpKind.RESIZE: _resize,
    OpKind.SLICE: _slice,
    OpKind.GATHER: _gather,
    OpKind.REDUCE: _reduce,
    OpKind.DILATE: _dilate,
    OpKind.ARG_MAX: _arg_max,
    OpKind.CONVERT: _convert,
}
