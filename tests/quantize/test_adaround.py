"""AdaRound: never worse than nearest on its objective, as good as the paper's relaxation, deterministic."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from ptq_core.errors import InputError
from ptq_core.graph.session import open_session
from ptq_core.quantize import layer_moments
from ptq_core.quantize.adaround import refine
from ptq_core.quantize.layer_walk import LayerWalk
from ptq_core.quantize.rounding_solvers import coordinate_descent, losses
from tests.models import Builder
from tests.quantize.refinement_plans import Array, config, loaded, output_error, plan_for, samples

KEYS = config(weight_bits=4)


def network(folder: Path) -> ir.Model:
    """Convolutions with groups, strides, dilations and uneven padding, and a Gemm of each orientation."""
    b = Builder()
    x = b.node("Relu", "one/relu", [b.conv("one", "input", 3, 8, strides=[2, 2], pads=[0, 0, 1, 1])])
    x = b.relu6("two/relu6", b.conv("two", x, 8, 8, group=8))
    x = b.node("Relu", "three/relu", [b.conv("three", x, 8, 12, group=2, dilations=[2, 2], pads=[2] * 4)])
    x = b.node("Flatten", "flatten", [b.node("GlobalAveragePool", "mean", [x])])
    x = b.node("Gemm", "four", [x, b.weight("four/weight", 12, 10), b.weight("four/bias", 10)])
    x = b.node("Gemm", "five", [x, b.weight("five/weight", 6, 10), b.weight("five/bias", 6)], transB=1)
    return loaded(b.model(x), folder)


def soft_rounding(second: Array, target: Array, ratio: Array, iterations: int = 1000) -> Array:
    """The paper's solver for one group (equations 21-25): a rectified sigmoid of V, Adam, beta annealed from 20 to 2."""
    gamma, zeta, rate, weight = -0.1, 1.1, 0.01, 0.1
    floor = np.floor(ratio)
    rest = np.clip(ratio - floor, 0.01, 0.99)
    unit = np.trace(second) / len(second)
    second, target = second / unit, target / unit
    v = np.log((rest - gamma) / (zeta - rest))
    m, s = np.zeros_like(v), np.zeros_like(v)
    for step in range(1, iterations + 1):
        sigmoid = 1 / (1 + np.exp(-v))
        stretched = sigmoid * (zeta - gamma) + gamma
        h = np.clip(stretched, 0, 1)
        gradient = 2 * ((floor + h) @ second - target)
        if step > 0.2 * iterations:
            beta = 2 + 9 * (1 + np.cos(np.pi * (step / iterations - 0.2) / 0.8))
            gradient -= 2 * weight * beta * np.sign(2 * h - 1) * np.abs(2 * h - 1) ** (beta - 1)
        gradient *= ((stretched > 0) & (stretched < 1)) * sigmoid * (1 - sigmoid) * (zeta - gamma)
        m += 0.1 * (gradient - m)
        s += 0.001 * (gradient**2 - s)
        v -= rate * np.sqrt(1 - 0.999**step) / (1 - 0.9**step) * m / (np.sqrt(s) + 1e-8)
    result: Array = (floor + (h >= 0.5)).astype(np.float32)
    return result


def problem(seed: int, rows: int = 6, size: int = 24) -> tuple[Array, Array, Array]:
    """H, t and w / s of a layer whose inputs depend on each other."""
    random = np.random.default_rng(seed)
    inputs = random.standard_normal((200, 6)) @ random.standard_normal((6, size))
    inputs += 0.3 * random.standard_normal(inputs.shape) + 0.5
    second = (inputs.T @ inputs / len(inputs)).astype(np.float32)
    ratio = random.uniform(-7, 7, (rows, size)).astype(np.float32)
    return second, ratio @ second, ratio


def test_the_solver_reaches_what_the_paper_s_relaxation_reaches() -> None:
    sums = np.zeros(3)
    for seed in range(5):
        second, target, ratio = problem(seed)
        constant = np.einsum("rk,rk->r", target, ratio)
        found = coordinate_descent(
            second[None],
            target[None],
            np.rint(ratio)[None],
            np.floor(ratio)[None],
            np.floor(ratio)[None] + 1,
            20,
        )[0]
        for index, u in enumerate((np.rint(ratio), soft_rounding(second, target, ratio), found)):
            sums[index] += (losses(second[None], target[None], u[None])[0] + constant).sum()
    nearest, relaxed, ours = sums
    assert ours < 0.4 * nearest
    assert ours < 1.1 * relaxed


