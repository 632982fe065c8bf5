"""Operator attributes: one frozen dataclass per attribute format of docs/flat_format.md. Field names are the page's."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

INT8_MIN = -128
INT8_MAX = 127


class UnaryFunction(enum.IntEnum):
    """Functions of `unary`; the values are those of the page."""

    SIGMOID = 0
    TANH = 1
    HARD_SIGMOID = 2
    HARD_SWISH = 3
    LEAKY_RELU = 4
    ELU = 5
    EXP = 6
    LOG = 7
    SQRT = 8
    ABS = 9
    NEG = 10
    RECIPROCAL = 11
    FLOOR = 12
    CEIL = 13
    ROUND = 14
    SOFTPLUS = 15
    ERF = 16
    SILU = 17
    MISH = 18
    GELU = 19


class ReduceFunction(enum.IntEnum):
    """Functions of `reduce`."""

    MEAN = 0
    SUM = 1
    MAX = 2
    MIN = 3
    PROD = 4
    L2 = 5


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
class NoAttributes:
    """For operators that have none."""


@dataclass(frozen=True, kw_only=True)
class Clamp:
    """A fused activation: ``lo``, ``hi`` in real units bound f32 outputs, ``q_min``, ``q_max`` bound i8 outputs."""

    lo: float = -math.inf
    hi: float = math.inf
    q_min: int = INT8_MIN
    q_max: int = INT8_MAX

    @property
    def bounds(self) -> bool:
        """True if it bounds anything."""
        return (self.lo, self.hi, self.q_min, self.q_max) != (-math.inf, math.inf, INT8_MIN, INT8_MAX)


@dataclass(frozen=True, kw_only=True)
class Conv2d(Clamp):
    """Strides, dilations and pads in elements; ``groups`` divides input and output channels."""

    stride_h: int = 1
    stride_w: int = 1
    dilation_h: int = 1
    dilation_w: int = 1
    pad_top: int = 0
    pad_left: int = 0
    pad_bottom: int = 0
    pad_right: int = 0
    groups: int = 1


@dataclass(frozen=True, kw_only=True)
class Conv2dAdd(Conv2d):
    """A convolution and the addition of a residual: ``lo`` … ``q_max`` bound the sum, ``conv_lo`` … the convolution.

    ``scale`` and ``zero_point`` are those of the convolution's own int8 output; 1 and 0 for f32.
    """

    conv_lo: float = -math.inf
    conv_hi: float = math.inf
    conv_q_min: int = INT8_MIN
    conv_q_max: int = INT8_MAX
    scale: float = 1.0
    zero_point: int = 0


@dataclass(frozen=True, kw_only=True)
class Pool2d(Clamp):
    """A pooling window; ``count_include_pad`` 1 counts padding as zeros in an average, 0 leaves it out."""

    kernel_h: int
    kernel_w: int
    stride_h: int = 1
    stride_w: int = 1
    dilation_h: int = 1
    dilation_w: int = 1
    pad_top: int = 0
    pad_left: int = 0
    pad_bottom: int = 0
    pad_right: int = 0
    count_include_pad: int = 0


@dataclass(frozen=True, kw_only=True)
class Concat(Clamp):
    """``axis`` counts from 0 in the stored (NHWC) order."""

    axis: int


@dataclass(frozen=True, kw_only=True)
class Softmax:
    """``axis`` counts from 0 in the stored (NHWC) order."""

    axis: int


@dataclass(frozen=True, kw_only=True)
class Transpose:
    """y.dims[i] = x.dims[perm[i]]; one entry per dimension."""

    perm: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Pad:
    """Elements added before and after, one entry per dimension; ``value`` fills f32, ``q_value`` fills i8."""

    before: tuple[int, ...]
    after: tuple[int, ...]
    value: float = 0.0
    q_value: int = 0


@dataclass(frozen=True, kw_only=True)
class Unary(Clamp):
    """``alpha``, ``beta`` belong to `hard_sigmoid`, `leaky_relu` and `elu`, and are 0 elsewhere."""

    function: int
    alpha: float = 0.0
    beta: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Resize(Clamp):
    """``scale_h``, ``scale_w`` are output over input; ``rounding`` is 0 for a linear resize."""

    mode: int
    coordinates: int
    rounding: int = 0
    scale_h: float
    scale_w: float


@dataclass(frozen=True, kw_only=True)
class Slice:
    """y[i] = x[start + i · step], one entry per dimension; the output's dims say how many."""

    start: tuple[int, ...]
    step: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Gather:
    """``axis`` counts from 0 in the stored (NHWC) order."""

    axis: int


@dataclass(frozen=True, kw_only=True)
class Reduce(Clamp):
    """Bit i of ``axes`` is set if dimension i is reduced to 1."""

    function: int
    axes: int


@dataclass(frozen=True, kw_only=True)
class Dilate:
    """step − 1 fillers between neighbours, one step per dimension; ``value`` fills f32, ``q_value`` fills i8."""

    step: tuple[int, ...]
    value: float = 0.0
    q_value: int = 0


@dataclass(frozen=True, kw_only=True)
class ArgMax:
    """``axis`` counts from 0 in the stored order; ``select_last`` 1 takes the last of equal maxima."""

    axis: int
    select_last: int = 0


Attributes = (
    NoAttributes
    | Clamp
    | Conv2d
    | Conv2dAdd
    | Pool2d
    | Concat
    | Softmax
    | Transpose
    | Pad
    | Unary
    | Resize
    | Slice
    | Gather
    | Reduce
    | Dilate
    | ArgMax
)

NAMED_VALUES: dict[tuple[type, str], type[enum.IntEnum]] = {
    (Unary, "function"): UnaryFunction,
    (Resize, "mode"): ResizeMode,
    (Resize, "coordinates"): Coordinates,
    (Resize, "rounding"): Rounding,
    (Reduce, "function"): ReduceFunction,
}
"""(attribute class, field) → the values that the field may have, with their names."""
