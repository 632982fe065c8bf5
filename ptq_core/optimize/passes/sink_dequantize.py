"""Let data movement happen in int8: dequantize after it instead of before."""

from __future__ import annotations

import dataclasses

import numpy as np

from ptq_core.flatfile.operators.attributes import Filled
from ptq_core.flatfile.operators.dequantize import DEQUANTIZE
from ptq_core.flatfile.program import Op, Program
from ptq_core.flatfile.tensors import DType
from ptq_core.numerics.requantize import quantize_bound
from ptq_core.optimize.rewrite import NOTHING, Rewriter, only_selects, with_attributes


def sink_dequantize(program: Program) -> list[str]:
    """dequantize → an operator that only moves or selects values ⇒ the same in int8 → dequantize.

    What only reads their order takes the integers. Requires an operator without clamp and, for pad and dilate, a value that
    int8 holds exactly. Ensures bit-identical values: these operators only choose among values, and dequantization is
    strictly monotone.
    """
    rewriter = Rewriter(program)
    for op in rewriter.ops():
        data = op.kind.data(op.inputs)
        dequantize = rewriter.producer(data[0], DEQUANTIZE) if len(data) == 1 else None
        if dequantize is None:
            continue
        if op.kind.reads_order:
            rewriter.replace(op, [dataclasses.replace(op, inputs=dequantize.inputs)])
        if not only_selects(op):
            continue
        moved = _in_int8(rewriter, op, dequantize)
        if moved is None:
            continue
        after = Op(DEQUANTIZE, dequantize.name, moved.outputs, op.outputs, NOTHING)
        rewriter.replace(op, [moved, after])
    return rewriter.changes


def _in_int8(rewriter: Rewriter, op: Op, dequantize: Op) -> Op | None:
    source = dequantize.inputs[0]
    qparams = rewriter.tensor(source).qparams
    assert qparams is not None
    if isinstance(op.attributes, Filled):
        value = op.attributes.value
        q_value = quantize_bound(value, qparams.scale, qparams.zero_point)
        if np.float32(q_value - qparams.zero_point) * qparams.scale != np.float32(value):
            return None
        op = with_attributes(op, value=0.0, q_value=q_value)
    y = rewriter.tensor(op.outputs[0])
    out = rewriter.like(f"{y.name}:int8", y.dims, DType.I8, qparams)
    return dataclasses.replace(op, inputs=(source, *op.inputs[1:]), outputs=(out,))
