"""ConvTranspose: the input dilated by the stride, padded, convolved with the flipped weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from ptq_core.flatfile.operators.conv2d import CONV2D, Conv2d
from ptq_core.flatfile.operators.dilate import DILATE, Dilate
from ptq_core.flatfile.operators.slice import SLICE, Slice
from ptq_core.flatfile.tensors import QuantParams
from ptq_core.optimize.lowering.context import (
    Activation,
    Constant,
    Lowering,
    Unsupported,
    get_int,
    get_ints,
    get_string,
)
from ptq_core.optimize.lowering.windows import bias_tensor, picture, weight_layout


@dataclass(frozen=True)
class _Axis:
    """One spatial dimension: the convolution over the dilated input; a negative pad cuts elements off."""

    size: int
    stride: int
    dilation: int
    before: int
    after: int

    @property
    def dilated(self) -> int:
        return (self.size - 1) * self.stride + 1


def lower_conv_transpose(context: Lowering, node: ir.Node) -> None:
    """ConvTranspose → dilate and conv2d; weights [C, O/groups, KH, KW] → [O, KH, KW, C/groups], flipped."""
    x, dims = picture(context, node)
    weights = context.required(node, 1, "weight")
    if weights.array.ndim != 4:
        raise Unsupported(f"its weight has {weights.array.ndim} dimensions, not 4")
    groups = get_int(node, "group", 1)
    inputs, per_group, *kernel = weights.array.shape
    if groups < 1 or inputs != dims[1] or inputs % groups:
        raise Unsupported(f"{dims[1]} channels do not fit {groups} groups of weights for {inputs}")
    h, w = _axes(node, dims[2:], (kernel[0], kernel[1]))
    name, node_name = str(node.outputs[0].name), str(node.name)
    weight_name = str(node.inputs[1].name) if node.inputs[1] else ""
    weight = context.constant_tensor(weight_name, _flipped(weights, groups))
    source = context.channels_last(x)
    if (h.stride, w.stride) != (1, 1):
        n, _, _, channels = context.program.tensors[source].dims
        tensor = context.program.tensors[source]
        zero = 0 if tensor.qparams is None else tensor.qparams.zero_point
        out = context.like(f"{name}:dilated", (n, h.dilated, w.dilated, channels), source)
        spread = Dilate(step=(1, h.stride, w.stride, 1), q_value=zero)
        source = context.emit(DILATE, node_name, (source,), out, spread)
    source = _cut(context, node, source, h, w)
    n, rows, columns, _ = context.program.tensors[source].dims
    attributes = Conv2d(
        dilation_h=h.dilation,
        dilation_w=w.dilation,
        pad_top=max(h.before, 0),
        pad_left=max(w.before, 0),
        pad_bottom=max(h.after, 0),
        pad_right=max(w.after, 0),
        groups=groups,
    )
    outputs = per_group * groups
    out_h = rows + attributes.pad_top + attributes.pad_bottom - (kernel[0] - 1) * h.dilation
    out_w = columns + attributes.pad_left + attributes.pad_right - (kernel[1] - 1) * w.dilation
    out = context.arena_tensor(name, (n, out_h, out_w, outputs))
    operands = (source, weight, bias_tensor(context, node, 2, outputs))
    context.emit(CONV2D, node_name, operands, out, attributes)
    context.bind(node.outputs[0], Activation(out, channels_last=True))


def _axes(node: ir.Node, sizes: tuple[int, ...], kernel: tuple[int, int]) -> tuple[_Axis, _Axis]:
    strides = get_ints(node, "strides") or (1, 1)
    dilations = get_ints(node, "dilations") or (1, 1)
    extra = get_ints(node, "output_padding") or (0, 0)
    pads = get_ints(node, "pads") or (0, 0, 0, 0)
    shape = get_ints(node, "output_shape")
    auto_pad = get_string(node, "auto_pad", "NOTSET")
    if len(strides) != 2 or len(dilations) != 2 or len(pads) != 4 or len(extra) != 2:
        raise Unsupported("its window is not two-dimensional")
    found = []
    for i in range(2):
        reach = (kernel[i] - 1) * dilations[i]
        full = (sizes[i] - 1) * strides[i] + extra[i] + reach + 1
        before, outputs = pads[i], full - pads[i] - pads[i + 2]
        if shape is not None or auto_pad.startswith("SAME"):
            # As ONNX's inference and onnxruntime have it: a kernel that does not reach the next window leaves out the gap.
            same = min(sizes[i] * strides[i], full)
            outputs = shape[len(shape) - 2 + i] if shape is not None else same
            total = max(full - outputs, 0)
            before = total // 2 if auto_pad == "SAME_UPPER" else total - total // 2
        elif auto_pad == "VALID":
            before, outputs = 0, full
        if outputs < 1:
            raise Unsupported(f"its pads {list(pads)} leave nothing")
        dilated = (sizes[i] - 1) * strides[i] + 1
        # outputs = dilated + before' + after' − reach
        found.append(_Axis(sizes[i], strides[i], dilations[i], reach - before, outputs + before - dilated))
    return found[0], found[1]


def _cut(context: Lowering, node: ir.Node, source: int, h: _Axis, w: _Axis) -> int:
    """``source`` without the rows and columns that negative pads cut off."""
    cuts = [(max(-axis.before, 0), max(-axis.after, 0)) for axis in (h, w)]
    if not any(cuts[0] + cuts[1]):
        return source
    n, rows, columns, channels = context.program.tensors[source].dims
    dims = (n, rows - sum(cuts[0]), columns - sum(cuts[1]), channels)
    if min(dims) < 1:
        raise Unsupported("its pads cut off the whole input")
    out = context.like(f"{node.outputs[0].name}:cut", dims, source)
    attributes = Slice(start=(0, cuts[0][0], cuts[1][0], 0), step=(1, 1, 1, 1))
    return context.emit(SLICE, str(node.name), (source,), out, attributes)


def _flipped(weights: Constant, groups: int) -> Constant:
    """[C, O/groups, KH, KW] → [O, KH, KW, C/groups], rows and columns reversed."""
    inputs, per_group, *kernel = weights.array.shape
    split = (groups, inputs // groups, per_group, *kernel)

    def moved(array: np.ndarray) -> np.ndarray:
        stored = array.reshape(split).transpose(0, 2, 3, 4, 1)
        return np.ascontiguousarray(stored.reshape(-1, *kernel, inputs // groups)[:, ::-1, ::-1])

    checked = weight_layout(weights, (1, 0, 2, 3))  # int8 with a scale per output channel, or the real values
    qparams = checked.qparams
    if qparams is not None and not qparams.per_tensor:
        qparams = QuantParams(np.tile(qparams.scales, groups), 0, 0)
    return Constant(moved(checked.array.transpose(1, 0, 2, 3)), qparams)
