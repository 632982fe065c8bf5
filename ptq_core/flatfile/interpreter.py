"""Run a program with the NumPy reference operators: the judge of every faster runtime."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import numpy as np

from ptq_core.flatfile.attributes import (
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
    Transpose,
    Unary,
    UnaryFunction,
)
from ptq_core.flatfile.compressed import expand_weights
from ptq_core.flatfile.program import Array, DType, Op, OpKind, Program, QuantParams, Tensor
from ptq_core.numerics import functions, reference
from ptq_core.numerics.reference import Scales, Window
from ptq_core.numerics.requantize import multiplier, requantize


def interpret(program: Program, inputs: Sequence[Array]) -> list[Array | None]:
    """Every tensor's value, aligned with ``program.tensors``; None for a tensor that nothing writes.

    ``inputs`` are aligned with ``program.inputs`` and must have their dims and dtypes (ValueError otherwise).
    """
    count = len(program.tensors)
    program = expand_weights(program)
    values: list[Array | None] = [tensor.data for tensor in program.tensors]
    for index, value in zip(program.inputs, inputs, strict=True):
        tensor = program.tensors[index]
        if value.shape != tensor.dims or value.dtype != tensor.dtype.numpy:
            raise ValueError(
                f"input {tensor.name} is {value.dtype}{list(value.shape)}, expected {tensor.dtype.label}{list(tensor.dims)}"
            )
        values[index] = value
    for op in program.ops:
        operands = [None if index is None else values[index] for index in op.inputs]
        tensors = [None if index is None else program.tensors[index] for index in op.inputs]
        values[op.outputs[0]] = evaluate(op, tensors, operands, program.tensors[op.outputs[0]])
    return values[:count]


def evaluate(
    op: Op, tensors: Sequence[Tensor | None], operands: Sequence[Array | None], out: Tensor
) -> Array:
    """What ``op`` makes of ``operands``, which with their ``tensors`` are aligned with its inputs; ``out`` is its output.

    Weights are expanded. Raises ValueError if the result is not of the type and dims of ``out``.
    """
    widened = [None if values is None else _widened(values) for values in operands]
    result = _OPERATORS[op.kind](_Call(op, tensors, widened, out))
    if out.dtype == DType.F16:
        result = half(result)
    if result.shape != out.dims or result.dtype != out.dtype.numpy:
        raise ValueError(f"{op.kind.label} {op.name} gives {result.dtype}{list(result.shape)}, not {out}")
    return result


def _widened(values: Array) -> Array:
    return values.astype(np.float32) if values.dtype == np.float16 else values


def half(values: Array) -> Array:
    """``values`` rounded to half precision; beyond 65504 they are infinite."""
    with np.errstate(over="ignore"):
        return values.astype(np.float16)


def run(program: Program, inputs: Sequence[Array]) -> list[Array]:
    """The program's outputs for ``inputs``; see `interpret`."""
    values = interpret(program, inputs)
    return [cast(Array, values[index]) for index in program.outputs]


class _Call:
    """One operator with its tensors and values at hand."""

    def __init__(
        self, op: Op, tensors: Sequence[Tensor | None], values: Sequence[Array | None], out: Tensor
    ) -> None:
        self.op = op
        self.out = out
        self._tensors = tensors
        self._values = values

    @property
    def count(self) -> int:
        return len(self._values)

    @property
    def int8(self) -> bool:
        return self.tensor(0).dtype == DType.I8

    def tensor(self, position: int) -> Tensor:
        return cast(Tensor, self._tensors[position])

    def value(self, position: int) -> Array:
        return cast(Array, self._values[position])

    def optional(self, position: int) -> Array | None:
        return self._values[position] if position < len(self._values) else None

    def qparams(self, position: int) -> QuantParams:
        return cast(QuantParams, self.tensor(position).qparams)

    @property
    def out_qparams(self) -> QuantParams:
        return cast(QuantParams, self.out.qparams)

    def clamped(self, y: Array) -> Array:
        """``y`` within the fused activation's bounds."""
        bounds = cast(Clamp, self.op.attributes)
        if y.dtype == np.int8:
            return reference.clamp_i8(y, bounds.q_min, bounds.q_max)
        return reference.clamp(y, bounds.lo, bounds.hi)


