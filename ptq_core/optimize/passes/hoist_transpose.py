"""Transpose before a concatenation instead of after it, where the pieces are transposed or reshaped anyway."""

from __future__ import annotations

import dataclasses

from ptq_core.flatfile.operators import kinds
from ptq_core.flatfile.operators.concat import CONCAT
from ptq_core.flatfile.operators.transpose import TRANSPOSE, Transpose
from ptq_core.flatfile.program import Op, Program
from ptq_core.optimize.rewrite import Rewriter, concat_of, transpose_of, with_attributes

MOVEMENT = kinds(lambda kind: kind.permutes)


def hoist_transpose(program: Program) -> list[str]:
    """concat → transpose ⇒ transposes → concat: the pieces of a detection head, which come from NHWC.

    Requires that only the transpose reads the concat and that each piece is a transpose or a reshape already, so that
    collapse_movement can merge both. Ensures bit-identical values.
    """
    rewriter = Rewriter(program)
    for transpose in rewriter.ops(TRANSPOSE):
        concat = rewriter.producer(transpose.inputs[0], CONCAT)
        if concat is None or rewriter.sole_consumer(concat.outputs[0]) is not transpose:
            continue
        if any(rewriter.producer(index, *MOVEMENT) is None for index in concat.inputs):
            continue
        perm = transpose_of(transpose).perm
        moved, pieces = [], []
        for index in concat.inputs:
            x = rewriter.tensor(index)
            pieces.append(
                rewriter.like(f"{x.name}:moved", tuple(x.dims[i] for i in perm), x.dtype, x.qparams)
            )
            moved.append(Op(TRANSPOSE, transpose.name, (index,), (pieces[-1],), Transpose(perm=perm)))
        joined = with_attributes(concat, axis=perm.index(concat_of(concat).axis))
        joined = dataclasses.replace(joined, inputs=tuple(pieces), outputs=transpose.outputs)
        rewriter.replace(transpose, [joined])
        rewriter.replace(concat, moved)
    return rewriter.changes
