"""emd: the range whose quantized values are nearest to the values in earth mover's distance.

The earth mover's (first Wasserstein) distance of two distributions on a line is ∫ |F(t) − G(t)| dt over their cumulative
distributions, and equals the mean |x − y| of the pairs (x, y) matched in sorted order (C. Villani, "Topics in Optimal
Transportation", 2003, theorem 2.18). Q never reverses an order, so x and Q(x) are matched that way already: the distance
is E|x − Q(x)|, the mean absolute quantization error.

The ancestor's `emd` is another function, |Δmean| + |Δstd| of one batch. It is no distance: errors of opposite sign cancel
in it, so that it is zero for distributions that differ, and its minimum lies where rounding and saturation happen to
balance. It also took the best single batch, zeroed negatives and never tried the full range.
"""

from __future__ import annotations

from ptq_core.calibration.observers.base import Quantizer, Range
from ptq_core.calibration.observers.least_error import search
from ptq_core.calibration.statistics import TensorStatistics


def find_range(statistics: TensorStatistics, quantizer: Quantizer) -> Range:
    """argmin over (low, high) of E|x − Q(x)|; symmetric, over T."""
    return search(statistics, quantizer, power=1)
