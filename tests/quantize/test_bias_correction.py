"""Bias correction: it removes the mean error of every channel, layer after layer, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from ptq_core.errors import InputError
from ptq_core.quantize.bias_correction import refine
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
    np.testing.assert_allclose(
        corrected.weights[name].bias, plan.with_weights(refine(plan, KEYS, inputs)).weights[name].bias, atol=1
    )


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
