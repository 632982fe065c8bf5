"""Drop what no output needs, and renumber the tensors that remain."""

from __future__ import annotations

import dataclasses

from ptq_core.flatfile.program import Program
from ptq_core.optimize.rewrite import described


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
    number = {old: new for new, old in enumerate(order)}
    program.tensors = [program.tensors[old] for old in order]
    program.ops = [
        dataclasses.replace(
            op,
            inputs=tuple(None if i is None else number[i] for i in op.inputs),
            outputs=tuple(number[i] for i in op.outputs),
        )
        for op in kept
    ]
    program.inputs = [number[i] for i in program.inputs]
    program.outputs = [number[i] for i in program.outputs]
    return removed[::-1]
