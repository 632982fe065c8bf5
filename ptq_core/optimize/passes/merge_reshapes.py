"""Merge chains of reshapes and of transposes."""

from __future__ import annotations

import dataclasses

from ptq_core.flatfile.operators import kinds
from ptq_core.flatfile.operators.transpose import Transpose
from ptq_core.flatfile.program import Program
from ptq_core.optimize.rewrite import Rewriter, transpose_of

MOVEMENT = kinds(lambda kind: kind.permutes)


def merge_reshapes(program: Program) -> list[str]:
    """reshape → reshape ⇒ one reshape; transpose → transpose ⇒ one transpose.

    Requires nothing; an inner operator with other readers stays for them. Ensures bit-identical values.
    """
    rewriter = Rewriter(program)
    for op in rewriter.ops(*MOVEMENT):
        inner = rewriter.producer(op.inputs[0], op.kind)
        if inner is None:
            continue
        merged = dataclasses.replace(op, inputs=inner.inputs)
        if isinstance(op.attributes, Transpose):
            first, second = transpose_of(inner).perm, transpose_of(op).perm
            merged = dataclasses.replace(merged, attributes=Transpose(perm=tuple(first[i] for i in second)))
        rewriter.replace(op, [merged])
    return rewriter.changes
