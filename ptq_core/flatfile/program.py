"""The program that a flat file holds: tensors, operators in execution order, inputs, outputs. Neutral: no ONNX here."""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ptq_core.flatfile.attributes import Attributes

Array = npt.NDArray[Any]


class DType(enum.IntEnum):
    """Element types; the values are those of the file."""

    F32 = 1
    I8 = 2
    I32 = 3
    I16 = 4
    F16 = 5

    @property
    def numpy(self) -> np.dtype[Any]:
        """The little-endian NumPy type."""
        return NUMPY_TYPES[self]

    @property
    def itemsize(self) -> int:
        """Bytes per element."""
        return NUMPY_TYPES[self].itemsize

    @property
    def label(self) -> str:
        """The name of the page: `f32`, `i8`, `i32`, `i16`, `f16`."""
        return self.name.lower()


NUMPY_TYPES: dict[DType, np.dtype[Any]] = {
    DType.F32: np.dtype("<f4"),
    DType.I8: np.dtype("i1"),
    DType.I32: np.dtype("<i4"),
    DType.I16: np.dtype("<i2"),
    DType.F16: np.dtype("<f2"),
}


class OpKind(enum.IntEnum):
    """Operator kinds; names and values are those of the table in docs/flat_format.md."""

    CONV2D = 1
    FULLY_CONNECTED = 2
    ADD = 3
    SUB = 4
    MUL = 5
    DIV = 6
    MAX_POOL2D = 7
    AVERAGE_POOL2D = 8
    CONCAT = 9
    SOFTMAX = 10
    QUANTIZE = 11
    DEQUANTIZE = 12
    CLAMP = 13
    TRANSPOSE = 14
    RESHAPE = 15
    PAD = 16
    UNARY = 17
    LOOKUP = 18
    MAXIMUM = 19
    MINIMUM = 20
    POW = 21
    RESIZE = 22
    SLICE = 23
    GATHER = 24
    REDUCE = 25
    DILATE = 26
    ARG_MAX = 27
    CONV2D_ADD = 28
    CONVERT = 29

    @property
    def label(self) -> str:
        """The name of the page, e.g. `conv2d`."""
        return self.name.lower()


@dataclass(frozen=True, eq=False)
class QuantParams:
    """real = scale · (q − zero_point); ``scales`` is float32 [n], ``axis`` the dimension that n counts (−1 when n is 1)."""

    scales: Array
    zero_point: int = 0
    axis: int = -1

    @property
    def scale(self) -> np.float32:
        """The only (or first) scale."""
        first: np.float32 = self.scales[0]
        return first

    @property
    def per_tensor(self) -> bool:
        """True if one scale covers the whole tensor."""
        return len(self.scales) == 1

    def spread(self, rank: int) -> Array:
        """The scales shaped to broadcast along their axis of a tensor of ``rank`` dimensions."""
        return self.scales.reshape([-1 if i == self.axis and not self.per_tensor else 1 for i in range(rank)])

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, QuantParams)
            and self.zero_point == other.zero_point
            and self.axis == other.axis
            and self.scales.tobytes() == other.scales.tobytes()
        )

    def __hash__(self) -> int:
        return hash((self.zero_point, self.axis, self.scales.tobytes()))


@dataclass(frozen=True)
class Origin:
    """Which value of the model a tensor holds: the value called ``name``, with its dimensions permuted by ``perm``."""

    name: str
    perm: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Tensor:
    """A tensor in the arena (``data`` None; ``offset`` in bytes once planned) or a constant (``data`` set).

    ``origin``, which no file holds, is the value of the model that it stands for; None for what passes and lowering add. A
    pass may drop such a tensor or write it in another way, but not give it another value: verification compares by it.
    """

    name: str
    dtype: DType
    dims: tuple[int, ...]
    qparams: QuantParams | None = None
    data: Array | None = None
    offset: int | None = None
    origin: Origin | None = None

    @property
    def is_constant(self) -> bool:
        """True if the values are stored in the file."""
        return self.data is not None

    @property
    def elements(self) -> int:
        """Number of elements."""
        return math.prod(self.dims)

    @property
    def size_bytes(self) -> int:
        """Bytes of the values."""
        return self.elements * self.dtype.itemsize


@dataclass(frozen=True)
class Op:
    """An operator; ``inputs`` and ``outputs`` are indices into the program's tensors, None for an absent optional input."""

    kind: OpKind
    name: str
    inputs: tuple[int | None, ...]
    outputs: tuple[int, ...]
    attributes: Attributes

    @property
    def reads(self) -> tuple[int, ...]:
        """The inputs that are present."""
        return tuple(index for index in self.inputs if index is not None)


@dataclass
class Program:
    """Tensors and operators in execution order. ``arena_size`` in bytes; ``targets`` are names of layout.TARGETS.

    ``version`` is that of the file it was read from; the writer writes the lowest that holds the program.
    """

    tensors: list[Tensor] = field(default_factory=list)
    ops: list[Op] = field(default_factory=list)
    inputs: list[int] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)
    arena_size: int = 0
    targets: tuple[str, ...] = ()
    producer: str = ""
    version: tuple[int, int] | None = None
    meta: Mapping[str, object] = field(default_factory=dict)

    def add(self, tensor: Tensor) -> int:
        """Append ``tensor`` and return its index."""
        self.tensors.append(tensor)
        return len(self.tensors) - 1
