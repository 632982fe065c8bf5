"""The figures that need no model to run: MACs, what a range does to a distribution, bins, noise of outputs, words."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from ptq_core.analyze.histograms import DRAWN, binned
from ptq_core.analyze.macs import macs, shape_values
from ptq_core.analyze.outputs import OutputNoise, count
from ptq_core.analyze.ranges import range_error
from ptq_core.analyze.rounding import rounded
from ptq_core.analyze.words import decibels, limit, operators, share
from ptq_core.calibration.statistics import Scratch, TensorStatistics
from ptq_core.graph import io
from ptq_core.numerics import qparams
from ptq_core.numerics.metrics import Noise, sqnr_db
from ptq_core.quantize.activations import ActivationParams
from tests.models import Builder, save


def params(low: float, high: float, bits: int = 8, *, symmetric: bool = True) -> ActivationParams:
    scale, zero_point = qparams.affine_params(low, high, bits, symmetric=symmetric)
    return ActivationParams(
        low, high, scale, zero_point, bits, *qparams.integer_range(bits, symmetric=symmetric)
    )


def statistics_of(values: np.ndarray) -> TensorStatistics:
    found = TensorStatistics("x")
    found.update(values.astype(np.float32), Scratch())
    return found


@pytest.mark.parametrize(
    ("param", "clipped"),
    [
        (params(-1, 1), 0.3173),
        (params(-4, 4), 6.3e-5),
        (params(-3, 1.5, symmetric=False), 0.0682),
        (params(-2, 2, 4), 0.0237),
    ],
    ids=["tight", "wide", "asymmetric", "4 bits"],
)
def test_what_a_range_does(param: ActivationParams, clipped: float) -> None:
    values = np.random.default_rng(0).standard_normal((4, 50_000)).astype(np.float32)
    error = range_error(statistics_of(values), param)
    assert error is not None
    assert error.clipped_share == pytest.approx(clipped, rel=0.2)
    assert error.total_db == pytest.approx(sqnr_db(values, rounded(values, param)), abs=0.1)
    assert error.rounding_db >= error.total_db


def test_a_tensor_of_zeros_has_no_error() -> None:
    assert range_error(statistics_of(np.zeros((2, 5))), params(0, 0)) is None


@pytest.mark.parametrize(
    "values", [np.zeros((1, 4)), np.array([[3.0]]), np.linspace(-2, 9, 1000)[np.newaxis]]
)
def test_bins_hold_all_values(values: np.ndarray) -> None:
    start, width, counts = binned(statistics_of(values))
    assert sum(counts) == values.size
    assert len(counts) <= DRAWN
    assert start <= values.min()
    assert start + width * len(counts) >= values.max()


def test_macs(tmp_path: Path) -> None:
    b = Builder()
    x = b.conv("conv", "input", 4, 6)
    x = b.conv("depthwise", x, 6, 6, group=6)
    x = b.node("ConvTranspose", "up", [x, b.weight("up/weight", 6, 2, 2, 2)], strides=[2, 2])
    x = b.node("Flatten", "flatten", [b.node("Relu", "relu", [x])])
    x = b.node("Gemm", "gemm", [x, b.weight("gemm/weight", 10, 2 * 16 * 16)], transB=1)
    x = b.node("MatMul", "matmul", [x, b.weight("matmul/weight", 10, 3)])
    model = io.load_model(save(b.model(x, shape=("N", 4, 8, 8)), tmp_path))
    assert {str(node.name): macs(node, {}) for node in model.graph} == {
        "conv": 64 * 6 * 4 * 9,
        "depthwise": 64 * 6 * 9,
        "up": 64 * 6 * 2 * 4,
        "relu": 0,
        "flatten": 0,
        "gemm": 10 * 512,
        "matmul": 10 * 3,
    }


def test_macs_of_a_shape_that_only_a_run_tells(tmp_path: Path) -> None:
    b = Builder()
    proto = b.model(b.conv("conv", "input", 3, 4), shape=(1, 3, "H", "W"))
    (node,) = io.load_model(save(proto, tmp_path)).graph
    assert macs(node, {}) is None
    assert macs(node, {"conv/out": (1, 4, 5, 6)}) == 4 * 5 * 6 * 27


def test_macs_of_windows_of_an_open_batch(tmp_path: Path) -> None:
    """Reshape(-1, …) makes many of one picture: their number is no batch."""
    b = Builder()
    x = b.node("Transpose", "rows", [b.conv("conv", "input", 3, 8)], perm=[0, 2, 3, 1])
    x = b.node("Reshape", "windows", [x, b.constant("sizes", np.array([-1, 16, 8]))])
    x = b.node("MatMul", "linear", [x, b.weight("linear/weight", 8, 32)])
    model = io.load_model(save(b.model(x, shape=("N", 3, 16, 16)), tmp_path))
    conv, *_, linear = model.graph
    assert macs(conv, {}) == 16 * 16 * 8 * 27
    assert macs(linear, {}) is None
    read, written = (str(value.name) for value in shape_values(linear))
    assert macs(linear, {read: (16, 16, 8), written: (16, 16, 32)}) == 16 * 16 * 8 * 32


A, B = np.array([[1.0, 2.0]]), np.array([[1.0, 2.1]])


@pytest.mark.parametrize(
    ("wanted", "got", "worst"),
    [
        (A, A, math.inf),
        (A, B, sqnr_db(A, B)),
        (np.zeros(2), np.ones(2), None),
        (A, A[:, :1], 0.0),
        (np.concatenate([A, A]), A, 0.0),
        (np.array([1, 2, 3, 4]), np.array([1, 2, 3, 5]), -10 * math.log10(1 / 4)),
        (np.array([True, False]), np.array([True, False]), math.inf),
        (A, np.array([[np.nan, 2.0]]), -math.inf),
    ],
)
def test_noise_of_an_output(wanted: np.ndarray, got: np.ndarray, worst: float | None) -> None:
    noise = OutputNoise(["y"])
    noise.add({"y": wanted}, {"y": got})
    assert noise.worst_db == (None if worst is None else pytest.approx(worst))


def test_boxes_that_fp32_has_not_are_all_noise() -> None:
    noise = Noise()
    count(noise, A[:0], A)
    assert noise.ratio == math.inf


def test_the_worst_output_counts() -> None:
    noise = OutputNoise(["good", "bad", "empty"])
    noise.add({"good": A, "bad": A, "empty": 0 * A}, {"good": B, "bad": 3 * B, "empty": B})
    assert noise.worst_db == pytest.approx(sqnr_db(A, 3 * B))
    assert noise.worst_ratio == noise.by_output["bad"].ratio


def test_whole_numbers_count_only_by_themselves() -> None:
    noise = OutputNoise(["scores", "places"])
    noise.add({"scores": A, "places": np.array([0, 1])}, {"scores": B, "places": np.array([1, 0])})
    assert noise.worst_db == pytest.approx(sqnr_db(A, B))


def test_words() -> None:
    assert [decibels(x) for x in (12.34, math.inf, -math.inf, None)] == ["12.3 dB", "exact", "lost", "–"]
    assert [share(x) for x in (0.0443, 0.0, 0.0000123, None)] == ["4.4 %", "0.0 %", "0.0012 %", "–"]
    assert [limit(0.01), operators(1), operators(2)] == ["1 %", "1 operator", "2 operators"]
