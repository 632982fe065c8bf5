"""Weights that are two int8 weights each: the sums are those of the weights as they are written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from ptq_core.flatfile.operators.conv2d import CONV2D
from ptq_core.flatfile.operators.fully_connected import FULLY_CONNECTED
from ptq_core.graph.io import load_model
from ptq_core.optimize.pipeline import lower_to_program, optimize, runs_on_int8
from tests.models import Builder
from tests.optimize.graphs import Qdq

PICTURE, ROWS = (1, 4, 6, 6), (2, 3, 12)

Graph = Callable[[Qdq], str]


def weight(b: Builder, *shape: int, zero_point: int = 120, per_channel: int | None = None) -> str:
    """A dequantized uint8 weight whose distances go beyond 127, along every axis."""
    values = b.random.integers(0, 256, shape).astype(np.uint8)
    count = 1 if per_channel is None else shape[per_channel]
    scales, zeros = (
        b.random.uniform(0.005, 0.02, count).astype(np.float32),
        np.full(count, zero_point, np.uint8),
    )
    if per_channel is None:
        inputs = ["w", b.constant("ws", scales[0]), b.constant("wz", zeros[0])]
    else:
        inputs = ["w", b.constant("ws", scales), b.constant("wz", zeros)]
    b.constant("w", values)
    attributes = {} if per_channel is None else {"axis": per_channel}
    return b.node("DequantizeLinear", "wd", inputs, **attributes)


def conv(group: int = 1, per_channel: int | None = None) -> Graph:
    def graph(b: Qdq) -> str:
        x = b.quantize("in", "input", 0.03, 7)
        w = weight(b, 8, 4 // group, 3, 3, per_channel=per_channel)
        y = b.node("Conv", "conv", [x, w], group=group, pads=[1, 1, 1, 1])
        return b.quantize("out", y, 0.2, -3)

    return graph


def rows(op_type: str, shape: tuple[int, int], **attributes: int) -> Graph:
    def graph(b: Qdq) -> str:
        x = b.quantize("in", "input", 0.03, 7)
        if op_type == "Gemm":
            x = b.node("Flatten", "flat", [x], axis=2)
        y = b.node(op_type, "product", [x, weight(b, *shape)], **attributes)
        return b.quantize("out", y, 0.2, -3)

    return graph


def quantized_twice(b: Qdq) -> str:
    """The float activation of a Conv that no integers are read by."""
    y = b.node("Conv", "conv", ["input", weight(b, 8, 4, 3, 3)])
    return b.quantize("out", y, 0.2, -3)


@pytest.mark.parametrize(
    ("graph", "shape", "int8"),
    [
        (conv(), PICTURE, True),
        (conv(per_channel=0), PICTURE, True),
        (conv(group=4), PICTURE, False),
        (rows("Gemm", (12, 5)), ROWS, True),
        (rows("Gemm", (5, 12), transB=1), ROWS, True),
        (rows("MatMul", (12, 5)), ROWS, True),
        (quantized_twice, PICTURE, False),
    ],
    ids=["conv", "conv per channel", "depthwise", "gemm", "gemm transposed", "matmul", "float input"],
)
def test_sums_are_the_same(tmp_path: Path, graph: Graph, shape: tuple[int, ...], int8: bool) -> None:
    b = Qdq(seed=4)
    y = graph(b)
    ends = [helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)]
    out = [
        helper.make_tensor_value_info(
            y, TensorProto.FLOAT, [None] * (2 if "flat" in str(b.nodes) else len(shape))
        )
    ]
    made = helper.make_graph(b.nodes, "wide", ends, out, b.constants)
    path = tmp_path / "m.onnx"
    onnx.save(helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    report = optimize(path, tmp_path / "m.nb", targets=("host",), verify=True)
    assert report.verified is not None
    assert not report.verified.reason
    assert report.verified.steps_at_ties == 0
    program = lower_to_program(load_model(path))
    weighted = [op for op in program.ops if op.kind in (CONV2D, FULLY_CONNECTED)]
    assert len(weighted) == 1
    assert runs_on_int8(program, weighted[0]) == int8
