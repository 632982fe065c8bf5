"""The search that `mse` and `emd` share: the range with the least expected |x − Q(x)|**power over the histogram.

Q(x) = s · clamp(rne(x / s), q_min, q_max) is the quantizer that the range gives:

    symmetric    s = T / top,                       q_min = −top − 1,     q_max = top       (top = 2**(bits−1) − 1)
    asymmetric   s = (high − low) / (2**bits − 1),  q_min = rne(low / s), q_max = q_min + 2**bits − 1

(with one bit the symmetric grid is −1, 0, 1). Within a bin the density is taken as constant, and the error is integrated
over it in closed form, so steps narrower than a bin are judged as well as wide ones. With u = x / s, k =
clamp(rne(u), q_min, q_max) and r = u − k, an antiderivative of |x − Q(x)|**power is

    power 1:  s² · (k / 4 + r·|r| / 2)            power 2:  s³ · (k / 12 + r³ / 3)

for values inside and outside of the grid alike: a whole step adds s²/4 or s³/12, and beyond the last grid point only r grows.
The outermost bins are spikes at the exact minimum and maximum: saturated activations (Relu6) sit there. Zeros have no error.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ptq_core.calibration.observers.base import Quantizer, Range, full_sides, symmetric_range
from ptq_core.calibration.statistics import BINS, TensorStatistics
from ptq_core.numerics import qparams

SEARCH_BINS = 2048
"""Bins per side that the error is integrated over; the finer histogram is merged."""

OCTAVES = 8
"""The narrowest candidate is 2**−OCTAVES of the full range: 8 of the bins above."""

PER_OCTAVE = 16
"""Candidates per halving of the range in the first round; later rounds go between the best one's neighbours."""

REFINE = 8
"""Candidates on each side of the best one in the second round of a one-dimensional search."""

Array = NDArray[np.float64]


def search(statistics: TensorStatistics, quantizer: Quantizer, power: int) -> Range:
    """The range of least error among candidates from the full range downwards; of equal ones the widest."""
    if not statistics.abs_max:
        return Range(0.0, 0.0)
    density = Density.of(statistics)
    shares = 2.0 ** -(np.arange(OCTAVES * PER_OCTAVE + 1) / PER_OCTAVE)
    low, high = full_sides(statistics)
    if quantizer.symmetric:
        full = statistics.abs_max
        share = _best(density, quantizer, power, shares, np.array([[-full, full]]))
        return symmetric_range(min(share * full, full))
    if low == 0 or high == 0:
        share = _best(density, quantizer, power, shares, np.array([[low, high]]))
        return Range(max(share * low, low), min(share * high, high))
    return _two_sided(density, quantizer, power, low, high)


@dataclass(frozen=True)
class Density:
    """Values spread evenly between neighbouring ``edges`` [n] plus spikes at ``points``.

    ``slopes`` [n] is the density (count per unit) left of an edge minus that right of it, so that the integral of f'
    over all values is Σ slopes · f(edges). ``counts`` [2] belong to ``points`` [2].
    """

    edges: Array
    slopes: Array
    points: Array
    counts: Array

    @staticmethod
    def of(statistics: TensorStatistics) -> Density:
        """The density of all values but zeros."""
        merge = BINS // SEARCH_BINS
        histogram = statistics.histogram.astype(np.float64)
        filled = np.flatnonzero(histogram)
        first, last = int(filled[0]), int(filled[-1])
        points = np.array([statistics.minimum, statistics.maximum])
        counts = np.array([histogram[first] if statistics.minimum < 0 else 0.0, 0.0])
        histogram[first] -= counts[0]
        if statistics.maximum > 0:
            counts[1] = histogram[last]
            histogram[last] = 0.0
        merged = histogram.reshape(-1, merge).sum(axis=1)
        begin, end = first // merge, last // merge + 1
        edges = (np.arange(begin, end + 1) - SEARCH_BINS) * (statistics.bin_width * merge)
        heights = np.concatenate(([0.0], merged[begin:end], [0.0])) / (statistics.bin_width * merge)
        slopes = -np.diff(heights)
        used = slopes != 0
        return Density(edges[used], slopes[used], points, counts)

    def errors(self, quantizer: Quantizer, lows: Array, highs: Array, power: int) -> Array:
        """Σ |x − Q(x)|**power over all values, for each range ``lows`` [n] … ``highs`` [n]; float64 [n]."""
        scale, q_min, q_max = (column[:, np.newaxis] for column in grids(quantizer, lows, highs))
        units = self.edges / scale
        steps = np.clip(np.rint(units), q_min, q_max)
        rest = units - steps
        if power == 1:
            steps *= 1 / 4
            steps += rest * np.abs(rest) / 2
        else:
            steps *= 1 / 12
            rest *= rest * rest / 3
            steps += rest
        spikes = self.points / scale
        spikes = np.abs(spikes - np.clip(np.rint(spikes), q_min, q_max)) ** power
        result: Array = (
            steps @ self.slopes * scale[:, 0] ** (power + 1) + spikes @ self.counts * scale[:, 0] ** power
        )
        return result


def grids(quantizer: Quantizer, lows: Array, highs: Array) -> tuple[Array, Array, Array]:
    """(scale, q_min, q_max), each float64 [n], of the ranges; ``qparams.affine_params`` for all of them at once.

    Integers are counted from the zero point, and scales are not rounded to float32.
    """
    q_min, q_max = qparams.integer_range(quantizer.bits, symmetric=quantizer.symmetric)
    if quantizer.symmetric:
        scale = highs / q_max
        return scale, np.full(scale.shape, float(q_min)), np.full(scale.shape, float(q_max))
    scale = (highs - lows) / (q_max - q_min)
    first = np.rint(lows / scale)
    return scale, first, first + (q_max - q_min)


def _best(density: Density, quantizer: Quantizer, power: int, shares: Array, full: Array) -> float:
    """The share of the one range ``full`` [1, 2] with the least error: coarsely, then between its neighbours."""
    for _ in range(2):
        errors = density.errors(quantizer, shares * full[0, 0], shares * full[0, 1], power)
        best = int(np.argmin(errors))  # the first of equal ones: shares descend
        wider, narrower = shares[max(best - 1, 0)], shares[min(best + 1, len(shares) - 1)]
        result = float(shares[best])
        shares = np.concatenate(
            (np.linspace(wider, result, REFINE)[:-1], np.linspace(result, narrower, REFINE))
        )
    return result


def _two_sided(density: Density, quantizer: Quantizer, power: int, low: float, high: float) -> Range:
    """Both ends: the grid of shares 1, 1/√2, 1/2 … of each end, then ever finer grids around the best pair."""
    ends = 2.0 ** -(np.arange(12) / 2)
    low_shares, high_shares = ends, ends
    for ratio in (2 ** (1 / 6), 2 ** (1 / 18), 1.0):
        lows, highs = (side.ravel() for side in np.meshgrid(low_shares, high_shares, indexing="ij"))
        best = int(np.argmin(density.errors(quantizer, lows * low, highs * high, power)))
        around = ratio ** np.arange(2.0, -3.0, -1.0)
        low_shares, high_shares = (np.minimum(float(side[best]) * around, 1.0) for side in (lows, highs))
    return Range(max(float(lows[best]) * low, low), min(float(highs[best]) * high, high))
