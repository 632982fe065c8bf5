"""Drop what no output needs, and renumber the tensors that remain."""

from __future__ import annotations

import dataclasses

from ptq_core.flatfile.program import Program


def drop_dead(program: Program) -> int:
    """Remove operators and tensors that no output depends on; inputs stay.

    Requires nothing. Ensures that tensors are numbered in the order of their first use. Returns the operators removed.
    """
    needed = set(program.outputs)
    kept = []
    for op in reversed(program.ops):
        if needed.intersection(op.outputs):
            needed.update(op.reads)
            kept.append(op)
    removed = len(program.ops) - len(kept)
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
    return removed
