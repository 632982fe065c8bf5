"""Compute once what several operators compute alike."""

from __future__ import annotations

from ptq_core.flatfile.program import Op, Program
from ptq_core.flatfile.tensors import Tensor
from ptq_core.optimize.rewrite import Rewriter


def share_common(program: Program) -> list[str]:
    """Operators of the same kind, inputs, attributes and output type ⇒ the first of them.

    Requires nothing. Ensures bit-identical values; one dequantize serves all float readers of an int8 tensor.
    """
    rewriter = Rewriter(program)
    changed = True
    while changed:
        changed = False
        seen: dict[tuple[object, ...], int] = {}
        for op in rewriter.ops():
            key = _key(op, rewriter.tensor(op.outputs[0]))
            if key in seen:
                rewriter.bypass(op, seen[key])
                changed = True
                break
            seen[key] = op.outputs[0]
    return rewriter.changes


def _key(op: Op, out: Tensor) -> tuple[object, ...]:
    return (op.kind, op.inputs, op.attributes, out.dtype, out.dims, out.qparams)
