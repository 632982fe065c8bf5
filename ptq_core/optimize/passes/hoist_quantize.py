"""Quantize before data movement instead of after it, so that the operator before it can give int8."""

from __future__ import annotations

import dataclasses

from ptq_core.flatfile.program import DType, Op, OpKind, Program
from ptq_core.optimize.rewrite import NOTHING, Rewriter, is_clamped

MOVEMENT = (OpKind.TRANSPOSE, OpKind.RESHAPE, OpKind.MAX_POOL2D, OpKind.CONCAT)


def hoist_quantize(program: Program) -> int:
    """transpose/reshape/max_pool2d/concat → quantize ⇒ quantize of each input → the same in int8.

    Requires an operator without clamp and constants that only the quantize reads. Ensures bit-identical values:
    quantization is element-wise and monotone.
    """
    rewriter = Rewriter(program)
    for quantize in rewriter.ops(OpKind.QUANTIZE):
        op = rewriter.producer(quantize.inputs[0], *MOVEMENT)
        if op is None or rewriter.sole_consumer(op.outputs[0]) is not quantize:
            continue
        if op.kind in (OpKind.MAX_POOL2D, OpKind.CONCAT) and is_clamped(op):
            continue
        if any(rewriter.tensor(index).is_constant for index in op.inputs):
            continue
        qparams = rewriter.tensor(quantize.outputs[0]).qparams
        early, inputs = [], []
        for index in op.inputs:
            x = rewriter.tensor(index)
            inputs.append(rewriter.like(f"{x.name}:int8", x.dims, DType.I8, qparams))
            early.append(Op(OpKind.QUANTIZE, quantize.name, (index,), (inputs[-1],), NOTHING))
        moved = dataclasses.replace(op, inputs=tuple(inputs), outputs=quantize.outputs)
        rewriter.replace(quantize, [moved])
        rewriter.replace(op, early)
    return rewriter.changes
