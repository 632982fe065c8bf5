"""Make Relu, Relu6 and Clip the clamp bounds of the operator before them."""

from __future__ import annotations

import dataclasses

from ptq_core.flatfile.operators import kinds
from ptq_core.flatfile.operators.clamp import CLAMP
from ptq_core.flatfile.program import Program
from ptq_core.optimize.rewrite import Rewriter, clamp_of, with_attributes

CLAMPING = kinds(lambda kind: kind.clamps)


def fuse_clamp(program: Program) -> list[str]:
    """operator → clamp ⇒ the operator with the intersection of both bounds.

    Requires that nothing else reads the operator's output and, in int8, that the clamp does not requantize.
    Ensures bit-identical values.
    """
    rewriter = Rewriter(program)
    for clamp in rewriter.ops(CLAMP):
        op = rewriter.producer(clamp.inputs[0], *CLAMPING)
        if op is None or rewriter.sole_consumer(op.outputs[0]) is not clamp:
            continue
        if rewriter.tensor(clamp.inputs[0]).qparams != rewriter.tensor(clamp.outputs[0]).qparams:
            continue
        first, second = clamp_of(op), clamp_of(clamp)
        if (
            first.lo > second.hi
            or first.hi < second.lo
            or first.q_min > second.q_max
            or first.q_max < second.q_min
        ):
            continue  # disjoint bounds: the order matters
        fused = with_attributes(
            op,
            lo=max(first.lo, second.lo),
            hi=min(first.hi, second.hi),
            q_min=max(first.q_min, second.q_min),
            q_max=min(first.q_max, second.q_max),
        )
        rewriter.fuse(op, clamp, dataclasses.replace(fused, outputs=clamp.outputs))
    return rewriter.changes
