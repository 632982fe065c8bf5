"""Windows over the spatial dimensions of a picture, a signal or a volume: strides, dilations, pads (auto_pad, ceil_mode)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from ptq_core.flatfile.tensors import DType
from ptq_core.optimize.lowering.context import (
    Activation,
    Lowering,
    Unsupported,
    get_ints,
    get_string,
    require_type,
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


POINT = Axis(1, 1, 1, 1, 0, 0)
"""A dimension of one element under a window of one."""


def whole(size: int) -> Axis:
    """One window over all of ``size``."""
    return Axis(size, size, 1, 1, 0, 0)


def picture(context: Lowering, node: ir.Node) -> tuple[Activation, tuple[int, ...]]:
    """(input 0, its dims [N, C, …] with one to three spatial ones); Unsupported if it is no such value."""
    x = context.activation(node, 0)
    dims = context.dims(x)
    if not 3 <= len(dims) <= 5:
        raise Unsupported(f"its input has {len(dims)} dimensions, not 3, 4 or 5")
    require_type(context.tensor(x), (DType.F32, DType.I8))
    return x, dims


def window_attributes(h: Axis, w: Axis) -> dict[str, int]:
    """What conv2d and pools alike say of their windows."""
    return {
        "stride_h": h.stride,
        "stride_w": w.stride,
        "dilation_h": h.dilation,
        "dilation_w": w.dilation,
        "pad_top": h.before,
        "pad_left": w.before,
        "pad_bottom": h.after + h.extra,
        "pad_right": w.after + w.extra,
    }


def window_axes(
    node: ir.Node, sizes: Sequence[int], kernel: Sequence[int], ceil: bool = False
) -> tuple[Axis, ...]:
    """The axes of ``node``'s window over ``sizes``, its spatial dimensions; Unsupported if it does not fit."""
    count = len(sizes)
    strides = get_ints(node, "strides") or (1,) * count
    dilations = get_ints(node, "dilations") or (1,) * count
    pads = get_ints(node, "pads") or (0,) * 2 * count
    auto_pad = get_string(node, "auto_pad", "NOTSET")
    if (len(kernel), len(strides), len(dilations), len(pads)) != (count, count, count, 2 * count):
        raise Unsupported(f"its window has not the {count} spatial dimensions of its input")
    if min(pads) < 0:
        raise Unsupported(f"its pads {list(pads)} are negative")
    if min(*strides, *dilations, *kernel) < 1:
        raise Unsupported(
            f"its kernel {list(kernel)}, strides {list(strides)} or dilations {list(dilations)} are not positive"
        )
    axes = []
    for i in range(count):
        axis = Axis(sizes[i], kernel[i], strides[i], dilations[i], pads[i], pads[i + count])
        axes.append(_ceiled(axis) if ceil and auto_pad == "NOTSET" else _auto_padded(axis, auto_pad))
    if min(axis.outputs for axis in axes) < 1:
        raise Unsupported(f"its window {list(kernel)} is larger than its padded input {list(sizes)}")
    return tuple(axes)


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
