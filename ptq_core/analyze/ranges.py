"""What the ranges of a plan do to the values that calibration saw: what is clipped, the noise of rounding; and weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from ptq_core.calibration.statistics import BINS, TensorStatistics
from ptq_core.graph.edits import constant_array
from ptq_core.numerics.metrics import Noise
from ptq_core.quantize.activations import ActivationParams
from ptq_core.quantize.weights import QuantizedWeights


@dataclass(frozen=True)
class RangeError:
    """Of a tensor rounded to a range: ``clipped_share`` of its values in [0, 1]; SQNR in dB of rounding, and of both."""

    clipped_share: float
    rounding_db: float
    total_db: float


def range_error(statistics: TensorStatistics, param: ActivationParams) -> RangeError | None:
    """From the histogram, each bin by its middle; None where all values were zero.

    A bin is at most 1/4096 of the largest magnitude wide, an int8 step 1/127 of the threshold.
    """
    places = np.flatnonzero(statistics.histogram)
    counts = statistics.histogram[places].astype(np.float64)
    values = (places - BINS + 0.5) * statistics.bin_width
    values = np.clip(values, statistics.minimum, statistics.maximum)
    signal = float(counts @ values**2)
    if signal == 0:
        return None
    scale = float(param.scale)
    steps = np.rint(values / scale) + param.zero_point
    inside = (steps >= param.q_min) & (steps <= param.q_max)
    errors = (np.clip(steps, param.q_min, param.q_max) - param.zero_point) * scale - values
    noise = counts * errors**2
    return RangeError(
        float(counts[~inside].sum() / statistics.count),
        Noise(signal, float(noise[inside].sum())).sqnr_db,
        Noise(signal, float(noise.sum())).sqnr_db,
    )


def weights_db(node: ir.Node, weights: QuantizedWeights) -> float:
    """SQNR in dB of the weights that the integers stand for, against the float model's."""
    noise = Noise()
    array = constant_array(node.inputs[1])
    assert array is not None
    noise.add(array, weights.dequantized())
    return noise.sqnr_db
