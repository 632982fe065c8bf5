"""What operators read and write: element types, scale and zero point, tensors."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class DType(enum.IntEnum):
    """Element types; the values are those of the file."""

    F32 = 1
    I8 = 2
    I32 = 3
    I16 = 4
    F16 = 5
    I64 = 6
    U8 = 7
    BOOL = 8

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
        """The name of the page: `f32`, `i8`, `i32`, `i16`, `f16`, `i64`, `u8`, `bool`."""
        return self.name.lower()


NUMPY_TYPES: dict[DType, np.dtype[Any]] = {
    DType.F32: np.dtype("<f4"),
    DType.I8: np.dtype("i1"),
    DType.I32: np.dtype("<i4"),
    DType.I16: np.dtype("<i2"),
    DType.F16: np.dtype("<f2"),
    DType.I64: np.dtype("<i8"),
    DType.U8: np.dtype("u1"),
    DType.BOOL: np.dtype("?"),
}


FLOATS = (DType.F32, DType.F16)
FLOAT_OR_INT8 = (DType.F32, DType.I8)
ANY_REAL = (*FLOATS, DType.I8)
INTEGERS = (DType.I32, DType.I64, DType.U8)
"""Numbers that stand for themselves."""
ORDERED = (*FLOAT_OR_INT8, *INTEGERS)
"""What operators put in order that look for the largest."""
UNSCALED = (DType.F32, *INTEGERS, DType.BOOL)
"""Values that stand for themselves, half precision aside."""
MOVABLE = (DType.F32, DType.I8, *INTEGERS, DType.BOOL)
"""What operators that only move elements take, half precision aside."""
QUANTIZED = (DType.I8, DType.I16)
"""Always with quantization parameters; i32 may have some, the others have none."""


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
