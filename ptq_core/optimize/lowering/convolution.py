"""Convolutions over one, two or three spatial dimensions → conv2d."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from ptq_core.flatfile.operators.attributes import INT8_MAX
from ptq_core.flatfile.operators.conv2d import CONV2D, Conv2d
from ptq_core.flatfile.operators.pad import PAD, Pad
from ptq_core.flatfile.tensors import QuantParams
from ptq_core.optimize.lowering.context import (
    Activation,
    Constant,
    Lowering,
    Unsupported,
    get_int,
    to_last,
)
from ptq_core.optimize.lowering.selection import gathered, sliced
from ptq_core.optimize.lowering.windows import POINT, Axis, picture, window_attributes, window_axes


@dataclass(frozen=True)
class Weights:
    """What a convolution multiplies with, [O, …, I / groups], and the tensor of its bias."""

    name: str
    values: Constant
    groups: int = 1
    bias: int | None = None


def lower_conv(context: Lowering, node: ir.Node) -> None:
    """Conv → conv2d; weights OI… → O…I, quantized weights stay quantized."""
    x, dims = picture(context, node)
    weights = context.required(node, 1, "weight")
    rank = len(dims)
    if weights.array.ndim != rank:
        raise Unsupported(f"its weight has {weights.array.ndim} dimensions, not {rank}")
    outputs, inputs, *kernel = weights.array.shape
    groups = get_int(node, "group", 1)
    if groups < 1 or inputs * groups != dims[1] or outputs % groups:
        raise Unsupported(
            f"{dims[1]} channels do not fit {groups} groups of {inputs} inputs, {outputs} outputs"
        )
    axes = window_axes(node, dims[2:], kernel)
    given = Weights(
        str(node.inputs[1].name if node.inputs[1] else ""),
        weight_layout(weights, to_last(rank)),
        groups,
        bias_tensor(context, node, 2, outputs),
    )
    name = str(node.outputs[0].name)
    out = convolve(context, str(node.name), name, context.channels_last(x), given, axes)
    context.bind(node.outputs[0], Activation(out, channels_last=True))


def convolve(
    context: Lowering, node_name: str, name: str, source: int, weights: Weights, axes: Sequence[Axis]
) -> int:
    """The convolution of ``source`` [N, …, I] over one to three ``axes``, zeros around it; returns the tensor [N, …, O].

    A signal is a picture of one row. Of a volume the slices that a window reads lie side by side as channels of one picture
    per slice of the result, so that each of its sums is that of one convolution.
    """
    outputs = weights.values.array.shape[0]
    dims = (context.program.tensors[source].dims[0], *(axis.outputs for axis in axes), outputs)
    values = weights.values
    if len(axes) == 3:
        source = _stacked(context, node_name, name, source, weights.groups, axes[0])
        values = _stacked_weights(values)
    h, w = (POINT, *axes)[-2:]
    weight = Constant(values.array.reshape(outputs, h.kernel, w.kernel, -1), values.qparams)
    channels = weight.array.shape[3] * weights.groups
    x = context.reshape(source, (-1, h.size, w.size, channels), f"{name}:pictures", node_name)
    pictures = (context.program.tensors[x].dims[0], h.outputs, w.outputs, outputs)
    out = context.arena_tensor(name if pictures == dims else f"{name}:convolved", pictures)
    attributes = Conv2d(**window_attributes(h, w), groups=weights.groups)
    operands = (x, context.constant_tensor(weights.name, weight), weights.bias)
    context.emit(CONV2D, node_name, operands, out, attributes)
    return context.reshape(out, dims, name, node_name)


def _stacked(context: Lowering, node_name: str, name: str, source: int, groups: int, depth: Axis) -> int:
    """[N, D, H, W, C] → [N, OD, H, W, groups · KD · C / groups]: for each window its slices of D, as channels."""
    tensor = context.program.tensors[source]
    n, _, height, width, channels = tensor.dims
    behind = depth.after + depth.extra
    if depth.before or behind:
        zero = 0 if tensor.qparams is None else tensor.qparams.zero_point
        attributes = Pad(before=(0, depth.before, 0, 0, 0), after=(0, behind, 0, 0, 0), q_value=zero)
        padded = (n, depth.size + depth.before + behind, height, width, channels)
        source = context.emit(
            PAD, node_name, (source,), context.like(f"{name}:deep", padded, source), attributes
        )
    every = [range(d) for d in context.program.tensors[source].dims]
    slices = []
    for tap in range(depth.kernel):
        first = tap * depth.dilation
        every[1] = range(first, first + (depth.outputs - 1) * depth.stride + 1, depth.stride)
        slices.append(sliced(context, node_name, f"{name}:slice{tap}", Activation(source), every).tensor)
    out = context.join(slices, 4, f"{name}:stacked", node_name)
    if groups == 1:
        return out
    order = (
        np.arange(depth.kernel * channels, dtype=np.int32)
        .reshape(depth.kernel, groups, -1)
        .transpose(1, 0, 2)
    )
    return gathered(context, node_name, f"{name}:grouped", Activation(out), 4, order.reshape(-1)).tensor


def _stacked_weights(weights: Constant) -> Constant:
    """[O, KD, KH, KW, I] → [O, KH, KW, KD · I]."""
    moved = weights.array.transpose(0, 2, 3, 1, 4)
    return Constant(moved.reshape(*moved.shape[:3], -1), weights.qparams)


def weight_layout(weights: Constant, perm: tuple[int, ...]) -> Constant:
    """``weights`` permuted so that output channels lie on axis 0; real values unless int8 weights fit the format.

    Those with a zero point are taken as their distances from it: what kernels need are −127 … 127 without one.
    """
    qparams = weights.qparams
    along_outputs = qparams is not None and (qparams.per_tensor or qparams.axis == perm[0])
    if qparams is not None and along_outputs and weights.array.dtype == np.int8:
        centred = weights.array.astype(np.int16) - qparams.zero_point
        if np.abs(centred).max(initial=0) <= INT8_MAX:
            scales = QuantParams(qparams.scales, 0, -1 if qparams.per_tensor else 0)
            return Constant(centred.astype(np.int8).transpose(perm), scales)
    return Constant(weights.real.astype(np.float32, copy=False).transpose(perm))


def bias_tensor(context: Lowering, node: ir.Node, position: int, outputs: int) -> int | None:
    """The bias [outputs] as a constant tensor: i32 with scales if it is quantized so, else f32."""
    bias = context.constant(node, position, "bias")
    if bias is None:
        return None
    if bias.qparams is not None and bias.array.dtype != np.int32:
        bias = Constant(bias.real)
    if bias.array.shape != (outputs,):
        raise Unsupported(f"its bias has the shape {list(bias.array.shape)}, not [{outputs}]")
    value = node.inputs[position]
    return context.constant_tensor(str(value.name) if value else "", bias)
