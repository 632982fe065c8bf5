"""grid_sample: x [N,…,C], positions [N,…,K] → y [N,…,C]: values of x at K coordinates each (docs/numerics.md, "Grid sample")."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from ptq_core.flatfile.operators.attributes import FLAG, U32, Attributes, Named
from ptq_core.flatfile.operators.call import Call
from ptq_core.flatfile.operators.checks import Operator
from ptq_core.flatfile.operators.description import OF_X, OF_X_RANK, Operand, OperatorKind, X
from ptq_core.flatfile.operators.roundoff import SLACK, UNITS, Roundoff
from ptq_core.flatfile.tensors import Array, DType, Tensor
from ptq_core.numerics import grid_sample as numerics


class SampleMode(enum.IntEnum):
    """How values between pixels are taken."""

    NEAREST = 0
    LINEAR = 1
    CUBIC = 2


class SamplePadding(enum.IntEnum):
    """What lies outside of a picture."""

    ZEROS = 0
    BORDER = 1
    REFLECTION = 2


TAPS = {SampleMode.NEAREST: 1, SampleMode.LINEAR: 2, SampleMode.CUBIC: 4}
"""Pixels along a dimension that a value is made of."""

SLOPES = {SampleMode.NEAREST: 0.0, SampleMode.LINEAR: 2.0, SampleMode.CUBIC: 3.0}
"""Sums of the weights' slopes in size, at most."""

WEIGHTS = {SampleMode.NEAREST: 1.0, SampleMode.LINEAR: 1.0, SampleMode.CUBIC: 1.375}
"""Sums of the weights in size, at most."""

POSITION_ROUNDINGS = 4
"""Roundings on the way from a coordinate to its position, relative to |n| + 1 of half the size."""


@dataclass(frozen=True, kw_only=True)
class GridSample(Attributes):
    """``align_corners``: −1 and 1 are the middles of the first and last pixel, not their outer edges."""

    mode: Annotated[U32, Named(SampleMode)]
    padding: Annotated[U32, Named(SamplePadding)]
    align_corners: Annotated[U32, FLAG] = 0


def _check(c: Operator[GridSample]) -> None:
    x, grid, y = c.input(0), c.input(1), c.output
    last = len(x.dims) - 1
    if not 2 <= last <= 4:
        c.refuse("x rank", len(x.dims), "3 … 5")
    c.dim("grid", grid, 0, x.dims[0])
    c.dim("grid", grid, last, last - 1)
    for d in range(last):
        c.dim("output", y, d, grid.dims[d])
    c.dim("output", y, last, x.dims[last])


def _positions(a: GridSample, x: Array, grid: Array) -> list[list[Array]]:
    """Of each of N, the positions [P] along each dimension of x; the last coordinate is that of the first dimension."""
    sizes = x.shape[1:-1]
    points = grid.reshape(len(grid), -1, len(sizes))
    aligned = bool(a.align_corners)
    return [[numerics.position(p[:, -1 - d], size, aligned) for d, size in enumerate(sizes)] for p in points]


def _taps(a: GridSample, x: Array, positions: list[list[Array]]) -> list[list[numerics.Taps]]:
    mode, padding = SampleMode(a.mode).name.lower(), SamplePadding(a.padding).name.lower()
    aligned = bool(a.align_corners)
    return [
        [numerics.taps(p, size, mode, padding, aligned) for p, size in zip(along, x.shape[1:-1], strict=True)]
        for along in positions
    ]


def _reference(call: Call[GridSample]) -> Array:
    a, x, grid = call.attributes, call.value(0), call.value(1)
    return numerics.grid_sample(x, _taps(a, x, _positions(a, x, grid))).reshape(call.out.dims)


def _bound(a: GridSample, x: list[Array], e: list[Array], y: Array, r: Roundoff) -> Array:
    """Rounding of the sum, the error of x, and what the positions' errors can change: a slope, or a jump to another pixel."""
    positions = _positions(a, x[0], x[1])
    sizes = [[(places, np.abs(weights)) for places, weights in along] for along in _taps(a, x[0], positions)]
    taps = TAPS[SampleMode(a.mode)] ** len(sizes[0])
    own = r.unit * (taps + SLACK) * numerics.grid_sample(np.abs(x[0]), sizes)
    moved = _moved(a, x, e, positions)
    return r.joined(numerics.grid_sample(e[0], sizes), own, moved).reshape(y.shape)


def _moved(a: GridSample, x: list[Array], e: list[Array], positions: list[list[Array]]) -> Array:
    """How far the errors of positions move a value, [N, P, C]: relative to the largest one of its picture and channel."""
    mode, inner = SampleMode(a.mode), x[0].shape[1:-1]
    largest = (np.abs(x[0]) + e[0]).max(axis=tuple(range(1, len(inner) + 1)))
    grid, wide = (v.reshape(len(x[0]), -1, len(inner)) for v in (x[1], e[1]))
    share = np.zeros(grid.shape[:2])
    unit = UNITS[DType.F32]
    slope = SLOPES[mode] * WEIGHTS[mode] ** (len(inner) - 1)
    for n, along in enumerate(positions):
        for d, (p, size) in enumerate(zip(along, inner, strict=True)):
            error = (
                (wide[n, :, -1 - d] + POSITION_ROUNDINGS * unit * (np.abs(grid[n, :, -1 - d]) + 1)) * size / 2
            )
            share[n] += error * slope if slope else 0
            if mode == SampleMode.NEAREST:  # another pixel may be the nearest one
                share[n] += np.where(np.abs(p - np.floor(p) - 0.5) <= error, np.inf, 0)
    most = 2 * WEIGHTS[mode] ** len(inner)
    return np.asarray(np.fmin(share, most)[:, :, None] * largest[:, None, :])


def _work(a: GridSample, inputs: Sequence[Tensor], out: Tensor) -> int:
    taps: int = TAPS[SampleMode(a.mode)] ** (len(out.dims) - 2)
    return out.elements * taps


GRID_SAMPLE = OperatorKind(
    code=38,
    name="grid_sample",
    since=lambda _: 5,
    attributes=GridSample,
    types=(DType.F32,),
    inputs=(X, Operand("grid", rank=OF_X)),
    output=OF_X_RANK,
    check=_check,
    reference=_reference,
    bound=_bound,
    work=_work,
)
