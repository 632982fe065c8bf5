"""Resize and Pad that name their dimensions by `axes` (opset 18) get scales, sizes and pads of all dimensions."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from ptq_core.graph.edits import add_constant, constant_array


def spread_axes(model: ir.Model) -> dict[str, str]:
    """onnxruntime moves transpositions past Resize and Pad, and forgets their axes: the model fails when it runs.

    It does so around int8 convolutions. Requires constant pads, scales or sizes and an input of known rank (for sizes: what is
    resized is of known size); others stay, as does a Resize whose policy or region of interest is about its axes. Ensures equal
    values; no node is removed.
    """
    for node in model.graph:
        if node.op_type == "Pad":
            _spread_pad(model.graph, node)
        elif node.op_type == "Resize" and "axes" in node.attributes:
            _spread_resize(model.graph, node)
    return {}


def _spread_pad(graph: ir.Graph, node: ir.Node) -> None:
    axes = constant_array(node.inputs[3]) if len(node.inputs) > 3 else None
    pads, dims = constant_array(node.inputs[1]), _dims(node)
    if axes is None or pads is None or dims is None or pads.size != 2 * axes.size:
        return
    before, after = pads.reshape(2, -1)
    full = np.concatenate([_spread(axes, part, [0] * len(dims)) for part in (before, after)])
    node.replace_input_with(1, add_constant(graph, f"{node.name}/pads", full.astype(np.int64)))
    node.resize_inputs(3)


def _spread_resize(graph: ir.Graph, node: ir.Node) -> None:
    dims = _dims(node)
    policy = node.attributes.get_string("keep_aspect_ratio_policy", "stretch")
    crops = node.attributes.get_string("coordinate_transformation_mode", "") == "tf_crop_and_resize"
    if dims is None or policy != "stretch" or crops:
        return
    axes = np.array(node.attributes.get_ints("axes"))
    scales, sizes = (constant_array(node.inputs[i]) if len(node.inputs) > i else None for i in (2, 3))
    if scales is not None and scales.size == axes.size:
        position, full = 2, _spread(axes, scales, [1.0] * len(dims)).astype(np.float32)
    elif sizes is None or sizes.size != axes.size:
        return
    elif None not in dims:
        position, full = 3, _spread(axes, sizes, dims).astype(np.int64)
    else:
        found = _scales(axes, sizes, dims)
        if found is None:
            return
        position, full = 2, found
    node.resize_inputs(position + 1)
    for other in range(1, position):
        node.replace_input_with(other, None)
    kind = "scales" if position == 2 else "sizes"
    node.replace_input_with(position, add_constant(graph, f"{node.name}/{kind}", full))
    del node.attributes["axes"]


def _scales(axes: NDArray[Any], sizes: NDArray[Any], dims: list[int | None]) -> NDArray[np.float32] | None:
    """Scales that give ``sizes`` at ``axes`` and leave open dimensions as they are; None where floats round to others.

    onnxruntime computes the same quotient from sizes, and the size from scales by a product that is rounded down.
    """
    full = np.ones(len(dims), np.float32)
    for axis, size in zip(axes.tolist(), sizes.reshape(-1).tolist(), strict=True):
        dim = dims[axis]
        if dim is None or np.floor(np.float32(dim) * (np.float32(size) / np.float32(dim))) != size:
            return None
        full[axis] = np.float32(size) / np.float32(dim)
    return full


def _spread(axes: NDArray[Any], values: NDArray[Any], others: list[Any]) -> NDArray[Any]:
    """``others`` with ``values`` at ``axes``."""
    full = list(others)
    for axis, value in zip(axes.reshape(-1).tolist(), values.reshape(-1).tolist(), strict=True):
        full[axis] = value
    return np.array(full)


def _dims(node: ir.Node) -> list[int | None] | None:
    """The dimensions of the first input, None for open ones; None if its rank is not known."""
    value = node.inputs[0]
    if value is None or value.shape is None:
        return None
    return [d if isinstance(d, int) else None for d in value.shape]
