"""avg: the mean over the samples of each sample's largest magnitude; the extremes of single samples saturate."""

from __future__ import annotations

from ptq_core.calibration.observers.base import Quantizer, Range, full_sides, symmetric_range
from ptq_core.calibration.statistics import TensorStatistics


def find_range(statistics: TensorStatistics, quantizer: Quantizer) -> Range:
    """T = (1/n) · Σ_i max |x_i| over the n samples x_i; asymmetric, the means of their minima and maxima, with zero.

    Source: the `avg` of PaddlePaddle's PostTrainingQuantization. There it is the mean over batches of the mean within
    a batch, which weighs the samples of an incomplete last batch more; here every sample weighs the same, however
    they are batched.
    """
    n = statistics.samples
    if quantizer.symmetric:  # a mean of equal numbers may round to above them
        return symmetric_range(min(statistics.sum_abs_max / n, statistics.abs_max))
    low, high = full_sides(statistics)
    mean_low, mean_high = statistics.sum_minimum / n, statistics.sum_maximum / n
    return Range(max(min(mean_low, 0.0), low), min(max(mean_high, 0.0), high))
