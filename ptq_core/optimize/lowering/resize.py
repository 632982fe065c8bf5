"""Resize and Upsample: by the kernel of pictures where it fits, else dimension by dimension."""

from __future__ import annotations

import functools
import math

import numpy as np
import onnx_ir as ir

from ptq_core.flatfile.operators.binary import ADD
from ptq_core.flatfile.operators.resize import RESIZE, Coordinates, Resize, ResizeMode, Rounding
from ptq_core.numerics.functions import nearest_indices
from ptq_core.optimize.lowering.arithmetic import combine
from ptq_core.optimize.lowering.context import (
    Activation,
    Constant,
    Lowering,
    Unsupported,
    check_numbers,
    get_float,
    get_int,
    get_ints,
    get_string,
    normal_axis,
)
from ptq_core.optimize.lowering.resampling import Sampling, Scaled, outside, places, resample, weights
from ptq_core.optimize.lowering.selection import gathered

_KERNEL_MODES = {"nearest": ResizeMode.NEAREST, "linear": ResizeMode.LINEAR}
_KERNEL_COORDINATES = {value.name.lower(): value for value in Coordinates}
_ROUNDINGS = {value.name.lower(): value for value in Rounding}
_MODES = (*_KERNEL_MODES, "cubic")
_COORDINATES = (*_KERNEL_COORDINATES, "half_pixel_symmetric", "tf_crop_and_resize")
_POLICIES = {"not_larger": min, "not_smaller": max}

Resized = dict[int, Scaled]
"""Dimension of the model's layout → what becomes of it, for those that are resized; in ascending order."""


def lower_resize(context: Lowering, node: ir.Node) -> None:
    """Resize over any dimensions, with scales or sizes."""
    sampling = Sampling(
        get_string(node, "mode", "nearest"),
        get_string(node, "coordinate_transformation_mode", "half_pixel"),
        get_string(node, "nearest_mode", "round_prefer_floor"),
        bool(get_int(node, "antialias", 0)),
        get_float(node, "cubic_coeff_a", -0.75),
        bool(get_int(node, "exclude_outside", 0)),
        get_float(node, "extrapolation_value", 0.0),
    )
    if (
        sampling.mode not in _MODES
        or sampling.coordinates not in _COORDINATES
        or sampling.rounding not in _ROUNDINGS
    ):
        words = f"{sampling.mode}, {sampling.coordinates}, {sampling.rounding}"
        raise Unsupported(f"its mode, coordinates or rounding are unknown: {words}")
    x = context.real_input(node)
    dims = context.dims(x)
    axes = [normal_axis(axis, len(dims)) for axis in get_ints(node, "axes") or range(len(dims))]
    targets = _targets(context, node, [dims[axis] for axis in axes])
    crops = _crops(context, node, len(axes)) if sampling.coordinates == "tf_crop_and_resize" else None
    scaled = {}
    for i, axis in enumerate(axes):
        scale, size = targets[i]
        start, end = (0.0, 1.0) if crops is None else (crops[i], crops[i + len(axes)])
        scaled[axis] = Scaled(dims[axis], size, scale, start, end)
    _emit(context, node, x, dict(sorted(scaled.items())), sampling)


def lower_upsample(context: Lowering, node: ir.Node) -> None:
    """Upsample → resize; its pixels lie at i / scale, rounded down.

    Only models of opset 9 that did not come through load_model, which converts them to Resize, have it.
    """
    x = context.real_input(node)
    dims = context.dims(x)
    scales = _floats(context, node, 1)
    if scales is None or len(scales) != len(dims):
        raise Unsupported("its scales are not one per dimension")
    scaled = {i: Scaled(d, _scaled(d, scales[i]), scales[i]) for i, d in enumerate(dims)}
    _emit(context, node, x, scaled, Sampling(get_string(node, "mode", "nearest"), "asymmetric", "floor"))


def _targets(context: Lowering, node: ir.Node, dims: list[int]) -> list[tuple[float, int]]:
    """(scale, output size) of each of ``dims``, those of the axes that the node names."""
    wanted = context.integers(node, 3, "sizes")
    given = None if wanted else _floats(context, node, 2)
    chosen = wanted or given
    if chosen is None or len(chosen) != len(dims):
        raise Unsupported("it has neither scales nor sizes, one per axis")
    if not wanted:
        return [(float(value), _scaled(d, value)) for d, value in zip(dims, chosen, strict=True)]
    scales = [float(np.float32(value) / np.float32(d)) for d, value in zip(dims, chosen, strict=True)]
    policy = get_string(node, "keep_aspect_ratio_policy", "stretch")
    if policy == "stretch":
        return [(scale, int(value)) for scale, value in zip(scales, chosen, strict=True)]
    if policy not in _POLICIES:
        raise Unsupported(f"its keep_aspect_ratio_policy {policy} is unknown")
    common = _POLICIES[policy](scales)
    return [(common, math.floor(np.float32(common) * np.float32(d) + np.float32(0.5))) for d in dims]


