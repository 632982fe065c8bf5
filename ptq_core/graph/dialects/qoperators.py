"""QOperator models: QLinearConv and its like become DequantizeLinear → the float operator → QuantizeLinear."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from ptq_core.graph.dialects.integers import Scale, Writer
from ptq_core.graph.edits import constant_array, input_of

ONNX, MICROSOFT = "", "com.microsoft"

QUANTIZATION = ("QuantizeLinear", "DequantizeLinear")
"""Of com.microsoft: ONNX's, with more types in older opsets."""

Axis = Callable[[ir.Node], int]


@dataclass(frozen=True)
class _Row:
    """Where a QOperator has what. Integers, their scale and their zero point are three inputs, of which the first is given."""

    float_type: str
    integers: dict[int, Axis | None]
    """First of the three → along which axis of the integers there may be a scale each; None for one scale."""
    result: int
    """The scale of the output; behind it the zero point. Without it the output is float."""
    bias: int | None = None
    """int32, with the product of the operands' scales (and alpha)."""
    more: int | None = None
    """Every so many inputs behind the last there may be another operand."""
    symmetric: bool = False
    """Zero points may be absent; onnxruntime crashes where others have none."""
    dropped: tuple[str, ...] = ()
    """Attributes that the float operator has not."""
    fits: Callable[[ir.Node], bool] = field(default=lambda node: True)


def _channels_first(node: ir.Node) -> bool:
    return node.attributes.get_int("channels_last", 0) == 0


def _along_one_axis(node: ir.Node) -> bool:
    """Before opset 13 a Softmax runs over all dimensions from its axis on: the same for the last one only."""
    x = node.inputs[0]
    rank = len(x.shape) if x is not None and x.shape is not None else None
    axis = node.attributes.get_int("axis", -1)
    return node.attributes.get_int("opset", 13) >= 13 or axis == -1 or (rank is not None and axis == rank - 1)


def _columns(node: ir.Node) -> int:
    return 0 if node.attributes.get_int("transB", 0) else 1


_ONE: dict[int, Axis | None] = {0: None}
_TWO: dict[int, Axis | None] = {0: None, 3: None}
_POOL = ("channels_last",)

QOPERATORS: dict[tuple[str, str], _Row] = {
    (ONNX, "QLinearConv"): _Row("Conv", {0: None, 3: lambda node: 0}, 6, bias=8),
    (ONNX, "QLinearMatMul"): _Row("MatMul", {0: lambda node: -2, 3: lambda node: -1}, 6),
    (MICROSOFT, "QGemm"): _Row("Gemm", {0: None, 3: _columns}, 7, bias=6),
    (MICROSOFT, "QLinearAdd"): _Row("Add", _TWO, 6, symmetric=True),
    (MICROSOFT, "QLinearMul"): _Row("Mul", _TWO, 6, symmetric=True),
    (MICROSOFT, "QLinearConcat"): _Row("Concat", {2: None}, 0, more=3),
    (MICROSOFT, "QLinearSigmoid"): _Row("Sigmoid", _ONE, 3, symmetric=True),
    (MICROSOFT, "QLinearLeakyRelu"): _Row("LeakyRelu", _ONE, 3, symmetric=True),
    (MICROSOFT, "QLinearSoftmax"): _Row("Softmax", _ONE, 3, dropped=("opset",), fits=_along_one_axis),
    (MICROSOFT, "QLinearAveragePool"): _Row(
        "AveragePool", _ONE, 3, symmetric=True, dropped=_POOL, fits=_channels_first
    ),
    (MICROSOFT, "QLinearGlobalAveragePool"): _Row(
        "GlobalAveragePool", _ONE, 3, dropped=_POOL, fits=_channels_first
    ),
}
"""Domain and op type → the float operator and the places of its operands."""


def expand_qoperators(model: ir.Model) -> list[str]:
    """Requires constant scales; others stay, and channels-last pools.

    Ensures that a QOperator is the float operator between DequantizeLinear and QuantizeLinear. QUANTIZATION of
    com.microsoft is ONNX's.
    """
    graph, writer, changes = model.graph, Writer(model.graph), []
    for node in list(graph):
        if node.domain == MICROSOFT and node.op_type in QUANTIZATION:
            node.domain = ONNX
            changes.append(f"com.microsoft.{node.op_type} `{node.name}` ⇒ {node.op_type}")
            continue
        domain = ONNX if node.domain == "ai.onnx" else node.domain
        row = QOPERATORS.get((domain, node.op_type))
        operands = None if row is None else _operands(node, row)
        if row is None or operands is None or not row.fits(node):
            continue
        result, zero_point = input_of(node, row.result), input_of(node, row.result + 1)
        if result is not None and zero_point is None and not row.symmetric:
            continue
        scales = [scale.scale for _, scale in operands] + [result]
        if any(scale is not None and constant_array(scale) is None for scale in scales):
            continue
        changes.append(f"{node.op_type} `{node.name}` ⇒ DequantizeLinear + {row.float_type} + QuantizeLinear")
        _expand(writer, node, row, operands)
    return changes


def _expand(writer: Writer, node: ir.Node, row: _Row, operands: list[tuple[ir.Value, Scale]]) -> None:
    inputs: list[ir.Value | None] = []
    for i, operand in enumerate(operands):
        q, scale = operand
        inputs.append(writer.dequantized(node, q, scale, f"dequantized{i}"))
    bias = input_of(node, row.bias)
    if bias is not None:
        scales = _array(operands[0][1].scale) * _array(operands[1][1].scale)
        scales = np.float32(node.attributes.get_float("alpha", 1.0)) * scales
        scales = scales.reshape(()) if scales.size == 1 else scales.reshape(-1)
        scale = Scale(writer.constant(f"{node.name}/bias_scale", scales.astype(np.float32)), axis=0)
        inputs.append(writer.dequantized(node, bias, scale, "bias"))
    kept = [attribute for name, attribute in node.attributes.items() if name not in row.dropped]
    y = writer.emit(node, row.float_type, inputs, row.float_type, kept)
    scale_out = input_of(node, row.result)
    if scale_out is None:
        writer.take_over(node, y)
        return
    zero_point = input_of(node, row.result + 1)
    if zero_point is None:
        zero_point = writer.constant(f"{node.name}/zero_point", _zero_of(operands[0], node))
    writer.quantize_in_place_of(node, y, Scale(scale_out, zero_point))


def _operands(node: ir.Node, row: _Row) -> list[tuple[ir.Value, Scale]] | None:
    """The integers of ``node``, each with its scale; None where one of them is missing."""
    places = dict(row.integers)
    if row.more is not None:
        places = dict.fromkeys(range(min(places), len(node.inputs), row.more))
    found = []
    for place, axis in places.items():
        q, scale, zero_point = (input_of(node, place + i) for i in range(3))
        if q is None or scale is None or (zero_point is None and not row.symmetric):
            return None
        found.append((q, Scale(scale, zero_point, None if axis is None else axis(node))))
    return found or None


def _zero_of(operand: tuple[ir.Value, Scale], node: ir.Node) -> np.ndarray:
    """A zero in the type of the output, which is that of its first operand where nothing else says it."""
    q, scale = operand
    known = constant_array(scale.zero_point)
    if known is not None:
        return np.zeros((), known.dtype)
    dtype = node.outputs[0].dtype or q.dtype or ir.DataType.UINT8
    return np.zeros((), dtype.numpy())


def _array(value: ir.Value) -> np.ndarray:
    found = constant_array(value)
    assert found is not None
    return np.asarray(found, np.float32)
