"""How sessions compute int8: exact sums unless a plain session is asked for, which saturates on x86 without VNNI."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from ptq_core.graph.session import Int8, open_session
from ptq_core.runtime import cpu_features
from tests.models import Builder
from tests.needs import not_here
from tests.quantize.harness import Array, Quantized, quantized, samples

SHAPE = (8, 12, 12)


def largest_products() -> onnx.ModelProto:
    """A convolution with all weights of one size: on large inputs the sum of two products does not fit 16 bits."""
    b = Builder()
    signs = np.where(np.arange(8) % 2, 1, -1).astype(np.float32).reshape(8, 1, 1, 1)
    weight = b.constant("weight", np.broadcast_to(signs, (8, 8, 3, 3)))
    first = b.node("Conv", "first", ["input", weight], pads=[1] * 4)
    return b.model(b.conv("second", first, 8, 4), shape=("N", *SHAPE))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made: Quantized = quantized(largest_products(), tmp_path_factory.mktemp("session"), algo="abs_max")
    return made.path


@pytest.fixture(scope="module")
def large() -> Array:
    pictures: Array = np.stack(samples(SHAPE, 4, seed=2))
    return np.power(np.abs(pictures), np.float32(0.1))


def run(model: Path, x: Array, int8: Int8) -> Array:
    result: Array = open_session(model, int8=int8).run(None, {"input": x})[0]
    return result


def test_sums_are_exact_by_default(model: Path, large: Array) -> None:
    (got,) = open_session(model).run(None, {"input": large})
    np.testing.assert_array_equal(got, run(model, large, "kept"))


def test_a_shared_weight_is_opened_all_the_same(tmp_path: Path) -> None:
    """onnxruntime 1.32 on x86 does not open it with session.x64quantprecision."""
    b = Builder()
    weight = b.weight("weight", 8, 8, scale=0.3)
    first = b.node("Relu", "relu", [b.node("MatMul", "first", ["input", weight])])
    proto = b.model(b.node("MatMul", "second", [first, weight]), shape=("N", 8))
    path = quantized(proto, tmp_path, algo="abs_max").path
    x = np.stack(samples((8,), 4, seed=2))
    (got,) = open_session(path).run(None, {"input": x})
    np.testing.assert_array_equal(got, run(path, x, "kept"))


@pytest.mark.needs("runtime")
def test_a_plain_session_saturates_here(model: Path, large: Array) -> None:
    features = set(cpu_features().split())
    if "avx2" not in features or features & {"avxvnni", "avx512vnni"}:
        not_here("only x86 without VNNI saturates")
    assert np.abs(run(model, large, "plain") - run(model, large, "exact")).max() > 10
