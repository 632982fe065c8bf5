"""ONNX (FP32 or QDQ) → flat-file program: lowering, passes, memory plan."""
