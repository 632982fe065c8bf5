"""GridSample of every kind agrees with onnxruntime, or where that refuses with ONNX's evaluator, and with the C++ runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from ptq_core.errors import InputError
from ptq_core.flatfile.error_bound import error_bound, error_bounds
from ptq_core.flatfile.interpreter import run
from ptq_core.flatfile.operators.grid_sample import GRID_SAMPLE, GridSample, SampleMode, SamplePadding
from ptq_core.flatfile.program import Op, Program
from ptq_core.flatfile.reader import read_program
from ptq_core.flatfile.tensors import Array, DType, Tensor
from ptq_core.flatfile.writer import write_program
from ptq_core.graph.session import open_session
from ptq_core.optimize.memory_plan import plan_memory
from ptq_core.optimize.pipeline import optimize
from tests.agreement import RUNTIME_IS_BUILT, assert_runtime_agrees, exceeds

OLD_NAMES = {"linear": "bilinear", "cubic": "bicubic"}
SHAPES = [(2, 3, 5, 6), (1, 2, 1, 7), (2, 2, 3, 4, 5)]


def model(
    dims: tuple[int, ...], points: tuple[int, ...], mode: str, padding: str, align_corners: int, opset: int
) -> onnx.ModelProto:
    """x, grid → Abs → GridSample → y."""
    named = OLD_NAMES.get(mode, mode) if opset < 20 else mode
    attributes: dict[str, Any] = {"mode": named, "padding_mode": padding, "align_corners": align_corners}
    nodes = [
        helper.make_node("Abs", ["x"], ["a"], name="abs"),
        helper.make_node("GridSample", ["a", "grid"], ["y"], name="sample", **attributes),
    ]
    inputs = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, d) for n, d in (("x", dims), ("grid", points))
    ]
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, (*dims[:2], *points[1:-1]))
    graph = helper.make_graph(nodes, "sampling", inputs, [y])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)


def computed(proto: onnx.ModelProto, x: Array, grid: Array) -> Array:
    """By onnxruntime; by ONNX's evaluator what that has not."""
    feeds = {"x": x, "grid": grid}
    try:
        (y,) = open_session(proto.SerializeToString()).run(None, feeds)
    except onnxruntime.capi.onnxruntime_pybind11_state.Fail:  # cubic over three dimensions
        (y,) = ReferenceEvaluator(proto).run(None, feeds)
    return np.asarray(y)


@pytest.mark.parametrize("opset", [16, 20])
@pytest.mark.parametrize("align_corners", [0, 1])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
def test_every_mode(mode: str, padding: str, align_corners: int, opset: int, tmp_path: Path) -> None:
    random = np.random.default_rng(4)
    for dims in SHAPES:
        if len(dims) == 5 and (opset < 20 or (mode, padding) == ("cubic", "border")):
            continue  # it came with opset 20; onnxruntime has no cubic of it, and ONNX's evaluator another border
        points = (dims[0], *(4, 3, 2)[: len(dims) - 2], len(dims) - 2)
        proto = model(dims, points, mode, padding, align_corners, opset)
        x = random.standard_normal(dims).astype(np.float32)
        grid = random.uniform(-2.5, 2.5, points).astype(np.float32)
        source, out = tmp_path / "m.onnx", tmp_path / "m.nb"
        onnx.save(proto, str(source))
        # Of three dimensions onnxruntime has no cubic, which verification would need.
        verify = RUNTIME_IS_BUILT and not (mode == "cubic" and len(dims) == 5)
        report = optimize(source, out, targets=("host",), verify=verify)
        assert report.verified is None or report.verified.reason == ""
        program = read_program(out.read_bytes())
        (got,), (bound,) = run(program, [x, grid]), error_bounds(program, [x, grid])
        assert exceeds(got, computed(proto, x, grid), 2 * bound) <= 0
        assert np.median(bound) < 1e-4
        if RUNTIME_IS_BUILT:
            assert_runtime_agrees(program, out.read_bytes(), [x, grid])


