"""Parts of a large tensor, some rows and channels, and what of an operator computes them: that is checked of it.

Rows are those of dimension 1: of pixels in NHWC; channels those of the last dimension. A part has all columns.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from ptq_core.flatfile.operators.conv2d import Conv2d
from ptq_core.flatfile.operators.pool2d import Pool2d
from ptq_core.flatfile.program import Op, Program
from ptq_core.flatfile.tensors import Array, Tensor
from ptq_core.flatfile.work import operator_work

Span = tuple[int, int]
"""The first and the one behind the last."""


@dataclass(frozen=True)
class Region:
    """Spans of rows and of channels; None is all of them."""

    rows: Span | None = None
    channels: Span | None = None

    def part(self, array: Array) -> Array:
        """The region of a whole ``array``."""
        return array[self._slices(array.ndim, Region())]

    def within(self, array: Array, other: Region) -> Array:
        """This region of ``array``, which holds the region ``other``."""
        return array[self._slices(array.ndim, other)]

    def _slices(self, rank: int, other: Region) -> tuple[slice, ...]:
        slices = [slice(None)] * rank
        for axis, span, known in ((-1, self.channels, other.channels), (1, self.rows, other.rows)):
            if span is not None:
                first = 0 if known is None else known[0]
                slices[axis] = slice(span[0] - first, span[1] - first)
        return tuple(slices)

    def dims(self, whole: tuple[int, ...]) -> tuple[int, ...]:
        """The dims of the region of a tensor of dims ``whole``."""
        sizes = list(whole)
        for axis, span in ((-1, self.channels), (1, self.rows)):
            if span is not None:
                sizes[axis] = span[1] - span[0]
        return tuple(sizes)

    def union(self, other: Region) -> Region:
        """The least region that holds both."""
        return Region(_hull(self.rows, other.rows), _hull(self.channels, other.channels))


WHOLE = Region()

Parts = dict[int, tuple[Region, Array]]
"""Tensor → a region of it, and its values there."""

BUDGET = 2**22
"""So much may the checks of all operators of a program cost together (`cost_of`), for one input."""

LEAST_ROWS, LEAST_CHANNELS = 2, 8

PRODUCTS_PER_ELEMENT = 16
"""Products of a matrix that take about as long as one element in the other steps of a check: a guess that only steers how much
is checked."""


def regions(program: Program, ops: Sequence[Op], budget: int, seed: int) -> list[Region]:
    """What to check of the output of the last of ``ops``: all within ``budget``, else as many rows and channels as fit.

    Those are the first and the last for ``seed`` 0, others somewhere between. Channels are cut only where the weights alone are
    too much. Rows begin at even ones, as Winograd's tiles.
    """
    dims = program.tensors[ops[-1].outputs[0]].dims
    weights = sum(
        t.elements for op in ops for t in map(program.tensors.__getitem__, op.reads) if t.is_constant
    )
    channels = _fitting(dims[-1] if dims else 1, budget / max(weights, 1), LEAST_CHANNELS)
    share = 1.0 if channels is None else channels / dims[-1]
    rows = None
    if len(dims) > 2:
        rows = _fitting(dims[1], budget / max(cost_of(program, ops, share), 1), LEAST_ROWS)
    if rows is None and channels is None:
        return [WHOLE]
    random = np.random.default_rng(seed)
    spans = [
        _spans(size, count, seed, random)
        for size, count in ((dims[1] if len(dims) > 1 else 1, rows), (dims[-1], channels))
    ]
    return [Region(*pair) for pair in zip(*spans, strict=True)]


def _fitting(size: int, share: float, least: int) -> int | None:
    """How many of ``size`` at each end make up ``share``, an even number; None for all."""
    count = max(least, int(size * share) // 4 * 2)
    return None if share >= 1 or 2 * count >= size else count


def _spans(size: int, count: int | None, seed: int, random: np.random.Generator) -> list[Span | None]:
    if count is None:
        return [None, None] if seed == 0 else [None]
    last = (size - count) // 2 * 2
    if seed == 0:
        return [(0, count), (last, size)]
    between = int(random.integers(0, last // 2, endpoint=True)) * 2
    return [(between, min(between + 2 * count, size))]


def cost_of(program: Program, ops: Sequence[Op], share: float = 1.0) -> int:
    """What checking all rows of ``ops`` takes, in elements that pass through NumPy, with a ``share`` of the channels."""
    moving = (program.tensors[i] for op in ops for i in (*op.reads, *op.outputs))
    elements = sum(tensor.elements for tensor in moving if not tensor.is_constant)
    return elements + int(share * sum(operator_work(program, op) for op in ops)) // PRODUCTS_PER_ELEMENT


@dataclass(frozen=True)
class Cut:
    """``op`` for a region of its output alone: its tensors (None where an input is absent), operands, and output."""

    op: Op
    tensors: tuple[Tensor | None, ...]
    operands: tuple[Array | None, ...]
    out: Tensor


@dataclass(frozen=True)
class Excerpt:
    """Some operators of ``program`` in execution order, and the region of each tensor that one of the last output needs.

    A tensor that is absent from ``needed`` is needed as a whole.
    """

    program: Program
    ops: tuple[Op, ...]
    needed: Mapping[int, Region]

    def region(self, index: int) -> Region:
        """What is needed of tensor ``index``."""
        return self.needed.get(index, WHOLE)

    def cut(self, op: Op, values: Parts) -> Cut:
        """``op`` for what is needed of it, on the operands in ``values`` and constants."""
        out = self.program.tensors[op.outputs[0]]
        wanted = self.region(op.outputs[0])
        tensors, operands = list[Tensor | None](), list[Array | None]()
        for position, index in enumerate(op.inputs):
            tensor, array = (None, None) if index is None else self._operand(op, position, wanted, values)
            tensors.append(tensor)
            operands.append(array)
        cut = _with_pads(self.program, op, wanted)
        return Cut(cut, tuple(tensors), tuple(operands), dataclasses.replace(out, dims=wanted.dims(out.dims)))

    def carried(self, op: Op, bounds: Parts) -> list[Array | None]:
        """The ``bounds`` of the operands of ``op``, cut alike; None where they have none."""
        wanted = self.region(op.outputs[0])
        return [
            None if i is None or i not in bounds else self._operand(op, position, wanted, bounds)[1]
            for position, i in enumerate(op.inputs)
        ]

    def _operand(self, op: Op, position: int, wanted: Region, values: Parts) -> tuple[Tensor, Array]:
        index = cast(int, op.inputs[position])
        tensor = self.program.tensors[index]
        if index in values:
            known, array = values[index]
            region = _needed(self.program, op, position, wanted)
            return dataclasses.replace(tensor, dims=region.dims(tensor.dims)), region.within(array, known)
        array = cast(Array, tensor.data)
        if op.kind.weighted and position > 0:
            return _outputs(tensor, wanted.channels, array)
        region = _needed(self.program, op, position, wanted)
        return dataclasses.replace(tensor, dims=region.dims(tensor.dims)), region.part(array)


def excerpt_of(program: Program, ops: Sequence[Op], target: int, region: Region) -> Excerpt:
    """What ``region`` of ``target``, which the last of ``ops`` writes, needs of them."""
    needed = {target: region}
    for op in reversed(ops):
        out = op.outputs[0]
        wanted = needed[out] = _allowed(program, op, needed.get(out, WHOLE))
        for position, index in enumerate(op.inputs):
            if index is not None and not program.tensors[index].is_constant:
                own = _needed(program, op, position, wanted)
                needed[index] = needed[index].union(own) if index in needed else own
    return Excerpt(program, tuple(ops), needed)


def _allowed(program: Program, op: Op, region: Region) -> Region:
    """``region`` of the output of ``op``, widened to what its inputs can be cut for."""
    rank = len(program.tensors[op.outputs[0]].dims)
    rows, channels = (True, True) if op.kind.elementwise else op.kind.apart(op.attributes, rank)
    return Region(region.rows if rows and rank > 2 else None, region.channels if channels else None)


def _needed(program: Program, op: Op, position: int, region: Region) -> Region:
    """What input ``position`` of ``op``, computed or element-wise, is needed of for an allowed ``region`` of the output."""
    x, out = program.tensors[cast(int, op.inputs[position])], program.tensors[op.outputs[0]]
    a = op.attributes
    if isinstance(a, Conv2d | Pool2d) and position == 0:
        return Region(
            _window_rows(program, op, region.rows), region.channels if isinstance(a, Pool2d) else None
        )
    operand = op.kind.operand(position)
    if (op.kind.weighted and not operand.per_element) or operand.constant:
        return WHOLE
    same_rank = len(x.dims) == len(out.dims)
    rows = region.rows if same_rank and len(x.dims) > 1 and x.dims[1] == out.dims[1] else None
    fits = region.channels is not None and len(x.dims) > 0 and x.dims[-1] == out.dims[-1]
    return Region(rows, region.channels if fits else None)


def _outputs(tensor: Tensor, channels: Span | None, array: Array) -> tuple[Tensor, Array]:
    """Weights or a bias for some output ``channels``, which count along dimension 0."""
    if channels is None:
        return tensor, array
    part, qparams = array[slice(*channels)], tensor.qparams
    if qparams is not None and not qparams.per_tensor:
        qparams = dataclasses.replace(qparams, scales=qparams.scales[slice(*channels)])
    return dataclasses.replace(tensor, dims=part.shape, qparams=qparams), part


def _window_rows(program: Program, op: Op, rows: Span | None) -> Span | None:
    if rows is None:
        return None
    low, high = _window(program, op, rows)
    height = program.tensors[cast(int, op.inputs[0])].dims[1]
    first = min(max(low, 0), height)
    return first, max(min(high, height), first)


def _window(program: Program, op: Op, rows: Span) -> Span:
    """The input rows that the windows of ``rows`` reach, padding included."""
    a = op.attributes
    assert isinstance(a, Conv2d | Pool2d)
    kernel = a.kernel_h if isinstance(a, Pool2d) else program.tensors[cast(int, op.inputs[1])].dims[1]
    low = rows[0] * a.stride_h - a.pad_top
    return low, (rows[1] - 1) * a.stride_h - a.pad_top + (kernel - 1) * a.dilation_h + 1


def _with_pads(program: Program, op: Op, region: Region) -> Op:
    """``op`` with the padding that its rows of the ``region`` see."""
    a = op.attributes
    if not isinstance(a, Conv2d | Pool2d) or region.rows is None:
        return op
    low, high = _window(program, op, region.rows)
    first, last = cast(Span, _window_rows(program, op, region.rows))
    above = max(min(-low, high - low), 0)
    below = high - low - above - (last - first)
    return dataclasses.replace(op, attributes=dataclasses.replace(a, pad_top=above, pad_bottom=below))


def _hull(a: Span | None, b: Span | None) -> Span | None:
    return None if a is None or b is None else (min(a[0], b[0]), max(a[1], b[1]))
