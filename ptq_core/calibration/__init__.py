"""Calibration: pictures → activations of the FP32 model → streaming statistics → thresholds."""
