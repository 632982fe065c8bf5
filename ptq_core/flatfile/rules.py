"""What a program must satisfy beyond its bytes: operand types, shapes, execution order, memory (docs/flat_format.md)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, cast

import numpy as np

from ptq_core.flatfile.attributes import (
    INT8_MAX,
    INT8_MIN,
    Clamp,
    Concat,
    Conv2d,
    Pad,
    Pool2d,
    Softmax,
    Transpose,
)
from ptq_core.flatfile.layout import MANY, OPS
from ptq_core.flatfile.program import DType, Op, OpKind, Program, QuantParams, Tensor

MAX_ELEMENTS = 2**31 - 1
MAX_INT32 = 2**31 - 1

F32_ONLY = frozenset({OpKind.SUB, OpKind.MUL, OpKind.DIV, OpKind.SOFTMAX, OpKind.QUANTIZE})
KEEPS_QPARAMS = frozenset({OpKind.MAX_POOL2D, OpKind.TRANSPOSE, OpKind.RESHAPE, OpKind.PAD})
WEIGHTED = frozenset({OpKind.CONV2D, OpKind.FULLY_CONNECTED})


def broken_rules(program: Program) -> Iterator[str]:
    """Yield one phrase per rule that ``program`` breaks, each naming the operator or tensor and the value."""
    yield from _execution_order(program)
    for op in program.ops:
        where = f"{op.kind.label} {op.name}"
        for problem in _op_problems(program, op):
            yield f"{where}: {problem}"


def _execution_order(program: Program) -> Iterator[str]:
    written = set(program.inputs)
    for index in program.inputs:
        if program.tensors[index].is_constant:
            yield f"input {program.tensors[index].name} is a constant"
    if len(written) != len(program.inputs):
        yield "a tensor is an input twice"
    for op in program.ops:
        for index in op.reads:
            if not program.tensors[index].is_constant and index not in written:
                yield f"{op.kind.label} {op.name} reads {program.tensors[index].name} before it is written"
        for index in op.outputs:
            tensor = program.tensors[index]
            if tensor.is_constant:
                yield f"{op.kind.label} {op.name} writes the constant {tensor.name}"
            elif index in written:
                yield f"{op.kind.label} {op.name} writes {tensor.name}, which is written already"
            written.add(index)
    for index in program.outputs:
        if index not in written:
            yield f"output {program.tensors[index].name} is written by no operator"


def _op_problems(program: Program, op: Op) -> Iterator[str]:
    row = OPS[op.kind]
    if not row.min_inputs <= len(op.inputs) <= row.max_inputs:
        most = "" if row.max_inputs == MANY else f" … {row.max_inputs}"
        yield f"{len(op.inputs)} inputs, not {row.min_inputs}{most}"
        return
    if len(op.outputs) != 1:
        yield f"{len(op.outputs)} outputs, not 1"
        return
    if None in op.inputs[: row.min_inputs] or (row.max_inputs == MANY and None in op.inputs):
        yield "a required input is absent"
        return
    operands = [None if index is None else program.tensors[index] for index in op.inputs]
    present = cast("list[Tensor]", [t for t in operands if t is not None])
    y = program.tensors[op.outputs[0]]
    yield from _type_problems(op, present, y)
    yield from _attribute_problems(op)
    dims = None
    try:
        dims = _SHAPES[op.kind](op.attributes, [t.dims for t in present], y.dims)
    except _Misfit as misfit:
        yield str(misfit)
    if dims is not None and dims != y.dims:
        yield f"output {y.name} has dims {list(y.dims)}, expected {list(dims)}"


def _type_problems(op: Op, inputs: list[Tensor], y: Tensor) -> Iterator[str]:
    x = inputs[0]
    if op.kind == OpKind.QUANTIZE:
        if (x.dtype, y.dtype) != (DType.F32, DType.I8):
            yield f"types {x.dtype.label} → {y.dtype.label}, expected f32 → i8"
    elif op.kind == OpKind.DEQUANTIZE:
        if (x.dtype, y.dtype) != (DType.I8, DType.F32):
            yield f"types {x.dtype.label} → {y.dtype.label}, expected i8 → f32"
    else:
        if x.dtype == DType.I32 or (op.kind in F32_ONLY and x.dtype != DType.F32):
            yield f"input {x.name} is {x.dtype.label}"
        compared = inputs[:2] if op.kind in WEIGHTED else inputs
        if any(t.dtype != x.dtype for t in compared):
            yield f"inputs are {', '.join(t.dtype.label for t in compared)}, expected one type"
        may_be_float = op.kind in WEIGHTED and x.dtype == DType.I8 and y.dtype == DType.F32
        if y.dtype != x.dtype and not may_be_float:
            yield f"output is {y.dtype.label}, input is {x.dtype.label}"
    activations = [*(inputs[:1] if op.kind in WEIGHTED else inputs), y]
    for tensor in activations:
        if tensor.qparams is not None and not tensor.qparams.per_tensor:
            yield f"activation {tensor.name} has {len(tensor.qparams.scales)} scales, expected 1"
    if op.kind in KEEPS_QPARAMS and x.qparams != y.qparams:
        yield "scale and zero point differ between input and output"
    if op.kind in WEIGHTED:
        yield from _weight_problems(inputs)


def _weight_problems(inputs: list[Tensor]) -> Iterator[str]:
    x, w = inputs[0], inputs[1]
    if not w.is_constant:
        yield f"weight {w.name} is not a constant"
    if w.qparams is not None:
        if w.qparams.zero_point:
            yield f"weight {w.name} has zero point {w.qparams.zero_point}, expected 0"
        if not w.qparams.per_tensor and w.qparams.axis != 0:
            yield f"weight {w.name} has scales along axis {w.qparams.axis}, expected 0"
    if w.dtype == DType.I8:
        yield from _integer_problems(x, w, inputs[2] if len(inputs) > 2 else None)
    if len(inputs) > 2:
        wanted = DType.I32 if x.dtype == DType.I8 else DType.F32
        if inputs[2].dtype != wanted:
            yield f"bias {inputs[2].name} is {inputs[2].dtype.label}, expected {wanted.label}"
        if not inputs[2].is_constant:
            yield f"bias {inputs[2].name} is not a constant"


def _integer_problems(x: Tensor, w: Tensor, bias: Tensor | None) -> Iterator[str]:
    """int8 weights within −127 … 127, and no order of summation that overflows int32."""
    if w.data is None or x.qparams is None:
        return
    integers = w.data.reshape(w.dims[0], -1).astype(np.int64)
    if integers.size and integers.min() < -INT8_MAX:
        yield f"weight {w.name} holds {integers.min()}, expected -127 … 127"
    worst = np.abs(integers).sum(axis=1) * (128 + abs(x.qparams.zero_point))
    if bias is not None and bias.data is not None and bias.elements == w.dims[0]:
        worst = worst + np.abs(bias.data.reshape(-1).astype(np.int64))
    if worst.size and worst.max() > MAX_INT32:
        yield f"output channel {int(worst.argmax())}: |bias| and Σ|weight| of {w.name} can overflow int32"


def _attribute_problems(op: Op) -> Iterator[str]:
    a = op.attributes
    if isinstance(a, Clamp):
        if not a.lo <= a.hi:  # also refuses NaN
            yield f"clamp lo {a.lo}, hi {a.hi}: expected lo ≤ hi"
        if not INT8_MIN <= a.q_min <= a.q_max <= INT8_MAX:
            yield f"clamp q_min {a.q_min}, q_max {a.q_max}: expected −128 ≤ q_min ≤ q_max ≤ 127"
    for name in ("stride_h", "stride_w", "dilation_h", "dilation_w", "kernel_h", "kernel_w", "groups"):
        if getattr(a, name, 1) < 1:
            yield f"{name} is 0"
    if isinstance(a, Pool2d):
        if a.count_include_pad > (op.kind == OpKind.AVERAGE_POOL2D):
            yield f"count_include_pad is {a.count_include_pad}"
        if op.kind == OpKind.AVERAGE_POOL2D and (a.dilation_h, a.dilation_w) != (1, 1):
            yield f"dilation {a.dilation_h}×{a.dilation_w} of an average"
    if isinstance(a, Pad):
        if not INT8_MIN <= a.q_value <= INT8_MAX:
            yield f"q_value is {a.q_value}"
        if math.isnan(a.value):
            yield "value is NaN"


class _Misfit(Exception):  # noqa: N818 - caught inside this file
    """Shapes that do not fit the operator."""


Dims = tuple[int, ...]


def _expect(condition: bool, message: str) -> None:
    if not condition:
        raise _Misfit(message)


def _conv(a: Conv2d, dims: list[Dims], _: Dims) -> Dims:
    x, w = dims[0], dims[1]
    _expect(len(x) == 4 and len(w) == 4, f"x {list(x)} and w {list(w)} need 4 dimensions")
    _expect(
        a.groups > 0 and w[3] * a.groups == x[3] and w[0] % a.groups == 0,
        f"{x[3]} channels, {a.groups} groups, weights {list(w)}",
    )
    _expect(len(dims) < 3 or dims[2] == (w[0],), f"bias for {w[0]} outputs has another shape")
    return (x[0], *_positions(a, x, (w[1], w[2])), w[0])


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


def _broadcast(_: Clamp, dims: list[Dims], __: Dims) -> Dims:
    a, b = dims
    rank = max(len(a), len(b))
    a, b = (1,) * (rank - len(a)) + a, (1,) * (rank - len(b)) + b
    _expect(
        all(p == q or 1 in (p, q) for p, q in zip(a, b, strict=True)),
        f"{list(a)} and {list(b)} do not broadcast",
    )
    return tuple(max(p, q) for p, q in zip(a, b, strict=True))


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


def _same(_: object, dims: list[Dims], __: Dims) -> Dims:
    return dims[0]


_SHAPES: dict[OpKind, Callable[[Any, list[Dims], Dims], Dims]] = {
    OpKind.CONV2D: _conv,
    OpKind.FULLY_CONNECTED: _fully_connected,
    OpKind.ADD: _broadcast,
    OpKind.SUB: _broadcast,
    OpKind.MUL: _broadcast,
    OpKind.DIV: _broadcast,
    OpKind.MAX_POOL2D: _pool,
    OpKind.AVERAGE_POOL2D: _pool,
    OpKind.CONCAT: _concat,
    OpKind.SOFTMAX: _softmax,
    OpKind.QUANTIZE: _same,
    OpKind.DEQUANTIZE: _same,
    OpKind.CLAMP: _same,
    OpKind.TRANSPOSE: _transpose,
    OpKind.RESHAPE: _reshape,
    OpKind.PAD: _pad,
}


def qparams_problem(tensor_dims: Dims, dtype: DType, qparams: QuantParams | None) -> str | None:
    """Why ``qparams`` do not fit a tensor, None if they do."""
    if dtype == DType.F32:
        return None if qparams is None else "an f32 tensor has quantization parameters"
    if qparams is None:
        return "an i8 tensor has no quantization parameters" if dtype == DType.I8 else None
    count = len(qparams.scales)
    if count == 1:
        if qparams.axis != -1:
            return f"axis is {qparams.axis} with one scale, expected −1"
    elif not 0 <= qparams.axis < len(tensor_dims) or tensor_dims[qparams.axis] != count:
        return f"{count} scales along axis {qparams.axis} of dims {list(tensor_dims)}"
    if qparams.zero_point and (count > 1 or dtype == DType.I32):
        return f"zero point is {qparams.zero_point}, expected 0"
    return None
