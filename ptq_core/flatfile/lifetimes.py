"""When each arena tensor is alive, and whether two that live at once share memory."""

from __future__ import annotations

import itertools
import math
from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from ptq_core.flatfile.layout import ALIGNMENT, align
from ptq_core.flatfile.operators.concat import CONCAT, Concat
from ptq_core.flatfile.program import Op, Program


class Piece(NamedTuple):
    """Bytes of a buffer that are in use from operator ``first`` to operator ``last``, both included."""

    offset: int
    size: int
    first: int
    last: int

    def meets(self, other: Piece) -> bool:
        """True if both are in use at some operator."""
        return self.first <= other.last and other.first <= self.last


@dataclass
class Buffer:
    """Arena tensors that share one piece of memory: a tensor, the reshapes of it, and what a concat joins in place.

    In use from operator ``first`` to operator ``last``, both included; −1 is before the first operator. What is joined is
    in use earlier, and the rest of the memory is free by then.
    """

    size: int
    first: int
    last: int
    tensors: list[tuple[int, int]] = field(default_factory=list)
    """(tensor index, offset in bytes in the buffer)"""
    joined: list[tuple[Buffer, int]] = field(default_factory=list)
    """(buffer that became part of this one, its offset in bytes)"""

    def meets(self, other: Buffer) -> bool:
        """True if both are in use at some operator, what they join aside."""
        return self.first <= other.last and other.first <= self.last

    def absorb(self, other: Buffer, offset: int) -> None:
        """Put ``other`` at ``offset``."""
        self.joined.append((other, offset))
        self.tensors += [(index, offset + at) for index, at in other.tensors]

    def pieces(self, offset: int = 0) -> Iterator[Piece]:
        """What of it is in use when, all moved by ``offset``; sizes are rounded up to the alignment."""
        yield Piece(offset, align(self.size), self.first, self.last)
        for other, at in self.joined:
            yield from other.pieces(offset + at)


def buffers(program: Program, *, reshapes: bool = True, concats: Container[int] = ()) -> list[Buffer]:
    """The buffers of ``program`` in the order of their first use.

    With ``reshapes`` they lie on their inputs; inputs of the operators ``concats`` lie in their output where the page allows it.
    Inputs are alive for the whole program, outputs until its end (docs/flat_format.md, "Memory plan").
    """
    end = len(program.ops)
    last_use = last_uses(program)
    found: dict[int, Buffer] = {}
    for index in program.inputs:
        found[index] = Buffer(program.tensors[index].size_bytes, -1, end, [(index, 0)])
    for step, op in enumerate(program.ops):
        for index in op.reads:
            if index in found:
                found[index].last = max(found[index].last, step)
        source = op.inputs[0]
        for index in op.outputs:
            if reshapes and op.kind.same_bytes and source in found:
                found[index] = found[source]
                found[index].tensors.append((index, 0))
                continue
            found[index] = Buffer(program.tensors[index].size_bytes, step, step, [(index, 0)])
            for part, at in _joinable(program, step, found, last_use) if step in concats else ():
                own = found[part]
                found[index].absorb(own, at)
                for member, _ in own.tensors:
                    found[member] = found[index]
    for index in program.outputs:
        if index in found:
            found[index].last = end
    return list({id(buffer): buffer for buffer in found.values()}.values())


def _joinable(
    program: Program, step: int, found: dict[int, Buffer], last_use: dict[int, int]
) -> Iterator[tuple[int, int]]:
    """(input, its offset in bytes in the output) of the inputs that may lie in the output of the concat at ``step``."""
    for part, at in concat_places(program, program.ops[step]):
        own = found.get(part)
        # Also reshapes that share its memory must have died, even those that are outputs or read later.
        if (
            own is not None
            and last_use[part] == step
            and all(last_use.get(index, -1) < step for index, _ in own.tensors if index != part)
            and own.size == program.tensors[part].size_bytes
            and at % ALIGNMENT == 0
        ):
            yield part, at


