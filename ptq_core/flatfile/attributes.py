"""Operator attributes: one frozen dataclass per attribute format of docs/flat_format.md. Field names are the page's."""

from __future__ import annotations

import math
from dataclasses import dataclass

INT8_MIN = -128
INT8_MAX = 127


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


Attributes = NoAttributes | Clamp | Conv2d | Pool2d | Concat | Softmax | Transpose | Pad
