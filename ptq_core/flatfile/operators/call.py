"""An operator with its tensors and their values at hand: what its NumPy reference is given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar, cast

import numpy as np

from ptq_core.flatfile.operators.attributes import Attributes, Clamp, Filled
from ptq_core.flatfile.tensors import Array, DType, QuantParams, Tensor
from ptq_core.numerics import reference

A = TypeVar("A", bound=Attributes, covariant=True)


class OutOfRangeError(ValueError):
    """A value that was computed lies outside of what an operator takes: the runtime's PTQ_OUT_OF_RANGE."""


@dataclass(frozen=True)
class Call(Generic[A]):
    """``tensors`` and ``values`` are aligned with the inputs, None where one is absent; half precision is widened to float32."""

    attributes: A
    tensors: Sequence[Tensor | None]
    values: Sequence[Array | None]
    out: Tensor

    @property
    def int8(self) -> bool:
        """True if it computes on int8."""
        return self.tensor(0).dtype == DType.I8

    def tensor(self, position: int) -> Tensor:
        """A required input."""
        return cast(Tensor, self.tensors[position])

    def value(self, position: int) -> Array:
        """The values of a required input."""
        return cast(Array, self.values[position])

    def optional(self, position: int) -> Array | None:
        """The values of an input that may be absent."""
        return self.values[position] if position < len(self.values) else None

    def qparams(self, position: int) -> QuantParams:
        """Those of a quantized input."""
        return cast(QuantParams, self.tensor(position).qparams)

    @property
    def out_qparams(self) -> QuantParams:
        """Those of a quantized output."""
        return cast(QuantParams, self.out.qparams)

    @property
    def filler(self) -> float:
        """What lies where no input does."""
        fill = cast(Filled, self.attributes)
        return fill.value if self.value(0).dtype.kind == "f" else fill.q_value

    def rescaled(self, position: int) -> Array:
        """An input in the output's scale and zero point; float stays as it is."""
        if not self.int8:
            return self.value(position)
        s, out = self.qparams(position), self.out_qparams
        return reference.rescale_i8(self.value(position), s.scale, s.zero_point, out.scale, out.zero_point)

    def clamped(self, y: Array) -> Array:
        """``y`` within the fused activation's bounds."""
        bounds = cast(Clamp, self.attributes)
        if y.dtype == np.int8:
            return reference.clamp_i8(y, bounds.q_min, bounds.q_max)
        return reference.clamp(y, bounds.lo, bounds.hi) if y.dtype.kind == "f" else y
