"""How far values are from those that they stand for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

CHUNK = 8192
"""Values taken at a time: they and their differences in float64 stay in a core's cache."""


@dataclass
class Noise:
    """Powers summed over values: ``signal`` Σ y², ``noise`` Σ (y − y')², in the square of the values' unit.

    Equal infinities and equal NaNs do not count; where only one of the two is finite, the noise is infinite.
    """

    signal: float = 0.0
    noise: float = 0.0

    def add(self, wanted: NDArray[Any], got: NDArray[Any]) -> None:
        """Count y = ``wanted`` and y' = ``got``, of one size."""
        y, z = np.ravel(wanted), np.ravel(got)
        for start in range(0, y.size, CHUNK):
            chunks = (array[start : start + CHUNK].astype(np.float64) for array in (y, z))
            signal, noise = _powers(*chunks)
            self.signal += signal
            self.noise += noise

    @property
    def ratio(self) -> float:
        """noise / signal: 0 where nothing differs, inf where there is noise and no signal."""
        if self.noise == 0.0:
            return 0.0
        return self.noise / self.signal if self.signal else float("inf")

    @property
    def sqnr_db(self) -> float:
        """Signal-to-quantization-noise ratio in dB: inf where nothing differs, −inf where there is noise and no signal."""
        with np.errstate(divide="ignore"):
            return float(-10 * np.log10(self.ratio))


def sqnr_db(wanted: NDArray[Any], got: NDArray[Any]) -> float:
    """``Noise.sqnr_db`` of two arrays."""
    noise = Noise()
    noise.add(wanted, got)
    return noise.sqnr_db


def _powers(a: NDArray[np.float64], b: NDArray[np.float64]) -> tuple[float, float]:
    with np.errstate(invalid="ignore", over="ignore"):
        difference = a - b
        signal, noise = float(np.dot(a, a)), float(np.dot(difference, difference))
    if np.isfinite(signal) and np.isfinite(noise):
        return signal, noise
    counted = np.isfinite(a) | ~((a == b) | (np.isnan(a) & np.isnan(b)))
    a, b = a[counted], b[counted]
    if np.isfinite(a).all() and np.isfinite(b).all():
        difference = a - b
        return float(np.dot(a, a)), float(np.dot(difference, difference))
    a = a[np.isfinite(a)]
    return float(np.dot(a, a)), float("inf")
