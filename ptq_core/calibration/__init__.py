"""Calibration: samples → activations of the FP32 model → streaming statistics → ranges."""

from ptq_core.calibration.collect import collect_statistics
from ptq_core.calibration.observers import OBSERVERS, Range, find_range
from ptq_core.calibration.pipeline import CalibrationResult, calibrate
from ptq_core.calibration.samples import GeneratorSamples
from ptq_core.calibration.statistics import TensorStatistics

__all__ = [
    "OBSERVERS",
    "CalibrationResult",
    "GeneratorSamples",
    "Range",
    "TensorStatistics",
    "calibrate",
    "collect_statistics",
    "find_range",
]
