"""Equal constants are stored once, but onnxruntime must still open the model, with every option that ptq names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest

from ptq_core.graph.passes.share_constants import share_constants
from tests.optimize.graphs import Qdq, build


def two_convolutions(b: Qdq) -> str:
    """As `ptq quantize` writes them: with a scale and a zero point for every tensor."""
    x = b.quantize("x", "input", 0.02)
    for name in ("first", "second"):
        values = b.random.integers(-127, 128, (8, 8, 3, 3)).astype(np.int8)
        scale = b.constant(f"{name}/scale", np.full(8, 0.01, np.float32))
        inputs = [b.constant(f"{name}/q", values), scale, b.constant(f"{name}/zero", np.zeros(8, np.int8))]
        weight = b.node("DequantizeLinear", f"{name}/w", inputs, axis=0)
        x = b.quantize(f"{name}/y", b.node("Conv", name, [x, weight], pads=[1, 1, 1, 1]), 0.05)
    return x


@pytest.mark.parametrize("option", ["session.x64quantprecision", "session.qdqisint8allowed"])
def test_onnxruntime_opens_it(tmp_path: Path, option: str) -> None:
    model = build(two_convolutions)
    before = len(model.graph.initializers)
    share_constants(model)
    assert len(model.graph.initializers) < before, "equal scales are one"
    path = tmp_path / "m.onnx"
    onnx.save(ir.to_proto(model), path)
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry(option, "1")
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    (got,) = session.run(None, {"input": np.zeros((1, 8, 13, 11), np.float32)})
    assert got.shape == (1, 8, 13, 11)
