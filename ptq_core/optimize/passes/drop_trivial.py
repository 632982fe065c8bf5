"""Drop operators that change nothing."""

from __future__ import annotations

from ptq_core.flatfile.program import Program
from ptq_core.optimize.rewrite import Rewriter


def drop_trivial(program: Program) -> list[str]:
    """Remove operators that give their only input: reshapes to the same dims, identity transposes, empty pads, unbounded clamps,
    concats of one tensor, slices and resizes of everything, reductions of dimensions of 1.

    Requires nothing. Ensures the same values under every output.
    """
    rewriter = Rewriter(program)
    for op in rewriter.ops():
        x, y, source = rewriter.tensor(op.inputs[0]), rewriter.tensor(op.outputs[0]), op.inputs[0]
        same = x.dims == y.dims and x.qparams == y.qparams and len(op.inputs) == 1
        if source is not None and same and not x.is_constant and op.kind.identity(op.attributes, x.dims):
            rewriter.bypass(op, source)
    return rewriter.changes
