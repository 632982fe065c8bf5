"""The comparison behind every `ptq opt`: what it says of right files, on which inputs, and of what it could not compare."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper

from ptq_core.flatfile.interpreter import evaluate, interpret
from ptq_core.flatfile.operators.conv2d import CONV2D
from ptq_core.optimize import pipeline
from ptq_core.optimize.verify import model_check, runtime_check
from ptq_core.optimize.verify.inputs import described, random_inputs
from ptq_core.optimize.verify.regions import Region, excerpt_of, regions
from ptq_core.runtime import RUNTIME_DIR_VARIABLE
from tests.models import mobile_block, save
from tests.optimize.graphs import Graph, Qdq, build
from tests.optimize.verify import fault_graphs

needs_runtime = pytest.mark.needs("runtime")


def float_graph(b: Qdq) -> str:
    x = b.node("Relu", "relu", [b.conv("conv", "input", 8, 8)])
    return b.node("AveragePool", "pool", [x], kernel_shape=[2, 2], strides=[2, 2])


def int8_graph(b: Qdq) -> str:
    return b.quantize("y", b.qconv("conv", b.quantize("x", "input", 0.02), 8, 8, 0.02), 0.05)


@needs_runtime
def test_a_float_model(tmp_path: Path) -> None:
    report = pipeline.optimize(save(mobile_block(), tmp_path), tmp_path / "x.nb", verify=True).verified
    assert report is not None
    assert report.reason == ""
    assert report.operators > report.pieces > 5
    assert 0 < report.worst_share < 0.9
    assert report.output_sqnr_db is not None
    assert report.output_sqnr_db > 100


@needs_runtime
def test_an_int8_model_has_the_same_bits(tmp_path: Path) -> None:
    report = pipeline.optimize(build(int8_graph), tmp_path / "x.nb", verify=True)
    assert report.int8_op_count > 0
    assert report.verified is not None
    assert report.verified.output_sqnr_db == np.inf
    assert report.verified.steps_at_ties == 0


def attention(**attributes: Any) -> ir.Model:
    """Attention of computed queries, keys and values that also gives out its scores."""
    b = Qdq(seed=3)
    inner = [
        b.node(op_type, name, ["input"]) for op_type, name in (("Tanh", "q"), ("Sin", "k"), ("Cos", "v"))
    ]
    mask = b.constant("mask", np.tri(6, dtype=bool))
    outputs = ["y", "", "", "scores"]
    b.nodes.append(helper.make_node("Attention", [*inner, mask], outputs, "attention", **attributes))
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        b.nodes,
        "attention",
        [value("input", TensorProto.FLOAT, (1, 2, 6, 4))],
        [
            value("y", TensorProto.FLOAT, (1, 2, 6, 4)),
            value("scores", TensorProto.FLOAT, (1, 2, 6, 6)),
        ],
        b.constants,
    )
    opset = helper.make_opsetid("", 24)
    return ir.from_proto(helper.make_model(graph, opset_imports=[opset], ir_version=10))


@needs_runtime
@pytest.mark.parametrize("causal", [0, 1])
def test_masked_scores_of_attention_are_what_onnx_says(tmp_path: Path, causal: int) -> None:
    """−∞; onnxruntime, which is not the judge then, gives out the lowest float32."""
    model = attention(qk_matmul_output_mode=2, is_causal=causal)
    report = pipeline.optimize(model, tmp_path / "x.nb", verify=True).verified
    assert report is not None
    assert report.judged == ("scores",)


def test_without_a_runtime_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(RUNTIME_DIR_VARIABLE, str(tmp_path / "none"))
    report = pipeline.optimize(build(float_graph), tmp_path / "x.nb", verify=True).verified
    assert report is not None
    assert report.reason.startswith("no libptq.so for host")
    assert (report.operators, report.output_sqnr_db) == (0, None)
    assert report.pieces > 0, "the program is compared with the model all the same"
    assert (tmp_path / "x.nb").exists()
    assert pipeline.optimize(build(float_graph), tmp_path / "x.nb").verified is None


def test_inputs_fill_the_range_of_the_integers() -> None:
    program = pipeline.lower_to_program(build(int8_graph))
    (x,) = random_inputs(program)
    assert -2.56 <= x.min() < -2.5
    assert 2.5 < x.max() <= 2.54
    assert described(program, 2) == "2 random inputs over [-2.56, 2.54]"


def test_inputs_of_which_nothing_is_known() -> None:
    program = pipeline.lower_to_program(build(float_graph))
    (x,), (pixels,) = random_inputs(program, 0), random_inputs(program, 1)
    assert np.abs(x).max() <= 1
    assert 200 < pixels.max() <= 255
    assert described(program, 2).endswith("over [-1, 1] and [0, 255], as nothing says what the model is fed")


def convolution(b: Qdq) -> str:
    return b.conv("conv", "input", 8, 32)


def test_parts_hold_the_edges_and_something_between() -> None:
    program = pipeline.lower_to_program(build(convolution, (1, 8, 100, 20)))
    ops = [op for op in program.ops if op.kind == CONV2D]
    everything = regions(program, ops, budget=2**30, seed=0)
    assert everything == [Region()]
    edges = regions(program, ops, budget=40_000, seed=0)
    assert [(r.rows, r.channels) for r in edges] == [((0, 4), None), ((96, 100), None)]
    (between,) = regions(program, ops, budget=40_000, seed=3)
    assert between.rows is not None
    assert between.rows[0] % 2 == 0
    assert between.rows[1] - between.rows[0] == 8
    fewer = regions(program, ops, budget=1_000, seed=0)
    assert [(r.rows, r.channels) for r in fewer] == [((0, 2), (0, 8)), ((98, 100), (24, 32))]


def test_a_part_of_an_operator_computes_that_part() -> None:
    program = pipeline.lower_to_program(build(fault_graphs.convolutions, (1, 8, 24, 20)))
    values = interpret(program, random_inputs(program))
    computed = (i for i, tensor in enumerate(program.tensors) if not tensor.is_constant)
    parts = {i: (Region(), v) for i in computed if (v := values[i]) is not None}
    seen = 0
    for op in program.ops:
        for region in (Region((2, 5)), Region((0, 3), (2, 4)), Region(None, (0, 3))):
            excerpt = excerpt_of(program, [op], op.outputs[0], region)
            cut = excerpt.cut(op, parts)
            got = evaluate(cut.op, cut.tensors, cut.operands, cut.out)
            whole = values[op.outputs[0]]
            assert whole is not None
            np.testing.assert_array_equal(got, excerpt.region(op.outputs[0]).part(whole), op.name)
            seen += excerpt.region(op.outputs[0]) == region
    assert seen >= 9, "most operators can be cut"


def wide_matrix(b: Qdq) -> str:
    x = b.node("Relu", "relu", [b.node("Reshape", "rows", ["input", b.ints("shape", 1, 40, 64)])])
    return b.node("MatMul", "product", [x, b.weight("w", 64, 3000)])


@needs_runtime
def test_a_large_matrix_behind_a_reshape(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reshape cannot be cut, the operators of the model can."""
    monkeypatch.setattr(runtime_check, "BUDGET", 1000)
    monkeypatch.setattr(model_check, "BUDGET", 1000)
    model = build(wide_matrix, (1, 8, 16, 20))
    report = pipeline.optimize(model, tmp_path / "x.nb", verify=True).verified
    assert report is not None
    assert report.pieces > 0


def sum_of_everything(b: Qdq) -> str:
    return b.node("ReduceSum", "sum", [b.node("Relu", "relu", ["input"])], keepdims=0)


def bias_that_cancels(b: Qdq) -> str:
    """Both numbers go into one bias, in which onnxruntime's rounding no longer shows."""
    weight, large = b.weight("w", 4, 8, 1, 1), np.full(4, 1e6, np.float32)
    x = b.node("Conv", "conv", ["input", weight, b.constant("bias", large)])
    return b.node("Add", "back", [x, b.constant("minus", -large.reshape(1, 4, 1, 1))])


def maximum_of_no_number(b: Qdq) -> str:
    return b.node("MaxPool", "pool", [b.node("Log", "log", ["input"])], kernel_shape=[2, 2])


@needs_runtime
@pytest.mark.parametrize("graph", [sum_of_everything, bias_that_cancels, maximum_of_no_number])
def test_no_alarm(tmp_path: Path, graph: Graph) -> None:
    report = pipeline.optimize(build(graph), tmp_path / "x.nb", verify=True).verified
    assert report is not None
    assert report.reason == ""
    assert (report.undefined > 0) == (graph is maximum_of_no_number)
