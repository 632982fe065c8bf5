"""Resize and Upsample: nearest and linear, with scales or sizes, over at most two neighbouring dimensions."""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from ptq_core.flatfile.operators.resize import RESIZE, Coordinates, Resize, ResizeMode, Rounding
from ptq_core.optimize.lowering.context import (
    Activation,
    Lowering,
    Unsupported,
    get_int,
    get_ints,
    get_string,
    normal_axis,
)

_MODES = {"nearest": ResizeMode.NEAREST, "linear": ResizeMode.LINEAR}
_COORDINATES = {value.name.lower(): value for value in Coordinates}
_ROUNDINGS = {value.name.lower(): value for value in Rounding}


def lower_resize(context: Lowering, node: ir.Node) -> None:
    """Resize → resize."""
    coordinates = get_string(node, "coordinate_transformation_mode", "half_pixel")
    rounding = get_string(node, "nearest_mode", "round_prefer_floor")
    if get_int(node, "antialias", 0):
        raise Unsupported("it filters against aliasing")
    policy = get_string(node, "keep_aspect_ratio_policy", "stretch")
    if policy != "stretch":
        raise Unsupported(f"its keep_aspect_ratio_policy is {policy}; only stretch has a kernel")
    if coordinates not in _COORDINATES or rounding not in _ROUNDINGS:
        raise Unsupported(f"its coordinates are {coordinates} with {rounding}; they have no kernel")
    x = context.real_input(node)
    scales, sizes = _targets(context, node, context.dims(x))
    _emit(context, node, x, (scales, sizes), _COORDINATES[coordinates], _ROUNDINGS[rounding])


def lower_upsample(context: Lowering, node: ir.Node) -> None:
    """Upsample → resize; its pixels lie at i / scale, rounded down.

    Only models of opset 9 that did not come through load_model, which converts them to Resize, have it.
    """
    x = context.real_input(node)
    dims = context.dims(x)
    scales = _floats(context, node, 1)
    if scales is None or len(scales) != len(dims):
        raise Unsupported("its scales are not one per dimension")
    sizes = tuple(_scaled(d, s) for d, s in zip(dims, scales, strict=True))
    _emit(context, node, x, (scales, sizes), Coordinates.ASYMMETRIC, Rounding.FLOOR)


def _targets(
    context: Lowering, node: ir.Node, dims: tuple[int, ...]
) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """(scale, output size) of every dimension."""
    rank = len(dims)
    axes = get_ints(node, "axes") or tuple(range(rank))
    wanted = context.integers(node, 3, "sizes")
    given = None if wanted else _floats(context, node, 2)
    chosen = wanted or given
    if chosen is None or len(chosen) != len(axes):
        raise Unsupported("it has neither scales nor sizes, one per axis")
    scales, sizes = [1.0] * rank, list(dims)
    for axis, value in zip(axes, chosen, strict=True):
        at = normal_axis(axis, rank)
        scales[at] = float(np.float32(value) / np.float32(dims[at])) if wanted else float(value)
        sizes[at] = int(value) if wanted else _scaled(dims[at], value)
    return tuple(scales), tuple(sizes)


def _scaled(size: int, scale: float) -> int:
    """Pixels in the output, multiplied in float32 as onnxruntime does: 20 · float32(1.05) is 20.999999 in float64."""
    return int(np.floor(np.float32(size) * np.float32(scale)))


def _floats(context: Lowering, node: ir.Node, position: int) -> tuple[float, ...] | None:
    found = context.constant(node, position, "scales")
    return None if found is None or found.array.size == 0 else tuple(float(v) for v in found.real.reshape(-1))


def _emit(
    context: Lowering,
    node: ir.Node,
    x: Activation,
    targets: tuple[tuple[float, ...], tuple[int, ...]],
    coordinates: Coordinates,
    rounding: Rounding,
) -> None:
    scales, sizes = targets
    mode = get_string(node, "mode", "nearest")
    if mode not in _MODES:
        raise Unsupported(f"its mode is {mode}; only nearest and linear have kernels")
    if min(sizes) < 1 or not all(math.isfinite(s) and s > 0 for s in scales):
        raise Unsupported(f"its result has the shape {list(sizes)}")
    dims = context.dims(x)
    resized = [i for i, d in enumerate(dims) if scales[i] != 1.0 or sizes[i] != d]
    name, node_name = str(node.outputs[0].name), str(node.name)
    if not resized:
        context.bind(node.outputs[0], x)
        return
    if coordinates == Coordinates.ALIGN_CORNERS and any(
        sizes[i] != np.float32(scales[i]) * np.float32(dims[i]) for i in resized
    ):
        raise Unsupported("its scales and align_corners give no whole number of pixels")
    linear = _MODES[mode] == ResizeMode.LINEAR
    if set(resized) <= {2, 3} and len(dims) == 4:
        x = Activation(context.channels_last(x), True)
        first, folded = 2, context.tensor(x).dims
    else:
        # Any other dimension(s): what is before them becomes the batch, what is behind them the channels.
        first = resized[0]
        if resized[-1] > first + 1:
            raise Unsupported(f"it resizes the dimensions {resized}; only two neighbours have a kernel")
        pair = (*dims[first : first + 2], 1)[:2]
        folded = (math.prod(dims[:first]), *pair, math.prod(dims[first + 2 :]))
        x = context.reshaped(Activation(context.model_layout(x)), folded, f"{name}:folded", node_name)
    last = x.channels_last
    attributes = Resize(
        mode=int(_MODES[mode]),
        coordinates=int(coordinates),
        rounding=0 if linear else int(rounding),
        scale_h=float(np.float32(scales[first])),
        scale_w=float(np.float32((*scales, 1.0)[first + 1])),
    )
    shape = (folded[0], sizes[first], (*sizes, 1)[first + 1], folded[3])
    final = tuple(sizes)
    out = context.like(name if last or shape == final else f"{name}:resized", shape, x.tensor)
    y = Activation(context.emit(RESIZE, node_name, (x.tensor,), out, attributes), last)
    context.bind(node.outputs[0], context.reshaped(y, final, name, node_name))
