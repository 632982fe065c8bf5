"""AdaRound: round each weight up or down so that the layer's output, not the weight, comes out closest.

M. Nagel, R. A. Amjad, M. van Baalen, C. Louizos, T. Blankevoort, "Up or Down? Adaptive Rounding for Post-Training
Quantization", ICML 2020. For every layer and output channel, with x the input in the float model and x̂ that in the quantized
model whose earlier layers are rounded already (the asymmetric reconstruction of equation 25, without its activation
function):

    minimise E[(w · x − w̃ · x̂)²]    over w̃ = s · clip(u, −levels, levels), u_k ∈ {floor(w_k / s), floor(w_k / s) + 1}

**The solver is not the paper's.** The paper relaxes u to a rectified sigmoid and runs 10,000 steps of Adam on mini-batches of
samples. The objective is a quadratic form in u whose matrices are the moments of the inputs (`layer_moments.py`), so it
can be minimised over the integers themselves: coordinate descent from rounding to nearest (`rounding_solvers.py`).
On eight layers of MobileNetV1-0.75 it ended within 0.1 % of the objective of 1000 full-gradient steps of the relaxation,
mostly below it (768 × 768 weights: 0.7644 of nearest's objective in 0.5 s, against 0.7651 in 8 to 20 s);
tests/quantize/test_adaround.py keeps that comparison. There is no learning rate and no annealing.

**Shrinkage.** H is estimated from few samples; it is shrunk towards the identity, H + λ I with λ = `SHRINKAGE` times its mean
diagonal, and the same in the target, as if the inputs had that much independent noise. A channel takes the result
only where it also lowers the objective without the shrinkage, so no channel is ever worse than nearest.

With `bias_correction` the biases are corrected on the way (the later layers then see inputs with the right mean), and the
moments are taken about the mean, because the corrected bias takes every mean error away.

MobileNetV1-0.75, 100 photographs, 2 cores: 12 seconds more than without (up to 50 where others use the
cores), 840 MB peak memory of the whole process.

Layers of another type than 2-D Conv, Gemm and MatMul, and those with more than `layer_moments.LARGEST_K` weights per output
channel, keep rounding to nearest.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from ptq_core.graph.edits import constant_array
from ptq_core.numerics import qparams
from ptq_core.options.quantize import QuantizeOptions
from ptq_core.quantize.bias_correction import shifted
from ptq_core.quantize.layer_moments import Moments, layer_moments
from ptq_core.quantize.layer_walk import LayerWalk
from ptq_core.quantize.plan import QuantizationPlan, Samples
from ptq_core.quantize.rounding_solvers import coordinate_descent, losses
from ptq_core.quantize.weights import QuantizedWeights, channel_axis

FloatArray = NDArray[np.float32]

SWEEPS = 20
"""Most sweeps of the coordinate descent over a layer's weights; most layers settle within ten."""

SHRINKAGE = 0.1
"""Chosen by output SQNR on photographs that were not calibrated with: per-tensor weights 15.98 dB, 15.65 without it."""


def refine(plan: QuantizationPlan, options: QuantizeOptions, samples: Samples) -> dict[str, QuantizedWeights]:
    """Weights with adaptive rounding by node name; with `bias_correction` their biases are corrected too.

    ``samples`` are float32 of the input's shape without the batch. Deterministic. Raises InputError if there are none.
    """
    walk = LayerWalk(plan, samples)
    refined: dict[str, QuantizedWeights] = {}
    for unit in plan.weighted_units:
        weights = plan.weights[str(unit.node.name)]
        x, x_hat = walk.inputs(unit)
        centred = options.bias_correction and weights.bias is not None
        moments = layer_moments(unit.node, weights.weight.shape, x, x_hat, centred=centred)
        if moments is not None:
            weights = round_adaptively(unit.node, weights, moments)
            walk.replace(unit, weights)
        if centred:
            weights = shifted(weights, walk.mean_outputs(unit, x, x_hat))
            walk.replace(unit, weights)
        refined[str(unit.node.name)] = weights
    return refined


def round_adaptively(node: ir.Node, weights: QuantizedWeights, moments: Moments) -> QuantizedWeights:
    """``weights`` of ``node`` with the integers that minimise the layer's objective, never worse than as they stand."""
    groups, size, _ = moments.second.shape
    first_axis = channel_axis(node) == 0
    ratio, nearest = _ratios(node, weights), weights.weight.astype(np.float32)
    if not first_axis:
        ratio, nearest = ratio.T, nearest.T
    shape, limit = nearest.shape, qparams.levels(weights.bits)
    ratio, nearest = ratio.reshape(groups, -1, size), nearest.reshape(groups, -1, size)
    second, target = moments.second, ratio @ moments.cross
    shrinkage = np.float32(SHRINKAGE) * np.trace(second, axis1=1, axis2=2)[:, np.newaxis, np.newaxis] / size
    floor = np.floor(ratio)
    u = coordinate_descent(
        second + shrinkage * np.eye(size, dtype=np.float32),
        target + shrinkage * ratio,
        nearest,
        np.minimum(nearest, np.clip(floor, -limit, limit)),
        np.maximum(nearest, np.clip(floor + 1, -limit, limit)),
        SWEEPS,
    )
    better = losses(second, target, u) < losses(second, target, nearest)
    result = np.where(better[:, :, np.newaxis], u, nearest)
    matrix = result.reshape(shape) if first_axis else result.reshape(shape).T
    return replace(weights, weight=np.ascontiguousarray(matrix).astype(weights.weight.dtype))


def _ratios(node: ir.Node, weights: QuantizedWeights) -> FloatArray:
    """w / s in the model's layout."""
    weight = np.asarray(constant_array(node.inputs[1]), np.float32)
    if weights.axis is None:
        return np.asarray(weight / weights.scales.reshape(()))
    shape = [-1 if d == weights.axis else 1 for d in range(weight.ndim)]
    return np.asarray(weight / weights.scales.reshape(shape))
