"""ONNX graphs on onnx_ir: load, check, infer, save, name scopes, op names, onnxruntime sessions."""
