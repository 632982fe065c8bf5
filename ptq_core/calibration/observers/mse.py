"""mse: the range with the least mean squared quantization error, rounding and saturation together.

E(x − Q(x))² over all values of all samples, for the very grid that the range will give (`least_error.py`). Source: the
optimal-clipping view of R. Banner et al., "Post training 4-bit quantization of convolutional networks for
rapid-deployment", NeurIPS 2019 (arXiv:1810.05723), section 2, with the observed histogram in place of its Laplace or
Gaussian density. Unlike the ancestor's `mse` it adds up all batches, keeps negatives and tries the full range.
"""

from __future__ import annotations

from ptq_core.calibration.observers.base import Quantizer, Range
from ptq_core.calibration.observers.least_error import search
from ptq_core.calibration.statistics import TensorStatistics


def find_range(statistics: TensorStatistics, quantizer: Quantizer) -> Range:
    """argmin over (low, high) of E(x − Q(x))²; symmetric, over T."""
    return search(statistics, quantizer, power=2)
