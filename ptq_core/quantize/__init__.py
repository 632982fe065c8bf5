"""FP32 graph to QDQ graph: prepare, select, calibrate, insert QuantizeLinear/DequantizeLinear."""
