"""Quantize a small model in memory, calibrated on random samples, and compare it with the float model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray

from ptq_core.config import QuantizeConfig
from ptq_core.graph import io
from ptq_core.graph.input_shapes import static_shape
from ptq_core.graph.session import open_session
from ptq_core.numerics.metrics import sqnr_db
from ptq_core.quantize.pipeline import quantize_model
from tests.models import save

Array = NDArray[Any]

SAMPLES = 16


@dataclass(frozen=True)
class Quantized:
    """A float model, what became of it, and the report."""

    float_model: onnx.ModelProto
    model: onnx.ModelProto
    details: dict[str, Any]
    path: Path

    @property
    def status(self) -> dict[str, str]:
        """Operator name → quantized, fused, folded or float."""
        return {op["name"]: op["status"] for op in self.details["ops"]}

    @property
    def tensors(self) -> dict[str, dict[str, Any]]:
        """The report's tensors by name."""
        return {tensor["name"]: tensor for tensor in self.details["tensors"]}


def samples(shape: Sequence[int], count: int = SAMPLES, seed: int = 1) -> list[Array]:
    random = np.random.default_rng(seed)
    return [random.uniform(-1, 1, shape).astype(np.float32) for _ in range(count)]


def quantized(proto: onnx.ModelProto, folder: Path, **keys: Any) -> Quantized:
    """Quantize ``proto``; the result passes the full checker and is saved as ``folder/int8.onnx``."""

    config = QuantizeConfig(model_dir=folder, save_model_path=folder / "out", **keys)
    loaded = io.load_model(save(proto, folder))
    result = quantize_model(loaded, config, samples=samples(static_shape(loaded.graph.inputs[0])[1:]))
    model = ir.to_proto(result.model)
    onnx.checker.check_model(model, full_check=True)
    return Quantized(proto, model, result.details, save(model, folder, "int8.onnx"))


def run(model: onnx.ModelProto, x: Array, *, optimized: bool = True) -> list[Array]:
    session = open_session(model.SerializeToString(), optimized=optimized)
    return list(session.run(None, {session.get_inputs()[0].name: x}))


def output_sqnr_db(result: Quantized, shape: Sequence[int]) -> float:
    """SQNR of the first output over samples that calibration has not seen."""
    x = np.stack(samples(shape, 4, seed=2))
    return sqnr_db(run(result.float_model, x)[0], run(result.model, x)[0])
