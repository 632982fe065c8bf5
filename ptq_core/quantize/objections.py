"""Why a node of a quantizable type cannot run on integers all the same: its attributes, its constants, its types."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from ptq_core.graph import op_types
from ptq_core.graph.edits import constant_array, per_channel
from ptq_core.graph.op_types import Kind
from ptq_core.quantize.weights import output_channels


def data_indices(node: ir.Node) -> tuple[int, ...]:
    """Indices of the inputs of ``node`` that are activations. Its type must be in the table of op types."""
    data = op_types.BY_ONNX_TYPE[node.op_type].data
    if node.op_type == "MatMul" and constant_array(node.inputs[1]) is None:
        data = (0, 1)
    return tuple(range(len(node.inputs))) if data is None else data


def objection(node: ir.Node) -> str | None:
    """The reason in words, or None. The node's type must be in the table of op types."""
    constants = []
    for index in data_indices(node):
        value = node.inputs[index] if index < len(node.inputs) else None
        if value is None or value.dtype not in (None, ir.DataType.FLOAT):
            return "its input is not float32"
        array = constant_array(value)
        constants.append(array is not None)
        if array is not None and (array.size == 0 or not np.isfinite(array).all()):
            return f"reads the constant `{value.name}`, which is empty or not finite"
        mask = _mask_of(value)
        if mask is not None:
            return f"its input is masked by the constant `{mask}`, which is not finite"
    weighted = op_types.kind_of(node) is Kind.WEIGHTED
    if all(constants) or (weighted and any(constants)):
        return "its input is constant"
    if weighted:
        return _against_weights(node)
    check = _CHECKS.get(node.op_type)
    return check(node) if check is not None else None


def _mask_of(value: ir.Value) -> str | None:
    """The name of the constant, minus infinity in places, that an attention adds to its scores to make ``value``."""
    producer = value.producer()
    if producer is None or producer.op_type != "Add":
        return None
    for operand in producer.inputs:
        array = None if operand is None else constant_array(operand)
        if operand is not None and array is not None and not np.isfinite(array).all():
            return str(operand.name)
    return None


def _against_weights(node: ir.Node) -> str | None:
    weight = constant_array(node.inputs[1])
    if weight is None:
        return None if node.op_type == "MatMul" else "its weights are not constant"
    if len(node.inputs) > 2 and node.inputs[2] is not None and constant_array(node.inputs[2]) is None:
        return "its bias is not constant"
    if weight.size == 0:
        return "its weights are empty"
    if node.op_type in ("Conv", "ConvTranspose") and weight.ndim != 4:
        return f"it is a {weight.ndim - 2}-D convolution; only 2-D ones are quantized"
    if node.op_type in ("MatMul", "Gemm") and weight.ndim != 2:
        return f"its matrix has {weight.ndim} dimensions; only 2 can be quantized"
    if node.op_type == "Gemm":
        return _against_gemm(node, weight.shape)
    if node.op_type in ("Conv", "ConvTranspose") and len(node.inputs) > 2:
        bias = constant_array(node.inputs[2])
        if bias is not None and bias.shape != (output_channels(node),):
            return "its bias is not one value for each channel"
    return None


def _against_gemm(node: ir.Node, shape: tuple[int, ...]) -> str | None:
    if (
        node.attributes.get_float("alpha", 1.0) != 1.0
        or node.attributes.get_float("beta", 1.0) != 1.0
        or node.attributes.get_int("transA", 0) != 0
    ):
        return "alpha, beta or transA differ from the usual 1, 1, 0"
    bias = constant_array(node.inputs[2]) if len(node.inputs) > 2 else None
    outputs = shape[0 if node.attributes.get_int("transB", 0) else 1]
    if bias is not None and per_channel(bias, outputs) is None:
        return "its bias has a row per sample"
    return None


def _against_max_pool(node: ir.Node) -> str | None:
    used = len(node.outputs) > 1 and (node.outputs[1].uses() or node.outputs[1].is_graph_output())
    return "its indices are used" if used else None


def _against_pad(node: ir.Node) -> str | None:
    if len(node.inputs) > 3 and node.inputs[3] is not None:
        return _AXES
    value = pad_value(node)
    if value is None:
        return "it pads with a value that is computed"
    return None if np.isfinite(value) or saturates(node) else "it pads with a value that is not finite"


def _against_resize(node: ir.Node) -> str | None:
    mode = op_types.resize_mode(node)
    if mode == "cubic":
        return "cubic interpolation overshoots the range of its input"
    if node.attributes.get_string("coordinate_transformation_mode", "") == "tf_crop_and_resize":
        return "it extrapolates"
    return _AXES if "axes" in node.attributes else None


def _against_average_pool(node: ir.Node) -> str | None:
    dilations = node.attributes.get_ints("dilations", ())
    return "onnxruntime has no int8 average with dilations" if any(d != 1 for d in dilations) else None


_AXES = "its axes, and what is given for them, are not constants of a known size"
"""graph/passes/spread_axes.py makes all others full-rank; onnxruntime breaks what is quantized around `axes`."""

_CHECKS: dict[str, Callable[[ir.Node], str | None]] = {
    "AveragePool": _against_average_pool,
    "MaxPool": _against_max_pool,
    "Pad": _against_pad,
    "Resize": _against_resize,
}


def pad_value(node: ir.Node) -> float | None:
    """The constant that a Pad writes, 0.0 for modes that write none; None where it is computed or not a number."""
    if node.attributes.get_string("mode", "constant") != "constant":
        return 0.0
    value = node.inputs[2] if len(node.inputs) > 2 else None
    if value is None:
        return 0.0
    array = constant_array(value)
    if array is None or array.size != 1 or np.isnan(array).any():
        return None
    return float(array.reshape(()))


def saturates(node: ir.Node) -> bool:
    """Whether the lowest integer may stand for what a Pad writes: it is not above 0, and only maxima read it.

    Exporters write the padding of a MaxPool so, with minus infinity or the like.
    """
    value = pad_value(node)
    return value is not None and value <= 0 and op_types.only_maximum_reads(node.outputs[0])
