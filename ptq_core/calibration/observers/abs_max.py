"""abs_max: the largest magnitude seen; nothing saturates."""

from __future__ import annotations

from ptq_core.calibration.statistics import TensorStatistics
from ptq_core.errors import InputError


def threshold(statistics: TensorStatistics, bits: int) -> float:
    """T = max |x|, in units of the tensor.

    A tensor that was always zero has no range: T is then the number of positive levels, 2**(bits−1) − 1, so that its
    scale is 1. Raises InputError if no value was seen.
    """
    if not statistics.count:
        raise InputError(
            f"tensor `{statistics.name}` was never observed",
            rule="a range needs at least one value",
            fix="calibrate with at least one picture; a tensor with an empty shape cannot be quantized",
        )
    return statistics.abs_max or float(2 ** (bits - 1) - 1)
