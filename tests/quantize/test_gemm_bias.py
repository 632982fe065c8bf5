"""C of a Gemm, constants behind matrix products and convolutions, of every shape that broadcasts: shape counts, not size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from ptq_core.graph.session import open_session
from ptq_core.runtime import Program
from tests.agreement import RUNTIME_IS_BUILT, flat_file
from tests.models import Builder
from tests.quantize.harness import Quantized, quantized

ROWS = 4


def matrices(op_type: str, shape: tuple[int, ...], outputs: int) -> onnx.ModelProto:
    b = Builder()
    weight, c = b.weight("weight", 6, outputs), b.weight("c", *shape, scale=3.0)
    if op_type == "Gemm":
        return b.model(b.node("Gemm", "node", ["input", weight, c]), shape=(ROWS, 6))
    return b.model(b.node("Add", "add", [b.node("MatMul", "node", ["input", weight]), c]), shape=(ROWS, 6))


def convolution(shape: tuple[int, ...], swapped: bool) -> onnx.ModelProto:
    b = Builder()
    y, c = b.conv("node", "input", 3, 4), b.weight("c", *shape, scale=3.0)
    return b.model(b.node("Add", "add", [c, y] if swapped else [y, c]), shape=(1, 3, 4, 4))


def check(result: Quantized) -> None:
    shape = [d.dim_value for d in result.float_model.graph.input[0].type.tensor_type.shape.dim]
    x = np.random.default_rng(3).uniform(-1, 1, shape).astype(np.float32)
    wanted, got = (
        open_session(m.SerializeToString(), optimized=False).run(None, {"input": x})[0]
        for m in (result.float_model, result.model)
    )
    assert 10 * np.log10((wanted**2).sum() / ((wanted - got) ** 2).sum()) > 25
    if RUNTIME_IS_BUILT:
        for model in (result.float_model, result.model):
            onnx.save(model, result.path.parent / "again.onnx")
            flat_file(result.path.parent / "again.onnx", result.path.parent / "again.nb")
            with Program(result.path.parent / "again.nb") as program:
                (flat,) = program.run(x)
            (same,) = open_session(model.SerializeToString(), optimized=False).run(None, {"input": x})
            np.testing.assert_allclose(flat, same, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("op_type", ["Gemm", "MatMul"])
@pytest.mark.parametrize("outputs", [ROWS, 5, 1])
@pytest.mark.parametrize("rank", range(3))
@pytest.mark.parametrize("column", [False, True])
def test_matrices(tmp_path: Path, op_type: str, outputs: int, rank: int, column: bool) -> None:
    for last in (1, outputs):
        shape = (ROWS if column else 1, last)[2 - rank :]
        result = quantized(matrices(op_type, shape, outputs), tmp_path / str(last))
        assert result.status["node"] == "quantized"
        check(result)


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize(
    "shape",
    [(), (1,), (4,), (4, 1), (1, 4), (4, 1, 1), (1, 4, 1), (1, 4, 1, 1), (1, 1, 4, 1), (1, 1, 1, 4), (1, 1, 1, 1), (4, 4)],
)  # fmt: skip
def test_convolutions(tmp_path: Path, shape: tuple[int, ...], swapped: bool) -> None:
    """Four channels, rows and columns: what a constant of four values is added to, its shape says alone."""
    check(quantized(convolution(shape, swapped), tmp_path))


def test_a_computed_c_is_a_sum(tmp_path: Path) -> None:
    b = Builder()
    weight = b.weight("weight", 6, 6)
    proto = b.model(
        b.node("Gemm", "node", ["input", weight, b.node("Neg", "neg", ["input"])]), shape=(ROWS, 6)
    )
    result = quantized(proto, tmp_path)
    assert result.status["node"] == "quantized"
    check(result)


@pytest.mark.parametrize("attributes", [{"beta": 0.5}, {"alpha": 0.5}, {"transB": 1}, {"transA": 1}])
def test_attributes(tmp_path: Path, attributes: dict[str, float]) -> None:
    b = Builder()
    weight, c = b.weight("weight", 6, 6), b.weight("c", 6, 1, scale=3.0)
    gemm = b.node("Gemm", "node", [b.node("Gemm", "first", ["input", weight]), weight, c], **attributes)
    result = quantized(b.model(gemm, shape=(6, 6)), tmp_path)
    assert result.status["node"] == ("quantized" if "transB" in attributes else "float")
    check(result)
