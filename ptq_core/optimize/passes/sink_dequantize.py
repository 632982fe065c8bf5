"""Let data movement happen in int8: dequantize after it instead of before."""

from __future__ import annotations

import dataclasses

import numpy as np

from ptq_core.flatfile.attributes import Clamp, Dilate, Pad, Reduce, ReduceFunction, Resize, ResizeMode
from ptq_core.flatfile.program import DType, Op, OpKind, Program
from ptq_core.numerics.requantize import quantize_bound
from ptq_core.optimize.rewrite import NOTHING, Rewriter, is_clamped, with_attributes

MOVEMENT = (
    OpKind.TRANSPOSE,
    OpKind.RESHAPE,
    OpKind.MAX_POOL2D,
    OpKind.PAD,
    OpKind.SLICE,
    OpKind.GATHER,
    OpKind.DILATE,
    OpKind.RESIZE,
    OpKind.REDUCE,
    OpKind.ARG_MAX,
)


def sink_dequantize(program: Program) -> list[str]:
    """dequantize → an operator that only moves or selects values ⇒ the same in int8 → dequantize; arg_max needs none.

    Requires an operator without clamp and, for pad and dilate, a value that int8 holds exactly. Ensures bit-identical values:
    these operators only choose among values, and dequantization is strictly monotone.
    """
    rewriter = Rewriter(program)
    for op in rewriter.ops(*MOVEMENT):
        dequantize = rewriter.producer(op.inputs[0], OpKind.DEQUANTIZE)
        if dequantize is None or not only_selects(op):
            continue
        if op.kind == OpKind.ARG_MAX:
            rewriter.replace(op, [dataclasses.replace(op, inputs=dequantize.inputs)])
            continue
        moved = _in_int8(rewriter, op, dequantize)
        if moved is None:
            continue
        after = Op(OpKind.DEQUANTIZE, dequantize.name, moved.outputs, op.outputs, NOTHING)
        rewriter.replace(op, [moved, after])
    return rewriter.changes


def only_selects(op: Op) -> bool:
    """True if every output value of ``op`` is one of its input's (or a filler), unclamped."""
    a = op.attributes
    if isinstance(a, Reduce) and a.function not in (ReduceFunction.MAX, ReduceFunction.MIN):
        return False
    if isinstance(a, Resize) and a.mode != ResizeMode.NEAREST:
        return False
    return not isinstance(a, Clamp) or not is_clamped(op)


def _in_int8(rewriter: Rewriter, op: Op, dequantize: Op) -> Op | None:
    source = dequantize.inputs[0]
    qparams = rewriter.tensor(source).qparams
    assert qparams is not None
    if isinstance(op.attributes, Pad | Dilate):
        value = op.attributes.value
        q_value = quantize_bound(value, qparams.scale, qparams.zero_point)
        if np.float32(q_value - qparams.zero_point) * qparams.scale != np.float32(value):
            return None
        op = with_attributes(op, value=0.0, q_value=q_value)
    y = rewriter.tensor(op.outputs[0])
    out = rewriter.like(f"{y.name}:int8", y.dims, DType.I8, qparams)
    return dataclasses.replace(op, inputs=(source, *op.inputs[1:]), outputs=(out,))
