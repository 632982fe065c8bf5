"""Pad: negative pads cut off, a constant around what is left by pad, other modes by gathering along each padded dimension."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from ptq_core.flatfile.layout import MAX_ELEMENTS
from ptq_core.flatfile.operators.pad import PAD, Pad
from ptq_core.flatfile.tensors import DType
from ptq_core.optimize.lowering.context import (
    Activation,
    Lowering,
    Unsupported,
    check_numbers,
    get_string,
    normal_axis,
)
from ptq_core.optimize.lowering.selection import gathered, sliced

MODES = ("constant", "reflect", "edge", "wrap")
"""ONNX's names, which are NumPy's."""


def lower_pad(context: Lowering, node: ir.Node) -> None:
    """Pad in every mode, any dimensions."""
    mode = get_string(node, "mode", "constant")
    if mode not in MODES:
        raise Unsupported(f"its mode is {mode}, none of {', '.join(MODES)}")
    x = context.activation(node, 0)
    dims = context.dims(x)
    pads = _pads(context, node, len(dims))
    sizes = tuple(max(d + b + a, 0) for d, (b, a) in zip(dims, pads, strict=True))
    if not 0 < math.prod(sizes) <= MAX_ELEMENTS:
        raise Unsupported(f"its pads make {list(dims)} {list(sizes)}")
    x = Activation(context.channels_last(x), True) if len(dims) == 4 else x
    name, node_name = str(node.outputs[0].name), str(node.name)
    # What is cut off is neither reflected nor repeated.
    picks = [range(max(-b, 0), d - max(-a, 0)) for d, (b, a) in zip(dims, pads, strict=True)]
    if any(not pick for pick in picks):
        raise Unsupported("its negative pads cut off a whole dimension")
    if [len(pick) for pick in picks] != list(dims):
        x = sliced(context, node_name, f"{name}:cut", x, picks)
    widths = [(max(b, 0), max(a, 0)) for b, a in pads]
    padded = [axis for axis, width in enumerate(widths) if any(width)]
    if mode == "constant" and padded:
        x = _filled(context, node, name, x, widths)
    elif mode != "constant":
        for axis in padded:
            check_numbers(sizes[axis], "its list of places")
            indices = np.pad(np.arange(len(picks[axis]), dtype=np.int32), widths[axis], mode=mode)  # type: ignore[call-overload]
            x = gathered(context, node_name, f"{name}:{axis}", x, axis, indices)
    context.bind(node.outputs[0], x)


def _pads(context: Lowering, node: ir.Node, rank: int) -> list[tuple[int, int]]:
    """(before, after) of every dimension."""
    pads = context.integers(node, 1, "pads") or ()
    axes = context.integers(node, 3, "axes") or tuple(range(rank))
    if len(pads) != 2 * len(axes):
        raise Unsupported(f"its {len(pads)} pads are not two for each of {len(axes)} dimensions")
    found = [(0, 0)] * rank
    for i, axis in enumerate(axes):
        found[normal_axis(axis, rank)] = (pads[i], pads[i + len(axes)])
    return found


def _filled(
    context: Lowering, node: ir.Node, name: str, x: Activation, widths: Sequence[tuple[int, int]]
) -> Activation:
    value = context.constant(node, 2, "value")
    fill = 0 if value is None else value.real.reshape(-1)[0]
    order = sorted(range(len(widths)), key=lambda axis: context.stored_axis(x, axis))
    before, after = (tuple(widths[axis][side] for axis in order) for side in (0, 1))
    tensor = context.tensor(x)
    if tensor.dtype != DType.F32:  # that of an int8 node is given in int8
        attributes = Pad(before=before, after=after, q_value=int(fill))
    else:
        attributes = Pad(before=before, after=after, value=float(fill))
    dims = tuple(d + b + a for d, b, a in zip(tensor.dims, before, after, strict=True))
    out = context.like(name, dims, x.tensor)
    return Activation(context.emit(PAD, str(node.name), (x.tensor,), out, attributes), x.channels_last)
