"""Give every arena tensor an offset: greedy, largest first, into the smallest gap that its lifetime leaves free."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Container, Sequence

import numpy as np

from ptq_core.flatfile.layout import ALIGNMENT, align
from ptq_core.flatfile.lifetimes import Buffer, Piece, buffers, concat_places, lower_bound, overlaps
from ptq_core.flatfile.program import Program

# Orders in which buffers are placed; the best plan wins. Size first is the usual choice (Pisarchyk & Lee, "Efficient
# Memory Management for Deep Neural Net Inference", 2020); long-lived first helps where inputs and skips dominate.
ORDERS: tuple[Callable[[Buffer], tuple[int, ...]], ...] = (
    lambda b: (-b.size, b.first),
    lambda b: (-(b.last - b.first + 1), -b.size, b.first),
    lambda b: (-(b.last - b.first + 1) * b.size, b.first),
    lambda b: (b.first, -b.size),
)

# How often the buffer that reaches highest is placed earlier in a new attempt; few networks need more than two.
_ATTEMPTS = 100

_Plan = tuple[int, list[tuple[Buffer, int]]]
"""Arena size, and every buffer with its offset."""


def plan_memory(program: Program) -> None:
    """Set the offsets (multiples of 64) of all arena tensors and ``program.arena_size``.

    A reshape's output lies on its input, and a concat's inputs in its output where that needs no more memory; what
    of the output no input uses yet is free for others. The search ends where the lower bound is reached.
    Raises AssertionError if two live tensors shared a byte (a bug).
    """
    least = lower_bound(program, ALIGNMENT)
    joinable = {step for step, op in enumerate(program.ops) if next(concat_places(program, op), None)}
    plans = (_planned(program, concats, least) for concats in (joinable, ()))
    size, offsets = min(plans, key=lambda plan: plan[0])
    for buffer, offset in offsets:
        for index, at in buffer.tensors:
            program.tensors[index] = dataclasses.replace(program.tensors[index], offset=offset + at)
    program.arena_size = size
    clashes = overlaps(program)
    assert not clashes, f"memory plan: live tensors overlap: {clashes}"


def _planned(program: Program, concats: Container[int], least: int) -> _Plan:
    """The smallest plan found in which the operators ``concats`` join their inputs in place."""
    alive = buffers(program, concats=concats)
    pieces = [list(buffer.pieces()) for buffer in alive]
    meeting = _meeting(pieces)
    best: list[int] = []
    smallest = -1
    for key in ORDERS:
        order = sorted(range(len(alive)), key=lambda i: key(alive[i]))
        for _ in range(_ATTEMPTS):
            offsets = _place(order, pieces, meeting)
            ends = [offset + align(buffer.size) for offset, buffer in zip(offsets, alive, strict=True)]
            size = max(ends, default=0)
            if smallest < 0 or size < smallest:
                smallest, best = size, offsets
            if smallest <= least or not alive:
                break
            place = order.index(ends.index(size))
            if place == 0:
                break
            order.insert(place // 2, order.pop(place))
    return smallest, list(zip(alive, best, strict=True))


def _meeting(pieces: Sequence[Sequence[Piece]]) -> list[list[int]]:
    """By buffer, which others have a piece that meets one of its own; all pairs at once, for there are many."""
    owner = np.array([i for i, own in enumerate(pieces) for _ in own], np.intp)
    first = np.array([piece.first for own in pieces for piece in own], np.int64)
    last = np.array([piece.last for own in pieces for piece in own], np.int64)
    ours, others = np.nonzero((first[:, None] <= last) & (first <= last[:, None]))
    meet = np.zeros((len(pieces), len(pieces)), bool)
    meet[owner[ours], owner[others]] = True
    np.fill_diagonal(meet, False)
    return [np.flatnonzero(row).tolist() for row in meet]


def _place(
    order: Sequence[int], pieces: Sequence[Sequence[Piece]], meeting: Sequence[Sequence[int]]
) -> list[int]:
    """Offsets when buffers are placed in ``order``, each into the smallest gap between those that it meets."""
    offsets = [-1] * len(pieces)
    for i in order:
        gap, offset, cursor = -1, -1, 0
        for low, high in sorted(
            (offsets[j] + b.offset - a.offset - a.size, offsets[j] + b.offset + b.size - a.offset)
            for j in meeting[i]
            if offsets[j] >= 0
            for a in pieces[i]
            for b in pieces[j]
            if a.meets(b)
        ):  # between low and high the buffer would overlap the other
            if low >= cursor and (offset < 0 or low - cursor < gap):
                gap, offset = low - cursor, cursor
            cursor = max(cursor, high)
        offsets[i] = cursor if offset < 0 else offset
    return offsets