def sampled(dims: tuple[int, ...], points: int, attributes: GridSample) -> Program:
    """grid_sample alone, of as many points in one row."""
    program = Program(targets=("x86_64",))
    program.add(Tensor("x", DType.F32, dims))
    program.add(Tensor("grid", DType.F32, (1, 1, points, 2)))
    program.add(Tensor("y", DType.F32, (1, 1, points, dims[-1])))
    program.ops = [Op(GRID_SAMPLE, "op", (0, 1), (2,), attributes)]
    program.inputs, program.outputs = [0, 1], [2]
    plan_memory(program)
    return program


@pytest.mark.parametrize("padding", SamplePadding)
@pytest.mark.parametrize("mode", SampleMode)
def test_positions_beyond_reason(mode: SampleMode, padding: SamplePadding) -> None:
    """No number, infinities, and what is very far away: finite values of the picture's size, the same in the runtime."""
    odd = [np.nan, np.inf, -np.inf, 3e38, -3e38, 1e10, -1e6]
    grid = np.array([[a, b] for a in odd for b in (*odd, 0.3)], np.float32)[None, None]
    x = np.random.default_rng(5).standard_normal((1, 4, 5, 3)).astype(np.float32)
    for align_corners in (0, 1):
        attributes = GridSample(mode=mode, padding=padding, align_corners=align_corners)
        program = sampled(x.shape, grid.shape[2], attributes)
        (y,) = run(program, [x, grid])
        assert np.abs(y).max() <= 2 * np.abs(x).max()
        assert padding != SamplePadding.ZEROS or not y.any()
        if RUNTIME_IS_BUILT:
            assert_runtime_agrees(program, write_program(program), [x, grid])


def test_ties_go_to_the_even_pixel() -> None:
    """Without align_corners, of 4 pixels −0.5, 0 and 0.5 lie between two: at 0.5, 1.5, 2.5."""
    grid = np.array([[-0.5, 0.0], [0.0, 0.0], [0.5, 0.0]], np.float32)[None, None]
    x = np.arange(4, dtype=np.float32).reshape(1, 1, 4, 1)
    program = sampled(x.shape, 3, GridSample(mode=SampleMode.NEAREST, padding=SamplePadding.ZEROS))
    assert run(program, [x, grid])[0].ravel().tolist() == [0, 2, 2]


@pytest.mark.parametrize("mode", SampleMode)
def test_the_bound_covers_errors_of_positions(mode: SampleMode) -> None:
    """What moved positions make of the values lies within the bound, which is not just anything."""
    random = np.random.default_rng(6)
    x = random.standard_normal((1, 5, 6, 2)).astype(np.float32)
    grid = random.uniform(-1.5, 1.5, (1, 1, 200, 2)).astype(np.float32)
    wrong = np.full(grid.shape, 0.01)
    moved = (grid + random.uniform(-0.01, 0.01, grid.shape)).astype(np.float32)
    for padding in SamplePadding:
        program = sampled(x.shape, 200, GridSample(mode=mode, padding=padding))
        (y,), (other,) = run(program, [x, grid]), run(program, [x, moved])
        bound = error_bound(program.ops[0], [x, grid], [np.zeros(x.shape), wrong], y)
        assert exceeds(other, y, bound) <= 0
        assert np.median(bound) < 0.5 * np.abs(x).max()


def test_a_grid_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    proto = model((1, 2, 4, 4), (1, 3, 3, 2), "linear", "zeros", 0, 20)
    next(a for a in proto.graph.node[1].attribute if a.name == "mode").s = b"lanczos"
    onnx.save(proto, str(tmp_path / "m.onnx"))
    with pytest.raises(InputError, match="lanczos"):
        optimize(tmp_path / "m.onnx", tmp_path / "m.nb")
