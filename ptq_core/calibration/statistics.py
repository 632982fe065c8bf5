"""Streaming statistics of one tensor: range, zeros, per-sample extremes and a signed histogram whose size never grows.

The histogram has ``BINS`` bins on each side of zero. Their width is always a power of two, the smallest for which the
largest magnitude seen so far fits; when a larger value arrives, neighbouring bins are merged pair by pair until it fits.
Scaling by a power of two is exact in binary floating point and floor(floor(y) / 2) = floor(y / 2), so the result is the
same, bit for bit, however the values were ordered and cut into batches. The sums of per-sample extremes are added up sample
by sample, so they depend on the order of the samples but not on the batches.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ptq_core.errors import InputError

BINS = 8192
"""Histogram bins per side; a power of two. Between half of them and all are in use, so 2048 bins can be made of them."""

MIN_EXPONENT = -126
"""log2 of the narrowest bin: its reciprocal is still a finite float32."""

CHUNK = 32768
"""Values binned at a time: the chunk and its scratch buffers (0.7 MB) stay in a 1 MB L2 cache."""

_FLOAT32_MAX = float(np.finfo(np.float32).max)
_MERGES_UNTIL_ALL_IN_ONE = int(math.log2(BINS)) + 1


class Scratch:
    """Buffers that ``TensorStatistics.update`` works in; one per thread, shared by all tensors of that thread."""

    def __init__(self) -> None:
        self.scaled = np.empty(CHUNK, np.float32)
        self.index32 = np.empty(CHUNK, np.int32)
        self.index = np.empty(CHUNK, np.intp)
        self.nonzero = np.empty(CHUNK, np.bool_)


@dataclass(eq=False)
class TensorStatistics:
    """What is known of all values a tensor took.

    ``minimum`` and ``maximum`` are exact (inf, -inf before the first value), ``count`` is the number of values,
    ``zero_count`` how many of them were exactly zero. ``histogram``, int64 [2 · BINS], counts the others: element
    ``BINS + b`` those in [b · w, (b + 1) · w) with the bin width w = 2**exponent and b in [-BINS, BINS).
    ``sum_minimum``, ``sum_maximum`` and ``sum_abs_max`` add up the minimum, maximum and largest magnitude of each of the
    ``samples``, in float64.
    """

    name: str
    minimum: float = math.inf
    maximum: float = -math.inf
    count: int = 0
    zero_count: int = 0
    exponent: int = MIN_EXPONENT
    samples: int = 0
    sum_minimum: float = 0.0
    sum_maximum: float = 0.0
    sum_abs_max: float = 0.0
    histogram: NDArray[np.int64] = field(default_factory=lambda: np.zeros(2 * BINS, np.int64))

    @property
    def bin_width(self) -> float:
        """Width of one histogram bin, in units of the tensor."""
        return math.ldexp(1.0, self.exponent)

    @property
    def abs_max(self) -> float:
        """The largest magnitude; 0.0 before the first value."""
        return max(abs(self.minimum), abs(self.maximum)) if self.count else 0.0

    def magnitudes(self) -> NDArray[np.int64]:
        """Histogram of |x| without the zeros, int64 [BINS]: element b counts b · w ≤ |x| ≤ (b + 1) · w."""
        return self.histogram[BINS:] + self.histogram[:BINS][::-1]

    def update(
        self,
        values: NDArray[np.float32],
        scratch: Scratch,
        where: Callable[[int], str] = "row {}".format,
        *,
        samples: int = 1,
    ) -> None:
        """Add ``values``, float32 of any shape; ``where(i)`` says in an error what row i of the first axis is.

        ``values`` belongs to ``samples`` samples: equal parts of it, in order, if its first dimension is a multiple of
        ``samples``; else all of it to each of them. Raises InputError, naming the tensor and the row, if a value is NaN or
        infinite.
        """
        if not values.size:
            return
        split = values.ndim > 0 and len(values) % samples == 0
        rows = values.reshape(samples if split else 1, -1)
        lows, highs = self._add_rows(rows, values, scratch, where)
        for low, high in zip(lows, highs, strict=True):
            times = 1 if split else samples
            self.samples += times
            for _ in range(times):
                self.sum_minimum += low
                self.sum_maximum += high
                self.sum_abs_max += max(-low, high)

    def _add_rows(
        self,
        rows: NDArray[np.float32],
        values: NDArray[np.float32],
        scratch: Scratch,
        where: Callable[[int], str],
    ) -> tuple[list[float], list[float]]:
        """Count all of ``rows`` [n, m] and return the n minima and n maxima; ``values`` is the tensor as it came."""
        count, length = rows.shape
        step, width = max(1, CHUNK // length), min(length, CHUNK)
        lows, highs = [math.inf] * count, [-math.inf] * count
        for row in range(0, count, step):  # chunks of several whole rows, or of a part of one
            for start in range(0, length, width):
                block = rows[row : row + step, start : start + width]
                block_lows, block_highs = block.min(axis=1).tolist(), block.max(axis=1).tolist()
                for i, (low, high) in enumerate(zip(block_lows, block_highs, strict=True), start=row):
                    # Comparisons with NaN are false, so this order also catches NaN.
                    if not (low >= -_FLOAT32_MAX and high <= _FLOAT32_MAX):
                        raise self._not_finite(values, where)
                    lows[i], highs[i] = min(lows[i], low), max(highs[i], high)
                low, high = min(block_lows), max(block_highs)
                self.minimum, self.maximum = min(self.minimum, low), max(self.maximum, high)
                self._widen(max(-low, high))
                self._bin(block.reshape(-1), low, scratch)
        return lows, highs

    def _bin(self, chunk: NDArray[np.float32], low: float, scratch: Scratch) -> None:
        size = chunk.size
        scaled, index32 = scratch.scaled[:size], scratch.index32[:size]
        index, nonzero = scratch.index[:size], scratch.nonzero[:size]
        np.multiply(chunk, np.float32(math.ldexp(1.0, -self.exponent)), out=scaled)
        if low < 0:  # else cutting off the fraction does the same
            np.floor(scaled, out=scaled)
        # Through int32: float32 -> int64 has no vector instruction below AVX-512DQ and is four times slower.
        np.copyto(index32, scaled, casting="unsafe")
        first = math.floor(math.ldexp(low, -self.exponent))
        np.subtract(index32, first, out=index)
        counts = np.bincount(index)
        begin = BINS + first
        self.histogram[begin : begin + counts.size] += counts
        # As a sum of booleans: np.count_nonzero of floats is ten times slower.
        zeros = size - int(np.count_nonzero(np.not_equal(chunk, 0, out=nonzero)))
        self.histogram[BINS] -= zeros
        self.count += size
        self.zero_count += zeros

    def _widen(self, magnitude: float) -> None:
        """Merge bins until ``magnitude`` < BINS · bin width."""
        if magnitude < math.ldexp(BINS, self.exponent):
            return
        needed = math.frexp(magnitude)[1] - int(math.log2(BINS))  # magnitude < 2**frexp exponent
        if self.count > self.zero_count:
            for _ in range(min(needed - self.exponent, _MERGES_UNTIL_ALL_IN_ONE)):
                merged = self.histogram.reshape(-1, 2).sum(axis=1)
                self.histogram[:] = 0
                self.histogram[BINS // 2 : BINS // 2 + BINS] = merged
        self.exponent = needed

    def _not_finite(self, values: NDArray[np.float32], where: Callable[[int], str]) -> InputError:
        bad = ~np.isfinite(values)
        row = int(np.argmax(bad.reshape(len(values), -1).any(axis=1))) if values.ndim else 0
        kind = "NaN" if np.isnan(values).any() else "infinity"
        return InputError(
            f"tensor `{self.name}` has {int(bad.sum())} values that are not finite ({kind}), first in {where(row)}",
            rule="a range can only be found for finite activations",
            fix="check `preprocess` (mean, std, channel order) and run the FP32 model on this picture; "
            "a division by zero or an overflow in the model gives such values",
        )
