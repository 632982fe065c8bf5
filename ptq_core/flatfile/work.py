"""How long a run may take, from shapes alone, and what memory a file may ask for, as the runtime counts it."""

from __future__ import annotations

from collections import deque

from ptq_core.flatfile.compressed import compressed_ops
from ptq_core.flatfile.program import Op, Program
from ptq_core.flatfile.tensors import Array, DType

MAX_WORK = 2**42
"""Elementary steps of one run of a program."""


def memory_limit(file_size: int, arena_size: int) -> int:
    """Bytes that loading a file may take."""
    return 4 * (file_size + arena_size) + 2**24


REMEMBERED = 64
"""So many packed weights the runtime remembers: packings.h, kRemembered."""


class ConstantCopies:
    """``bytes`` that loading takes for the constants of the operators so far, and what it may take, ``limit``: both the same for
    all CPUs, so what one packs into less or into more than another is left out.

    Each operator has its own copy of what its row calls copied; but kinds that pack weights once share theirs.
    """

    def __init__(self, program: Program, file_size: int) -> None:
        self._tensors = program.tensors
        self._lately: deque[tuple[int, int]] = deque(maxlen=REMEMBERED)
        self._expanded = {id(op) for op in compressed_ops(program)}
        expanded = sum(4 * program.tensors[op.reads[1]].elements for op in compressed_ops(program))
        halves = any(tensor.dtype == DType.F16 for tensor in program.tensors)
        size = file_size * (2 if halves else 1) + min(expanded, 4 * file_size)
        self.limit = memory_limit(size, program.arena_size)
        self.bytes = 0

    def add(self, op: Op) -> None:
        """Count those of ``op``."""
        widened = self._may_be_widened(op)
        for position, index in enumerate(op.inputs):
            data = None if index is None else self._tensors[index].data
            if data is None:
                continue
            if position == 1 and id(op) in self._expanded:
                self.bytes += 2 * 4 * data.size  # as float32, and that packed
            elif widened:
                self.bytes += 4 * data.size
            elif op.kind.operand(position).copied and not self._is_remembered(op, position, data):
                self.bytes += data.nbytes

    def _may_be_widened(self, op: Op) -> bool:
        """Whether ``op`` runs in float32 where a CPU does not compute in half precision; weights are packed then, and freed."""
        kind, tensors = op.kind, [self._tensors[index] for index in (*op.reads, *op.outputs)]
        if not kind.has_f16 or kind.f16_everywhere or kind.weighted:
            return False
        return all(tensor.dtype == DType.F16 for tensor in tensors)

    def _is_remembered(self, op: Op, position: int, data: Array) -> bool:
        """Whether ``data`` are weights that were packed lately; they are remembered from now on."""
        if not op.kind.packs_once or position != 1:
            return False
        place = (data.__array_interface__["data"][0], data.nbytes)
        if place in self._lately:
            return True
        self._lately.append(place)
        return False


def operator_work(program: Program, op: Op) -> int:
    """Elementary steps of one run of ``op``, whose shapes were checked."""
    inputs = [program.tensors[index] for index in op.reads]
    y = program.tensors[op.outputs[0]]
    steps = y.elements + sum(tensor.elements for tensor in inputs)
    return steps if op.kind.work is None else steps + op.kind.work(op.attributes, inputs, y)
