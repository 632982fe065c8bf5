"""When each arena tensor is alive, and whether two that live at once share memory."""

from __future__ import annotations

from dataclasses import dataclass, field

from ptq_core.flatfile.program import OpKind, Program


@dataclass
class Buffer:
    """Arena tensors that share one piece of memory: a tensor and the reshapes of it.

    Alive from operator ``first`` to operator ``last``, both included; −1 is before the first operator.
    """

    size: int
    first: int
    last: int
    tensors: list[int] = field(default_factory=list)

    def meets(self, other: Buffer) -> bool:
        """True if both are alive at some operator."""
        return self.first <= other.last and other.first <= self.last


def buffers(program: Program, *, in_place: bool = True) -> list[Buffer]:
    """The buffers of ``program`` in the order of their first use; with ``in_place`` reshapes lie on their inputs.

    Inputs are alive for the whole program, outputs until its end (docs/flat_format.md, "Memory plan").
    """
    end = len(program.ops)
    found: dict[int, Buffer] = {}
    for index in program.inputs:
        found[index] = Buffer(program.tensors[index].size_bytes, -1, end, [index])
    for step, op in enumerate(program.ops):
        for index in op.reads:
            if index in found:
                found[index].last = max(found[index].last, step)
        source = op.inputs[0]
        for index in op.outputs:
            if in_place and op.kind == OpKind.RESHAPE and source in found:
                found[index] = found[source]
                found[index].tensors.append(index)
            else:
                found[index] = Buffer(program.tensors[index].size_bytes, step, step, [index])
    for index in program.outputs:
        if index in found:
            found[index].last = end
    return list({id(buffer): buffer for buffer in found.values()}.values())


def lower_bound(program: Program, alignment: int) -> int:
    """Bytes that no plan can do without: the largest sum of aligned buffers alive at one operator."""
    alive = buffers(program)
    steps = range(-1, len(program.ops) + 1)
    sizes = [
        sum(-(-b.size // alignment) * alignment for b in alive if b.first <= step <= b.last) for step in steps
    ]
    return max(sizes, default=0)


def overlaps(program: Program) -> list[tuple[int, int]]:
    """Pairs of arena tensors that are alive at once and share bytes, except a reshape that lies exactly on its input."""
    singles = [(b, b.tensors[0]) for b in buffers(program, in_place=False)]
    together = {t: i for i, b in enumerate(_in_place(program)) for t in b}
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
            elif a.meets(b):
                clashes.append((a_index, b_index))
    return clashes


def _in_place(program: Program) -> list[list[int]]:
    """Groups of tensors connected by reshapes that lie exactly on their inputs."""
    group: dict[int, list[int]] = {}
    for index in program.inputs:
        group[index] = [index]
    for op in program.ops:
        source = op.inputs[0]
        for index in op.outputs:
            on_input = (
                op.kind == OpKind.RESHAPE
                and source in group
                and program.tensors[index].offset == program.tensors[source].offset
            )
            group[index] = group[source] if on_input and source is not None else [index]
            if on_input:
                group[index].append(index)
    return list({id(members): members for members in group.values()}.values())
