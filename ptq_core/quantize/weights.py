"""Weights and biases to integers, with the axis that the output channels of each op type lie on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from ptq_core.errors import InputError
from ptq_core.graph.edits import constant_array, per_channel
from ptq_core.numerics import qparams
from ptq_core.options.quantize import QuantizeOptions
from ptq_core.quantize.least_squares import least_squares_scales


@dataclass(frozen=True)
class QuantizedWeights:
    """Integers of one operator.

    ``weight`` int8 (int16 for more than 8 ``bits``) in the model's layout, ``scales`` float32 [channels] along ``axis`` or
    [1] (axis None); ``bias`` int32 [channels] with ``bias_scales`` float32 of the same length as ``scales``, or None
    where there is no bias or it stays float (weight_only).
    """

    weight: qparams.IntArray
    scales: qparams.FloatArray
    axis: int | None
    bias: NDArray[np.int32] | None
    bias_scales: qparams.FloatArray | None
    bits: int = 8

    def dequantized(self) -> qparams.FloatArray:
        """The weights that the integers stand for, float32 in the model's layout."""
        return qparams.dequantize(self.weight, self.scales, axis=self.axis)


def channel_axis(node: ir.Node) -> int:
    """The axis of input 1 that counts output channels (ConvTranspose: those of one group).

    Conv [O, I, H, W] and Gemm with transB [O, I] have them first; Gemm, MatMul [I, O] and ConvTranspose [I, O, H, W] second.
    """
    return 0 if node.op_type == "Conv" or node.attributes.get_int("transB", 0) != 0 else 1


def output_channels(node: ir.Node) -> int:
    """How many output channels ``node`` has: the length of its bias."""
    weight = constant_array(node.inputs[1])
    assert weight is not None
    groups = node.attributes.get_int("group", 1) if node.op_type == "ConvTranspose" else 1
    return int(weight.shape[channel_axis(node)]) * groups


def scale_axis(node: ir.Node, weight_quantize_type: str) -> int | None:
    """The axis that the scales run along; None for one scale per tensor.

    A ConvTranspose with groups has one scale: its output channels are spread over axis 0 (the group) and axis 1 (the channel
    in the group), and DequantizeLinear has one axis.
    """
    if not weight_quantize_type.startswith("channel_wise"):
        return None
    if node.op_type == "ConvTranspose" and node.attributes.get_int("group", 1) > 1:
        return None
    return channel_axis(node)


def quantize_weights(
    node: ir.Node, input_scale: np.float32 | None, options: QuantizeOptions
) -> QuantizedWeights:
    """Quantize the constant weights of ``node``, and its bias for an input with ``input_scale`` (None: the bias stays float).

    int8 operators need a bias in steps of input scale · weight scale: where one does not fit int32, its channel's weight scale
    is raised. With more than 8 bits nothing computes in integers, and only the bias gets a coarser scale.
    Raises InputError for NaN or infinite weights.
    """
    _check_finite(node)
    weight = np.asarray(constant_array(node.inputs[1]), np.float32)
    axis, bits = scale_axis(node, options.weight_quantize_type), options.weight_bits
    if options.weight_quantize_type.endswith("mse"):
        scales = least_squares_scales(weight, axis, bits)
    else:
        scales = qparams.weight_scales(weight, axis, bits)
    bias = constant_array(node.inputs[2]) if len(node.inputs) > 2 else None
    if bias is None or input_scale is None:
        integers = qparams.quantize(weight, scales, axis=axis, bits=bits)
        return QuantizedWeights(integers, scales, axis, None, None, bits)
    bias = per_channel(np.asarray(bias, np.float32), output_channels(node))
    assert bias is not None  # objections.py
    worst = bias if axis is not None else np.abs(bias).max(keepdims=True)
    raised = qparams.scales_for_bias(scales, input_scale, worst)
    if max(bits, options.activation_bits) <= 8:
        scales = raised
    bias_scales = np.float32(input_scale) * raised
    return QuantizedWeights(
        qparams.quantize(weight, scales, axis=axis, bits=bits),
        scales,
        axis,
        qparams.quantize_bias(bias, bias_scales),
        bias_scales,
        bits,
    )


def _check_finite(node: ir.Node) -> None:
    for value in node.inputs[1:]:
        array = constant_array(value)
        if array is not None and not np.isfinite(array).all():
            raise InputError(
                f"the weights `{value.name if value else ''}` of node `{node.name}` hold NaN or infinity",
                rule="weights are finite numbers",
                fix="check the training or the export",
            )
