"""The QDQ patterns give the same integers in onnxruntime's integer kernels as in the NumPy reference: `==`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from ptq_core.optimize.pipeline import optimize
from tests.agreement import compare, flat_file, onnxruntime_integers, reference_integers
from tests.models import Builder, mobile_block
from tests.quantize.harness import quantized, samples

SHAPE = (3, 16, 16)


def padded_pools() -> onnx.ModelProto:
    """What padding, a negative clamp and a range away from zero could break: pads are zero points, not zeros."""
    b = Builder(3)
    x = b.conv("first", "input", 3, 6)
    low, high = b.constant("low", np.float32(-0.75)), b.constant("high", np.float32(2.5))
    x = b.node("Clip", "clip", [x, low, high])
    x = b.node("MaxPool", "pool", [x], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    x = b.node("Relu", "relu", [b.conv("depthwise", x, 6, 6, group=6)])
    pads = b.constant("pads", [0, 0, 1, 1, 0, 0, 0, 0])
    x = b.node("Pad", "pad", [x, pads])
    return b.model(b.conv("last", x, 6, 4, pads=[0, 0, 0, 0]), shape=("N", *SHAPE))


def concatenated() -> onnx.ModelProto:
    b = Builder(4)
    left = b.node("Relu", "left_relu", [b.conv("left", "input", 3, 4)])
    right = b.conv("right", left, 4, 6)
    x = b.conv("after", b.node("Concat", "concat", [left, right], axis=1), 10, 8)
    x = b.node("Transpose", "turn", [x], perm=[0, 1, 3, 2])
    return b.model(b.conv("last", x, 8, 4), shape=("N", *SHAPE))


def overhanging_averages() -> onnx.ModelProto:
    """Averages whose last windows hang over the input, and over its padding; what hangs over does not count."""
    b = Builder(5)
    x = b.conv("first", "input", 3, 6)
    whole = {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1, "count_include_pad": 1}
    x = b.conv("second", b.node("AveragePool", "pool", [x], **whole), 6, 6)
    return b.model(
        b.conv("last", b.node("AveragePool", "padded", [x], pads=[1] * 4, **whole), 6, 4), shape=("N", *SHAPE)
    )


NETWORKS: list[tuple[Callable[[], onnx.ModelProto], int]] = [
    (mobile_block, 4),
    (padded_pools, 2),
    (concatenated, 3),
    (overhanging_averages, 3),
]


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"activation_symmetric": False},
        {"activation_symmetric": False, "weight_quantize_type": "mse"},
        {"activation_bits": 6},
        {"activation_bits": 5, "activation_symmetric": False},
        {"weight_bits": 4, "activation_bits": 7},
        {"weight_bits": 1, "activation_symmetric": False},
    ],
    ids=lambda keys: ",".join(f"{k}={v}" for k, v in keys.items()) or "default",
)
@pytest.mark.parametrize(("network", "least"), NETWORKS, ids=[n.__name__ for n, _ in NETWORKS])
def test_the_same_integers(
    tmp_path: Path, network: Callable[[], onnx.ModelProto], least: int, keys: dict[str, Any], full: bool
) -> None:
    result = quantized(network(), tmp_path, algo="mse", is_full_quantize=full, **keys)
    program = flat_file(result.path, tmp_path / "int8.nb")
    for x in samples((1, *SHAPE), 3, seed=5):
        found = compare(onnxruntime_integers(result.path, 1.5 * x), reference_integers(program, 1.5 * x))
        assert found.tensors >= least
        assert found.different == {}


def test_zero_points_are_used(tmp_path: Path) -> None:
    """The control of the rows above: asymmetric scales are finer, and Relu's zero is the lowest integer."""
    symmetric, asymmetric = (
        quantized(mobile_block(), tmp_path, algo="abs_max", activation_symmetric=s).tensors
        for s in (True, False)
    )
    relu6 = asymmetric["stem/relu6/out"]
    assert relu6["zero_point"] == -128
    assert relu6["scale"] == pytest.approx(symmetric["stem/relu6/out"]["scale"] * 127 / 255, rel=1e-6)
    assert all(t["zero_point"] == 0 for t in symmetric.values())


def test_sixteen_bits_are_computed_in_float_by_opt(tmp_path: Path) -> None:
    result = quantized(mobile_block(), tmp_path, activation_bits=16)
    report = optimize(result.path, tmp_path / "int16.nb", verify=True)
    assert report.verified is not None
    assert not report.verified.judged
    assert report.int8_op_count == 0
