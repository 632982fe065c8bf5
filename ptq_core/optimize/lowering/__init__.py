"""ONNX nodes → program operators, one function per ONNX op type; the table is in lower.py."""
