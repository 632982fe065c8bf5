"""Programs for the flat-file tests: a small int8 network and one operator of every kind."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from ptq_core.flatfile.operators.arg_max import ARG_MAX, ArgMax
from ptq_core.flatfile.operators.attributes import Attributes, Clamp, NoAttributes
from ptq_core.flatfile.operators.binary import ADD, DIV, MAXIMUM, MINIMUM, MOD, MUL, POW, SUB
from ptq_core.flatfile.operators.cast import CAST
from ptq_core.flatfile.operators.clamp import CLAMP
from ptq_core.flatfile.operators.compare import COMPARE, Compare, Comparison
from ptq_core.flatfile.operators.concat import CONCAT, Concat
from ptq_core.flatfile.operators.conv2d import CONV2D, Conv2d
from ptq_core.flatfile.operators.conv2d_add import CONV2D_ADD, Conv2dAdd
from ptq_core.flatfile.operators.convert import CONVERT
from ptq_core.flatfile.operators.cum_sum import CUM_SUM, CumSum
from ptq_core.flatfile.operators.dequantize import DEQUANTIZE
from ptq_core.flatfile.operators.description import OperatorKind
from ptq_core.flatfile.operators.dilate import DILATE, Dilate
from ptq_core.flatfile.operators.fully_connected import FULLY_CONNECTED
from ptq_core.flatfile.operators.gather import GATHER, Gather
from ptq_core.flatfile.operators.gather_nd import GATHER_ND
from ptq_core.flatfile.operators.grid_sample import GRID_SAMPLE, GridSample, SampleMode, SamplePadding
from ptq_core.flatfile.operators.lookup import LOOKUP
from ptq_core.flatfile.operators.matmul import MATMUL, Matmul
from ptq_core.flatfile.operators.pad import PAD, Pad
from ptq_core.flatfile.operators.pool2d import AVERAGE_POOL2D, MAX_POOL2D, Pool2d
from ptq_core.flatfile.operators.quantize import QUANTIZE
from ptq_core.flatfile.operators.reduce import REDUCE, Reduce, ReduceFunction
from ptq_core.flatfile.operators.reshape import RESHAPE
from ptq_core.flatfile.operators.resize import RESIZE, Coordinates, Resize, ResizeMode, Rounding
from ptq_core.flatfile.operators.scatter_nd import SCATTER_ND, Reduction, ScatterNd
from ptq_core.flatfile.operators.slice import SLICE, Slice
from ptq_core.flatfile.operators.softmax import SOFTMAX, Softmax
from ptq_core.flatfile.operators.top_k import TOP_K, TopK
from ptq_core.flatfile.operators.transpose import TRANSPOSE, Transpose
from ptq_core.flatfile.operators.unary import UNARY, Unary, UnaryFunction
from ptq_core.flatfile.operators.where import WHERE
from ptq_core.flatfile.operators.window_arg_max import WINDOW_ARG_MAX, WindowArgMax
from ptq_core.flatfile.program import Op, Program
from ptq_core.flatfile.tensors import DType, QuantParams, Tensor
from ptq_core.optimize.memory_plan import plan_memory

X = QuantParams(np.array([0.5], np.float32), 3)
Y = QuantParams(np.array([0.25], np.float32), -2)


def tiny_program() -> Program:
    """input f32 → quantize → conv2d i8 (per channel, bias) → dequantize; the golden file."""
    weight = (np.arange(12, dtype=np.int8) - 6).reshape(3, 1, 1, 4)
    scales = np.array([0.5, 0.25, 0.125], np.float32)
    program = Program(
        targets=("arm64", "armv7"), producer="ptq golden", meta={"model": "tiny", "precision": "int8"}
    )
    x = program.add(Tensor("input", DType.F32, (1, 2, 2, 4)))
    q = program.add(Tensor("input/q", DType.I8, (1, 2, 2, 4), X))
    w = program.add(Tensor("conv/weight", DType.I8, weight.shape, QuantParams(scales, 0, 0), weight))
    bias = np.array([1, -2, 3], np.int32)
    b = program.add(Tensor("conv/bias", DType.I32, (3,), QuantParams(np.float32(0.5) * scales, 0, 0), bias))
    y = program.add(Tensor("conv/out", DType.I8, (1, 1, 2, 3), Y))
    out = program.add(Tensor("output", DType.F32, (1, 1, 2, 3)))
    program.ops = [
        Op(QUANTIZE, "input/quantize", (x,), (q,), NoAttributes()),
        Op(CONV2D, "conv", (q, w, b), (y,), Conv2d(stride_h=2, q_min=-2, q_max=100)),
        Op(DEQUANTIZE, "output/dequantize", (y,), (out,), NoAttributes()),
    ]
    program.inputs, program.outputs = [x], [out]
    plan_memory(program)
    return program


def every_kind() -> Program:
    """A program with each operator kind at least once, a second input and four outputs (one of them i64)."""
    random = np.random.default_rng(1)
    program = Program(targets=("x86_64",), producer="ptq test")

    def const(name: str, *dims: int) -> int:
        data = random.standard_normal(dims).astype(np.float32)
        return program.add(Tensor(name, DType.F32, dims, None, data))

    def op(
        kind: OperatorKind[Any],
        inputs: tuple[int | None, ...],
        dims: tuple[int, ...],
        attributes: Attributes,
        dtype: DType = DType.F32,
        qparams: QuantParams | None = None,
    ) -> int:
        name = f"{kind.name}{len(program.ops)}"
        out = program.add(Tensor(f"{name}/out", dtype, dims, qparams))
        program.ops.append(Op(kind, name, inputs, (out,), attributes))
        return out

    x = program.add(Tensor("x", DType.F32, (1, 4, 6, 6)))
    other = program.add(Tensor("other", DType.F32, (1, 6, 6, 4)))
    t = op(TRANSPOSE, (x,), (1, 6, 6, 4), Transpose(perm=(0, 2, 3, 1)))
    t = op(ADD, (t, other), (1, 6, 6, 4), Clamp(lo=0.0))
    t = op(SUB, (t, const("mean", 4)), (1, 6, 6, 4), Clamp())
    t = op(MUL, (t, const("scale", 1, 1, 1, 1)), (1, 6, 6, 4), Clamp(hi=6.0))
    t = op(DIV, (t, const("std", 4)), (1, 6, 6, 4), Clamp())
    t = op(PAD, (t,), (1, 8, 7, 4), Pad(before=(0, 1, 0, 0), after=(0, 1, 1, 0), value=0.5))
    t = op(CONV2D, (t, const("w", 8, 3, 3, 2), None), (1, 6, 5, 8), Conv2d(groups=2))
    p = op(MAX_POOL2D, (t,), (1, 3, 2, 8), Pool2d(kernel_h=2, kernel_w=2, stride_h=2, stride_w=2))
    a = op(
        AVERAGE_POOL2D,
        (t,),
        (1, 3, 2, 8),
        Pool2d(kernel_h=3, kernel_w=3, stride_h=2, stride_w=2, pad_top=1, count_include_pad=1),
    )
    t = op(CONCAT, (p, a), (1, 3, 2, 16), Concat(axis=3))
    t = op(QUANTIZE, (t,), (1, 3, 2, 16), NoAttributes(), dtype=DType.I8, qparams=X)
    t = op(CLAMP, (t,), (1, 3, 2, 16), Clamp(q_min=0), dtype=DType.I8, qparams=Y)
    table = program.add(Tensor("table", DType.I8, (256,), X, np.arange(127, -129, -1).astype(np.int8)))
    t = op(LOOKUP, (t, table), (1, 3, 2, 16), NoAttributes(), dtype=DType.I8, qparams=X)
    t = op(DEQUANTIZE, (t,), (1, 3, 2, 16), NoAttributes())
    flat = op(RESHAPE, (t,), (1, 96), NoAttributes())
    t = op(FULLY_CONNECTED, (flat, const("fc", 5, 96), const("fc/b", 5)), (1, 5), Clamp())
    t = op(MATMUL, (t, const("turn", 5, 5)), (1, 5), Matmul(transpose_b=1))
    t = op(SOFTMAX, (t,), (1, 5), Softmax(axis=1))
    sizes = {"mode": ResizeMode.LINEAR, "coordinates": Coordinates.ALIGN_CORNERS}
    r = op(UNARY, (other,), (1, 6, 6, 4), Unary(function=UnaryFunction.LEAKY_RELU, alpha=0.25))
    sum_of = Conv2dAdd(pad_top=1, pad_bottom=1, conv_lo=-2.0, hi=3.0)
    r = op(CONV2D_ADD, (r, const("w2", 4, 3, 1, 4), other, const("b2", 4)), (1, 6, 6, 4), sum_of)
    r = op(RESIZE, (r,), (1, 9, 3, 4), Resize(**sizes, scale_h=1.5, scale_w=0.5))
    sizes = {"mode": ResizeMode.NEAREST, "coordinates": Coordinates.ASYMMETRIC, "rounding": Rounding.FLOOR}
    r = op(RESIZE, (r,), (1, 9, 6, 4), Resize(**sizes, scale_h=1.0, scale_w=2.0))
    r = op(SLICE, (r,), (1, 4, 6, 2), Slice(start=(0, 8, 0, 1), step=(1, -2, 1, 2)))
    picks = program.add(Tensor("picks", DType.I32, (3,), None, np.array([1, 1, 0], np.int32)))
    r = op(GATHER, (r, picks), (1, 4, 6, 3), Gather(axis=3))
    r = op(DILATE, (r,), (1, 7, 6, 3), Dilate(step=(1, 2, 1, 1), value=-0.5))
    r = op(MAXIMUM, (r, const("low", 3)), (1, 7, 6, 3), Clamp())
    r = op(MINIMUM, (r, const("high", 1)), (1, 7, 6, 3), Clamp(lo=0.0))
    r = op(POW, (r, const("exponent", 1, 1, 1, 3)), (1, 7, 6, 3), Clamp(hi=100.0))
    sampled = GridSample(mode=SampleMode.CUBIC, padding=SamplePadding.REFLECTION, align_corners=1)
    r = op(GRID_SAMPLE, (r, const("grid", 1, 7, 6, 2)), (1, 7, 6, 3), sampled)
    best = op(ARG_MAX, (r,), (1, 7, 6, 1), ArgMax(axis=3, select_last=1), dtype=DType.I32)
    best = op(RESHAPE, (best,), (1, 42), NoAttributes(), dtype=DType.I32)
    r = op(REDUCE, (r,), (1, 1, 1, 3), Reduce(function=ReduceFunction.L2, axes=0b110))
    half = op(CONVERT, (r,), (1, 1, 1, 3), NoAttributes(), dtype=DType.F16)
    weight = random.standard_normal((2, 1, 1, 3)).astype(np.float16)
    w = program.add(Tensor("half/weight", DType.F16, weight.shape, None, weight))
    half = op(CONV2D, (half, w), (1, 1, 1, 2), Conv2d(), dtype=DType.F16)
    r = op(CONVERT, (half,), (1, 1, 1, 2), NoAttributes())
    best = op(CAST, (best,), (1, 42), NoAttributes(), dtype=DType.I64)
    seven = program.add(Tensor("seven", DType.I64, (), None, np.array(7, np.int64)))
    best = op(MOD, (best, seven), (1, 42), Clamp(), dtype=DType.I64)
    even = op(COMPARE, (best, seven), (1, 42), Compare(comparison=Comparison.LESS), dtype=DType.BOOL)
    best = op(WHERE, (best, seven, even), (1, 42), NoAttributes(), dtype=DType.I64)
    places = program.add(Tensor("places", DType.I64, (1, 1), None, np.array([[-1]])))
    flat = op(GATHER_ND, (flat, places), (1, 96), NoAttributes())
    best = op(TOP_K, (best,), (1, 3), TopK(axis=1), dtype=DType.I64)
    update = program.add(Tensor("update", DType.I64, (1, 3), None, np.array([[1, 2, 3]])))
    added = ScatterNd(reduction=Reduction.ADD)
    best = op(SCATTER_ND, (best, places, update), (1, 3), added, dtype=DType.I64)
    best = op(CUM_SUM, (best,), (1, 3), CumSum(axis=1, exclusive=1, reverse=1), dtype=DType.I64)
    windows = WindowArgMax(kernel=(1, 2), stride=(1, 2), dilation=(1, 1), before=(0, 1))
    best = op(WINDOW_ARG_MAX, (best,), (1, 2), windows, dtype=DType.I64)
    program.inputs, program.outputs = [x, other], [t, flat, best, r]
    plan_memory(program)
    return program


def compressed_program() -> Program:
    """Float operators whose weights are stored as i8 and i16, with one scale and with one per channel (format 1.2).

    A convolution by gemm, one that Winograd suits, a depthwise one, one with a residual, a fully connected layer.
    """
    random = np.random.default_rng(2)
    program = Program(targets=("arm64", "x86_64"), producer="ptq test")

    def weights(dtype: DType, per_channel: bool, *dims: int) -> int:
        most = np.iinfo(dtype.numpy).max
        data = random.integers(-most, most + 1, dims).astype(dtype.numpy)
        scales = (random.uniform(0.5, 1, dims[0] if per_channel else 1) / most).astype(np.float32)
        qparams = QuantParams(scales, 0, 0 if per_channel else -1)
        return program.add(Tensor(f"w{len(program.tensors)}", dtype, dims, qparams, data))

    def op(
        kind: OperatorKind[Any], inputs: tuple[int | None, ...], dims: tuple[int, ...], attributes: Attributes
    ) -> int:
        name = f"{kind.name}{len(program.ops)}"
        out = program.add(Tensor(f"{name}/out", DType.F32, dims))
        program.ops.append(Op(kind, name, inputs, (out,), attributes))
        return out

    same = Conv2d(pad_top=1, pad_left=1, pad_bottom=1, pad_right=1)
    image = (1, 8, 8, 32)
    x = program.add(Tensor("x", DType.F32, image))
    bias = program.add(Tensor("b", DType.F32, (32,), None, random.standard_normal(32).astype(np.float32)))
    t = op(CONV2D, (x, weights(DType.I16, True, 32, 1, 1, 32), bias), image, Conv2d(lo=0.0))
    t = op(CONV2D, (t, weights(DType.I8, True, 32, 3, 3, 32)), image, same)
    depthwise = dataclasses.replace(same, groups=32)
    t = op(CONV2D, (t, weights(DType.I8, False, 32, 3, 3, 1), bias), image, depthwise)
    shared = weights(DType.I16, False, 32, 1, 1, 32)
    t = op(CONV2D_ADD, (t, shared, x, bias), image, Conv2dAdd())
    t = op(CONV2D, (t, shared), image, Conv2d())
    flat = op(RESHAPE, (t,), (1, 2048), NoAttributes())
    y = op(FULLY_CONNECTED, (flat, weights(DType.I8, True, 5, 2048), None), (1, 5), Clamp())
    program.inputs, program.outputs = [x], [y]
    plan_memory(program)
    return program
