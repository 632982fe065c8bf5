"""Weights and biases to integers, with the axis that the output channels of each op type lie on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from ptq_core.config import QuantizeConfig
from ptq_core.graph.constants import constant_array
from ptq_core.numerics import qparams


@dataclass(frozen=True)
class QuantizedWeights:
    """Integers of one operator.

    ``weight`` int8 in the model's layout, ``scales`` float32 [channels] along ``axis`` or [1] (axis None); ``bias`` int32
    [channels] with ``bias_scales`` float32 of the same length as ``scales``, or None.
    """

    weight: NDArray[np.int8]
    scales: qparams.FloatArray
    axis: int | None
    bias: NDArray[np.int32] | None
    bias_scales: qparams.FloatArray | None


def channel_axis(node: ir.Node) -> int:
    """The axis of input 1 that counts output channels: 0 for Conv and transposed Gemm, 1 for Gemm and MatMul."""
    return 0 if node.op_type == "Conv" or node.attributes.get_int("transB", 0) == 1 else 1


def quantize_weights(node: ir.Node, input_scale: np.float32, config: QuantizeConfig) -> QuantizedWeights:
    """Quantize the constant weights and bias of ``node`` for an input with ``input_scale``.

    Raises InputError (from the graph checks) for NaN or infinite weights.
    """
    weight = np.asarray(constant_array(node.inputs[1]), np.float32)
    axis = channel_axis(node) if config.weight_quantize_type == "channel_wise_abs_max" else None
    scales = qparams.weight_scales(weight, axis, config.weight_bits)
    bias = constant_array(node.inputs[2]) if len(node.inputs) > 2 else None
    if bias is None:
        return QuantizedWeights(
            qparams.quantize(weight, scales, axis=axis, bits=config.weight_bits), scales, axis, None, None
        )
    bias = np.broadcast_to(np.asarray(bias, np.float32).reshape(-1), (weight.shape[channel_axis(node)],))
    worst = bias if axis is not None else np.abs(bias).max(keepdims=True)
    scales = qparams.scales_for_bias(scales, input_scale, worst)
    bias_scales = np.float32(input_scale) * scales
    return QuantizedWeights(
        qparams.quantize(weight, scales, axis=axis, bits=config.weight_bits),
        scales,
        axis,
        qparams.quantize_bias(bias, bias_scales),
        bias_scales,
    )
