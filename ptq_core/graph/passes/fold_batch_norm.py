"""BatchNormalization after a convolution becomes part of its weights and bias (exact in real arithmetic)."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ptq_core.graph.constants import add_constant, constant_array


def fold_batch_norm(model: ir.Model) -> dict[str, str]:
    """y = γ·(Wx + b − μ)/√(σ² + ε) + β  becomes  W' = W·γ/√(σ²+ε), b' = (b − μ)·γ/√(σ²+ε) + β, in float64, once.

    Requires constant weights and statistics and a convolution whose only consumer is the BatchNormalization; others stay.
    Ensures that the convolution writes the BatchNormalization's output value, whose name stays.
    """
    removed = {}
    for norm in list(model.graph):
        if norm.op_type != "BatchNormalization" or norm.attributes.get_int("training_mode", 0):
            continue
        source = norm.inputs[0]
        conv = source.producer() if source is not None else None
        if conv is None or conv.op_type != "Conv" or len(source.uses()) != 1 or source.is_graph_output():
            continue
        weight, bias = constant_array(conv.inputs[1]), None
        if len(conv.inputs) > 2 and conv.inputs[2] is not None:
            bias = constant_array(conv.inputs[2])
            if bias is None:
                continue
        statistics = [constant_array(value) for value in norm.inputs[1:5]]
        if weight is None or any(array is None for array in statistics):
            continue
        gamma, beta, mean, variance = (np.asarray(array, np.float64) for array in statistics)
        factor = gamma / np.sqrt(variance + norm.attributes.get_float("epsilon", 1e-5))
        shift = beta - mean * factor
        folded_bias = shift if bias is None else shift + bias.astype(np.float64) * factor
        folded_weight = weight.astype(np.float64) * factor.reshape(-1, *[1] * (weight.ndim - 1))
        conv.replace_input_with(
            1, add_constant(model.graph, f"{conv.name}/folded_weight", folded_weight.astype(np.float32))
        )
        conv.resize_inputs(3)
        conv.replace_input_with(
            2, add_constant(model.graph, f"{conv.name}/folded_bias", folded_bias.astype(np.float32))
        )
        _take_over_output(model.graph, conv, norm)
        removed[str(norm.name)] = str(conv.name)
    return removed


def _take_over_output(graph: ir.Graph, conv: ir.Node, norm: ir.Node) -> None:
    """Let ``conv`` write what ``norm`` wrote, keeping that value's name and shape."""
    old, new = norm.outputs[0], conv.outputs[0]
    name, shape = old.name, old.shape
    old.replace_all_uses_with(new, replace_graph_outputs=True)
    graph.remove(norm, safe=True)
    new.name, new.shape = name, shape
