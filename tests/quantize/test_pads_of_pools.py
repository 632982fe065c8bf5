"""A Pad with a very low value in front of a MaxPool: it costs no accuracy, and what is written runs everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from ptq_core.flatfile.operators.pad import PAD
from ptq_core.flatfile.tensors import DType
from ptq_core.graph.io import load_model
from ptq_core.graph.session import open_session
from ptq_core.optimize.pipeline import lower_to_program
from tests.models import Builder
from tests.quantize.harness import Quantized, quantized

SHAPE = (1, 3, 12, 12)
LOWEST = float(np.finfo(np.float32).min)


def padded_pool(value: float, pads: list[int], relu: bool = False, also: str = "") -> onnx.ModelProto:
    b = Builder()
    x = b.conv("first", "input", 3, 8)
    x = b.node("Relu", "relu", [x]) if relu else x
    padded = b.node("Pad", "pad", [x, b.constant("pads", pads), b.constant("value", np.float32(value))])
    y = b.node("MaxPool", "pool", [padded], kernel_shape=[3, 3], strides=[2, 2])
    if also:
        y = b.node("Add", "add", [y, b.node(also, "also", [padded], kernel_shape=[3, 3], strides=[2, 2])])
    return b.model(b.conv("last", y, 8, 4), shape=SHAPE)


def sqnr_db(result: Quantized) -> float:
    random = np.random.default_rng(7)
    x = random.uniform(-1, 1, SHAPE).astype(np.float32)
    wanted, got = (
        open_session(m.SerializeToString(), optimized=False).run(None, {"input": x})[0]
        for m in (result.float_model, result.model)
    )
    return float(10 * np.log10((wanted**2).sum() / ((wanted - got) ** 2).sum()))


def pad_of(model: onnx.ModelProto) -> float:
    (pad,) = (node for node in model.graph.node if node.op_type == "Pad")
    constants = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    return float(constants[pad.input[2]])


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("pads", [[0, 0, 1, 1, 0, 0, 1, 1], [0, 0, 0, 0, 0, 0, 1, 1]])
@pytest.mark.parametrize("value", [-np.inf, LOWEST, -1e30, -1000.0])
def test_the_lowest_integer_stands_for_it(
    tmp_path: Path, value: float, pads: list[int], relu: bool, symmetric: bool
) -> None:
    result = quantized(
        padded_pool(value, pads, relu),
        tmp_path,
        is_full_quantize=True,
        algo="abs_max",
        activation_symmetric=symmetric,
    )
    assert result.status["pad"] == result.status["pool"] == "quantized"
    assert sqnr_db(result) > 30
    assert -100 < pad_of(result.model) <= 0
    program = lower_to_program(load_model(result.path))
    pads_in_int8 = [program.tensors[op.outputs[0]].dtype == DType.I8 for op in program.ops if op.kind == PAD]
    assert pads_in_int8 == [True]


@pytest.mark.parametrize("keys", [{"quantizable_op_type": ("conv2d", "pool2d")}, {"is_full_quantize": True}])
def test_the_pad_is_part_of_the_pool(tmp_path: Path, keys: dict[str, Any]) -> None:
    result = quantized(padded_pool(-np.inf, [0, 0, 1, 1, 0, 0, 1, 1]), tmp_path, **keys)
    assert result.status["pad"] == result.status["pool"] == "quantized"


def test_a_pad_in_the_range_keeps_its_value(tmp_path: Path) -> None:
    result = quantized(
        padded_pool(-0.5, [0, 0, 1, 1, 0, 0, 1, 1]), tmp_path, is_full_quantize=True, algo="abs_max"
    )
    assert pad_of(result.model) == -0.5
    assert sqnr_db(result) > 30


def test_where_something_else_reads_it_the_range_holds_it(tmp_path: Path) -> None:
    proto = padded_pool(-8.0, [0, 0, 1, 1, 0, 0, 1, 1], also="AveragePool")
    result = quantized(proto, tmp_path, is_full_quantize=True, algo="abs_max")
    assert pad_of(result.model) == -8.0
    assert result.tensors["pad/out"]["threshold"] >= 8
    assert sqnr_db(result) > 25


def test_a_high_value_is_what_the_pool_gives(tmp_path: Path) -> None:
    result = quantized(
        padded_pool(9.0, [0, 0, 1, 1, 0, 0, 1, 1]), tmp_path, is_full_quantize=True, algo="abs_max"
    )
    assert pad_of(result.model) == 9.0
    assert sqnr_db(result) > 25
