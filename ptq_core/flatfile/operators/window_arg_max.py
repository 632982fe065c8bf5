"""window_arg_max: x → y i64: where in x, all its elements counted, the largest element of each window lies."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from ptq_core.flatfile.operators.attributes import GEOMETRY, PADDING, Attributes, U32s
from ptq_core.flatfile.operators.call import Call
from ptq_core.flatfile.operators.checks import MAX_WINDOW, Operator, Window
from ptq_core.flatfile.operators.description import OF_X, Operand, OperatorKind, Scales
from ptq_core.flatfile.tensors import ORDERED, Array, DType, Tensor


@dataclass(frozen=True, kw_only=True)
class WindowArgMax(Attributes):
    """A window, one entry per dimension; ``before`` is the padding before the first element, that behind is what is needed."""

    kernel: Annotated[U32s, GEOMETRY]
    stride: Annotated[U32s, GEOMETRY]
    dilation: Annotated[U32s, GEOMETRY]
    before: Annotated[U32s, PADDING]


def _check(c: Operator[WindowArgMax]) -> None:
    a = c.attributes
    if math.prod(a.kernel) > MAX_WINDOW:
        c.refuse("kernel", " × ".join(map(str, a.kernel)), f"at most {MAX_WINDOW} elements")
    for d, (size, output) in enumerate(zip(c.input(0).dims, c.output.dims, strict=True)):
        window = Window(f"dimension {d}", a.kernel[d], a.stride[d], a.dilation[d], a.before[d], 0)
        c.no_empty_window(window, size, output)


def _taps(a: WindowArgMax, x: tuple[int, ...], y: tuple[int, ...]) -> Iterator[tuple[Array, Array]]:
    """Tap after tap: (place in x, whether there is one), both of the shape of y."""
    first = [np.arange(n) * stride - before for n, stride, before in zip(y, a.stride, a.before, strict=True)]
    for tap in itertools.product(*map(range, a.kernel)):
        at = np.ix_(*(f + t * step for f, t, step in zip(first, tap, a.dilation, strict=True)))
        inside, place = np.ones(y, bool), np.zeros(y, np.int64)
        for size, index in zip(x, at, strict=True):
            inside &= (index >= 0) & (index < size)
            place = place * size + np.clip(index, 0, size - 1)
        yield place, inside


def _reference(call: Call[WindowArgMax]) -> Array:
    """The first of equal ones; no number is smaller than any."""
    x, y = call.value(0), call.out.dims
    best, found = np.zeros(y, x.dtype), np.full(y, -1, np.int64)
    for place, inside in _taps(call.attributes, x.shape, y):
        value = x.ravel()[place]
        better = (value > best) | ((best != best) & (value == value))
        taken = inside & (better | (found < 0))
        best, found = np.where(taken, value, best), np.where(taken, place, found)
    return found


def _steps(
    a: WindowArgMax, inputs: Sequence[Tensor], out: Tensor, x: Sequence[Array], e: Sequence[Array], y: Array
) -> Array:
    """An element may be the largest if its value may be what the largest is at least."""
    if not e[0].any():
        return np.zeros(y.shape)
    values, wide = x[0].astype(np.float64).ravel(), np.broadcast_to(e[0], x[0].shape).ravel()
    least = np.full(y.shape, -np.inf)
    for place, inside in _taps(a, x[0].shape, y.shape):
        least = np.where(inside, np.fmax(least, values[place] - wide[place]), least)
    apart = np.zeros(y.shape)
    for place, inside in _taps(a, x[0].shape, y.shape):
        may_be = inside & (values[place] + wide[place] >= least)
        apart = np.where(may_be, np.maximum(apart, np.abs(place - y)), apart)
    return apart


def _work(a: WindowArgMax, inputs: Sequence[Tensor], out: Tensor) -> int:
    return out.elements * math.prod(map(min, a.kernel, inputs[0].dims))


WINDOW_ARG_MAX = OperatorKind(
    code=40,
    name="window_arg_max",
    since=lambda _: 5,
    attributes=WindowArgMax,
    types=ORDERED,
    output=Operand("output", dict.fromkeys(ORDERED, (DType.I64,)), rank=OF_X, scales=Scales.NONE),
    check=_check,
    reference=_reference,
    steps=_steps,
    work=_work,
    reads_order=True,
)