def _conv2d(call: _Call) -> Array:
    a = cast(Conv2d, call.op.attributes)
    x, w, bias = call.value(0), call.value(1), call.optional(2)
    window = conv_window(a, w.shape)
    if not call.int8:
        return reference.conv2d(x, w, bias, window, a.groups, a.lo, a.hi)
    acc = reference.conv2d_i8_sums(x, call.qparams(0).zero_point, w, bias, window, a.groups)
    return _finish(call, acc)


def _conv2d_add(call: _Call) -> Array:
    a = cast(Conv2dAdd, call.op.attributes)
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


def _fully_connected(call: _Call) -> Array:
    bounds = cast(Clamp, call.op.attributes)
    x, w, bias = call.value(0), call.value(1), call.optional(2)
    if not call.int8:
        return reference.fully_connected(x, w, bias, bounds.lo, bounds.hi)
    return _finish(call, reference.fully_connected_i8_sums(x, call.qparams(0).zero_point, w, bias))


def _finish(call: _Call, acc: Array) -> Array:
    """int32 sums to the output's type, channels last."""
    bounds = cast(Clamp, call.op.attributes)
    s_in, s_w = call.qparams(0).scale, call.qparams(1).scales
    if call.out.dtype == DType.F32:
        return reference.scale_sums(acc, s_in, s_w, bounds.lo, bounds.hi)
    out = call.out_qparams
    return requantize(acc, multiplier(s_in, s_w, out.scale), out.zero_point, bounds.q_min, bounds.q_max)


def _arithmetic(
    real: Callable[[Array, Array], Array], int8: Callable[[Array, Array, Scales], Array]
) -> Callable[[_Call], Array]:
    """The operator of two tensors that computes ``real`` on float32 and ``int8`` on integers."""

    def compute(call: _Call) -> Array:
        if not call.int8:
            return call.clamped(real(call.value(0), call.value(1)))
        scales = Scales(
            *((q.scale, q.zero_point) for q in (call.qparams(0), call.qparams(1), call.out_qparams))
        )
        return call.clamped(int8(call.value(0), call.value(1), scales))

    return compute


def _div(call: _Call) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        return call.clamped(np.asarray(call.value(0) / call.value(1), np.float32))


def conv_window(a: Conv2d, weight_dims: tuple[int, ...]) -> Window:
    """The window that convolution attributes describe; ``weight_dims`` is [O, KH, KW, C/groups]."""
    return Window(
        (weight_dims[1], weight_dims[2]),
        (a.stride_h, a.stride_w),
        (a.dilation_h, a.dilation_w),
        (a.pad_top, a.pad_left, a.pad_bottom, a.pad_right),
    )


def pool_window(a: Pool2d) -> Window:
    """The window that pooling attributes describe."""
    return Window(
        (a.kernel_h, a.kernel_w),
        (a.stride_h, a.stride_w),
        (a.dilation_h, a.dilation_w),
        (a.pad_top, a.pad_left, a.pad_bottom, a.pad_right),
    )


def _max_pool2d(call: _Call) -> Array:
    window = pool_window(cast(Pool2d, call.op.attributes))
    return call.clamped(reference.max_pool2d(call.value(0), window))


def _average_pool2d(call: _Call) -> Array:
    a = cast(Pool2d, call.op.attributes)
    window, include_pad = pool_window(a), bool(a.count_include_pad)
    if not call.int8:
        return call.clamped(reference.average_pool2d(call.value(0), window, include_pad))
    s, out = call.qparams(0), call.out_qparams
    return call.clamped(
        reference.average_pool2d_i8(
            call.value(0), window, include_pad, s.scale, s.zero_point, out.scale, out.zero_point
        )
    )


