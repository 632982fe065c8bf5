"""ConvTranspose: the input dilated by the stride, padded, convolved with the flipped weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from ptq_core.flatfile.operators.dilate import DILATE, Dilate
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
from ptq_core.optimize.lowering.convolution import Weights, bias_tensor, convolve, weight_layout
from ptq_core.optimize.lowering.selection import sliced
from ptq_core.optimize.lowering.windows import Axis, picture


@dataclass(frozen=True)
class _Axis:
    """One spatial dimension: the convolution over the dilated input; a negative pad cuts elements off."""

    size: int
    kernel: int
    stride: int
    dilation: int
    before: int
    after: int

    @property
    def dilated(self) -> int:
        return (self.size - 1) * self.stride + 1

    @property
    def kept(self) -> range:
        """What of the dilated input is not cut off."""
        return range(max(-self.before, 0), self.dilated - max(-self.after, 0))

    @property
    def window(self) -> Axis:
        """Of the convolution over what is kept."""
        return Axis(len(self.kept), self.kernel, 1, self.dilation, max(self.before, 0), max(self.after, 0))


def lower_conv_transpose(context: Lowering, node: ir.Node) -> None:
    """ConvTranspose → dilate and conv2d; weights [C, O / groups, …] → [O, …, C / groups], flipped."""
    x, dims = picture(context, node)
    weights = context.required(node, 1, "weight")
    rank = len(dims)
    if weights.array.ndim != rank:
        raise Unsupported(f"its weight has {weights.array.ndim} dimensions, not {rank}")
    groups = get_int(node, "group", 1)
    inputs, per_group, *kernel = weights.array.shape
    if groups < 1 or inputs != dims[1] or inputs % groups:
        raise Unsupported(f"{dims[1]} channels do not fit {groups} groups of weights for {inputs}")
    axes = _axes(node, dims[2:], kernel)
    name, node_name = str(node.outputs[0].name), str(node.name)
    source = _dilated(context, node_name, name, context.channels_last(x), axes)
    given = Weights(
        str(node.inputs[1].name) if node.inputs[1] else "",
        _flipped(weights, groups),
        groups,
        bias_tensor(context, node, 2, per_group * groups),
    )
    out = convolve(context, node_name, name, source, given, [axis.window for axis in axes])
    context.bind(node.outputs[0], Activation(out, channels_last=True))


def _axes(node: ir.Node, sizes: Sequence[int], kernel: Sequence[int]) -> list[_Axis]:
    count = len(sizes)
    strides = get_ints(node, "strides") or (1,) * count
    dilations = get_ints(node, "dilations") or (1,) * count
    extra = get_ints(node, "output_padding") or (0,) * count
    pads = get_ints(node, "pads") or (0,) * 2 * count
    shape = get_ints(node, "output_shape")
    auto_pad = get_string(node, "auto_pad", "NOTSET")
    if (len(strides), len(dilations), len(pads), len(extra)) != (count, count, 2 * count, count):
        raise Unsupported(f"its window has not the {count} spatial dimensions of its input")
    found = []
    for i in range(count):
        reach = (kernel[i] - 1) * dilations[i]
        full = (sizes[i] - 1) * strides[i] + extra[i] + reach + 1
        before, outputs = pads[i], full - pads[i] - pads[i + count]
        if shape is not None or auto_pad.startswith("SAME"):
            # As ONNX's inference and onnxruntime have it: a kernel that does not reach the next window leaves out the gap.
            same = min(sizes[i] * strides[i], full)
            outputs = shape[len(shape) - count + i] if shape is not None else same
            total = max(full - outputs, 0)
            before = total // 2 if auto_pad == "SAME_UPPER" else total - total // 2
        elif auto_pad == "VALID":
            before, outputs = 0, full
        if outputs < 1:
            raise Unsupported(f"its pads {list(pads)} leave nothing")
        # outputs = dilated + before' + after' − reach
        after = outputs + before - (sizes[i] - 1) * strides[i] - 1
        found.append(_Axis(sizes[i], kernel[i], strides[i], dilations[i], reach - before, after))
    return found


def _dilated(context: Lowering, node_name: str, name: str, source: int, axes: Sequence[_Axis]) -> int:
    """``source`` [N, …, C] with the strides' gaps between its elements, without what negative pads cut off."""
    tensor = context.program.tensors[source]
    n, *sizes, channels = tensor.dims
    if any(axis.stride != 1 for axis in axes):
        zero = 0 if tensor.qparams is None else tensor.qparams.zero_point
        sizes = [axis.dilated for axis in axes]
        out = context.like(f"{name}:dilated", (n, *sizes, channels), source)
        spread = Dilate(step=(1, *(axis.stride for axis in axes), 1), q_value=zero)
        source = context.emit(DILATE, node_name, (source,), out, spread)
    kept = [axis.kept for axis in axes]
    if any(not pick for pick in kept):
        raise Unsupported("its pads cut off the whole input")
    if [len(pick) for pick in kept] == sizes:
        return source
    picks = [range(n), *kept, range(channels)]
    return sliced(context, node_name, f"{name}:cut", Activation(source), picks).tensor


def _flipped(weights: Constant, groups: int) -> Constant:
    """[C, O / groups, …] → [O, …, C / groups], all spatial dimensions reversed."""
    inputs, per_group, *kernel = weights.array.shape
    rank = len(kernel) + 2
    split = (groups, inputs // groups, per_group, *kernel)

    def moved(array: np.ndarray) -> np.ndarray:
        stored = array.reshape(split).transpose(0, *range(2, rank + 1), 1)
        stored = stored.reshape(-1, *kernel, inputs // groups)
        return np.ascontiguousarray(np.flip(stored, tuple(range(1, rank - 1))))

    swap = (1, 0, *range(2, rank))
    checked = weight_layout(weights, swap)  # int8 with a scale per output channel, or the real values
    qparams = checked.qparams
    if qparams is not None and not qparams.per_tensor:
        qparams = QuantParams(np.tile(qparams.scales, groups), 0, 0)
    return Constant(moved(checked.array.transpose(swap)), qparams)