def _crops(context: Lowering, node: ir.Node, axes: int) -> tuple[float, ...]:
    """The starts and then the ends of what is kept, as shares of the dimensions."""
    crops = _floats(context, node, 1)
    if crops is None or len(crops) != 2 * axes:
        raise Unsupported("its roi is not a start and an end per axis")
    return crops


def _scaled(size: int, scale: float) -> int:
    """Pixels in the output, multiplied in float32 as onnxruntime does: 20 · float32(1.05) is 20.999999 in float64."""
    return int(np.floor(np.float32(size) * np.float32(scale)))


def _floats(context: Lowering, node: ir.Node, position: int) -> tuple[float, ...] | None:
    found = context.constant(node, position, "roi" if position == 1 and len(node.inputs) > 2 else "scales")
    return None if found is None or found.array.size == 0 else tuple(float(v) for v in found.real.reshape(-1))


def _emit(context: Lowering, node: ir.Node, x: Activation, scaled: Resized, sampling: Sampling) -> None:
    sizes = list(context.dims(x))
    for axis, s in scaled.items():
        sizes[axis] = s.outputs
    if min(sizes) < 1 or not all(math.isfinite(s.scale) and s.scale > 0 for s in scaled.values()):
        raise Unsupported(f"its result has the shape {sizes}")
    resized = {
        axis: s
        for axis, s in scaled.items()
        if (s.scale, s.outputs, s.start, s.end) != (1.0, s.size, 0.0, 1.0)
    }
    if not resized:
        context.bind(node.outputs[0], x)
    elif _fits_kernel(resized, sampling):
        _by_kernel(context, node, x, resized, sampling, tuple(sizes))
    else:
        context.bind(node.outputs[0], _by_dimension(context, node, x, resized, sampling))


def _fits_kernel(resized: Resized, sampling: Sampling) -> bool:
    """Whether `resize` computes it: at most two neighbouring dimensions, nearest or linear."""
    return (
        sampling.mode in _KERNEL_MODES
        and sampling.coordinates in _KERNEL_COORDINATES
        and not sampling.antialias
        and max(resized) - min(resized) < 2
    )


def _by_kernel(
    context: Lowering,
    node: ir.Node,
    x: Activation,
    resized: Resized,
    sampling: Sampling,
    sizes: tuple[int, ...],
) -> None:
    dims, first = context.dims(x), min(resized)
    name, node_name = str(node.outputs[0].name), str(node.name)
    if set(resized) <= {2, 3} and len(dims) == 4:
        x = Activation(context.channels_last(x), True)
        first, folded = 2, context.tensor(x).dims
    else:
        # Any other dimension(s): what is before them becomes the batch, what is behind them the channels.
        pair = (*dims[first : first + 2], 1)[:2]
        folded = (math.prod(dims[:first]), *pair, math.prod(dims[first + 2 :]))
        x = context.reshaped(Activation(context.model_layout(x)), folded, f"{name}:folded", node_name)
    scales = [resized[axis].scale if axis in resized else 1.0 for axis in (first, first + 1)]
    linear = sampling.mode == "linear"
    attributes = Resize(
        mode=int(_KERNEL_MODES[sampling.mode]),
        coordinates=int(_KERNEL_COORDINATES[sampling.coordinates]),
        rounding=0 if linear else int(_ROUNDINGS[sampling.rounding]),
        scale_h=float(np.float32(scales[0])),
        scale_w=float(np.float32(scales[1])),
    )
    shape = (folded[0], sizes[first], (*sizes, 1)[first + 1], folded[3])
    out = context.like(name if x.channels_last or shape == sizes else f"{name}:resized", shape, x.tensor)
    y = Activation(context.emit(RESIZE, node_name, (x.tensor,), out, attributes), x.channels_last)
    context.bind(node.outputs[0], context.reshaped(y, sizes, name, node_name))


def _by_dimension(
    context: Lowering, node: ir.Node, x: Activation, resized: Resized, sampling: Sampling
) -> Activation:
    """Nearest pixels are gathered, others are sums by a matrix; what a crop leaves empty is filled at the end."""
    name, node_name = str(node.outputs[0].name), str(node.name)
    for s in resized.values():
        check_numbers(s.outputs, "its list of places")
    empty = {axis: outside(s, sampling.coordinates) for axis, s in resized.items()}
    filled = sampling.extrapolation != 0.0 and any(mask.any() for mask in empty.values())
    for axis, s in resized.items():
        part = f"{name}:{axis}" if filled or axis != max(resized) else name
        if sampling.mode == "nearest" and not empty[axis].any():
            indices = nearest_indices(places(s, sampling.coordinates), sampling.rounding, s.size)
            x = gathered(context, node_name, part, x, axis, indices.astype(np.int32))
        else:
            x = resample(context, node_name, part, x, axis, weights(s, sampling))
    if not filled:
        return x
    masks = [empty.get(axis, np.zeros(1, bool)) for axis in range(len(context.dims(x)))]
    filling = functools.reduce(np.logical_or.outer, masks) * np.float32(sampling.extrapolation)
    return combine(context, ADD, node_name, name, x, Constant(filling.astype(np.float32)))
