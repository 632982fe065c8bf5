"""Threshold estimators: one file per algorithm, named like its configuration value in lower case, and this table.

An observer answers "what range?" from a tensor's statistics: the threshold T > 0 of a symmetric quantizer, |x| ≤ T is
kept and the rest saturates. Scale and zero point are made of it in ``ptq_core.numerics`` only.
"""

from __future__ import annotations

from collections.abc import Callable

from ptq_core.calibration.observers import abs_max, kl
from ptq_core.calibration.statistics import TensorStatistics

Observer = Callable[[TensorStatistics, int], float]
"""(statistics, bits) → threshold in units of the tensor."""

OBSERVERS: dict[str, Observer] = {
    "KL": kl.threshold,
    "abs_max": abs_max.threshold,
    "direct": abs_max.threshold,  # the ancestor's older name of abs_max
}
"""Observer by the value of the configuration key `algo`."""
