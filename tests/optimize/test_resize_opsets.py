"""Resize and Upsample of every opset generation: pixels where onnxruntime puts them, and as many as it gives out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest

from ptq_core.flatfile.interpreter import run
from ptq_core.flatfile.reader import read_program
from ptq_core.graph.session import open_session
from ptq_core.optimize.pipeline import optimize
from tests.agreement import RUNTIME_IS_BUILT, assert_runtime_agrees
from tests.models import save

F32 = onnx.TensorProto.FLOAT


def model(opset: int, mode: str, dims: list[int], scales: list[float]) -> onnx.ModelProto:
    """One node, Upsample before opset 10, with an output of unknown shape."""
    roi, factors = np.array([], np.float32), np.array(scales, np.float32)
    constants = [onnx.numpy_helper.from_array(a, n) for a, n in ((roi, "roi"), (factors, "scales"))]
    if opset < 9:
        node, constants = onnx.helper.make_node("Upsample", ["x"], ["y"], mode=mode, scales=scales), []
    else:
        inputs = ["x", "scales"] if opset < 11 else ["x", "roi", "scales"]
        node = onnx.helper.make_node("Upsample" if opset < 10 else "Resize", inputs, ["y"], mode=mode)
    shapes: dict[str, Sequence[int | None]] = {"x": dims, "y": [None] * 4}
    x, y = (onnx.helper.make_tensor_value_info(name, F32, shape) for name, shape in shapes.items())
    graph = onnx.helper.make_graph([node], "resize", [x], [y], constants)
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)], ir_version=4)


def check(proto: onnx.ModelProto, dims: list[int], folder: Path) -> None:
    out = folder / "resize.nb"
    optimize(save(proto, folder), out, targets=("host",))
    x = np.random.default_rng(1).standard_normal(dims).astype(np.float32)
    (wanted,) = open_session(proto.SerializeToString()).run(None, {"x": x})
    program = read_program(out.read_bytes())
    (got,) = run(program, [x])
    assert got.shape == wanted.shape
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)
    if RUNTIME_IS_BUILT:
        assert_runtime_agrees(program, out.read_bytes(), [x])


@pytest.mark.parametrize("opset", [7, 9, 10, 11, 13])
@pytest.mark.parametrize(
    ("mode", "scale"), [("linear", 2.0), ("linear", 1.5), ("nearest", 2.0), ("nearest", 1.7)]
)
def test_pixels(tmp_path: Path, opset: int, mode: str, scale: float) -> None:
    dims = [1, 1, 4, 5]
    check(model(opset, mode, dims, [1.0, 1.0, scale, 2.0]), dims, tmp_path)


@pytest.mark.parametrize("mode", ["linear", "nearest"])
@pytest.mark.parametrize(("size", "scale"), [(10, 1.1), (10, 0.7), (20, 1.05), (3, 1 / 3), (100, 0.29)])
def test_the_size_is_computed_in_float32(tmp_path: Path, mode: str, size: int, scale: float) -> None:
    dims = [1, 1, size, 6]
    check(model(13, mode, dims, [1.0, 1.0, scale, 1.0]), dims, tmp_path)
