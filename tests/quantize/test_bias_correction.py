"""Bias correction: it removes the mean error of every channel, layer after layer, and nothing else."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from ptq_core.errors import InputError
from ptq_core.quantize import layer_walk
from ptq_core.quantize.bias_correction import refine
from ptq_core.quantize.layer_walk import LayerWalk
from ptq_core.quantize.plan import QuantizationPlan
from tests.models import Builder
from tests.quantize.refinement_plans import config, loaded, output_error, plan_for, samples

KEYS = config()


def chain(folder: Path, *, bias: bool = True) -> ir.Model:
    b = Builder()
    x = b.node("Relu", "one/relu", [b.conv("one", "input", 3, 8, bias=bias)])
    x = b.relu6("two/relu6", b.conv("two", x, 8, 8, bias=bias, group=8))
    return loaded(b.model(b.conv("three", x, 8, 4, k=1, bias=bias)), folder)


def with_wrong_bias(plan: QuantizationPlan, name: str, error: float) -> QuantizationPlan:
    """The plan with ``error``, in units of the output, added to all biases of node ``name``."""
    weights = plan.weights[name]
    assert weights.bias is not None
    assert weights.bias_scales is not None
    bias = (weights.bias + np.rint(error / weights.bias_scales)).astype(np.int32)
    return plan.with_weights({name: replace(weights, bias=bias)})


@pytest.mark.parametrize("name", ["one", "two", "three"])
def test_a_known_error_goes_away(tmp_path: Path, name: str) -> None:
    inputs = samples()
    plan = plan_for(chain(tmp_path), KEYS, inputs)
    broken = with_wrong_bias(plan, name, 0.7)
    mean = np.abs(output_error(broken, inputs).mean(axis=(0, 2, 3))).max()
    corrected = broken.with_weights(refine(broken, KEYS, inputs))
    after = np.abs(output_error(corrected, inputs).mean(axis=(0, 2, 3))).max()
    assert mean > 0.05
    assert after < 1e-3
    unbroken = plan.with_weights(refine(plan, KEYS, inputs))
    got, wanted = corrected.weights[name].bias, unbroken.weights[name].bias
    assert got is not None
    assert wanted is not None
    np.testing.assert_allclose(got, wanted, atol=1)


def test_the_mean_error_of_coarse_weights_goes_away(tmp_path: Path) -> None:
    inputs, keys = samples(), config(weight_bits=4)
    plan = plan_for(chain(tmp_path), keys, inputs)
    corrected = plan.with_weights(refine(plan, keys, inputs))
    before, after = (output_error(p, inputs) for p in (plan, corrected))
    steps = corrected.weights["three"].bias_scales  # the last bias is rounded to whole steps
    assert steps is not None
    assert (np.abs(after.mean(axis=(0, 2, 3))) <= 0.51 * steps + 1e-4).all()
    assert np.abs(before.mean(axis=(0, 2, 3))).max() > 20 * np.abs(after.mean(axis=(0, 2, 3))).max()
    assert (after**2).mean() < (before**2).mean()


def test_only_biases_change(tmp_path: Path) -> None:
    inputs = samples()
    plan = plan_for(chain(tmp_path), KEYS, inputs)
    before = {name: weights.weight.copy() for name, weights in plan.weights.items()}
    refined = refine(plan, KEYS, inputs)
    assert list(refined) == ["one", "two", "three"]
    for name, weights in refined.items():
        np.testing.assert_array_equal(weights.weight, before[name])
        assert weights.bias is not None
        assert weights.bias.dtype == np.int32
    again = refine(plan, KEYS, inputs)
    for name, weights in refined.items():
        np.testing.assert_array_equal(weights.bias, again[name].bias)


def test_layers_without_a_bias_stay(tmp_path: Path) -> None:
    inputs = samples(4)
    assert refine(plan_for(chain(tmp_path, bias=False), KEYS, inputs), KEYS, inputs) == {}


def test_no_samples(tmp_path: Path) -> None:
    plan = plan_for(chain(tmp_path), KEYS, samples(2))
    with pytest.raises(InputError, match="no samples"):
        refine(plan, KEYS, [])


def walk_on(
    folder: Path, count: int, most: int, size: int, patch: pytest.MonkeyPatch
) -> tuple[LayerWalk, int]:
    """A walk on ``count`` samples, with as many bytes allowed as ``most`` micro-batches of ``size`` need; peak bytes."""
    b = Builder()
    x = b.conv("two", b.conv("one", "input", 3, 3), 3, 4)
    model = loaded(b.model(x, shape=("N" if size == 1 else size, 3, 16, 16)), folder)
    plan = plan_for(model, KEYS, samples(4))
    sample = 3 * 16 * 16 * 4
    # Two models; the input and the output of `one`, of the same size, are the most that is alive in each.
    patch.setattr(layer_walk, "MEMORY_BYTES", most * size * 2 * 2 * sample)
    given = (np.full((3, 16, 16), index, np.float32) for index in range(count))
    tracemalloc.start()
    try:
        return LayerWalk(plan, given), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("count", [1, 5, 6, 40, 100])
@pytest.mark.parametrize("most", [1, 3, 5])
@pytest.mark.parametrize("size", [1, 2])
def test_every_second_fourth_sample_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, most: int, size: int
) -> None:
    walk, _ = walk_on(tmp_path, count, most, size, monkeypatch)
    x, x_hat = walk.inputs(walk.plan.weighted_units[0])
    batches = -(-count // size)
    stride = next(2**k for k in range(10) if -(-batches // 2**k) <= most)
    assert [int(array[0, 0, 0, 0]) // size for array in x] == list(range(0, batches, stride))
    assert [array.shape for array in x] == [array.shape for array in x_hat] == [(size, 3, 16, 16)] * len(x)


def test_memory_does_not_grow_with_the_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While they are read, too: 1000 more samples are 3 MB."""
    peaks = []
    for count in (20, 20, 1020):  # the first also counts what is allocated once per process
        _, peak = walk_on(tmp_path, count, 10, 1, monkeypatch)
        peaks.append(peak)
    assert peaks[2] - peaks[1] < 300_000
