"""What a program must satisfy beyond its bytes: operand types, shapes, execution order, memory (docs/flat_format.md)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import cast

import numpy as np

from ptq_core.flatfile.attributes import (
    INT8_MAX,
    INT8_MIN,
    NAMED_VALUES,
    ArgMax,
    Clamp,
    Conv2dAdd,
    Dilate,
    Gather,
    Pad,
    Pool2d,
    Reduce,
    ReduceFunction,
    Resize,
    ResizeMode,
    Unary,
    UnaryFunction,
)
from ptq_core.flatfile.layout import MANY, OPS
from ptq_core.flatfile.program import DType, Op, OpKind, Program, QuantParams, Tensor
from ptq_core.flatfile.shapes import SHAPES, Dims, Misfit

MAX_ELEMENTS = 2**31 - 1
MAX_INT32 = 2**31 - 1
MAX_MEAN_ELEMENTS = 2**22

F32_ONLY = frozenset(
    {
        OpKind.DIV,
        OpKind.SOFTMAX,
        OpKind.QUANTIZE,
        OpKind.UNARY,
        OpKind.MAXIMUM,
        OpKind.MINIMUM,
        OpKind.POW,
    }
)
KEEPS_QPARAMS = frozenset(
    {
        OpKind.MAX_POOL2D,
        OpKind.TRANSPOSE,
        OpKind.RESHAPE,
        OpKind.PAD,
        OpKind.SLICE,
        OpKind.GATHER,
        OpKind.DILATE,
    }
)
BIAS = {OpKind.CONV2D: 2, OpKind.FULLY_CONNECTED: 2, OpKind.CONV2D_ADD: 3}
"""The position of the bias, which may be absent, in the operators that have weights at position 1."""
CONVERSIONS = {OpKind.QUANTIZE: (DType.F32, DType.I8), OpKind.DEQUANTIZE: (DType.I8, DType.F32)}
INT8_REDUCTIONS = frozenset({ReduceFunction.MEAN, ReduceFunction.MAX, ReduceFunction.MIN})
PARAMETERS: dict[int, tuple[str, ...]] = {
    UnaryFunction.HARD_SIGMOID: ("alpha", "beta"),
    UnaryFunction.LEAKY_RELU: ("alpha",),
    UnaryFunction.ELU: ("alpha",),
}
"""Which functions of `unary` have an alpha or a beta."""


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
        dims = SHAPES[op.kind](op.attributes, [t.dims for t in present], y.dims)
    except Misfit as misfit:
        yield str(misfit)
    if dims is not None and dims != y.dims:
        yield f"output {y.name} has dims {list(y.dims)}, expected {list(dims)}"


def _type_problems(op: Op, inputs: list[Tensor], y: Tensor) -> Iterator[str]:
    x = inputs[0]
    if op.kind in CONVERSIONS:
        wanted = CONVERSIONS[op.kind]
        if (x.dtype, y.dtype) != wanted:
            yield f"types {x.dtype.label} → {y.dtype.label}, expected {wanted[0].label} → {wanted[1].label}"
    else:
        yield from _one_type_problems(op, inputs, y)
    for tensor in [*(inputs[:1] + inputs[2 : BIAS[op.kind]] if op.kind in BIAS else inputs), y]:
        if tensor.qparams is not None and not tensor.qparams.per_tensor:
            yield f"activation {tensor.name} has {len(tensor.qparams.scales)} scales, expected 1"
    if _keeps_qparams(op) and x.qparams != y.qparams:
        yield "scale and zero point differ between input and output"
    if op.kind in BIAS:
        bias = BIAS[op.kind]
        yield from _weight_problems(inputs[0], inputs[1], inputs[bias] if len(inputs) > bias else None)
    if op.kind == OpKind.LOOKUP:
        yield from _table_problems(inputs[1], y)
    if isinstance(op.attributes, Gather):
        yield from _index_problems(op.attributes, x, inputs[1])


def _one_type_problems(op: Op, inputs: list[Tensor], y: Tensor) -> Iterator[str]:
    """All operators but the conversions compute in the type of their first input."""
    x = inputs[0]
    allowed = {DType.F32, DType.I8}
    if op.kind in F32_ONLY:
        allowed = {DType.F32}
    elif op.kind == OpKind.LOOKUP:
        allowed = {DType.I8}
    elif op.kind == OpKind.RESHAPE:
        allowed = {DType.F32, DType.I8, DType.I32}
    if x.dtype not in allowed:
        yield f"input {x.name} is {x.dtype.label}"
    compared = inputs
    if op.kind in BIAS:
        compared = inputs[: BIAS[op.kind]]
    elif op.kind == OpKind.GATHER:
        compared = inputs[:1]
    if any(t.dtype != x.dtype for t in compared):
        yield f"inputs are {', '.join(t.dtype.label for t in compared)}, expected one type"
    a = op.attributes
    if isinstance(a, Reduce) and x.dtype == DType.I8:
        if a.function not in INT8_REDUCTIONS:
            yield f"function {a.function} has no i8 form"
        if x.elements // max(y.elements, 1) > MAX_MEAN_ELEMENTS:
            yield f"{x.elements // y.elements} elements per result can overflow int32"
    if op.kind == OpKind.ARG_MAX:
        if y.dtype != DType.I32 or y.qparams is not None:
            yield f"output is {y.dtype.label}, expected i32 without quantization parameters"
        return
    may_be_float = (
        op.kind in (OpKind.CONV2D, OpKind.FULLY_CONNECTED) and x.dtype == DType.I8 and y.dtype == DType.F32
    )
    if y.dtype != x.dtype and not may_be_float:
        yield f"output is {y.dtype.label}, input is {x.dtype.label}"


def _keeps_qparams(op: Op) -> bool:
    a = op.attributes
    if isinstance(a, Resize):
        return a.mode == ResizeMode.NEAREST
    if isinstance(a, Reduce):
        return a.function in (ReduceFunction.MAX, ReduceFunction.MIN)
    return op.kind in KEEPS_QPARAMS


def _table_problems(table: Tensor, y: Tensor) -> Iterator[str]:
    if not table.is_constant:
        yield f"table {table.name} is not a constant"
    if table.qparams != y.qparams:
        yield "scale and zero point differ between table and output"


def _index_problems(a: Gather, x: Tensor, indices: Tensor) -> Iterator[str]:
    if indices.dtype != DType.I32 or indices.data is None:
        yield f"indices {indices.name} are not an i32 constant"
        return
    if a.axis < len(x.dims) and not ((indices.data >= 0) & (indices.data < x.dims[a.axis])).all():
        yield f"indices {indices.name} leave the dimension of {x.dims[a.axis]}"


def _weight_problems(x: Tensor, w: Tensor, bias: Tensor | None) -> Iterator[str]:
    if not w.is_constant:
        yield f"weight {w.name} is not a constant"
    if w.qparams is not None:
        if w.qparams.zero_point:
            yield f"weight {w.name} has zero point {w.qparams.zero_point}, expected 0"
        if not w.qparams.per_tensor and w.qparams.axis != 0:
            yield f"weight {w.name} has scales along axis {w.qparams.axis}, expected 0"
    if w.dtype == DType.I8:
        yield from _integer_problems(x, w, bias)
    if bias is not None:
        wanted = DType.I32 if x.dtype == DType.I8 else DType.F32
        if bias.dtype != wanted:
            yield f"bias {bias.name} is {bias.dtype.label}, expected {wanted.label}"
        if not bias.is_constant:
            yield f"bias {bias.name} is not a constant"


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
    if isinstance(a, Pad | Dilate):
        if not INT8_MIN <= a.q_value <= INT8_MAX:
            yield f"q_value is {a.q_value}"
        if math.isnan(a.value):
            yield "value is NaN"
    for (owner, name), allowed in NAMED_VALUES.items():
        if isinstance(a, owner) and getattr(a, name) not in allowed.__members__.values():
            yield f"{name} is {getattr(a, name)}, expected 0 … {max(allowed)}"
    if isinstance(a, Unary):
        for name in ("alpha", "beta"):
            value, known = getattr(a, name), name in PARAMETERS.get(a.function, ())
            if not math.isfinite(value) or (value and not known):
                yield f"{name} is {value}"
    if isinstance(a, Resize):
        if a.mode == ResizeMode.LINEAR and a.rounding:
            yield f"rounding is {a.rounding} in a linear resize, expected 0"
        for name in ("scale_h", "scale_w"):
            if not (math.isfinite(getattr(a, name)) and getattr(a, name) > 0):
                yield f"{name} is {getattr(a, name)}, expected a positive finite number"
    if isinstance(a, Conv2dAdd):
        if not (math.isfinite(a.scale) and a.scale > 0 and INT8_MIN <= a.zero_point <= INT8_MAX):
            yield f"scale {a.scale} and zero point {a.zero_point} are not those of an i8"
        if not a.conv_lo <= a.conv_hi:
            yield f"clamp conv_lo {a.conv_lo}, conv_hi {a.conv_hi}: expected conv_lo ≤ conv_hi"
        if not INT8_MIN <= a.conv_q_min <= a.conv_q_max <= INT8_MAX:
            yield f"clamp conv_q_min {a.conv_q_min}, conv_q_max {a.conv_q_max}: expected −128 ≤ conv_q_min ≤ conv_q_max ≤ 127"
    if isinstance(a, ArgMax) and a.select_last > 1:
        yield f"select_last is {a.select_last}"


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
