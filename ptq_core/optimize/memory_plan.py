"""Give every arena tensor an offset: greedy, largest first, into the smallest gap that its lifetime leaves free."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Container

from ptq_core.flatfile.layout import ALIGNMENT, align
from ptq_core.flatfile.lifetimes import Buffer, buffers, concat_places, lower_bound, overlaps
from ptq_core.flatfile.program import Program

# Orders in which buffers are placed; the best plan wins. Size first is the usual choice (Pisarchyk & Lee, "Efficient
# Memory Management for Deep Neural Net Inference", 2020); long-lived first helps where inputs and skips dominate.
ORDERS: tuple[Callable[[Buffer], tuple[int, ...]], ...] = (
    lambda b: (-b.size, b.first),
    lambda b: (-(b.last - b.first + 1), -b.size, b.first),
    lambda b: (-(b.last - b.first + 1) * b.size, b.first),
    lambda b: (b.first, -b.size),
)

# How often the buffer that reaches highest is placed first in a new attempt; networks that need it need one or two.
_ATTEMPTS = 32

_Plan = tuple[int, list[tuple[Buffer, int]]]
"""Arena size, and every buffer with its offset."""


def plan_memory(program: Program) -> None:
    """Set the offsets (multiples of 64) of all arena tensors and ``program.arena_size``.

    A reshape's output lies on its input, and a concat's inputs in its output where that needs no more memory. The search
    ends where the lower bound is reached. Raises AssertionError if two live tensors shared a byte (a bug).
    """
    least = lower_bound(program, ALIGNMENT)
    concats = (step for step, op in enumerate(program.ops) if next(concat_places(program, op), None))
    joinable = frozenset(concats)
    best, joined = min(
        ((_planned(program, start, least), start) for start in (joinable, frozenset[int]())),
        key=lambda entry: entry[0][0],
    )
    for step in sorted(joinable):
        if best[0] > least:
            plan = _planned(program, joined ^ {step}, least)
            best, joined = (plan, joined ^ {step}) if plan[0] < best[0] else (best, joined)
    for buffer, offset in best[1]:
        for index, at in buffer.tensors:
            program.tensors[index] = dataclasses.replace(program.tensors[index], offset=offset + at)
    program.arena_size = best[0]
    clashes = overlaps(program)
    assert not clashes, f"memory plan: live tensors overlap: {clashes}"


def _planned(program: Program, concats: Container[int], least: int) -> _Plan:
    """The smallest plan found in which the operators ``concats`` join their inputs in place."""
    alive = buffers(program, concats=concats)
    best: _Plan | None = None
    for order in ORDERS:
        ordered = sorted(alive, key=order)
        for _ in range(_ATTEMPTS):
            plan = _place(ordered)
            best = plan if best is None or plan[0] < best[0] else best
            if best[0] <= least:
                return best
            highest = max(plan[1], key=lambda placed: placed[1] + placed[0].size)[0]
            if ordered[0] is highest:
                break
            ordered = [highest, *(buffer for buffer in ordered if buffer is not highest)]
    assert best is not None
    return best


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
