"""How long a run may take, from shapes alone, and what memory a file may ask for, as the runtime counts it."""

from __future__ import annotations

from ptq_core.flatfile.program import Op, Program

MAX_WORK = 2**42
"""Elementary steps of one run of a program."""


def memory_limit(file_size: int, arena_size: int) -> int:
    """Bytes that loading a file may take."""
    return 4 * (file_size + arena_size) + 2**24


def operator_work(program: Program, op: Op) -> int:
    """Elementary steps of one run of ``op``, whose shapes were checked."""
    inputs = [program.tensors[index] for index in op.reads]
    y = program.tensors[op.outputs[0]]
    steps = y.elements + sum(tensor.elements for tensor in inputs)
    return steps if op.kind.work is None else steps + op.kind.work(op.attributes, inputs, y)
