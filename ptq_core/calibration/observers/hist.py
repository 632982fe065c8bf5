"""hist: a percentile; the share `hist_percent` of the values is kept and the rest saturates.

Exact zeros are not counted among the values: every range represents them exactly, and counted, they would use up the share
(after Relu half of a tensor is zero; of the values that carry information, half the share would then be cut). In the
ancestor they are counted, and its percentile is the middle of a bin; here it is interpolated inside the bin.

Source: the percentile calibration of H. Wu et al., "Integer Quantization for Deep Learning Inference: Principles and
Empirical Evaluation", 2020 (arXiv:2004.09602), section 4.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ptq_core.calibration.observers.base import Quantizer, Range, full_sides, symmetric_range
from ptq_core.calibration.statistics import BINS, TensorStatistics


def find_range(statistics: TensorStatistics, quantizer: Quantizer) -> Range:
    """T: the quantile `hist_percent` of |x| over x ≠ 0.

    Asymmetric, the quantiles (1 − p)/2 and (1 + p)/2 of x, with zero; if x has one sign only, the whole share 1 − p is
    cut from its far end.
    """
    p = quantizer.hist_percent
    if quantizer.symmetric:
        threshold = quantile(statistics.magnitudes(), p, statistics.bin_width)
        return symmetric_range(min(threshold, statistics.abs_max))
    low, high = full_sides(statistics)
    keep = p if low == 0 or high == 0 else (1 + p) / 2
    upper = quantile(statistics.histogram, keep, statistics.bin_width, origin=BINS)
    lower = -quantile(statistics.histogram[::-1], keep, statistics.bin_width, origin=BINS)
    return Range(max(min(lower, 0.0), low), min(max(upper, 0.0), high))


def quantile(counts: NDArray[np.int64], share: float, width: float, *, origin: int = 0) -> float:
    """The value that the ``share`` (0, 1] of ``counts``, int64 [bins], lies below, linear within its bin; 0.0 if empty.

    Bin b spans [(b − origin) · width, (b − origin + 1) · width].
    """
    total = int(counts.sum())
    if not total:
        return 0.0
    below = np.cumsum(counts)
    target = share * total
    found = int(
        np.searchsorted(below, target)
    )  # the first bin with below >= target; share <= 1, so there is one
    inside = (target - float(below[found] - counts[found])) / float(counts[found])
    return (found - origin + inside) * width
