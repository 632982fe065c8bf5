"""How activation tensors are quantized."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class ActivationParams:
    """How one activation tensor is quantized: real = scale · (q − zero_point), q in [q_min, q_max].

    ``low`` ≤ 0 ≤ ``high`` is the calibrated range in units of the tensor; symmetric quantization keeps |x| ≤ ``threshold``.
    """

    low: float
    high: float
    scale: np.float32
    zero_point: int
    bits: int
    q_min: int
    q_max: int

    @property
    def threshold(self) -> float:
        """The largest magnitude in the range."""
        return max(-self.low, self.high)
