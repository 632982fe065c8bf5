"""resize: x [N,H,W,C] → y [N,OH,OW,C], nearest or linear, by ONNX's coordinates (docs/numerics.md, "Resize")."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from ptq_core.flatfile.operators.attributes import F32, U32, Clamp, Named, Rule
from ptq_core.flatfile.operators.call import Call
from ptq_core.flatfile.operators.checks import Operator
from ptq_core.flatfile.operators.description import Operand, OperatorKind
from ptq_core.flatfile.operators.roundoff import SLACK, Roundoff
from ptq_core.flatfile.tensors import FLOAT_OR_INT8, Array
from ptq_core.numerics import functions


class ResizeMode(enum.IntEnum):
    """How `resize` takes values between pixels."""

    NEAREST = 0
    LINEAR = 1


class Coordinates(enum.IntEnum):
    """Where an output pixel of `resize` lies in the input; ONNX's names."""

    HALF_PIXEL = 0
    ASYMMETRIC = 1
    ALIGN_CORNERS = 2
    PYTORCH_HALF_PIXEL = 3


class Rounding(enum.IntEnum):
    """Which neighbour `resize` to the nearest takes; ONNX's names."""

    ROUND_PREFER_FLOOR = 0
    ROUND_PREFER_CEIL = 1
    FLOOR = 2
    CEIL = 3


@dataclass(frozen=True, kw_only=True)
class Resize(Clamp):
    """``scale_h``, ``scale_w`` are output over input; ``rounding`` is 0 for a linear resize."""

    mode: Annotated[U32, Named(ResizeMode)]
    coordinates: Annotated[U32, Named(Coordinates)]
    rounding: Annotated[U32, Named(Rounding)] = 0
    scale_h: Annotated[F32, Rule.POSITIVE]
    scale_w: Annotated[F32, Rule.POSITIVE]


def _check(c: Operator[Resize]) -> None:
    x, y, a = c.input(0), c.output, c.attributes
    c.dim("output", y, 0, x.dims[0])
    c.dim("output", y, 3, x.dims[3])
    if a.mode == ResizeMode.LINEAR and a.rounding:
        c.refuse("rounding", a.rounding, "0 for a linear resize")
    if a.mode == ResizeMode.NEAREST:
        c.same_qparams(x, y)


def _places(a: Resize, dims: tuple[int, ...], out: tuple[int, ...]) -> tuple[Array, Array]:
    """(rows [OH], columns [OW]): where the pixels of ``out`` lie in ``dims``, both [N,H,W,C]."""
    mode = Coordinates(a.coordinates).name.lower()
    return (
        functions.coordinates(mode, dims[1], out[1], a.scale_h),
        functions.coordinates(mode, dims[2], out[2], a.scale_w),
    )


def _nearest(a: Resize, x: Array, rows: Array, columns: Array) -> Array:
    return functions.resize_nearest(x, rows, columns, Rounding(a.rounding).name.lower())


def _reference(call: Call[Resize]) -> Array:
    a, x = call.attributes, call.value(0)
    rows, columns = _places(a, x.shape, call.out.dims)
    if a.mode == ResizeMode.NEAREST:
        return call.clamped(_nearest(a, x, rows, columns))
    if not call.int8:
        return call.clamped(functions.resize_linear(x, rows, columns))
    s, out = call.qparams(0), call.out_qparams
    return call.clamped(
        functions.resize_linear_i8(x, rows, columns, s.scale, s.zero_point, out.scale, out.zero_point)
    )


def _bound(a: Resize, x: list[Array], e: list[Array], y: Array, r: Roundoff) -> Array:
    rows, columns = _places(a, x[0].shape, y.shape)
    if a.mode == ResizeMode.NEAREST:
        return _nearest(a, e[0], rows, columns)
    magnitude = functions.resize_linear(np.abs(x[0]), rows, columns)
    return r.joined(functions.resize_linear(e[0], rows, columns), SLACK * r.unit * magnitude)


def _is_identity(a: Resize, _: tuple[int, ...]) -> bool:
    return not a.bounds and a.scale_h == a.scale_w == 1.0


RESIZE = OperatorKind(
    code=22,
    name="resize",
    attributes=Resize,
    types=FLOAT_OR_INT8,
    inputs=(Operand("x", rank=4),),
    output=Operand("output", rank=4),
    check=_check,
    reference=_reference,
    bound=_bound,
    identity=_is_identity,
    selects=lambda a: a.mode == ResizeMode.NEAREST,
    rescales=lambda a: a.mode == ResizeMode.LINEAR,
)
