"""Activations of other widths, or with a scale per channel, are computed as they are written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper

from ptq_core.flatfile.operators.conv2d import CONV2D
from ptq_core.graph.dialects import one_dialect
from ptq_core.graph.io import load_model
from ptq_core.optimize.pipeline import lower_to_program, optimize, runs_on_int8
from tests.models import Builder

SHAPE, CHANNELS = (1, 4, 6, 6), 4
WIDE_OPSET = 21

Graph = Callable[[Builder], str]


def pair(b: Builder, name: str, x: str, scale: Any, zero_point: Any, axis: int | None = None) -> str:
    """QuantizeLinear → DequantizeLinear."""
    attributes = {} if axis is None else {"axis": axis}
    params = [b.constant(f"{name}/s", np.asarray(scale, np.float32)), b.constant(f"{name}/z", zero_point)]
    q = b.node("QuantizeLinear", f"{name}/q", [x, *params], **attributes)
    return b.node("DequantizeLinear", f"{name}/dq", [q, *params], **attributes)


def conv(b: Builder, x: str, group: int = 1, per_channel: bool = True) -> str:
    values = b.random.integers(-100, 100, (8, CHANNELS // group, 3, 3)).astype(np.int8)
    scales = b.random.uniform(0.005, 0.02, 8).astype(np.float32) if per_channel else np.float32(0.01)
    inputs = [b.constant("w", values), b.constant("ws", scales)]
    w = b.node("DequantizeLinear", "wd", inputs, **({"axis": 0} if per_channel else {}))
    return b.node("Conv", "conv", [x, w], group=group, pads=[1, 1, 1, 1])


def wide(dtype: type[np.integer], zero_point: int) -> Graph:
    def graph(b: Builder) -> str:
        y = conv(b, pair(b, "in", "input", 1e-4, dtype(zero_point)))
        return pair(b, "out", b.node("Relu", "relu", [y]), 3e-4, dtype(zero_point))

    return graph


def wide_per_channel(b: Builder) -> str:
    """With other zero points per channel: each channel has ends of its own."""
    zeros = np.array([30000, 1000, 65535, 0], np.uint16)
    return pair(b, "in", "input", [1e-4, 1e-5, 2e-5, 3e-5], zeros, axis=1)


def per_channel(dtype: type[np.integer], zero_point: int, group: int, weights: bool = True) -> Graph:
    def graph(b: Builder) -> str:
        scales = b.random.uniform(0.01, 0.05, CHANNELS)
        y = conv(b, pair(b, "in", "input", scales, np.full(CHANNELS, zero_point, dtype), 1), group, weights)
        return pair(b, "out", y, 0.05, np.int8(3))

    return graph


def read_twice(b: Builder) -> str:
    """What is no depthwise convolution reads the product."""
    x = pair(b, "in", "input", [0.01, 0.02, 0.03, 0.04], np.zeros(CHANNELS, np.int8), -3)
    return b.node("Add", "add", [x, b.node("Sigmoid", "gate", [x])])


def wide_weights_quantized_in_the_graph(b: Builder) -> str:
    """Training-time exports keep float weights: w → QuantizeLinear → DequantizeLinear → Conv."""
    scale, zero = b.constant("w/s", np.float32(1e-4)), b.constant("w/z", np.int16(0))
    q = b.node("QuantizeLinear", "w/q", [b.weight("w", 8, CHANNELS, 3, 3), scale, zero])
    w = b.node("DequantizeLinear", "w/dq", [q, scale, zero])
    x = pair(b, "in", "input", 0.03, np.int8(0))
    return pair(b, "out", b.node("Conv", "conv", [x, w], pads=[1, 1, 1, 1]), 0.05, np.int8(3))


@pytest.mark.parametrize(
    ("graph", "opset", "int8"),
    [
        (wide(np.int16, 0), WIDE_OPSET, False),
        (wide(np.uint16, 32768), WIDE_OPSET, False),
        (wide(np.uint16, 3), WIDE_OPSET, False),
        (wide_per_channel, WIDE_OPSET, False),
        (per_channel(np.int8, 0, CHANNELS), 17, True),
        (per_channel(np.int8, 0, CHANNELS, weights=False), 17, True),
        (per_channel(np.uint8, 128, CHANNELS), 17, True),
        (per_channel(np.uint8, 128, 1), 17, False),
        (read_twice, 17, False),
        (wide_weights_quantized_in_the_graph, WIDE_OPSET, False),
    ],
    ids=[
        "int16",
        "uint16",
        "uint16 with a zero point",
        "uint16 per channel",
        "int8 before a depthwise convolution",
        "int8 before a depthwise convolution of one scale",
        "uint8 before a depthwise convolution",
        "uint8 before a convolution",
        "int8 before others",
        "int16 weights quantized in the graph",
    ],
)
def test_is_computed_as_written(tmp_path: Path, graph: Graph, opset: int, int8: bool) -> None:
    path = tmp_path / "m.onnx"
    onnx.save(model_of(graph, opset), path)
    report = optimize(path, tmp_path / "m.nb", targets=("host",), verify=True)
    assert report.verified is not None
    assert not report.verified.reason
    assert not report.verified.judged
    program = lower_to_program(load_model(path))
    assert int8 == any(op.kind == CONV2D and runs_on_int8(program, op) for op in program.ops)


def model_of(graph: Graph, opset: int) -> onnx.ModelProto:
    b = Builder(seed=5)
    y = graph(b)
    ends = [helper.make_tensor_value_info("input", TensorProto.FLOAT, SHAPE)]
    out = [helper.make_tensor_value_info(y, TensorProto.FLOAT, (1, None, 6, 6))]
    g = helper.make_graph(b.nodes, "scales", ends, out, b.constants)
    return helper.make_model(g, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def four_bits(b: Builder) -> str:
    values = onnx.helper.make_tensor(
        "w", TensorProto.INT4, (8, CHANNELS, 3, 3), b.random.integers(-8, 8, 8 * 36)
    )
    b.constants.append(values)
    w = b.node("DequantizeLinear", "wd", ["w", b.constant("ws", np.float32(0.1))])
    y = b.node("Conv", "conv", [pair(b, "in", "input", 0.03, np.int8(0)), w], pads=[1, 1, 1, 1])
    return pair(b, "out", y, 0.05, np.int8(3))


def test_weights_of_four_bits_are_int8(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    onnx.save(model_of(four_bits, WIDE_OPSET), path)
    report = optimize(path, tmp_path / "m.nb", targets=("host",), verify=True)
    assert report.verified is not None
    assert not report.verified.reason
    program = lower_to_program(load_model(path))
    assert any(op.kind == CONV2D and runs_on_int8(program, op) for op in program.ops)


def test_a_scale_that_is_computed_stays() -> None:
    b = Builder()
    scale = b.node("Identity", "scale", ["factor"])
    q = b.node("QuantizeLinear", "q", ["input", scale, b.constant("z", np.int16(0))])
    y = b.node("DequantizeLinear", "dq", [q, scale, "z"])
    ends = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("input", SHAPE), ("factor", ()))
    ]
    out = [helper.make_tensor_value_info(y, TensorProto.FLOAT, SHAPE)]
    g = helper.make_graph(b.nodes, "computed", ends, out, b.constants)
    proto = helper.make_model(g, opset_imports=[helper.make_opsetid("", WIDE_OPSET)], ir_version=10)
    assert one_dialect(ir.from_proto(onnx.shape_inference.infer_shapes(proto))) == []
