"""The ONNX operators that lower to the flat format, each with its limits in words; a test holds it to the lowering table."""

from __future__ import annotations

SUPPORTED: dict[str, str] = {
    "Add": "NumPy broadcasting",
    "AveragePool": "two-dimensional, no dilation",
    "BatchNormalization": "inference, constant parameters",
    "Cast": "of constants, or float32 to float32",
    "Clip": "constant bounds",
    "Concat": "any axis",
    "Conv": "two-dimensional, constant weights",
    "DequantizeLinear": "int8 (bias: int32), per tensor or (constants) per channel",
    "Div": "NumPy broadcasting",
    "Dropout": "inference",
    "Flatten": "any axis",
    "Gemm": "constant B and C",
    "GlobalAveragePool": "two-dimensional",
    "GlobalMaxPool": "two-dimensional",
    "Identity": "",
    "MatMul": "constant second matrix of two dimensions",
    "MaxPool": "two-dimensional, without indices",
    "Mul": "NumPy broadcasting",
    "Pad": "mode constant",
    "QuantizeLinear": "int8, one scale per tensor",
    "ReduceMean": "over height and width",
    "Relu": "",
    "Reshape": "constant shape",
    "Shape": "",
    "Softmax": "along one axis",
    "Squeeze": "constant axes",
    "Sub": "NumPy broadcasting",
    "Transpose": "any permutation",
    "Unsqueeze": "constant axes",
}
"""Op type → what of it is supported. Any operator whose inputs are all constant is folded, listed here or not."""
