"""What attributes of operators are made of: types of fields as they lie in the file, rules of their values, the fused clamp."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass, fields
from typing import Annotated, get_type_hints

INT8_MIN = -128
INT8_MAX = 127
INT32_MIN = -(2**31)
INT32_MAX = 2**31 - 1


@dataclass(frozen=True)
class Code:
    """How a field lies in the file: ``letter`` of `struct`; an ``array`` has 8 entries, 0 from the first input's rank on."""

    letter: str
    array: bool = False


U32 = Annotated[int, Code("I")]
I32 = Annotated[int, Code("i")]
F32 = Annotated[float, Code("f")]
U32s = Annotated[tuple[int, ...], Code("I", array=True)]
I32s = Annotated[tuple[int, ...], Code("i", array=True)]


@dataclass(frozen=True)
class Range:
    """``least`` … ``most``; of an array, each entry within the rank."""

    least: int
    most: int


@dataclass(frozen=True)
class Named:
    """One of ``values``, which count from 0."""

    values: type[enum.IntEnum]


class Rule(enum.Enum):
    """Rules without a number."""

    BELOW_RANK = enum.auto()
    """A dimension of the first input."""
    POSITIVE = enum.auto()
    """Above 0 and finite."""
    CLAMP = enum.auto()
    """With the three fields that follow: lo ≤ hi, and −128 ≤ q_min ≤ q_max ≤ 127."""


FLAG = Range(0, 1)
GEOMETRY = Range(1, 65535)
"""Kernels, strides, dilations."""
PADDING = Range(0, 65535)


@dataclass(frozen=True)
class Field:
    """A field of attributes, in file order."""

    name: str
    code: Code
    rule: Range | Named | Rule | None = None

    @property
    def names(self) -> type[enum.IntEnum] | None:
        """The names of its values, if they have any."""
        return self.rule.values if isinstance(self.rule, Named) else None


@dataclass(frozen=True, kw_only=True)
class Attributes:
    """The base of all: a class per format of attributes. Fields stand in file order; those of Clamp and Filled come last."""


@dataclass(frozen=True, kw_only=True)
class NoAttributes(Attributes):
    """For operators that have none."""


@dataclass(frozen=True, kw_only=True)
class Clamp(Attributes):
    """A fused activation: ``lo``, ``hi`` in real units bound f32 outputs, ``q_min``, ``q_max`` bound i8 outputs."""

    lo: Annotated[F32, Rule.CLAMP] = -math.inf
    hi: F32 = math.inf
    q_min: I32 = INT8_MIN
    q_max: I32 = INT8_MAX

    @property
    def bounds(self) -> bool:
        """True if it bounds anything."""
        return (self.lo, self.hi, self.q_min, self.q_max) != (-math.inf, math.inf, INT8_MIN, INT8_MAX)


@dataclass(frozen=True, kw_only=True)
class Filled(Attributes):
    """What lies where no input does: ``value`` in f32, ``q_value`` in integers."""

    value: F32 = 0.0
    q_value: I32 = 0


def fields_of(attributes: type[Attributes]) -> tuple[Field, ...]:
    """The fields of a class in file order."""
    hints = get_type_hints(attributes, include_extras=True)
    last = {f.name for base in (Clamp, Filled) if issubclass(attributes, base) for f in fields(base)}
    ordered = sorted((f.name for f in fields(attributes)), key=lambda name: name in last)
    return tuple(Field(name, *hints[name].__metadata__) for name in ordered)
