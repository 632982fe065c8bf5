"""BatchNormalization after a convolution or a Gemm becomes part of its weights and bias (exact in real arithmetic)."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from ptq_core.graph.edits import add_constant, constant_array, drop_unread, per_channel, take_over_output
from ptq_core.memory import forget_pages

Array = NDArray[Any]


def fold_batch_norm(model: ir.Model) -> dict[str, str]:
    """y = γ·(Wx + b − μ)/√(σ² + ε) + β  becomes  W' = W·γ/√(σ²+ε), b' = (b − μ)·γ/√(σ²+ε) + β, in float64, once.

    Requires constant weights and statistics and an operator whose only consumer is the BatchNormalization; others stay.
    Ensures that the operator writes the BatchNormalization's output value, whose name stays.
    """
    removed = {}
    for norm in list(model.graph):
        layer = _foldable_layer(norm)
        if layer is None:
            continue
        weight, *rest = (constant_array(value) for value in layer.inputs[1:3])
        statistics = [constant_array(value) for value in norm.inputs[1:5]]
        if weight is None or any(array is None for array in (*rest, *statistics)):
            continue
        gamma, beta, mean, variance = (np.asarray(array, np.float64) for array in statistics)
        factor = gamma / np.sqrt(variance + norm.attributes.get_float("epsilon", 1e-5))
        scaled = _scaled(layer, weight, factor)
        bias = per_channel(np.asarray(rest[0], np.float64), factor.size) if rest else np.zeros(factor.size)
        if scaled is None or bias is None:
            continue
        before = layer.inputs[1:3]
        layer.resize_inputs(3)
        for index, (kind, array) in enumerate(
            (("weight", scaled), ("bias", (bias - mean) * factor + beta)), start=1
        ):
            constant = add_constant(model.graph, f"{layer.name}/folded_{kind}", array.astype(weight.dtype))
            layer.replace_input_with(index, constant)
        drop_unread(model.graph, before)
        forget_pages(weight)
        take_over_output(model.graph, layer, norm)
        removed[str(norm.name)] = str(layer.name)
    return removed


def _scaled(layer: ir.Node, weight: Array, factor: Array) -> Array | None:
    """``weight`` in float64, each output channel times its ``factor``; None where there are not as many channels.

    Conv [O, I/groups, …]; ConvTranspose [I, O/groups, …], inputs and outputs by groups; Gemm [I, O], with transB [O, I].
    """
    wide = weight.astype(np.float64)
    if layer.op_type == "ConvTranspose":
        groups = layer.attributes.get_int("group", 1)
        if wide.shape[1] * groups != factor.size:
            return None
        grouped = wide.reshape(groups, -1, *wide.shape[1:])
        return (grouped * factor.reshape(groups, 1, -1, *[1] * (wide.ndim - 2))).reshape(wide.shape)
    last = layer.op_type == "Gemm" and layer.attributes.get_int("transB", 0) == 0
    if wide.shape[-1 if last else 0] != factor.size:
        return None
    return wide * factor if last else wide * factor.reshape(-1, *[1] * (wide.ndim - 1))


def _foldable_layer(norm: ir.Node) -> ir.Node | None:
    """The operator whose output only the inference-mode BatchNormalization ``norm`` reads, or None."""
    if norm.op_type != "BatchNormalization" or norm.attributes.get_int("training_mode", 0) != 0:
        return None
    source = norm.inputs[0]
    layer = source.producer() if source is not None else None
    if source is None or layer is None or layer.op_type not in ("Conv", "ConvTranspose", "Gemm"):
        return None
    if (
        len(source.uses()) != 1
        or source.is_graph_output()
        or (len(layer.inputs) > 2 and layer.inputs[2] is None)
        or layer.attributes.get_float("beta", 1.0) != 1.0
    ):
        return None
    return layer
