"""Models that take and give out quantized uint8, as converters of TFLite files write them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from ptq_core.errors import PtqError
from ptq_core.flatfile.interpreter import run
from ptq_core.flatfile.operators.binary import ADD
from ptq_core.flatfile.operators.conv2d import CONV2D
from ptq_core.flatfile.program import Program
from ptq_core.flatfile.tensors import DType
from ptq_core.graph.io import load_model
from ptq_core.graph.session import open_session
from ptq_core.optimize import passes
from ptq_core.optimize.passes import Pass
from ptq_core.optimize.pipeline import lower_to_program, optimize, runs_on_int8
from tests.optimize.graphs import Qdq

SHAPE = (1, 4, 6, 6)


def model() -> onnx.ModelProto:
    """uint8 → DequantizeLinear → Conv → QuantizeLinear → uint8, which a second output dequantizes."""
    b = Qdq(seed=6)
    fed = [b.constant("in/s", np.float32(0.031)), b.constant("in/z", np.uint8(100))]
    given = [b.constant("out/s", np.float32(0.2)), b.constant("out/z", np.uint8(130))]
    y = b.qconv("conv", b.node("DequantizeLinear", "in", ["input", *fed]), 4, 8, 0.031)
    q = b.node("QuantizeLinear", "out", [y, *given])
    real = b.node("DequantizeLinear", "real", [q, *given])
    ends = [helper.make_tensor_value_info("input", TensorProto.UINT8, SHAPE)]
    out = [
        helper.make_tensor_value_info(q, TensorProto.UINT8, (1, 8, 6, 6)),
        helper.make_tensor_value_info(real, TensorProto.FLOAT, (1, 8, 6, 6)),
    ]
    graph = helper.make_graph(b.nodes, "edges", ends, out, b.constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_uint8_at_the_edges_is_the_same(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    onnx.save(model(), path)
    report = optimize(path, tmp_path / "m.nb", targets=("host",), verify=True)
    assert report.verified is not None
    assert not report.verified.reason
    program = lower_to_program(load_model(path))
    assert program.tensors[program.inputs[0]].dtype == DType.U8
    assert [program.tensors[i].dtype for i in program.outputs] == [DType.U8, DType.F32]
    (conv,) = (op for op in program.ops if op.kind == CONV2D)
    assert runs_on_int8(program, conv)
    session = open_session(path)
    for seed in range(4):
        x = np.random.default_rng(seed).integers(0, 256, SHAPE).astype(np.uint8)
        for got, wanted in zip(run(program, [x]), session.run(None, {"input": x}), strict=True):
            np.testing.assert_array_equal(got, wanted)


def ties() -> onnx.ModelProto:
    """uint8 → DequantizeLinear → Conv → QuantizeLinear → uint8, from 52 to 208; half of the sums are k + 1/2."""
    b = Qdq(seed=6)
    fed = [b.constant("in/s", np.float32(1)), b.constant("in/z", np.uint8(100))]
    given = [b.constant("out/s", np.float32(1)), b.constant("out/z", np.uint8(130))]
    weights = np.concatenate([np.eye(4, dtype=np.int8), -np.eye(4, dtype=np.int8)])[:, :, None, None]
    halves = [b.constant("w/q", weights), b.constant("w/s", np.float32(0.5))]
    w = b.node("DequantizeLinear", "w", halves)
    y = b.node("Conv", "conv", [b.node("DequantizeLinear", "in", ["input", *fed]), w])
    q = b.node("QuantizeLinear", "out", [y, *given])
    ends = [helper.make_tensor_value_info("input", TensorProto.UINT8, SHAPE)]
    out = [helper.make_tensor_value_info(q, TensorProto.UINT8, (1, 8, 6, 6))]
    graph = helper.make_graph(b.nodes, "ties", ends, out, b.constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def one_step_off(program: Program) -> list[str]:
    """Every integer of the output is one more: its zero point is."""
    add = [op for op in program.ops if op.kind == ADD][-1]
    place = next(i for i in add.reads if program.tensors[i].is_constant)
    tensor = program.tensors[place]
    assert tensor.data is not None
    program.tensors[place] = dataclasses.replace(tensor, data=tensor.data + np.float32(1))
    return []


def a_roundoff_off(program: Program) -> list[str]:
    """The convolution multiplies by the next float32: sums on a tie are rounded to the other side."""
    (conv,) = (op for op in program.ops if op.kind == CONV2D)
    place = conv.outputs[0]
    qparams = program.tensors[place].qparams
    assert qparams is not None
    scales = np.nextafter(qparams.scales, np.float32(0))
    other = dataclasses.replace(qparams, scales=scales)
    program.tensors[place] = dataclasses.replace(program.tensors[place], qparams=other)
    return []


def optimized(monkeypatch: pytest.MonkeyPatch, folder: Path, change: Callable[[Program], list[str]]) -> int:
    """How many integers lie a step away at a tie, where a last pass makes ``change``."""
    onnx.save(ties(), folder / "m.onnx")
    monkeypatch.setattr(passes, "PASSES", (*passes.PASSES, Pass(change)))
    report = optimize(folder / "m.onnx", folder / "m.nb", targets=("host",), verify=True)
    assert report.verified is not None
    return report.verified.steps_at_ties


def test_a_step_at_a_tie_is_no_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert optimized(monkeypatch, tmp_path, lambda _: []) == 0
    assert optimized(monkeypatch, tmp_path, a_roundoff_off) > 0


def test_a_step_elsewhere_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PtqError, match="of the program computes `out/out`"):
        optimized(monkeypatch, tmp_path, one_step_off)
