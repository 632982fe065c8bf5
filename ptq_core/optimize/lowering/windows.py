"""Convolutions and pooling: strides, dilations, pads (auto_pad, ceil_mode) of ONNX nodes → windows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from ptq_core.flatfile.operators.conv2d import CONV2D, Conv2d
from ptq_core.flatfile.operators.description import OperatorKind
from ptq_core.flatfile.operators.pool2d import AVERAGE_POOL2D, MAX_POOL2D, Pool2d
from ptq_core.flatfile.tensors import DType, QuantParams
from ptq_core.optimize.lowering.context import (
    Activation,
    Constant,
    Lowering,
    Unsupported,
    get_int,
    get_ints,
    get_string,
    is_used,
)


@dataclass(frozen=True)
class Axis:
    """One spatial dimension of a window, everything in elements; ``extra`` is what ceil_mode adds behind ``after``."""

    size: int
    kernel: int
    stride: int
    dilation: int
    before: int
    after: int
    extra: int = 0

    @property
    def extent(self) -> int:
        """How far one window reaches."""
        return (self.kernel - 1) * self.dilation + 1

    @property
    def outputs(self) -> int:
        """Number of window positions."""
        return (self.size + self.before + self.after + self.extra - self.extent) // self.stride + 1


def window_axes(
    node: ir.Node, sizes: tuple[int, int], kernel: tuple[int, int], ceil: bool = False
) -> tuple[Axis, Axis]:
    """The two axes (h, w) of ``node``'s window over ``sizes``; Unsupported if it does not fit."""
    strides = get_ints(node, "strides") or (1, 1)
    dilations = get_ints(node, "dilations") or (1, 1)
    pads = get_ints(node, "pads") or (0, 0, 0, 0)
    auto_pad = get_string(node, "auto_pad", "NOTSET")
    if len(strides) != 2 or len(dilations) != 2 or len(pads) != 4:
        raise Unsupported("its window is not two-dimensional")
    if min(pads) < 0:
        raise Unsupported(f"its pads {list(pads)} are negative")
    if min(*strides, *dilations, *kernel) < 1:
        raise Unsupported(
            f"its kernel {list(kernel)}, strides {list(strides)} or dilations {list(dilations)} are not positive"
        )
    axes = []
    for i in range(2):
        axis = Axis(sizes[i], kernel[i], strides[i], dilations[i], pads[i], pads[i + 2])
        axes.append(_ceiled(axis) if ceil and auto_pad == "NOTSET" else _auto_padded(axis, auto_pad))
    if min(axis.outputs for axis in axes) < 1:
        raise Unsupported(f"its window {list(kernel)} is larger than its padded input {list(sizes)}")
    return axes[0], axes[1]


