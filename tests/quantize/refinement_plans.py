"""Plans for the tests of what refines them: a small model, random samples, ranges from the float model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from ptq_core.config import QuantizeConfig
from ptq_core.graph import io
from ptq_core.graph.passes import simplify
from ptq_core.graph.session import open_session
from ptq_core.numerics import qparams
from ptq_core.quantize.activations import ActivationParams
from ptq_core.quantize.plan import QuantizationPlan
from ptq_core.quantize.selection import select
from ptq_core.quantize.simulation import observe, simulated_model
from ptq_core.quantize.weights import quantize_weights
from tests.models import save

Array = np.ndarray[Any, np.dtype[np.float32]]


def config(**keys: Any) -> QuantizeConfig:
    return QuantizeConfig(model_dir=Path("unused"), save_model_path=Path("unused"), **keys)


def loaded(proto: onnx.ModelProto, folder: Path) -> ir.Model:
    """As the pipeline has it before equalization."""
    model = io.load_model(save(proto, folder))
    simplify(model)
    return model


def samples(count: int = 12, shape: tuple[int, ...] = (3, 16, 16), seed: int = 5) -> list[Array]:
    random = np.random.default_rng(seed)
    return [random.uniform(-1, 2, shape).astype(np.float32) for _ in range(count)]


def run(model: ir.Model | onnx.ModelProto, inputs: list[Array]) -> Array:
    proto = onnx.ModelProto.FromString(io.to_bytes(model)) if isinstance(model, ir.Model) else model
    session = open_session(proto.SerializeToString())
    result: Array = np.concatenate([session.run(None, {"input": x[np.newaxis]})[0] for x in inputs])
    return result


def plan_for(model: ir.Model, keys: QuantizeConfig, inputs: list[Array]) -> QuantizationPlan:
    """Symmetric int8 activations with the largest magnitude as the threshold."""
    selection = select(model, keys, {})
    values = {str(unit.inputs[0].name): unit.inputs[0] for unit in selection.units}
    largest = dict.fromkeys(values, 0.0)
    for arrays in observe(onnx.ModelProto.FromString(io.to_bytes(model)), list(values), "input", inputs):
        for name, array in arrays.items():
            largest[name] = max(largest[name], float(np.abs(array).max()))
    params = {
        value: ActivationParams(
            -largest[name], largest[name], qparams.symmetric_scale(largest[name], 8), 0, 8, -128, 127
        )
        for name, value in values.items()
    }
    weights = {
        str(unit.node.name): quantize_weights(unit.node, params[unit.inputs[0]].scale, keys)
        for unit in selection.units
        if unit.has_weights
    }
    return QuantizationPlan(model, selection, params, weights, "input")


def output_error(plan: QuantizationPlan, inputs: list[Array]) -> Array:
    """Simulated output − float output."""
    error: Array = run(simulated_model(plan), inputs) - run(plan.model, inputs)
    return error
