"""Calibration: pictures → activations of the FP32 model → streaming statistics → thresholds."""

from ptq_core.calibration.collect import collect_statistics
from ptq_core.calibration.observers import OBSERVERS
from ptq_core.calibration.pipeline import CalibrationResult, calibrate
from ptq_core.calibration.statistics import TensorStatistics

__all__ = ["OBSERVERS", "CalibrationResult", "TensorStatistics", "calibrate", "collect_statistics"]
