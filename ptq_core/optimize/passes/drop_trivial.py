"""Drop operators that change nothing."""

from __future__ import annotations

from ptq_core.flatfile.program import OpKind, Program
from ptq_core.optimize.rewrite import Rewriter, clamp_bounds_differ, clamp_of, pad_of, transpose_of


def drop_trivial(program: Program) -> int:
    """Remove reshapes to the same dims, identity transposes, empty pads, unbounded clamps and concats of one tensor.

    Requires nothing. Ensures the same values under every output. Returns the number of changes.
    """
    rewriter = Rewriter(program)
    kinds = (OpKind.RESHAPE, OpKind.TRANSPOSE, OpKind.PAD, OpKind.CLAMP, OpKind.CONCAT)
    for op in rewriter.ops(*kinds):
        x, y = rewriter.tensor(op.inputs[0]), rewriter.tensor(op.outputs[0])
        source = op.inputs[0]
        if (
            source is None
            or len(op.inputs) != 1
            or x.dims != y.dims
            or x.qparams != y.qparams
            or x.is_constant
        ):
            continue
        if op.kind == OpKind.TRANSPOSE and transpose_of(op).perm != tuple(range(len(x.dims))):
            continue
        if op.kind == OpKind.PAD and any(pad_of(op).before + pad_of(op).after):
            continue
        if op.kind in (OpKind.CLAMP, OpKind.CONCAT) and clamp_bounds_differ(clamp_of(op)):
            continue
        rewriter.bypass(op, source)
    return rewriter.changes