def last_uses(program: Program) -> dict[int, int]:
    """Tensor index → the operator that reads it last; the number of operators for inputs and outputs of the program."""
    last = {index: step for step, op in enumerate(program.ops) for index in op.reads}
    return last | dict.fromkeys([*program.inputs, *program.outputs], len(program.ops))


def concat_places(program: Program, op: Op) -> Iterator[tuple[int, int]]:
    """(input, its offset in bytes in the output) of a concat that puts whole inputs one after the other as they are."""
    a = op.attributes
    if not isinstance(a, Concat) or op.kind != CONCAT:
        return
    y = program.tensors[op.outputs[0]]
    if a.bounds or math.prod(y.dims[: a.axis]) != 1:
        return
    offset = 0
    for index in op.reads:
        x = program.tensors[index]
        if not x.is_constant and x.qparams == y.qparams:
            yield index, offset
        offset += x.size_bytes


def lower_bound(program: Program, alignment: int) -> int:
    """Bytes that no plan can do without: the largest sum of aligned buffers alive at one operator.

    What a concat may join in place counts as part of the output when the concat runs.
    """
    alive = buffers(program)
    last_use = last_uses(program)
    found = {index: buffer for buffer in alive for index, _ in buffer.tensors}
    for step in range(len(program.ops)):
        for part, _ in list(_joinable(program, step, found, last_use)):
            found[part].last = step - 1
    change = [0] * (len(program.ops) + 3)  # of the live bytes, at the operators −1 … n
    for buffer in alive:
        size = -(-buffer.size // alignment) * alignment
        change[buffer.first + 1] += size
        change[buffer.last + 2] -= size
    return max(itertools.accumulate(change))


def overlaps(program: Program) -> list[tuple[int, int]]:
    """Pairs of arena tensors that are alive at once and share bytes against the rules of the page."""
    singles = [(b, b.tensors[0][0]) for b in buffers(program, reshapes=False)]
    together = {t: i for i, b in enumerate(_in_place(program)) for t in b}
    joined = set(_joined(program))
    singles = [(b, t) for b, t in singles if program.tensors[t].offset is not None]
    singles.sort(key=lambda pair: program.tensors[pair[1]].offset or 0)
    clashes = []
    for i, (a, a_index) in enumerate(singles):
        a_begin = program.tensors[a_index].offset or 0
        for b, b_index in singles[i + 1 :]:
            b_begin = program.tensors[b_index].offset or 0
            if b_begin >= a_begin + a.size:
                break  # sorted by offset: nothing further can overlap
            if together[a_index] == together[b_index]:
                if a_begin != b_begin or a.size != b.size:
                    clashes.append((a_index, b_index))
            elif a.meets(b) and not {(a_index, b_index), (b_index, a_index)} & joined:
                clashes.append((a_index, b_index))
    return clashes


def _joined(program: Program) -> Iterator[tuple[int, int]]:
    """(input, output) of concats where the input lies at its place in the output and dies."""
    last_use = last_uses(program)
    for step, op in enumerate(program.ops):
        for index, at in concat_places(program, op):
            x, y = program.tensors[index], program.tensors[op.outputs[0]]
            if last_use[index] == step and y.offset is not None and x.offset == y.offset + at:
                yield index, op.outputs[0]


def _in_place(program: Program) -> list[list[int]]:
    """Groups of tensors connected by reshapes that lie exactly on their inputs."""
    group: dict[int, list[int]] = {}
    for index in program.inputs:
        group[index] = [index]
    for op in program.ops:
        source = op.inputs[0]
        for index in op.outputs:
            on_input = (
                op.kind.same_bytes
                and source in group
                and program.tensors[index].offset == program.tensors[source].offset
            )
            group[index] = group[source] if on_input and source is not None else [index]
            if on_input:
                group[index].append(index)
    return list({id(members): members for members in group.values()}.values())
