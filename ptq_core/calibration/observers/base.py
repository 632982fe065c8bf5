"""What every observer takes and answers: the quantizer to find a range for, and the range."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from ptq_core.calibration.statistics import TensorStatistics
from ptq_core.errors import InputError


@dataclass(frozen=True)
class Range:
    """The values kept, low ≤ 0 ≤ high, both finite, in units of the tensor; what lies outside saturates.

    Symmetric ranges have low = −high. (0, 0) is a tensor that is zero everywhere.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        if not (self.low <= 0 <= self.high and math.isfinite(self.high - self.low)):
            raise ValueError(f"[{self.low}, {self.high}] is not a finite range around zero")


@dataclass(frozen=True)
class Quantizer:
    """The quantizer that a range is wanted for: ``bits`` 1–16, its symmetry, and the share that `hist` keeps."""

    bits: int
    symmetric: bool = True
    hist_percent: float = 0.99999


Observer = Callable[[TensorStatistics, Quantizer], Range]


def symmetric_range(threshold: float) -> Range:
    """[−T, T]."""
    return Range(-threshold, threshold)


def clipped_range(statistics: TensorStatistics, threshold: float, quantizer: Quantizer) -> Range:
    """|x| ≤ T: [−T, T], or if asymmetric that part of it which the tensor uses: [max(min, −T), min(max, T)] with zero."""
    if quantizer.symmetric:
        return symmetric_range(threshold)
    low, high = full_sides(statistics)
    return Range(max(low, -threshold), min(high, threshold))


def full_sides(statistics: TensorStatistics) -> tuple[float, float]:
    """(min(min, 0), max(max, 0)): all values seen, and zero."""
    return min(statistics.minimum, 0.0), max(statistics.maximum, 0.0)


def check_observed(statistics: TensorStatistics) -> None:
    """Raise InputError if no value was seen."""
    if not statistics.count:
        raise InputError(
            f"tensor `{statistics.name}` was never observed",
            rule="a range needs at least one value",
            fix="calibrate with at least one picture; a tensor with an empty shape cannot be quantized",
        )
