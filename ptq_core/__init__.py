"""Post-training quantization of ONNX vision models: all that is true without a terminal."""
