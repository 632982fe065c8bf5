"""min_max: the smallest and the largest value seen; nothing saturates."""

from __future__ import annotations

from ptq_core.calibration.observers.base import Quantizer, Range, full_sides, symmetric_range
from ptq_core.calibration.statistics import TensorStatistics


def find_range(statistics: TensorStatistics, quantizer: Quantizer) -> Range:
    """[min(min x, 0), max(max x, 0)]; symmetric, T = max(|min x|, |max x|).

    Source: B. Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
    Inference", CVPR 2018, section 3.1: the range is extended to hold zero, so that zero is exact.
    """
    low, high = full_sides(statistics)
    return symmetric_range(max(-low, high)) if quantizer.symmetric else Range(low, high)
