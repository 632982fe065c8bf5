"""The ONNX operators that lower to the flat format: one table for messages, `--print-supported-ops` and the tests."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import onnx_ir as ir


@dataclass(frozen=True)
class Support:
    """What of an operator is supported; ``limits`` are words, empty for everything. All run in float32."""

    limits: str
    int8: str
    """Between DequantizeLinear and QuantizeLinear: `yes` if integers are computed; `table` if the node (or a chain of such nodes
    on one tensor) becomes a table of 256 values; empty if it runs in float32."""


SUPPORTED: dict[str, Support] = {
    "Abs": Support("", "table"),
    "Add": Support("NumPy broadcasting", "yes"),
    "ArgMax": Support("int32 result", "yes"),
    "AveragePool": Support("two-dimensional, no dilation", "yes"),
    "BatchNormalization": Support("inference, constant parameters", "folded"),
    "Cast": Support("of constants, or float32 to float32", ""),
    "Ceil": Support("", "table"),
    "Clip": Support("constant bounds", "yes"),
    "Concat": Support("any axis", "yes"),
    "Conv": Support("two-dimensional, constant weights", "yes"),
    "ConvTranspose": Support("two-dimensional, constant weights", "yes"),
    "DepthToSpace": Support("", "yes"),
    "DequantizeLinear": Support("int8 (bias: int32), per tensor or (constants) per channel", "yes"),
    "Div": Support("NumPy broadcasting", "table"),
    "Dropout": Support("inference", "yes"),
    "Elu": Support("", "table"),
    "Erf": Support("", "table"),
    "Exp": Support("", "table"),
    "Flatten": Support("any axis", "yes"),
    "Floor": Support("", "table"),
    "Gather": Support("constant indices", "yes"),
    "Gelu": Support("approximate none", "table"),
    "Gemm": Support("constant B and C", "yes"),
    "GlobalAveragePool": Support("two-dimensional", "yes"),
    "GlobalMaxPool": Support("two-dimensional", "yes"),
    "HardSigmoid": Support("", "table"),
    "HardSwish": Support("", "table"),
    "Identity": Support("", "yes"),
    "InstanceNormalization": Support("three dimensions or more, constant scale and bias", ""),
    "LayerNormalization": Support("constant scale and bias", ""),
    "LeakyRelu": Support("", "table"),
    "Log": Support("", "table"),
    "LogSoftmax": Support("along one axis", ""),
    "MatMul": Support("constant second matrix of two dimensions", "yes"),
    "Max": Support("NumPy broadcasting", "table"),
    "MaxPool": Support("two-dimensional, without indices", "yes"),
    "Mean": Support("NumPy broadcasting", "table"),
    "Min": Support("NumPy broadcasting", "table"),
    "Mish": Support("", "table"),
    "Mul": Support("NumPy broadcasting", "yes"),
    "Neg": Support("", "table"),
    "PRelu": Support("", "table for one slope"),
    "Pad": Support("mode constant", "yes"),
    "Pow": Support("NumPy broadcasting", "table"),
    "QuantizeLinear": Support("int8, one scale per tensor", "yes"),
    "Reciprocal": Support("", "table"),
    "ReduceL2": Support("any axes", ""),
    "ReduceMax": Support("any axes", "yes"),
    "ReduceMean": Support("any axes", "yes"),
    "ReduceMin": Support("any axes", "yes"),
    "ReduceProd": Support("any axes", ""),
    "ReduceSum": Support("any axes", ""),
    "Relu": Support("", "yes"),
    "Reshape": Support("constant shape", "yes"),
    "Resize": Support(
        "nearest or linear over two neighbouring dimensions; half_pixel, asymmetric, align_corners, pytorch_half_pixel",
        "yes",
    ),
    "Round": Support("", "table"),
    "Shape": Support("", "constant"),
    "Sigmoid": Support("", "table"),
    "Slice": Support("constant bounds", "yes"),
    "Softmax": Support("along one axis", ""),
    "Softplus": Support("", "table"),
    "SpaceToDepth": Support("", "yes"),
    "Split": Support("constant sizes", "yes"),
    "Sqrt": Support("", "table"),
    "Squeeze": Support("constant axes", "yes"),
    "Sub": Support("NumPy broadcasting", "yes"),
    "Sum": Support("NumPy broadcasting", "yes, for two"),
    "Swish": Support("", "table"),
    "Tanh": Support("", "table"),
    "Transpose": Support("any permutation", "yes"),
    "Unsqueeze": Support("constant axes", "yes"),
    "Upsample": Support("as Resize", "yes"),
}
"""Op type → what of it is supported. Any operator whose inputs are all constant is folded, listed here or not.
A test holds the table to the lowering table, and the node tests of the onnx package to every row."""


Row = tuple[str, ...]


def supported_rows() -> list[Row]:
    """SUPPORTED as a table, its header first: op type, float32, int8, limits; `-` for nothing."""
    return [
        ("operator", "float32", "int8", "limits"),
        *((op_type, *_cells(op_type)) for op_type in SUPPORTED),
    ]


def model_op_rows(model: ir.Model) -> list[Row]:
    """The op types of ``model`` as a table, its header first: op type, how many, float32, int8, limits."""
    counts = Counter(
        node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}"
        for node in model.graph
    )
    return [
        ("operator", "count", "float32", "int8", "limits"),
        *((op_type, str(count), *_cells(op_type)) for op_type, count in sorted(counts.items())),
    ]


def _cells(op_type: str) -> Row:
    support = SUPPORTED.get(op_type)
    if support is None:
        return ("no", "no", "only where all its inputs are constant")
    return ("yes", support.int8 or "-", support.limits or "-")
