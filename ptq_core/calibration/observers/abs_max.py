"""abs_max (the ancestor's older name: direct): the largest magnitude seen; nothing saturates."""

from __future__ import annotations

from ptq_core.calibration.observers.base import Quantizer, Range, clipped_range
from ptq_core.calibration.statistics import TensorStatistics


def find_range(statistics: TensorStatistics, quantizer: Quantizer) -> Range:
    """T = max |x|. Asymmetric, |x| ≤ T is all that was seen: the same as `min_max`.

    Source: the "non-saturating" quantization of S. Migacz, "8-bit Inference with TensorRT", GTC 2017.
    """
    return clipped_range(statistics, statistics.abs_max, quantizer)
