"""A constant per channel added behind a convolution becomes its bias, so that it can be int32."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from ptq_core.graph.edits import add_constant, constant_array, take_over_output


def fold_bias_add(model: ir.Model) -> dict[str, str]:
    """Conv(x, W, b) + c  becomes  Conv(x, W, b + c).

    Requires c a scalar or [(1,) C, 1, 1] constant, constant weights and bias, and no other consumer of the convolution.
    Ensures that the Conv writes the Add's output value.
    """
    removed = {}
    for add in list(model.graph):
        if add.op_type != "Add":
            continue
        for source, other in ((add.inputs[0], add.inputs[1]), (add.inputs[1], add.inputs[0])):
            conv = source.producer() if source is not None else None
            if source is None or conv is None or conv.op_type != "Conv":
                continue
            bias = _folded_bias(conv, source, constant_array(other))
            if bias is None:
                continue
            conv.resize_inputs(3)
            conv.replace_input_with(2, add_constant(model.graph, f"{conv.name}/folded_bias", bias))
            take_over_output(model.graph, conv, add)
            removed[str(add.name)] = str(conv.name)
            break
    return removed


def _folded_bias(
    conv: ir.Node, output: ir.Value, added: NDArray[np.float32] | None
) -> NDArray[np.float32] | None:
    weight = constant_array(conv.inputs[1])
    if added is None or weight is None or len(output.uses()) != 1 or output.is_graph_output():
        return None
    channels = weight.shape[0]
    per_channel = (channels, *[1] * (weight.ndim - 2))
    if added.shape not in ((), per_channel, (1, *per_channel)) and added.size != 1:
        return None
    if added.ndim > weight.ndim:
        return None
    bias = np.zeros(channels)
    if len(conv.inputs) > 2 and conv.inputs[2] is not None:
        existing = constant_array(conv.inputs[2])
        if existing is None:
            return None
        bias = existing.astype(np.float64)
    return np.asarray(bias + added.reshape(-1).astype(np.float64), np.float32)
