"""What a node rounds on its way that the operators it is lowered to do not show: normalizations, by onnxruntime's formulas."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import numpy as np
import onnx

from ptq_core.flatfile.operators.roundoff import SLACK, UNITS
from ptq_core.flatfile.tensors import Array, DType

UNIT = UNITS[DType.F32]

Inputs = Sequence[Array | None]


def node_rounding(node: onnx.NodeProto, inputs: Inputs, y: Array) -> Array:
    """How far onnxruntime's ``y`` may be from the exact result of ``node``, of RULES, beside what its operators show.

    ``inputs`` are aligned with those of the node. In the model's layout, float64.
    """
    rule = RULES[node.op_type]
    wide = [None if x is None else x.astype(np.float64) for x in inputs]
    with np.errstate(all="ignore"):
        return rule(node, wide, y.astype(np.float64))


def _batch_normalization(node: onnx.NodeProto, inputs: Inputs, y: Array) -> Array:
    """x · s + (β − μ · s) with s = γ / √(σ² + ε): the bracket is rounded relative to its terms, which may cancel."""
    x, *channels = (cast(Array, values) for values in inputs[:5])
    shape = (1, -1, *[1] * (x.ndim - 2))
    gamma, beta, mean, variance = (values.reshape(shape) for values in channels)
    scale = np.abs(gamma) / np.sqrt(variance + _attribute(node, "epsilon", 1e-5))
    return np.asarray(SLACK * UNIT * (scale * (np.abs(x) + np.abs(mean)) + np.abs(beta)))


def _sum(node: onnx.NodeProto, inputs: Inputs, y: Array) -> Array:
    """A sum whose terms cancel is rounded relative to them, also where the lowered operators have one of them folded away."""
    return np.asarray(SLACK * UNIT * sum(np.abs(x) for x in inputs if x is not None))


def _instance_normalization(node: onnx.NodeProto, inputs: Inputs, y: Array) -> Array:
    x = cast(Array, inputs[0])
    return _normalized(node, inputs, y, tuple(range(2, x.ndim)), (1, -1, *[1] * (x.ndim - 2)))


def _layer_normalization(node: onnx.NodeProto, inputs: Inputs, y: Array) -> Array:
    x = cast(Array, inputs[0])
    first = int(_attribute(node, "axis", -1)) % x.ndim
    return _normalized(node, inputs, y, tuple(range(first, x.ndim)), None)


def _mean_variance_normalization(node: onnx.NodeProto, inputs: Inputs, y: Array) -> Array:
    x = cast(Array, inputs[0])
    named = next((a.ints for a in node.attribute if a.name == "axes"), (0, 2, 3))
    axes = tuple(axis % x.ndim for axis in named)
    return _normalized(node, (x, np.ones(()), np.zeros(())), y, axes, None, epsilon=1e-18)


def _normalized(
    node: onnx.NodeProto,
    inputs: Inputs,
    y: Array,
    axes: tuple[int, ...],
    shape: tuple[int, ...] | None,
    epsilon: float | None = None,
) -> Array:
    """As above, with the variance as mean(x²) − mean(x)²: its terms may cancel too."""
    x, gamma = (cast(Array, values) for values in inputs[:2])
    beta = inputs[2] if len(inputs) > 2 else None
    beta = np.zeros_like(gamma) if beta is None else beta
    if shape is not None:
        gamma, beta = gamma.reshape(shape), beta.reshape(shape)
    count = int(np.prod([x.shape[i] for i in axes]))
    mean = x.mean(axes, keepdims=True)
    epsilon = _attribute(node, "epsilon", 1e-5) if epsilon is None else epsilon
    variance = x.var(axes, keepdims=True) + epsilon
    scale = np.abs(gamma) / np.sqrt(variance)
    magnitude = np.abs(x).mean(axes, keepdims=True)  # of the mean's terms
    squares = (count + SLACK) * UNIT * (x * x).mean(axes, keepdims=True) / variance
    places = scale * (SLACK * np.abs(x) + (count + SLACK) * magnitude) + SLACK * np.abs(beta)
    return np.asarray(UNIT * places + squares * (np.abs(y - beta) + scale * np.abs(mean)))


def _local_response(node: onnx.NodeProto, inputs: Inputs, y: Array) -> Array:
    """x · s^−β with s = bias + α / size · Σ x²: s is made of that of the channel before, so its roundings add up."""
    x = cast(Array, inputs[0])
    size, beta = int(_attribute(node, "size", 1)), _attribute(node, "beta", 0.75)
    before = (size - 1) // 2
    pads = [(0, 0), (before, size - 1 - before), *[(0, 0)] * (x.ndim - 2)]
    squares = np.pad(x * x, pads)
    window = sum(squares[:, i : i + x.shape[1]] for i in range(size))
    s = _attribute(node, "bias", 1.0) + _attribute(node, "alpha", 1e-4) / size * window
    rounded = SLACK * UNIT * np.cumsum(np.abs(s), axis=1) / np.abs(s)
    return np.asarray(np.abs(y) * (abs(beta) * rounded + SLACK * UNIT))


def _resize(node: onnx.NodeProto, inputs: Inputs, y: Array) -> Array:
    """With antialias onnxruntime rounds the distances of taps at other places than `lowering/resampling.py`.

    A distance is off by the roundoff of the places, a weight by as much times the slope of the kernel (below 2).
    """
    if not _attribute(node, "antialias", 0):
        return np.zeros(())
    x = cast(Array, inputs[0])
    return np.asarray(2 * SLACK * UNIT * max(*x.shape, *y.shape) * np.abs(x).max())


def _integer_softmax(node: onnx.NodeProto, inputs: Inputs, y: Array) -> Array:
    """onnxruntime has a softmax of its own there, on tables of integers: a step from that of floats (docs/numerics.md)."""
    return np.ones(())


def _attribute(node: onnx.NodeProto, name: str, default: float) -> float:
    found = next((a for a in node.attribute if a.name == name), None)
    return default if found is None else float(onnx.helper.get_attribute_value(found))


def dynamic_step(x: Array) -> float:
    """How far an element of ``x`` may be moved where a model quantizes it to 255 steps of its own range: one step.

    Half of it by rounding, half at the ends, as the zero point is rounded too.
    """
    return (float(np.maximum(x.max(initial=0), 0)) - float(np.minimum(x.min(initial=0), 0))) / 255


DYNAMIC = frozenset({"DynamicQuantizeLinear", "DynamicQuantizeMatMul"})
"""Nodes that quantize their first input on the way; the program does not (graph/dialects/dynamic.py)."""

RULES: dict[str, Callable[[onnx.NodeProto, Inputs, Array], Array]] = {
    "Add": _sum,
    "Sub": _sum,
    "BatchNormalization": _batch_normalization,
    "InstanceNormalization": _instance_normalization,
    "LRN": _local_response,
    "LayerNormalization": _layer_normalization,
    "MeanVarianceNormalization": _mean_variance_normalization,
    "QLinearSoftmax": _integer_softmax,
    "Resize": _resize,
}
"""Op type → (node, its inputs, its output) → bound."""

SUMS = frozenset({"Add", "Sub"})
"""Of these, only what is folded into a bias is not shown by an operator."""

ELEMENTWISE = frozenset({"BatchNormalization"})
"""Of these, a part of the output needs only that part of the first input."""
