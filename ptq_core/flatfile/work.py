"""How long a run may take, from shapes alone, and what memory a file may ask for: the twin of runtime/src/format/work.cc."""

from __future__ import annotations

from ptq_core.flatfile.attributes import Conv2d, Pool2d
from ptq_core.flatfile.program import Op, OpKind, Program

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
    a = op.attributes
    if isinstance(a, Conv2d):
        x, w = inputs[:2]
        width = x.dims[2] + a.pad_left + a.pad_right
        return steps + y.elements * (w.elements // w.dims[0]) + width * w.dims[1] * y.dims[0] * y.dims[1]
    if isinstance(a, Pool2d):
        x = inputs[0]
        return steps + y.elements * min(a.kernel_h, x.dims[1]) * min(a.kernel_w, x.dims[2])
    if op.kind == OpKind.FULLY_CONNECTED:
        return steps + y.elements * inputs[0].dims[1]
    return steps
