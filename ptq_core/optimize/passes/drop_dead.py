"""Drop what no output needs, and renumber the tensors that remain."""

from __future__ import annotations

from ptq_core.flatfile.program import Program
from ptq_core.optimize.rewrite import described, keep_tensors


def drop_dead(program: Program) -> list[str]:
    """Remove operators and tensors that no output depends on; inputs stay.

    Requires nothing. Ensures that tensors are numbered in the order of their first use.
    """
    needed = set(program.outputs)
    kept, removed = [], []
    for op in reversed(program.ops):
        if needed.intersection(op.outputs):
            needed.update(op.reads)
            kept.append(op)
        else:
            removed.append(f"{described(op)} ⇒ nothing: no output needs it")
    kept.reverse()
    order = dict.fromkeys(program.inputs)
    for op in kept:
        order.update(dict.fromkeys((*op.reads, *op.outputs)))
    order.update(dict.fromkeys(program.outputs))
    program.ops = kept
    keep_tensors(program, order)
    return removed[::-1]