def _rescaled(call: _Call, position: int) -> Array:
    """Input ``position`` in the output's scale and zero point; float stays as it is."""
    if not call.int8:
        return call.value(position)
    s, out = call.qparams(position), call.out_qparams
    return reference.rescale_i8(call.value(position), s.scale, s.zero_point, out.scale, out.zero_point)


def _concat(call: _Call) -> Array:
    axis = cast(Concat, call.op.attributes).axis
    return call.clamped(np.concatenate([_rescaled(call, i) for i in range(call.count)], axis))


def _pad(call: _Call) -> Array:
    a = cast(Pad, call.op.attributes)
    fill = a.q_value if call.int8 else a.value
    return np.pad(call.value(0), tuple(zip(a.before, a.after, strict=True)), constant_values=fill)


_UNARY: dict[int, Callable[[Array, Unary], Array]] = {
    UnaryFunction.SIGMOID: lambda x, a: functions.sigmoid(x),
    UnaryFunction.TANH: lambda x, a: np.tanh(x.astype(np.float64)),
    UnaryFunction.HARD_SIGMOID: lambda x, a: functions.hard_sigmoid(x, a.alpha, a.beta),
    UnaryFunction.HARD_SWISH: lambda x, a: functions.hard_swish(x),
    UnaryFunction.LEAKY_RELU: lambda x, a: functions.leaky_relu(x, a.alpha),
    UnaryFunction.ELU: lambda x, a: functions.elu(x, a.alpha),
    UnaryFunction.EXP: lambda x, a: np.exp(x.astype(np.float64)),
    UnaryFunction.LOG: lambda x, a: np.log(x.astype(np.float64)),
    UnaryFunction.SQRT: lambda x, a: np.sqrt(x.astype(np.float64)),
    UnaryFunction.ABS: lambda x, a: np.abs(x),
    UnaryFunction.NEG: lambda x, a: np.negative(x),
    UnaryFunction.RECIPROCAL: lambda x, a: np.asarray(np.float32(1) / x),
    UnaryFunction.FLOOR: lambda x, a: np.floor(x),
    UnaryFunction.CEIL: lambda x, a: np.ceil(x),
    UnaryFunction.ROUND: lambda x, a: np.rint(x),
    UnaryFunction.SOFTPLUS: lambda x, a: functions.softplus(x),
    UnaryFunction.ERF: lambda x, a: functions.erf(x),
    UnaryFunction.SILU: lambda x, a: functions.silu(x),
    UnaryFunction.MISH: lambda x, a: functions.mish(x),
    UnaryFunction.GELU: lambda x, a: functions.gelu(x),
}


def evaluate_unary(a: Unary, x: Array) -> Array:
    """The function of ``a`` without its clamp: float64 where it is transcendental, else in x's type (float32, float64)."""
    with np.errstate(all="ignore"):  # log(−1) is NaN and exp(1000) is inf, as in every float kernel
        return _UNARY[a.function](x, a)


def _unary(call: _Call) -> Array:
    with np.errstate(over="ignore"):
        return call.clamped(evaluate_unary(cast(Unary, call.op.attributes), call.value(0)).astype(np.float32))


def _pow(call: _Call) -> Array:
    with np.errstate(all="ignore"):
        power = np.power(call.value(0).astype(np.float64), call.value(1).astype(np.float64))
        return call.clamped(power.astype(np.float32))


def resize_places(a: Resize, dims: tuple[int, ...], out: tuple[int, ...]) -> tuple[Array, Array]:
    """(rows [OH], columns [OW]): where the pixels of ``out`` lie in ``dims``, both [N,H,W,C]."""
    mode = Coordinates(a.coordinates).name.lower()
    return (
        functions.coordinates(mode, dims[1], out[1], a.scale_h),
        functions.coordinates(mode, dims[2], out[2], a.scale_w),
    )


