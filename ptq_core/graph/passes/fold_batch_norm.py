"""BatchNormalization after a convolution becomes part of its weights and bias (exact in real arithmetic)."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ptq_core.graph.edits import add_constant, constant_array, take_over_output


def fold_batch_norm(model: ir.Model) -> dict[str, str]:
    """y = γ·(Wx + b − μ)/√(σ² + ε) + β  becomes  W' = W·γ/√(σ²+ε), b' = (b − μ)·γ/√(σ²+ε) + β, in float64, once.

    Requires constant weights and statistics and a convolution whose only consumer is the BatchNormalization; others stay.
    Ensures that the convolution writes the BatchNormalization's output value, whose name stays.
    """
    removed = {}
    for norm in list(model.graph):
        conv = _foldable_conv(norm)
        if conv is None:
            continue
        weight, *rest = (constant_array(value) for value in conv.inputs[1:3])
        statistics = [constant_array(value) for value in norm.inputs[1:5]]
        if weight is None or any(array is None for array in (*rest, *statistics)):
            continue
        bias = rest[0] if rest else np.zeros(weight.shape[0])
        gamma, beta, mean, variance = (np.asarray(array, np.float64) for array in statistics)
        factor = gamma / np.sqrt(variance + norm.attributes.get_float("epsilon", 1e-5))
        folded = {
            "weight": weight.astype(np.float64) * factor.reshape(-1, *[1] * (weight.ndim - 1)),
            "bias": (np.asarray(bias, np.float64) - mean) * factor + beta,
        }
        conv.resize_inputs(3)
        for index, (kind, array) in enumerate(folded.items(), start=1):
            constant = add_constant(model.graph, f"{conv.name}/folded_{kind}", array.astype(np.float32))
            conv.replace_input_with(index, constant)
        take_over_output(model.graph, conv, norm)
        removed[str(norm.name)] = str(conv.name)
    return removed


def _foldable_conv(norm: ir.Node) -> ir.Node | None:
    """The Conv whose output only the inference-mode BatchNormalization ``norm`` reads, or None."""
    if norm.op_type != "BatchNormalization" or norm.attributes.get_int("training_mode", 0) != 0:
        return None
    source = norm.inputs[0]
    conv = source.producer() if source is not None else None
    if source is None or conv is None or conv.op_type != "Conv":
        return None
    if (
        len(source.uses()) != 1
        or source.is_graph_output()
        or (len(conv.inputs) > 2 and conv.inputs[2] is None)
    ):
        return None
    return conv
