"""Let a product of matrices read its second one as it lies."""

from __future__ import annotations

import dataclasses

from ptq_core.flatfile.operators.matmul import MATMUL
from ptq_core.flatfile.operators.transpose import TRANSPOSE, Transpose
from ptq_core.flatfile.program import Op, Program
from ptq_core.optimize.rewrite import Rewriter, matmul_of, transpose_of, with_attributes


def fold_transpose(program: Program) -> list[str]:
    """transpose → b of a matmul ⇒ the other transpose_b, and a transpose that leaves the last dimension in its place.

    The keys of an attention, [N, tokens, heads, K], are read so in runs of K. Requires that only the matmul reads the
    transpose, once, and that it moves the last dimension to the one before. Ensures bit-identical values; a transpose that
    nothing is left of is dropped by drop_trivial.
    """
    rewriter = Rewriter(program)
    for op in rewriter.ops(MATMUL):
        transpose = rewriter.producer(op.inputs[1], TRANSPOSE)
        if transpose is None or op.inputs[0] == op.inputs[1]:
            continue
        perm = transpose_of(transpose).perm
        if perm[-2] != len(perm) - 1 or rewriter.sole_consumer(transpose.outputs[0]) is not op:
            continue
        b = rewriter.tensor(op.inputs[1])
        dims = (*b.dims[:-2], b.dims[-1], b.dims[-2])
        lying = rewriter.like(f"{b.name}:rows", dims, b.dtype, b.qparams)
        moved = Transpose(perm=(*perm[:-2], perm[-1], perm[-2]))
        before = Op(TRANSPOSE, transpose.name, transpose.inputs, (lying,), moved)
        turned = with_attributes(op, transpose_b=1 - matmul_of(op).transpose_b)
        turned = dataclasses.replace(turned, inputs=(op.inputs[0], lying))
        rewriter.replace(op, [before, turned])
    return rewriter.changes
