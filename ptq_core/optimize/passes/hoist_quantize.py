"""Quantize before data movement instead of after it, so that the operator before it can give int8."""

from __future__ import annotations

import dataclasses

from ptq_core.flatfile.program import DType, Op, OpKind, Program
from ptq_core.optimize.rewrite import NOTHING, Rewriter, is_clamped

MOVEMENT = (OpKind.TRANSPOSE, OpKind.RESHAPE, OpKind.MAX_POOL2D)


def hoist_quantize(program: Program) -> int:
    """transpose/reshape/max_pool2d → quantize ⇒ quantize → the same in int8.

    Requires an operator without clamp that only the quantize reads. Ensures bit-identical values: quantization is monotone.
    """
    rewriter = Rewriter(program)
    for quantize in reversed(list(rewriter.ops(OpKind.QUANTIZE))):
        while True:
            op = rewriter.producer(quantize.inputs[0], *MOVEMENT)
            if op is None or rewriter.sole_consumer(op.outputs[0]) is not quantize:
                break
            if op.kind == OpKind.MAX_POOL2D and is_clamped(op):
                break
            x, y = rewriter.tensor(op.inputs[0]), rewriter.tensor(quantize.outputs[0])
            early = rewriter.like(f"{x.name}:int8", x.dims, DType.I8, y.qparams)
            hoisted = Op(OpKind.QUANTIZE, quantize.name, op.inputs, (early,), NOTHING)
            moved = dataclasses.replace(op, inputs=(early,), outputs=quantize.outputs)
            rewriter.replace(quantize, [moved])
            rewriter.replace(op, [hoisted])
            quantize = hoisted
    return rewriter.changes
