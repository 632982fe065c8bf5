"""Drop operators that change nothing."""

from __future__ import annotations

from ptq_core.flatfile.attributes import Clamp, Reduce, ReduceFunction, Resize, Slice, Transpose
from ptq_core.flatfile.program import Op, OpKind, Program
from ptq_core.optimize.rewrite import Rewriter

KINDS = (
    OpKind.RESHAPE,
    OpKind.TRANSPOSE,
    OpKind.PAD,
    OpKind.CLAMP,
    OpKind.CONCAT,
    OpKind.SLICE,
    OpKind.DILATE,
    OpKind.RESIZE,
    OpKind.REDUCE,
)


def drop_trivial(program: Program) -> list[str]:
    """Remove operators that give their only input: reshapes to the same dims, identity transposes, empty pads, unbounded clamps,
    concats of one tensor, slices and resizes of everything, reductions of dimensions of 1.

    Requires nothing. Ensures the same values under every output.
    """
    rewriter = Rewriter(program)
    for op in rewriter.ops(*KINDS):
        x, y, source = rewriter.tensor(op.inputs[0]), rewriter.tensor(op.outputs[0]), op.inputs[0]
        same = x.dims == y.dims and x.qparams == y.qparams and len(op.inputs) == 1
        if source is not None and same and not x.is_constant and _keeps_values(op, x.dims):
            rewriter.bypass(op, source)
    return rewriter.changes


def _keeps_values(op: Op, dims: tuple[int, ...]) -> bool:
    """True if ``op``, whose output has its input's ``dims``, changes no value."""
    a = op.attributes
    if isinstance(a, Clamp) and a.bounds:
        return False
    if isinstance(a, Transpose):
        return a.perm == tuple(range(len(dims)))
    if isinstance(a, Slice):
        return all(step > 0 or d == 1 for step, d in zip(a.step, dims, strict=True))
    if isinstance(a, Resize):
        return a.scale_h == a.scale_w == 1.0
    return not isinstance(a, Reduce) or a.function != ReduceFunction.L2
