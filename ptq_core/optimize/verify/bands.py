"""Bands of rows of a large tensor, and the part of an operator that computes them: what is checked of it.

Rows are those of dimension 1: of pixels in NHWC. A band has all columns and channels. A tensor is (first row, values).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from ptq_core.flatfile.attributes import Concat, Conv2d, Pool2d, Softmax
from ptq_core.flatfile.program import Array, Op, OpKind, Program, Tensor
from ptq_core.flatfile.work import operator_work

Rows = tuple[int, int]
"""The first row and the one behind the last."""

Banded = dict[int, tuple[int, Array]]
"""Tensor → its first row, and its values from there on."""

BUDGET = 2**22
"""So much may the checks of all operators of a program cost together (`cost_of`), for one input."""

LEAST_ROWS = 2

PRODUCTS_PER_ELEMENT = 16
"""Products of a matrix that take as long as one element in the other steps of a check (measured, two cores with AVX2)."""

ELEMENTWISE = frozenset(
    {
        OpKind.ADD, OpKind.SUB, OpKind.MUL, OpKind.DIV, OpKind.MAXIMUM, OpKind.MINIMUM, OpKind.POW, OpKind.CLAMP,
        OpKind.UNARY, OpKind.LOOKUP, OpKind.QUANTIZE, OpKind.DEQUANTIZE, OpKind.CONVERT,
    }
)  # fmt: skip


def bands(height: int, cost: int, budget: int, seed: int) -> list[Rows | None]:
    """Which rows of ``height`` to check where all ``cost`` so much: all of them (None) within ``budget``, else as many as fit.

    Those are the first and the last for ``seed`` 0, others somewhere between. They begin at even rows, as Winograd's tiles.
    """
    count = max(LEAST_ROWS, height * budget // max(cost, 1) // 2 // 2 * 2)
    if cost <= budget or 2 * count >= height:
        return [None]
    last = (height - count) // 2 * 2
    if seed == 0:
        return [(0, count), (last, height)]
    between = int(np.random.default_rng(seed).integers(0, last // 2, endpoint=True)) * 2
    return [(between, min(between + 2 * count, height))]


@dataclass(frozen=True)
class Band:
    """Some operators of ``program`` in execution order, and the rows of each tensor that a band of the last one needs.

    A tensor that is absent from ``rows``, or None there, is needed as a whole.
    """

    program: Program
    ops: tuple[Op, ...]
    rows: Mapping[int, Rows | None]

    def operands(self, op: Op, values: Banded) -> list[Array | None]:
        """What ``op`` reads, aligned with its inputs: the rows that it needs of ``values``, and its constants."""
        wanted = self.rows.get(op.outputs[0])
        found: list[Array | None] = []
        for position, index in enumerate(op.inputs):
            if index is None:
                found.append(None)
                continue
            first, array = (
                values[index] if index in values else (0, cast(Array, self.program.tensors[index].data))
            )
            rows = None if wanted is None else _needed(self.program, op, position, wanted)
            axis = array.ndim - (len(self.program.tensors[op.outputs[0]].dims) - 1)
            if rows is None or axis < 0:
                found.append(array)
            else:
                found.append(array[(slice(None),) * axis + (slice(rows[0] - first, rows[1] - first),)])
        return found

    def cut(self, op: Op) -> tuple[Op, tuple[int, ...]]:
        """(``op`` for its rows alone, the dims that it then writes)."""
        dims, wanted = self.program.tensors[op.outputs[0]].dims, self.rows.get(op.outputs[0])
        if wanted is None:
            return op, dims
        return _cut(self.program, op, wanted), (dims[0], wanted[1] - wanted[0], *dims[2:])

    def of(self, index: int, array: Array) -> Array:
        """The rows of the band of the whole tensor ``index``."""
        rows = self.rows.get(index)
        return array if rows is None else array[:, rows[0] : rows[1]]

    def first(self, index: int) -> int:
        """The first row of ``index`` that the band has."""
        rows = self.rows.get(index)
        return 0 if rows is None else rows[0]


def band_of(program: Program, ops: Sequence[Op], target: int, rows: Rows | None) -> Band:
    """The band ``rows`` of ``target``, which the last of ``ops`` writes."""
    needed: dict[int, Rows | None] = {target: rows}
    for op in reversed(ops):
        out = op.outputs[0]
        wanted = needed.get(out)
        if wanted is not None and not _has_bands(program, op):
            wanted = needed[out] = None
        for position, index in enumerate(op.inputs):
            if index is None or program.tensors[index].is_constant:
                continue
            own = None if wanted is None else _needed(program, op, position, wanted)
            before = needed.get(index, own)
            needed[index] = (
                None if own is None or before is None else (min(own[0], before[0]), max(own[1], before[1]))
            )
    return Band(program, tuple(ops), needed)


def cost_of(program: Program, ops: Sequence[Op]) -> int:
    """What checking ``ops`` takes, in elements that pass through NumPy; so many products cost as much as one of them."""
    elements = sum(program.tensors[i].elements for op in ops for i in (*op.reads, *op.outputs))
    return elements + sum(operator_work(program, op) for op in ops) // PRODUCTS_PER_ELEMENT


def _has_bands(program: Program, op: Op) -> bool:
    """Whether rows of the output of ``op`` need only some of its inputs' rows."""
    out = program.tensors[op.outputs[0]]
    if len(out.dims) < 3:
        return False
    a = op.attributes
    if isinstance(a, Conv2d | Pool2d):
        return True
    if isinstance(a, Concat | Softmax):
        return a.axis != 1
    return op.kind in ELEMENTWISE


def _needed(program: Program, op: Op, position: int, rows: Rows) -> Rows | None:
    """The rows of input ``position`` that ``rows`` of the output need; None where it is needed as a whole."""
    index = op.inputs[position]
    assert index is not None
    x, out = program.tensors[index], program.tensors[op.outputs[0]]
    a = op.attributes
    if isinstance(a, Conv2d | Pool2d) and position == 0:
        low, high = _window(program, op, rows)
        first = min(max(low, 0), x.dims[1])
        return first, max(min(high, x.dims[1]), first)
    if (isinstance(a, Conv2d) and not (op.kind == OpKind.CONV2D_ADD and position == 2)) or not _has_bands(
        program, op
    ):
        return None
    axis = len(x.dims) - (len(out.dims) - 1)
    if op.kind == OpKind.LOOKUP and position == 1:
        return None
    return rows if axis >= 0 and x.dims[axis] == out.dims[1] else None


def _window(program: Program, op: Op, rows: Rows) -> Rows:
    """The input rows that the windows of ``rows`` reach, padding included."""
    a = op.attributes
    assert isinstance(a, Conv2d | Pool2d)
    kernel = a.kernel_h if isinstance(a, Pool2d) else _weight(program, op).dims[1]
    low = rows[0] * a.stride_h - a.pad_top
    return low, (rows[1] - 1) * a.stride_h - a.pad_top + (kernel - 1) * a.dilation_h + 1


def _weight(program: Program, op: Op) -> Tensor:
    index = op.inputs[1]
    assert index is not None
    return program.tensors[index]


def _cut(program: Program, op: Op, rows: Rows) -> Op:
    a = op.attributes
    if not isinstance(a, Conv2d | Pool2d) or op.inputs[0] is None:
        return op
    low, high = _window(program, op, rows)
    first, last = cast(Rows, _needed(program, op, 0, rows))
    above = max(min(-low, high - low), 0)
    below = high - low - above - (last - first)
    return dataclasses.replace(op, attributes=dataclasses.replace(a, pad_top=above, pad_bottom=below))
