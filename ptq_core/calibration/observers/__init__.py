"""Range estimators: one file per algorithm, named like its configuration value in lower case, and this table.

An observer answers "what range?" from a tensor's statistics; what lies outside of the range saturates. Scale and zero point are
made of it in ``ptq_core.numerics`` only.
"""

from __future__ import annotations

from ptq_core.calibration.observers import abs_max, avg, emd, hist, kl, min_max, mse
from ptq_core.calibration.observers.base import Observer, Quantizer, Range, check_observed
from ptq_core.calibration.statistics import TensorStatistics
from ptq_core.options.calibration import RangeOptions

__all__ = ["OBSERVERS", "Quantizer", "Range", "find_range"]

OBSERVERS: dict[str, Observer] = {
    "KL": kl.find_range,
    "abs_max": abs_max.find_range,
    "direct": abs_max.find_range,  # the ancestor's older name of abs_max
    "min_max": min_max.find_range,
    "avg": avg.find_range,
    "hist": hist.find_range,
    "mse": mse.find_range,
    "emd": emd.find_range,
}
"""Observer by the value of the configuration key `algo`; `weight_only` observes nothing."""


def find_range(statistics: TensorStatistics, options: RangeOptions) -> Range:
    """The range of an activation by `algo`, `activation_bits`, `activation_symmetric` and `hist_percent` of ``config``.

    (0, 0) for a tensor that was always zero. Raises InputError if no value was seen, KeyError for `weight_only`.
    """
    check_observed(statistics)
    quantizer = Quantizer(options.activation_bits, options.activation_symmetric, options.hist_percent)
    return OBSERVERS[options.algo](statistics, quantizer)