def _auto_padded(axis: Axis, auto_pad: str) -> Axis:
    if auto_pad in ("NOTSET", ""):
        return axis
    before = after = 0
    if auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        outputs = -(-axis.size // axis.stride)
        total = max((outputs - 1) * axis.stride + axis.extent - axis.size, 0)
        before = total // 2 if auto_pad == "SAME_UPPER" else total - total // 2
        after = total - before
    return Axis(axis.size, axis.kernel, axis.stride, axis.dilation, before, after)


def _ceiled(axis: Axis) -> Axis:
    """ceil_mode: a last, partly outside window counts, unless it would start behind the data and the front padding."""
    outputs = -(-(axis.size + axis.before + axis.after - axis.extent) // axis.stride) + 1
    if (outputs - 1) * axis.stride >= axis.size + axis.before:
        outputs -= 1
    needed = (outputs - 1) * axis.stride + axis.extent - axis.size - axis.before
    after = min(axis.after, max(needed, 0))
    return Axis(
        axis.size, axis.kernel, axis.stride, axis.dilation, axis.before, after, max(needed, 0) - after
    )


def lower_conv(context: Lowering, node: ir.Node) -> None:
    """Conv → conv2d; weights OIHW → OHWI, quantized weights stay quantized."""
    x, dims = picture(context, node)
    weights = context.required(node, 1, "weight")
    if weights.array.ndim != 4:
        raise Unsupported(f"its weight has {weights.array.ndim} dimensions, not 4")
    outputs, inputs, kernel_h, kernel_w = weights.array.shape
    groups = get_int(node, "group", 1)
    if groups < 1 or inputs * groups != dims[1] or outputs % groups:
        raise Unsupported(
            f"{dims[1]} channels do not fit {groups} groups of {inputs} inputs, {outputs} outputs"
        )
    h, w = window_axes(node, (dims[2], dims[3]), (kernel_h, kernel_w))
    weight = context.constant_tensor(
        str(node.inputs[1].name if node.inputs[1] else ""), weight_layout(weights, (0, 2, 3, 1))
    )
    out = context.arena_tensor(str(node.outputs[0].name), (dims[0], h.outputs, w.outputs, outputs))
    attributes = Conv2d(
        stride_h=h.stride,
        stride_w=w.stride,
        dilation_h=h.dilation,
        dilation_w=w.dilation,
        pad_top=h.before,
        pad_left=w.before,
        pad_bottom=h.after,
        pad_right=w.after,
        groups=groups,
    )
    operands = (context.channels_last(x), weight, bias_tensor(context, node, 2, outputs))
    context.emit(CONV2D, str(node.name), operands, out, attributes)
    context.bind(node.outputs[0], Activation(out, channels_last=True))


def weight_layout(weights: Constant, perm: tuple[int, ...]) -> Constant:
    """``weights`` permuted so that output channels lie on axis 0; real values unless int8 weights fit the format."""
    qparams = weights.qparams
    fits = (
        qparams is not None
        and weights.array.dtype == np.int8
        and qparams.zero_point == 0
        and (qparams.per_tensor or qparams.axis == perm[0])
    )
    if not fits or qparams is None:
        return Constant(weights.real.astype(np.float32, copy=False).transpose(perm))
    return Constant(
        weights.array.transpose(perm), QuantParams(qparams.scales, 0, -1 if qparams.per_tensor else 0)
    )


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


def lower_max_pool(context: Lowering, node: ir.Node) -> None:
    """MaxPool → max_pool2d; the second output (indices) does not exist here."""
    if any(is_used(value) for value in node.outputs[1:]):
        raise Unsupported("its second output (indices) is used")
    x, dims = picture(context, node)
    h, w = _pool_axes(node, dims)
    _emit_pool(context, node, MAX_POOL2D, context.channels_last(x), (h, w))


def lower_average_pool(context: Lowering, node: ir.Node) -> None:
    """AveragePool → average_pool2d."""
    x, dims = picture(context, node)
    h, w = _pool_axes(node, dims)
    if (h.dilation, w.dilation) != (1, 1):
        raise Unsupported("an average with dilation has no kernel")
    source, include_pad = context.channels_last(x), get_int(node, "count_include_pad", 0)
    padded = any((h.before, h.after, w.before, w.after))
    assert not (include_pad and (h.extra or w.extra)), "count_no_overhang has run"
    _emit_pool(context, node, AVERAGE_POOL2D, source, (h, w), int(bool(include_pad) and padded))


def lower_global_average_pool(context: Lowering, node: ir.Node) -> None:
    """GlobalAveragePool → average_pool2d over the whole picture."""
    x, dims = picture(context, node)
    _emit_pool(context, node, AVERAGE_POOL2D, context.channels_last(x), _whole(dims[2], dims[3]))


def lower_global_max_pool(context: Lowering, node: ir.Node) -> None:
    """GlobalMaxPool → max_pool2d over the whole picture."""
    x, dims = picture(context, node)
    _emit_pool(context, node, MAX_POOL2D, context.channels_last(x), _whole(dims[2], dims[3]))


def picture(context: Lowering, node: ir.Node) -> tuple[Activation, tuple[int, ...]]:
    """(input 0, its dims [N, C, H, W]); Unsupported if it is no picture."""
    x = context.activation(node, 0)
    dims = context.dims(x)
    if len(dims) != 4:
        raise Unsupported(f"its input has {len(dims)} dimensions, not 4")
    if context.tensor(x).dtype == DType.I32:
        raise Unsupported("its input is int32")
    return x, dims


def _pool_axes(node: ir.Node, dims: tuple[int, ...]) -> tuple[Axis, Axis]:
    kernel = get_ints(node, "kernel_shape") or ()
    if len(kernel) != 2:
        raise Unsupported("its window is not two-dimensional")
    axes = window_axes(node, (dims[2], dims[3]), (kernel[0], kernel[1]), bool(get_int(node, "ceil_mode", 0)))
    for axis in axes:
        last = (axis.outputs - 1) * axis.stride
        if axis.before >= axis.extent or last >= axis.size + axis.before:
            raise Unsupported("one of its windows lies wholly in the padding")
    return axes


def _whole(height: int, width: int) -> tuple[Axis, Axis]:
    return Axis(height, height, 1, 1, 0, 0), Axis(width, width, 1, 1, 0, 0)


def _emit_pool(
    context: Lowering,
    node: ir.Node,
    kind: OperatorKind[Any],
    source: int,
    axes: tuple[Axis, Axis],
    include_pad: int = 0,
) -> None:
    h, w = axes
    dims = context.program.tensors[source].dims
    out = context.like(str(node.outputs[0].name), (dims[0], h.outputs, w.outputs, dims[3]), source)
    attributes = Pool2d(
        kernel_h=h.kernel,
        kernel_w=w.kernel,
        stride_h=h.stride,
        stride_w=w.stride,
        dilation_h=h.dilation,
        dilation_w=w.dilation,
        pad_top=h.before,
        pad_left=w.before,
        pad_bottom=h.after + h.extra,
        pad_right=w.after + w.extra,
        count_include_pad=include_pad,
    )
    context.emit(kind, str(node.name), (source,), out, attributes)
    context.bind(node.outputs[0], Activation(out, channels_last=True))
