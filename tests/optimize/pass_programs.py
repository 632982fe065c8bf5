"""Small programs before a pass: what it rewrites, and what must hold it back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ptq_core.flatfile.operators.attributes import Attributes, Clamp, NoAttributes
from ptq_core.flatfile.operators.binary import ADD, DIV, MUL, SUB
from ptq_core.flatfile.operators.clamp import CLAMP
from ptq_core.flatfile.operators.concat import CONCAT, Concat
from ptq_core.flatfile.operators.conv2d import CONV2D, Conv2d
from ptq_core.flatfile.operators.dequantize import DEQUANTIZE
from ptq_core.flatfile.operators.description import OperatorKind
from ptq_core.flatfile.operators.dilate import DILATE, Dilate
from ptq_core.flatfile.operators.fully_connected import FULLY_CONNECTED
from ptq_core.flatfile.operators.matmul import MATMUL, Matmul
from ptq_core.flatfile.operators.pad import PAD, Pad
from ptq_core.flatfile.operators.pool2d import MAX_POOL2D, Pool2d
from ptq_core.flatfile.operators.quantize import QUANTIZE
from ptq_core.flatfile.operators.reduce import REDUCE, Reduce, ReduceFunction
from ptq_core.flatfile.operators.reshape import RESHAPE
from ptq_core.flatfile.operators.resize import RESIZE, Resize
from ptq_core.flatfile.operators.slice import SLICE, Slice
from ptq_core.flatfile.operators.transpose import TRANSPOSE, Transpose
from ptq_core.flatfile.operators.unary import UNARY, Unary, UnaryFunction
from ptq_core.flatfile.program import Op, Program
from ptq_core.flatfile.tensors import DType, QuantParams, Tensor

S = QuantParams(np.array([0.05], np.float32), 4)
T = QuantParams(
    np.array([0.0813], np.float32), -3
)  # 0.05 / 0.08 would put values on ties, where rules may differ


class Net:
    """A program under construction; every method returns a tensor index."""

    def __init__(self, dims: tuple[int, ...] = (1, 5, 5, 4)) -> None:
        self.program = Program()
        self.random = np.random.default_rng(5)
        self.x = self.program.add(Tensor("x", DType.F32, dims))
        self.program.inputs = [self.x]

    def op(
        self,
        kind: OperatorKind[Any],
        inputs: Sequence[int],
        dims: tuple[int, ...],
        attributes: Attributes | None = None,
        qparams: QuantParams | None = None,
    ) -> int:
        dtype = DType.F32 if qparams is None else DType.I8
        name = f"{kind.name}{len(self.program.ops)}"
        out = self.program.add(Tensor(f"{name}/out", dtype, dims, qparams))
        self.program.ops.append(Op(kind, name, tuple(inputs), (out,), attributes or NoAttributes()))
        return out

    def same(
        self,
        kind: OperatorKind[Any],
        x: int,
        attributes: Attributes | None = None,
        qparams: QuantParams | None = None,
    ) -> int:
        return self.op(kind, [x], self.program.tensors[x].dims, attributes, qparams)

    def const(self, *dims: int) -> int:
        data = self.random.standard_normal(dims).astype(np.float32)
        return self.program.add(Tensor(f"c{len(self.program.tensors)}", DType.F32, dims, None, data))

    def int8(self, *dims: int) -> int:
        data = self.random.integers(-127, 128, dims).astype(np.int8)
        scales = self.random.uniform(0.01, 0.02, dims[0]).astype(np.float32)
        name = f"w{len(self.program.tensors)}"
        return self.program.add(Tensor(name, DType.I8, dims, QuantParams(scales, 0, 0), data))

    def qdq(self, x: int, qparams: QuantParams = S) -> int:
        q = self.same(QUANTIZE, x, qparams=qparams)
        return self.same(DEQUANTIZE, q)

    def conv(self, x: int, attributes: Conv2d | None = None, weight: int | None = None) -> int:
        w = self.const(6, 1, 1, 4) if weight is None else weight
        n, height, width, _ = self.program.tensors[x].dims
        return self.op(CONV2D, [x, w, self.const(6)], (n, height, width, 6), attributes or Conv2d())

    def done(self, *outputs: int) -> Program:
        self.program.outputs = list(outputs)
        return self.program


def clamp_after_conv(net: Net) -> Program:
    return net.done(net.same(CLAMP, net.same(CLAMP, net.conv(net.x), Clamp(lo=-1)), Clamp(lo=-2, hi=0.5)))


def clamp_of_shared(net: Net) -> Program:
    y = net.conv(net.x)
    return net.done(net.same(CLAMP, y, Clamp(lo=0)), y)


def batch_norm(net: Net) -> Program:
    y = net.conv(net.x)
    y = net.op(MUL, [y, net.const(6)], (1, 5, 5, 6), Clamp())
    y = net.op(ADD, [y, net.const(6)], (1, 5, 5, 6), Clamp())
    return net.done(net.op(SUB, [y, net.const(1, 1, 1, 1)], (1, 5, 5, 6), Clamp(lo=0)))


def spatial_add(net: Net) -> Program:
    return net.done(net.op(ADD, [net.conv(net.x), net.const(1, 5, 5, 1)], (1, 5, 5, 6), Clamp()))


def broadcasting_add(net: Net) -> Program:
    return net.done(net.op(ADD, [net.conv(net.x), net.const(2, 5, 5, 6)], (2, 5, 5, 6), Clamp()))


def residual(net: Net) -> Program:
    a, b = net.conv(net.x, Conv2d(hi=2.0)), net.conv(net.x, Conv2d(lo=-1.0))
    return net.done(net.op(ADD, [b, a], (1, 5, 5, 6), Clamp(lo=0.0)))


def int8_residual(net: Net) -> Program:
    w = np.random.default_rng(6).integers(-127, 128, (4, 1, 1, 4)).astype(np.int8)
    weight = net.program.add(Tensor("w8", DType.I8, w.shape, QuantParams(np.array([0.01], np.float32)), w))
    x = net.same(QUANTIZE, net.x, qparams=S)
    a = net.op(CONV2D, [x, weight], (1, 5, 5, 4), Conv2d(q_min=-90), T)
    b = net.op(CONV2D, [a, weight], (1, 5, 5, 4), Conv2d(q_max=60), S)
    return net.done(net.op(ADD, [a, b], (1, 5, 5, 4), Clamp(q_min=-100), T))


def residual_of_shared(net: Net) -> Program:
    y = net.conv(net.x)
    return net.done(net.op(ADD, [y, y], (1, 5, 5, 6), Clamp()), y)


def broadcasting_residual(net: Net) -> Program:
    return net.done(net.op(ADD, [net.conv(net.x), net.const(1, 5, 5, 6)], (1, 5, 5, 6), Clamp()))


def pad_before_conv(net: Net) -> Program:
    y = net.op(PAD, [net.x], (1, 6, 7, 4), Pad(before=(0, 1, 0, 0), after=(0, 0, 2, 0)))
    return net.done(net.conv(y))


def pad_with_ones(net: Net) -> Program:
    y = net.op(PAD, [net.x], (1, 6, 5, 4), Pad(before=(0, 1, 0, 0), after=(0,) * 4, value=1.0))
    return net.done(net.conv(y))


def trivial(net: Net) -> Program:
    y = net.op(RESHAPE, [net.x], (1, 5, 5, 4))
    y = net.op(TRANSPOSE, [y], (1, 5, 5, 4), Transpose(perm=(0, 1, 2, 3)))
    y = net.op(PAD, [y], (1, 5, 5, 4), Pad(before=(0,) * 4, after=(0,) * 4))
    y = net.op(CONCAT, [net.same(CLAMP, y, Clamp())], (1, 5, 5, 4), Concat(axis=3))
    return net.done(net.conv(y))


def reshapes(net: Net) -> Program:
    y = net.op(RESHAPE, [net.op(RESHAPE, [net.x], (25, 4))], (5, 20))
    y = net.op(TRANSPOSE, [y], (20, 5), Transpose(perm=(1, 0)))
    y = net.op(RESHAPE, [y], (4, 5, 5))
    y = net.op(TRANSPOSE, [y], (5, 5, 4), Transpose(perm=(1, 2, 0)))
    return net.done(net.op(TRANSPOSE, [y], (4, 5, 5), Transpose(perm=(2, 1, 0))))


def movement_after_dequantize(net: Net) -> Program:
    y = net.op(TRANSPOSE, [net.qdq(net.x)], (1, 4, 5, 5), Transpose(perm=(0, 3, 1, 2)))
    return net.done(net.op(PAD, [y], (1, 5, 5, 5), Pad(before=(0, 1, 0, 0), after=(0,) * 4)))


def inexact_pad(net: Net) -> Program:
    pad = Pad(before=(0, 1, 0, 0), after=(0,) * 4, value=0.123)
    return net.done(net.op(PAD, [net.qdq(net.x)], (1, 6, 5, 4), pad))


def pool_before_quantize(net: Net) -> Program:
    y = net.op(MAX_POOL2D, [net.x], (1, 2, 2, 4), Pool2d(kernel_h=2, kernel_w=2, stride_h=2, stride_w=2))
    return net.done(net.same(QUANTIZE, y, qparams=S))


def maximum_before_quantize(net: Net) -> Program:
    return _reduced_before_quantize(net, ReduceFunction.MAX)


def mean_before_quantize(net: Net) -> Program:
    return _reduced_before_quantize(net, ReduceFunction.MEAN)


def _reduced_before_quantize(net: Net, function: ReduceFunction) -> Program:
    y = net.op(REDUCE, [net.x], (1, 1, 1, 4), Reduce(function=function, axes=0b110))
    return net.done(net.same(QUANTIZE, y, qparams=S))


def concat_before_quantize(net: Net) -> Program:
    y = net.op(CONCAT, [net.x, net.conv(net.x)], (1, 5, 5, 10), Concat(axis=3))
    y = net.op(RESHAPE, [y], (25, 10))
    return net.done(net.same(QUANTIZE, y, qparams=S))


def chain_of_pairs(net: Net) -> Program:
    return net.done(net.qdq(net.qdq(net.qdq(net.x), S), T))


def int8_conv(net: Net) -> Program:
    y = net.conv(net.qdq(net.x), Conv2d(lo=0), net.int8(6, 1, 1, 4))
    return net.done(net.same(QUANTIZE, y, qparams=T))


def int8_weight_float_input(net: Net) -> Program:
    return net.done(net.conv(net.x, None, net.int8(6, 1, 1, 4)))


def int8_add(net: Net) -> Program:
    y = net.op(ADD, [net.qdq(net.x), net.qdq(net.x, T)], (1, 5, 5, 4), Clamp(hi=0.5))
    return net.done(net.same(QUANTIZE, y, qparams=S))


def half_int8_add(net: Net) -> Program:
    y = net.op(ADD, [net.qdq(net.x), net.x], (1, 5, 5, 4), Clamp())
    return net.done(net.same(QUANTIZE, y, qparams=S))


def two_dequantizes(net: Net) -> Program:
    q = net.same(QUANTIZE, net.x, qparams=S)
    a, b = net.same(DEQUANTIZE, q), net.same(DEQUANTIZE, q)
    return net.done(net.op(MUL, [a, b], (1, 5, 5, 4), Clamp()))


def dead_branch(net: Net) -> Program:
    net.conv(net.x)
    return net.done(net.same(CLAMP, net.x, Clamp(lo=0)))


def unary(
    net: Net, x: int, function: UnaryFunction, alpha: float = 0.0, beta: float = 0.0, **bounds: Any
) -> int:
    return net.same(UNARY, x, Unary(function=function, alpha=alpha, beta=beta, **bounds))


def binary(net: Net, kind: OperatorKind[Any], a: int, b: int, **bounds: Any) -> int:
    return net.op(kind, [a, b], net.program.tensors[net.x].dims, Clamp(**bounds))


def number(net: Net, value: float) -> int:
    data = np.array(value, np.float32)
    return net.program.add(Tensor(f"n{len(net.program.tensors)}", DType.F32, (), None, data))


def relu6_of_sum(net: Net) -> int:
    return binary(net, ADD, net.x, number(net, 3), lo=0, hi=6)


def silu(net: Net) -> Program:
    return net.done(binary(net, MUL, unary(net, net.x, UnaryFunction.SIGMOID), net.x, hi=2))


def gate_with_two_readers(net: Net) -> Program:
    gate = unary(net, net.x, UnaryFunction.SIGMOID)
    return net.done(binary(net, MUL, net.x, gate), gate)


def bounded_gate(net: Net) -> Program:
    return net.done(binary(net, MUL, net.x, unary(net, net.x, UnaryFunction.SIGMOID, hi=0.5)))


def gate_of_another(net: Net) -> Program:
    other = net.same(CLAMP, net.x, Clamp(lo=0))
    return net.done(binary(net, MUL, other, unary(net, net.x, UnaryFunction.SIGMOID)))


def hard_swish_by_gate(net: Net) -> Program:
    gate = unary(net, net.x, UnaryFunction.HARD_SIGMOID, float(np.float32(1 / 6)), 0.5)
    return net.done(binary(net, MUL, net.x, gate))


def another_hard_sigmoid(net: Net) -> Program:
    gate = unary(net, net.x, UnaryFunction.HARD_SIGMOID, float(np.float32(0.2)), 0.5)
    return net.done(binary(net, MUL, net.x, gate))


def hard_swish_divided(net: Net) -> Program:
    product = binary(net, MUL, net.x, relu6_of_sum(net))
    return net.done(binary(net, DIV, product, number(net, 6)))


def hard_swish_scaled(net: Net) -> Program:
    gate = binary(net, MUL, number(net, 1 / 6), relu6_of_sum(net))
    return net.done(binary(net, MUL, gate, net.x))


def six_divided(net: Net) -> Program:
    return net.done(binary(net, DIV, number(net, 6), relu6_of_sum(net)))


def hard_sigmoid_divided(net: Net) -> Program:
    return net.done(binary(net, DIV, relu6_of_sum(net), number(net, 6)))


def mish(net: Net) -> Program:
    gate = unary(net, unary(net, net.x, UnaryFunction.SOFTPLUS), UnaryFunction.TANH)
    return net.done(binary(net, MUL, net.x, gate))


def int8_island(net: Net) -> Program:
    """x · min(max(x + 3, 0), 6) / 6 between one dequantize and a quantize; the gate has a float reader too."""
    x = net.qdq(net.x)
    gate = binary(net, ADD, x, number(net, 3), lo=0, hi=6)
    y = binary(net, DIV, binary(net, MUL, x, gate), number(net, 6))
    return net.done(net.same(QUANTIZE, y, qparams=T), gate)


def island_of_two(net: Net) -> Program:
    y = binary(net, MUL, net.qdq(net.x), unary(net, net.qdq(net.x, T), UnaryFunction.TANH))
    return net.done(net.same(QUANTIZE, y, qparams=T))


def island_with_a_vector(net: Net) -> Program:
    y = binary(net, MUL, unary(net, net.qdq(net.x), UnaryFunction.EXP), net.const(4))
    return net.done(net.same(QUANTIZE, y, qparams=T))


def island_of_a_clamp(net: Net) -> Program:
    y = net.same(CLAMP, net.qdq(net.x), Clamp(lo=0))
    return net.done(net.same(QUANTIZE, y, qparams=T))


def shuffle(net: Net) -> Program:
    """Layout transpose, [2, C/2] → [C/2, 2] by three operators, layout transpose."""
    y = net.op(TRANSPOSE, [net.x], (1, 4, 5, 5), Transpose(perm=(0, 3, 1, 2)))
    y = net.op(RESHAPE, [y], (1, 2, 2, 5, 5))
    y = net.op(TRANSPOSE, [y], (1, 2, 2, 5, 5), Transpose(perm=(0, 2, 1, 3, 4)))
    y = net.op(RESHAPE, [y], (1, 4, 5, 5))
    return net.done(net.op(TRANSPOSE, [y], (1, 5, 5, 4), Transpose(perm=(0, 2, 3, 1))))


def shuffled_halves(net: Net) -> Program:
    """As FastestDet writes it: even and odd channels as the two rows of one tensor."""
    y = net.op(TRANSPOSE, [net.x], (1, 4, 5, 5), Transpose(perm=(0, 3, 1, 2)))
    y = net.op(RESHAPE, [y], (2, 2, 25))
    y = net.op(TRANSPOSE, [y], (2, 2, 25), Transpose(perm=(1, 0, 2)))
    y = net.op(RESHAPE, [y], (2, 1, 2, 5, 5))
    y = net.op(SLICE, [y], (1, 1, 2, 5, 5), Slice(start=(1, 0, 0, 0, 0), step=(1,) * 5))
    y = net.op(RESHAPE, [y], (1, 2, 5, 5))
    return net.done(net.op(TRANSPOSE, [y], (1, 5, 5, 2), Transpose(perm=(0, 2, 3, 1))))


def head(net: Net) -> Program:
    y = net.op(TRANSPOSE, [net.x], (1, 4, 5, 5), Transpose(perm=(0, 3, 1, 2)))
    y = net.op(RESHAPE, [y], (1, 4, 25))
    return net.done(net.op(TRANSPOSE, [y], (1, 25, 4), Transpose(perm=(0, 2, 1))))


def rows_mirrored(net: Net) -> Program:
    """It moves rows too: no operator on the last dimension does it."""
    y = net.op(TRANSPOSE, [net.x], (1, 5, 5, 4), Transpose(perm=(0, 2, 1, 3)))
    return net.done(net.op(SLICE, [y], (1, 5, 5, 4), Slice(start=(0, 4, 0, 0), step=(1, -1, 1, 1))))


def two_heads(net: Net) -> Program:
    pieces = []
    for _ in range(2):
        y = net.op(TRANSPOSE, [net.x], (1, 4, 5, 5), Transpose(perm=(0, 3, 1, 2)))
        pieces.append(net.op(RESHAPE, [y], (1, 4, 25)))
    y = net.op(CONCAT, pieces, (1, 4, 50), Concat(axis=2))
    return net.done(net.op(TRANSPOSE, [y], (1, 50, 4), Transpose(perm=(0, 2, 1))))


def sum_and_head(net: Net) -> Program:
    y = net.op(CONCAT, [net.x, net.x], (1, 5, 5, 8), Concat(axis=3))
    return net.done(net.op(TRANSPOSE, [y], (1, 8, 5, 5), Transpose(perm=(0, 3, 1, 2))))


def selection_after_dequantize(net: Net) -> Program:
    y = net.op(SLICE, [net.qdq(net.x)], (1, 5, 2, 4), Slice(start=(0, 0, 4, 0), step=(1, 1, -2, 1)))
    nearest = Resize(mode=0, coordinates=1, rounding=2, scale_h=2.0, scale_w=1.0)
    y = net.op(RESIZE, [y], (1, 10, 2, 4), nearest)
    y = net.op(REDUCE, [y], (1, 10, 1, 4), Reduce(function=ReduceFunction.MIN, axes=4))
    return net.done(net.op(DILATE, [y], (1, 19, 1, 4), Dilate(step=(1, 2, 1, 1))))


def linear_resize_after_dequantize(net: Net) -> Program:
    linear = Resize(mode=1, coordinates=0, scale_h=2.0, scale_w=1.0)
    return net.done(net.op(RESIZE, [net.qdq(net.x)], (1, 10, 5, 4), linear))


def int8_arithmetic(net: Net) -> Program:
    a, b = net.qdq(net.x), net.qdq(net.x, T)
    y = net.qdq(binary(net, SUB, a, b, hi=0.5))
    y = net.qdq(binary(net, MUL, y, b))
    y = net.op(REDUCE, [y], (1, 5, 5, 1), Reduce(function=ReduceFunction.MEAN, axes=8))
    return net.done(net.same(QUANTIZE, y, qparams=S))


def gate_quantized_between(net: Net) -> Program:
    """x · sigmoid(x) where the gate is int8 for a moment."""
    x = net.qdq(net.x)
    gate = net.qdq(unary(net, x, UnaryFunction.SIGMOID), T)
    return net.done(net.same(QUANTIZE, binary(net, MUL, x, gate), qparams=T))


def quantized_shuffle(net: Net) -> Program:
    """As `shuffle`, with a quantize before the last transpose and a float reader of what it quantizes."""
    y = net.op(TRANSPOSE, [net.x], (1, 4, 5, 5), Transpose(perm=(0, 3, 1, 2)))
    y = net.op(RESHAPE, [y], (1, 2, 2, 5, 5))
    y = net.op(TRANSPOSE, [y], (1, 2, 2, 5, 5), Transpose(perm=(0, 2, 1, 3, 4)))
    y = net.op(RESHAPE, [y], (1, 4, 5, 5))
    q = net.same(QUANTIZE, y, qparams=S)
    return net.done(net.op(TRANSPOSE, [q], (1, 5, 5, 4), Transpose(perm=(0, 2, 3, 1)), S))


def constant_moved(net: Net) -> Program:
    """What is moved is no value that a run computes."""
    y = net.op(TRANSPOSE, [net.const(1, 4, 5, 5)], (1, 5, 5, 4), Transpose(perm=(0, 2, 3, 1)))
    y = net.op(TRANSPOSE, [y], (1, 4, 5, 5), Transpose(perm=(0, 3, 1, 2)))
    y = net.op(TRANSPOSE, [y], (1, 5, 5, 4), Transpose(perm=(0, 2, 3, 1)))
    return net.done(binary(net, MUL, net.x, y))


def pad_before_quantize(net: Net) -> Program:
    """A filler that no int8 value is equal to: it is rounded like the rest."""
    pad = Pad(before=(0, 1, 0, 0), after=(0,) * 4, value=0.123)
    y = net.op(PAD, [net.x], (1, 6, 5, 4), pad)
    return net.done(net.same(QUANTIZE, y, qparams=S))


def division_behind_conv(net: Net) -> Program:
    y = net.op(DIV, [net.conv(net.x), net.const(6)], (1, 5, 5, 6), Clamp(hi=1.0))
    return net.done(net.op(DIV, [net.const(6), y], (1, 5, 5, 6), Clamp()))


def picture_scaled(net: Net) -> Program:
    """x / 255 in NCHW, and a factor per channel in NHWC."""
    y = net.op(TRANSPOSE, [net.x], (1, 4, 5, 5), Transpose(perm=(0, 3, 1, 2)))
    y = net.op(DIV, [y, number(net, 255)], (1, 4, 5, 5), Clamp())
    y = net.op(MUL, [net.const(4, 1, 1), y], (1, 4, 5, 5), Clamp())
    y = net.op(TRANSPOSE, [y], (1, 5, 5, 4), Transpose(perm=(0, 2, 3, 1)))
    return net.done(net.conv(y))


def groups_scaled(net: Net) -> Program:
    y = net.op(MUL, [net.x, net.const(4)], (1, 5, 5, 4), Clamp())
    w = net.const(6, 3, 3, 2)
    pads = Conv2d(groups=2, pad_top=1, pad_left=1, pad_bottom=1, pad_right=1)
    return net.done(net.op(CONV2D, [y, w, net.const(6)], (1, 5, 5, 6), pads))


def scale_of_a_row(net: Net) -> Program:
    y = net.op(MUL, [net.x, net.const(1, 5, 1, 1)], (1, 5, 5, 4), Clamp())
    z = net.op(MUL, [net.x, number(net, 2)], (1, 5, 5, 4), Clamp(lo=0))
    return net.done(net.conv(y), net.conv(z))


def sixth_first(net: Net) -> Program:
    part = binary(net, MUL, net.x, number(net, 1 / 6))
    return net.done(binary(net, MUL, relu6_of_sum(net), part))


def gelu(net: Net) -> Program:
    scaled = binary(net, DIV, net.x, number(net, np.sqrt(2)))
    gate = binary(net, ADD, unary(net, scaled, UnaryFunction.ERF), number(net, 1))
    return net.done(binary(net, MUL, binary(net, MUL, net.x, gate), number(net, 0.5)))


def gelu_halved_first(net: Net) -> Program:
    scaled = binary(net, MUL, number(net, np.sqrt(0.5)), net.x)
    gate = binary(net, ADD, number(net, 1), unary(net, scaled, UnaryFunction.ERF))
    return net.done(binary(net, MUL, binary(net, MUL, net.x, number(net, 0.5)), gate))


def another_gelu(net: Net) -> Program:
    scaled = binary(net, MUL, net.x, number(net, 0.75))
    gate = binary(net, ADD, unary(net, scaled, UnaryFunction.ERF), number(net, 1))
    return net.done(binary(net, MUL, binary(net, MUL, net.x, gate), number(net, 0.5)))


def divided_by_gate(net: Net) -> Program:
    return net.done(binary(net, DIV, net.x, unary(net, net.x, UnaryFunction.SIGMOID)))


def keys_turned(net: Net) -> Program:
    """[N, tokens, heads, K] turned for the product with queries, and what a product reads turned, turned again."""
    k = net.op(TRANSPOSE, [net.x], (1, 5, 4, 5), Transpose(perm=(0, 2, 3, 1)))
    y = net.op(MATMUL, [net.const(1, 5, 6, 4), k], (1, 5, 6, 5), Matmul())
    v = net.op(TRANSPOSE, [net.x], (1, 5, 4, 5), Transpose(perm=(0, 1, 3, 2)))
    return net.done(net.op(MATMUL, [y, v], (1, 5, 6, 4), Matmul(transpose_b=1)))


def keys_read_twice(net: Net) -> Program:
    k = net.op(TRANSPOSE, [net.x], (1, 5, 4, 5), Transpose(perm=(0, 2, 3, 1)))
    y = net.op(MATMUL, [net.x, k], (1, 5, 5, 5), Matmul())
    return net.done(net.op(MATMUL, [y, k], (1, 5, 5, 4), Matmul(transpose_b=1)))


def computed_between_transposes(net: Net) -> Program:
    y = net.op(TRANSPOSE, [net.x], (1, 4, 5, 5), Transpose(perm=(0, 3, 1, 2)))
    y = net.same(CLAMP, y, Clamp(lo=0))
    y = net.op(MUL, [net.const(4, 1, 1), y], (1, 4, 5, 5), Clamp())
    y = net.op(SUB, [y, net.const(1, 4, 5, 5)], (1, 4, 5, 5), Clamp())
    return net.done(net.op(TRANSPOSE, [y], (1, 5, 5, 4), Transpose(perm=(0, 2, 3, 1))))


def sum_of_moved(net: Net) -> Program:
    a = net.op(TRANSPOSE, [net.x], (1, 4, 5, 5), Transpose(perm=(0, 3, 1, 2)))
    y = net.same(CLAMP, net.x, Clamp(lo=-1))
    b = net.op(TRANSPOSE, [y], (1, 4, 5, 5), Transpose(perm=(0, 3, 1, 2)))
    return net.done(net.op(ADD, [a, b], (1, 4, 5, 5), Clamp()))


def rows_of_a_matrix(net: Net) -> Program:
    """Behind a matrix product of three dimensions: a bias and an activation behind the reshape."""
    rows = net.op(RESHAPE, [net.x], (25, 4))
    y = net.op(FULLY_CONNECTED, [rows, net.const(6, 4)], (25, 6), Clamp())
    y = net.op(RESHAPE, [y], (5, 5, 6))
    y = net.op(ADD, [y, net.const(6)], (5, 5, 6), Clamp())
    return net.done(net.same(CLAMP, y, Clamp(lo=0)))


def moved_apart(net: Net) -> Program:
    """Not alike, read twice, or broadcast: each keeps its place."""
    a = net.op(TRANSPOSE, [net.x], (1, 4, 5, 5), Transpose(perm=(0, 3, 1, 2)))
    b = net.op(TRANSPOSE, [net.x], (1, 4, 5, 5), Transpose(perm=(0, 3, 2, 1)))
    c = net.op(RESHAPE, [net.x], (20, 5))
    return net.done(
        net.op(ADD, [a, b], (1, 4, 5, 5), Clamp()),
        net.op(ADD, [c, net.const(3, 20, 5)], (3, 20, 5), Clamp()),
        net.same(CLAMP, b, Clamp(lo=0)),
    )
