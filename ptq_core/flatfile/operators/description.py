"""What a row of the operator table says: everything that the format, the passes, the reference and the runtime ask of a kind.

A row stands at the end of its operator's file in this folder; the C++ tables are generated from the rows (runtime/README.md).
"""

from __future__ import annotations

import enum
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from ptq_core.flatfile.operators.attributes import Attributes, Clamp, Field, Filled, fields_of
from ptq_core.flatfile.operators.call import Call
from ptq_core.flatfile.operators.checks import Operator
from ptq_core.flatfile.operators.roundoff import Roundoff
from ptq_core.flatfile.tensors import Array, DType, Tensor

A = TypeVar("A", bound=Attributes)
T = TypeVar("T")

Bound = Callable[[A, list[Array], list[Array], Array, Roundoff], Array]
"""(attributes, inputs, their bounds, output, roundoff) → the output's bound, or what broadcasts to it; all float64."""

Steps = Callable[[A, Sequence[Tensor], Tensor, Sequence[Array], Sequence[Array], Array], Array]
"""(attributes, input tensors, output tensor, input values, their bounds, output) → the output's bound."""


class Scales(enum.Enum):
    """Which scales an operand may have; floats have none."""

    ONE = enum.auto()
    """An activation."""
    OF_OUTPUT = enum.auto()
    """Scale and zero point of the output."""
    PER_OUTPUT = enum.auto()
    """Weights: one, or one per dimension 0; no zero point."""
    NONE = enum.auto()
    """Numbers that stand for themselves."""
    ANY = enum.auto()


OF_X = -1
"""As a rank: that of the first input."""


@dataclass(frozen=True)
class Operand:
    """An input or the output of a kind, and the rules of it that both readers take from here (rules.py)."""

    name: str
    beside: Mapping[DType, tuple[DType, ...]] = field(default_factory=dict)
    """First input's type → types of this one, where they are not just the same."""
    rank: int | None = None
    """None: any."""
    scales: Scales = Scales.ONE
    constant: bool = False
    per_element: bool = False
    """Of an operator that is not elementwise: an element of it has part in the output's at its place alone."""
    optional: bool = False
    many: bool = False
    """The last input, once or more often."""
    table: bool = False
    """Says what happens to the values, and holds none that come out."""
    copied: bool = False
    """A constant is copied or packed when a program is loaded; others are read where they lie in the file."""


X = Operand("x")
MOVED = Operand("x", scales=Scales.OF_OUTPUT)
OUTPUT = Operand("output")
OF_X_RANK = Operand("output", rank=OF_X)


def never(_: Any) -> bool:
    """For what no attributes make true."""
    return False


def always(_: Any) -> bool:
    """For what is true with all attributes."""
    return True


@dataclass(frozen=True, eq=False, kw_only=True)
class OperatorKind(Generic[A]):
    """A row of the operator table of docs/flat_format.md.

    ``check`` raises FlatFileError for what it demands beside the rules that are data; ``reference`` is the arithmetic of
    docs/numerics.md in NumPy, whose half precision is rounded afterwards.
    """

    code: int
    """Its number in the file."""
    name: str
    since: Callable[[A], int] = field(default=lambda _: 1)
    """The first minor version of the format that has it with these attributes."""
    attributes: type[A]
    types: tuple[DType, ...]
    """Of the first input; other operands are of the same, unless they say otherwise."""
    check: Callable[[Operator[A]], None] = lambda _: None
    reference: Callable[[Call[A]], Array]
    inputs: tuple[Operand, ...] = (X,)
    output: Operand = OUTPUT
    same_shape: bool = False
    """The output has the first input's shape."""
    bound: Bound[A] | None = None
    """How far a float kernel's result may be from the exact one (docs/numerics.md); None: it writes integers, or reads them."""
    steps: Steps[A] | None = None
    """The bound where floats become integers or the other way round; integers count in steps."""
    work: Callable[[A, Sequence[Tensor], Tensor], int] | None = None
    """Elementary steps of a run beside reading and writing each element: (attributes, inputs, output)."""
    identity: Callable[[A, tuple[int, ...]], bool] = field(default=lambda _a, _d: False)
    """Whether it changes nothing of its only input of these dims, where the output has the same dims, scale and zero point."""

    # Traits: what the passes ask. Each is a promise about every operator of the kind; those that are functions, about one with
    # these attributes.
    weighted: bool = False
    """Input 1 is a constant with its weights, [O, …, I]; it is packed when a program is loaded, and may be compressed."""
    packs_once: bool = False
    """Operators that read the same weights share one packing of them."""
    affine: bool = False
    """y = w · x + b and the clamp, nothing else: the inputs are x, w and maybe b."""
    elementwise: bool = False
    """An element of y is a function of the elements of the inputs at its place, numpy broadcasting aside."""
    converts: bool = False
    """y is x in another type or scale, or within bounds: requantizing does it on int8."""
    moves: bool = False
    """An element of y is an element of an input, or a filler, chosen by place alone."""
    permutes: bool = False
    """y is all elements of x in another order or shape."""
    same_bytes: bool = False
    """y is the bytes of x in their order, and may lie on x (docs/flat_format.md, "Memory plan")."""
    selects: Callable[[A], bool] = never
    """Unclamped, an element of y is an element of an input, or a filler, and any monotone function may be applied before it as
    well as after it: int8 keeps scale and zero point."""
    reads_order: bool = False
    """y says which elements of x are larger: the same for any strictly monotone function of x."""
    rescales: Callable[[A], bool] = never
    """On int8 it computes what its inputs stand for, each with a scale of its own, and requantizes; weighted ones aside."""
    apart: Callable[[A, int], tuple[bool, bool]] = field(default=lambda _a, _rank: (False, False))
    """(rows, channels): whether some of those of a y of this rank, dimension 1 and the last, can be computed from the same of the
    inputs, or from a window of them. An elementwise kind needs not say so."""
    f16_everywhere: bool = False
    """The runtime runs it in half precision on every CPU: it needs no arithmetic in it."""

    @functools.cached_property
    def fields(self) -> tuple[Field, ...]:
        """Its attributes in file order."""
        return fields_of(self.attributes)

    @property
    def clamps(self) -> bool:
        """True if an activation can be fused into it."""
        return issubclass(self.attributes, Clamp)

    @property
    def has_f16(self) -> bool:
        """True if all its tensors may be f16."""
        return DType.F16 in self.types and DType.F16 not in self.output.beside

    @property
    def fills(self) -> bool:
        """True if elements of y may be fillers."""
        return issubclass(self.attributes, Filled)

    @property
    def min_inputs(self) -> int:
        """So many inputs are always present."""
        return sum(not operand.optional for operand in self.inputs)

    @property
    def max_inputs(self) -> float:
        """Not more inputs than that; infinity if the last one may be repeated."""
        return math.inf if self.inputs[-1].many else len(self.inputs)

    def types_of(self, operand: Operand, first: DType) -> tuple[DType, ...]:
        """What ``operand`` may be where the first input is ``first``."""
        return operand.beside.get(first, (first,)) if first in self.types else ()

    def operand(self, position: int) -> Operand:
        """The description of input ``position``."""
        return self.inputs[min(position, len(self.inputs) - 1)]

    def data(self, inputs: Sequence[T]) -> tuple[T, ...]:
        """Those of ``inputs`` that hold values, which come first."""
        return tuple(x for i, x in enumerate(inputs) if not self.operand(i).table)

    def __repr__(self) -> str:
        return self.name
