"""One matrix that many nodes read: stored once in what `ptq quantize` and `ptq opt` write, and packed once by the runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from ptq_core.graph.session import open_session
from ptq_core.optimize.pipeline import optimize
from ptq_core.runtime import Program
from tests.models import Builder, save
from tests.quantize.harness import quantized

USES = 100
SIZE = 256
"""USES copies of SIZE · SIZE floats are more than a file with one of them may ask for (docs/flat_format.md, Limits)."""


def unrolled(matrices: int = 1, uses: int = USES, size: int = SIZE, op_type: str = "Gemm") -> onnx.ModelProto:
    b = Builder()
    scale = 1 / np.sqrt(size)
    weights = [b.weight(f"w{i}", size, size, scale=scale) for i in range(matrices)]
    bias = [b.weight("b", size, scale=0.1)] if op_type == "Gemm" else []
    x = "input"
    for i in range(uses):
        x = b.node("Tanh", f"tanh{i}", [b.node(op_type, f"gemm{i}", [x, weights[i % matrices], *bias])])
    return b.model(x, shape=(1, size))


def outputs(flat: Path, model: onnx.ModelProto, size: int) -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(3).uniform(-1, 1, (1, size)).astype(np.float32)
    with Program(flat) as program:
        (got,) = program.run(x)
    (wanted,) = open_session(model.SerializeToString(), optimized=False).run(None, {"input": x})
    return got, wanted


@pytest.mark.needs("runtime")
@pytest.mark.parametrize("op_type", ["Gemm", "MatMul"])
def test_a_flat_file_of_one_matrix_is_small_and_loads(tmp_path: Path, op_type: str) -> None:
    proto = unrolled(op_type=op_type)
    report = optimize(save(proto, tmp_path), tmp_path / "x.nb", targets=("host",), verify=True)
    assert report.size_bytes < 1.2 * SIZE * SIZE * 4
    got, wanted = outputs(report.path, proto, SIZE)
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.needs("runtime")
@pytest.mark.parametrize("matrices", [1, 2, 70])
@pytest.mark.parametrize("keys", [{}, {"enable_fp16": True}, {"quant_type": "QUANT_INT16"}], ids=str)
def test_each_reads_its_own_matrix(tmp_path: Path, keys: dict[str, Any], matrices: int) -> None:
    """Also where weights are expanded or converted in memory that the next operator's take over."""
    proto = unrolled(matrices, 140, 24)
    optimize(save(proto, tmp_path), tmp_path / "x.nb", targets=("host",), **keys)
    got, wanted = outputs(tmp_path / "x.nb", proto, 24)
    assert 10 * np.log10((wanted**2).sum() / ((got - wanted) ** 2).sum()) > (40 if keys else 100)


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"weight_quantize_type": "abs_max"},
        {"weight_bits": 4, "store_int4": True},
        {"algo": "weight_only"},
    ],
    ids=str,
)
def test_the_quantized_model_has_it_once(tmp_path: Path, keys: dict[str, object]) -> None:
    result = quantized(unrolled(uses=20), tmp_path, **keys)
    nodes = result.model.graph.node
    zero_points = {
        node.input[2] for node in nodes if node.op_type.endswith("eLinear") and len(node.input) > 2
    }
    tensors = [
        (t.data_type, tuple(t.dims), numpy_helper.to_array(t).tobytes())
        for t in result.model.graph.initializer
        if t.name not in zero_points
    ]
    assert len(tensors) == len(set(tensors))
    assert sum(dims == (SIZE, SIZE) for _, dims, _ in tensors) == 1
    assert result.path.stat().st_size < 0.5 * SIZE * SIZE * 4
