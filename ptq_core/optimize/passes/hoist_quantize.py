"""Quantize before data movement instead of after it, so that the operator before it can give int8."""

from __future__ import annotations

import dataclasses

from ptq_core.flatfile.attributes import Dilate, Pad
from ptq_core.flatfile.program import DType, Op, OpKind, Program
from ptq_core.numerics.requantize import quantize_bound
from ptq_core.optimize.passes.sink_dequantize import only_selects
from ptq_core.optimize.rewrite import NOTHING, Rewriter, with_attributes

MOVEMENT = (
    OpKind.TRANSPOSE,
    OpKind.RESHAPE,
    OpKind.MAX_POOL2D,
    OpKind.CONCAT,
    OpKind.SLICE,
    OpKind.GATHER,
    OpKind.RESIZE,
    OpKind.PAD,
    OpKind.DILATE,
)


def hoist_quantize(program: Program) -> list[str]:
    """an operator that only moves or selects values, or a concat → quantize ⇒ quantize of each input → the same in int8.

    Requires an operator without clamp and constants that only the quantize reads. Ensures bit-identical values:
    quantization is element-wise and monotone.
    """
    rewriter = Rewriter(program)
    for quantize in rewriter.ops(OpKind.QUANTIZE):
        op = rewriter.producer(quantize.inputs[0], *MOVEMENT)
        if op is None or rewriter.sole_consumer(op.outputs[0]) is not quantize:
            continue
        data = op.inputs[:1] if op.kind == OpKind.GATHER else op.inputs
        if not only_selects(op) or any(rewriter.tensor(index).is_constant for index in data):
            continue
        qparams = rewriter.tensor(quantize.outputs[0]).qparams
        assert qparams is not None
        early, inputs = [], []
        for index in data:
            x = rewriter.tensor(index)
            inputs.append(rewriter.like(f"{x.name}:int8", x.dims, DType.I8, qparams))
            early.append(Op(OpKind.QUANTIZE, quantize.name, (index,), (inputs[-1],), NOTHING))
        moved = dataclasses.replace(op, inputs=(*inputs, *op.inputs[len(data) :]), outputs=quantize.outputs)
        if isinstance(op.attributes, Pad | Dilate):
            filler = quantize_bound(op.attributes.value, qparams.scale, qparams.zero_point)
            moved = with_attributes(moved, value=0.0, q_value=filler)
        rewriter.replace(quantize, [moved])
        rewriter.replace(op, early)
    return rewriter.changes