def _resize(call: _Call) -> Array:
    a, x = cast(Resize, call.op.attributes), call.value(0)
    rows, columns = resize_places(a, x.shape, call.out.dims)
    if a.mode == ResizeMode.NEAREST:
        rounding = Rounding(a.rounding).name.lower()
        return call.clamped(functions.resize_nearest(x, rows, columns, rounding))
    if not call.int8:
        return call.clamped(functions.resize_linear(x, rows, columns))
    s, out = call.qparams(0), call.out_qparams
    return call.clamped(
        functions.resize_linear_i8(x, rows, columns, s.scale, s.zero_point, out.scale, out.zero_point)
    )


def _slice(call: _Call) -> Array:
    a = cast(Slice, call.op.attributes)
    return functions.strided_slice(call.value(0), a.start, a.step, call.out.dims)


def reduced_axes(a: Reduce, rank: int) -> tuple[int, ...]:
    """The dimensions whose bits are set."""
    return tuple(i for i in range(rank) if a.axes >> i & 1)


def _reduce(call: _Call) -> Array:
    a, x = cast(Reduce, call.op.attributes), call.value(0)
    axes = reduced_axes(a, x.ndim)
    if call.int8 and a.function == ReduceFunction.MEAN:
        s, out = call.qparams(0), call.out_qparams
        return call.clamped(
            functions.reduce_mean_i8(x, axes, s.scale, s.zero_point, out.scale, out.zero_point)
        )
    return call.clamped(functions.reduce(x, ReduceFunction(a.function).name.lower(), axes))


def _dilate(call: _Call) -> Array:
    a = cast(Dilate, call.op.attributes)
    return functions.dilate(call.value(0), a.step, a.q_value if call.int8 else a.value)


def _arg_max(call: _Call) -> Array:
    a = cast(ArgMax, call.op.attributes)
    return functions.arg_max(call.value(0), a.axis, bool(a.select_last))


_OPERATORS: dict[OpKind, Callable[[_Call], Array]] = {
    OpKind.CONV2D: _conv2d,
    OpKind.CONV2D_ADD: _conv2d_add,
    OpKind.FULLY_CONNECTED: _fully_connected,
    OpKind.ADD: _arithmetic(np.add, reference.add_i8),
    OpKind.SUB: _arithmetic(np.subtract, reference.sub_i8),
    OpKind.MUL: _arithmetic(np.multiply, reference.mul_i8),
    OpKind.DIV: _div,
    OpKind.MAX_POOL2D: _max_pool2d,
    OpKind.AVERAGE_POOL2D: _average_pool2d,
    OpKind.CONCAT: _concat,
    OpKind.SOFTMAX: lambda call: reference.softmax(call.value(0), cast(Softmax, call.op.attributes).axis),
    OpKind.QUANTIZE: lambda call: reference.quantize(
        call.value(0), call.out_qparams.scale, call.out_qparams.zero_point
    ),
    OpKind.DEQUANTIZE: lambda call: reference.dequantize(
        call.value(0), call.qparams(0).scale, call.qparams(0).zero_point
    ),
    OpKind.CLAMP: lambda call: call.clamped(_rescaled(call, 0)),
    OpKind.TRANSPOSE: lambda call: np.ascontiguousarray(
        call.value(0).transpose(cast(Transpose, call.op.attributes).perm)
    ),
    OpKind.RESHAPE: lambda call: call.value(0).reshape(call.out.dims),
    OpKind.PAD: _pad,
    OpKind.UNARY: _unary,
    OpKind.LOOKUP: lambda call: call.value(1)[call.value(0).astype(np.int32) + 128],
    OpKind.MAXIMUM: lambda call: call.clamped(np.maximum(call.value(0), call.value(1))),
    OpKind.MINIMUM: lambda call: call.clamped(np.minimum(call.value(0), call.value(1))),
    OpKind.POW: _pow,
    OpKind.RESIZE: _resize,
    OpKind.SLICE: _slice,
    OpKind.GATHER: lambda call: call.value(0).take(call.value(1), cast(Gather, call.op.attributes).axis),
    OpKind.REDUCE: _reduce,
    OpKind.DILATE: _dilate,
    OpKind.ARG_MAX: _arg_max,
    OpKind.CONVERT: lambda call: call.value(0),  # interpret rounds
}