def test_the_solver_finds_the_best_of_all_where_they_can_be_tried() -> None:
    """Coordinate descent may end in a local minimum; over small problems it stays near the best of 2^8."""
    best_sum = ours_sum = 0.0
    choices = (np.arange(256)[:, None] >> np.arange(8)) & 1
    for seed in range(20):
        second, target, ratio = problem(seed, rows=1, size=8)
        floor, constant = np.floor(ratio), float((target * ratio).sum())
        every = losses(second[None], target[None], (floor + choices).astype(np.float32)[None])[0]
        found = coordinate_descent(
            second[None], target[None], np.rint(ratio)[None], floor[None], floor[None] + 1, 20
        )
        best_sum += every.min() + constant
        ours_sum += float(losses(second[None], target[None], found)[0, 0]) + constant
    assert best_sum * (1 - 1e-4) <= ours_sum <= 1.5 * best_sum


@pytest.mark.parametrize("bias_correction", [False, True])
def test_no_layer_gets_worse_than_nearest(tmp_path: Path, bias_correction: bool) -> None:
    """The error of every channel of every layer on its real inputs, all positions sampled."""
    inputs, keys = samples(), config(weight_bits=4, bias_correction=bias_correction)
    plan = plan_for(network(tmp_path), keys, inputs)
    refined = refine(plan, keys, inputs)
    assert set(refined) == {"one", "two", "three", "four", "five"}
    walk, better = LayerWalk(plan, inputs), 0
    for unit in plan.weighted_units:
        name = str(unit.node.name)
        x, x_hat = (np.concatenate(each) for each in walk.inputs(unit))
        want = layer_output(unit.node, x, None)
        errors = []
        for weights in (plan.weights[name], refined[name]):
            error = layer_output(unit.node, x_hat, weights.dequantized()) - want
            error = np.moveaxis(error, 1, 0).reshape(error.shape[1], -1)
            if bias_correction:
                error = error - error.mean(axis=1, keepdims=True)
            errors.append((error**2).mean(axis=1))
        assert (errors[1] <= errors[0] * (1 + 1e-4) + 1e-7).all()
        better += int((errors[1] < 0.9 * errors[0]).sum())
        walk.replace(unit, refined[name])
        step = np.abs(refined[name].weight.astype(int) - plan.weights[name].weight)
        assert step.max() <= 1
        assert np.abs(refined[name].weight).max() <= 7
    assert better > 10


def layer_output(node: ir.Node, x: Array, weight: Array | None) -> Array:
    """The output of ``node`` without its bias, by onnxruntime."""
    proto = ir.to_proto(node)
    del proto.input[2:]
    if weight is None:
        assert node.inputs[1] is not None
        assert node.inputs[1].const_value is not None
        weight = node.inputs[1].const_value.numpy()
    graph = onnx.helper.make_graph(
        [proto], "layer",
        [onnx.helper.make_tensor_value_info(proto.input[0], onnx.TensorProto.FLOAT, None)],
        [onnx.helper.make_tensor_value_info(proto.output[0], onnx.TensorProto.FLOAT, None)],
        [onnx.numpy_helper.from_array(weight, proto.input[1])],
    )  # fmt: skip
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    result: Array = open_session(model.SerializeToString()).run(None, {proto.input[0]: x})[0]
    return result


def test_the_network_gets_better_on_other_samples(tmp_path: Path) -> None:
    keys, inputs, others = config(weight_bits=4, bias_correction=True), samples(24), samples(8, seed=99)
    plan = plan_for(network(tmp_path), keys, inputs)
    refined = plan.with_weights(refine(plan, keys, inputs))
    before, after = (float((output_error(p, others) ** 2).mean()) for p in (plan, refined))
    assert after < 0.5 * before


def test_the_same_input_gives_the_same_weights(tmp_path: Path) -> None:
    inputs = samples()
    plan = plan_for(network(tmp_path), KEYS, inputs)
    first, second = (refine(plan, KEYS, inputs) for _ in range(2))
    for name, weights in first.items():
        np.testing.assert_array_equal(weights.weight, second[name].weight)
        np.testing.assert_array_equal(weights.bias, plan.weights[name].bias)


def test_layers_that_are_too_large_stay(tmp_path: Path, monkeypatch: Any) -> None:
    inputs = samples(4)
    plan = plan_for(network(tmp_path), KEYS, inputs)
    monkeypatch.setattr(layer_moments, "LARGEST_K", 10)
    refined = refine(plan, KEYS, inputs)
    np.testing.assert_array_equal(refined["one"].weight, plan.weights["one"].weight)
    assert (refined["two"].weight != plan.weights["two"].weight).any()


def test_no_samples(tmp_path: Path) -> None:
    plan = plan_for(network(tmp_path), KEYS, samples(2))
    with pytest.raises(InputError, match="no samples"):
        refine(plan, KEYS, [])
