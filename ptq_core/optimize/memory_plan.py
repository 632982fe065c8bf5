"""Give every arena tensor an offset: greedy, largest first, into the smallest gap that its lifetime leaves free."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from ptq_core.flatfile.layout import align
from ptq_core.flatfile.lifetimes import Buffer, buffers, overlaps
from ptq_core.flatfile.program import Program

# Orders in which buffers are placed; the best plan wins. Size first is the usual choice (Pisarchyk & Lee, "Efficient
# Memory Management for Deep Neural Net Inference", 2020); long-lived first helps where inputs and skips dominate.
ORDERS: tuple[Callable[[Buffer], tuple[int, ...]], ...] = (
    lambda b: (-b.size, b.first),
    lambda b: (-(b.last - b.first + 1), -b.size, b.first),
    lambda b: (-(b.last - b.first + 1) * b.size, b.first),
    lambda b: (b.first, -b.size),
)


def plan_memory(program: Program) -> None:
    """Set the offsets (multiples of 64) of all arena tensors and ``program.arena_size``.

    A reshape's output lies on its input, and a concat's inputs in its output where that needs no more memory.
    Raises AssertionError if two live tensors shared a byte (a bug).
    """
    copying, joining = (_best(buffers(program, concats=concats)) for concats in (False, True))
    size, offsets = joining if joining[0] <= copying[0] else copying
    for buffer, offset in offsets:
        for index, at in buffer.tensors:
            program.tensors[index] = dataclasses.replace(program.tensors[index], offset=offset + at)
    program.arena_size = size
    clashes = overlaps(program)
    assert not clashes, f"memory plan: live tensors overlap: {clashes}"


def _best(alive: list[Buffer]) -> tuple[int, list[tuple[Buffer, int]]]:
    """(arena size, offsets) of the smallest plan."""
    return min((_place(sorted(alive, key=order)) for order in ORDERS), key=lambda plan: plan[0])


def _place(ordered: list[Buffer]) -> tuple[int, list[tuple[Buffer, int]]]:
    """(arena size, offsets) when buffers are placed in this order."""
    placed: list[tuple[int, int, Buffer]] = []  # begin, end, buffer; sorted by begin
    for buffer in ordered:
        size = align(buffer.size)
        best: tuple[int, int] | None = None  # gap, offset
        cursor = 0
        for begin, end, other in placed:
            if not buffer.meets(other):
                continue
            if begin - cursor >= size and (best is None or begin - cursor < best[0]):
                best = (begin - cursor, cursor)
            cursor = max(cursor, end)
        offset = cursor if best is None else best[1]
        placed.append((offset, offset + size, buffer))
        placed.sort(key=lambda entry: entry[0])
    total = max((end for _, end, _ in placed), default=0)
    return total, [(buffer, begin) for begin, _, buffer in placed]
