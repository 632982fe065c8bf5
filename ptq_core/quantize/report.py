"""quantization.json: every quantized tensor with its numbers, every operator with what became of it and why."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import onnx_ir as ir

from ptq_core.calibration import CalibrationResult
from ptq_core.graph import op_types
from ptq_core.graph.edits import constant_array
from ptq_core.graph.op_types import Kind
from ptq_core.numerics import qparams
from ptq_core.options.quantize import QuantizeOptions
from ptq_core.printable import printable_json
from ptq_core.quantize.activations import ActivationParams
from ptq_core.quantize.plan import QuantizationPlan
from ptq_core.quantize.selection import WEIGHT_ONLY, Selection
from ptq_core.quantize.weights import QuantizedWeights
from ptq_core.reports import LossReport
from ptq_core.version import VERSION

SCHEMA = 1


def build(
    options: QuantizeOptions,
    model_name: str,
    original: Sequence[tuple[str, str]],
    folded: Mapping[str, str],
    plan: QuantizationPlan,
    result: CalibrationResult,
) -> dict[str, Any]:
    """The report as plain JSON values. ``original`` lists (name, op type) of the model as the user gave it."""
    return {
        "schema": SCHEMA,
        "tool": f"ptq {VERSION}",
        "model": model_name,
        "algo": options.algo,
        "weight_bits": options.weight_bits,
        "activation_bits": None if options.algo == WEIGHT_ONLY else options.activation_bits,
        "activation_symmetric": options.activation_symmetric,
        "weight_quantize_type": options.weight_quantize_type,
        "equalize": options.equalize,
        "round_type": options.round_type,
        "bias_correction": options.bias_correction,
        "pictures": result.pictures,
        "skipped_pictures": [{"path": str(path), "reason": reason} for path, reason in result.skipped],
        "tensors": [
            *(_activation(value, param, options, result) for value, param in plan.params.items()),
            *(entry for name, each in plan.weights.items() for entry in _weights(name, each, options)),
        ],
        "ops": _operators(original, folded, plan.selection),
    }


def of_loss(loss: LossReport | None) -> dict[str, Any]:
    """The entries about what quantization costs; a SQNR that is no finite number is null."""
    if loss is None:
        return {"compared_pictures": 0, "outputs": [], "costly_ops": []}
    outputs = [_finite(asdict(output)) | {"equal": output.sqnr_db == math.inf} for output in loss.outputs]
    costly = [_finite(asdict(operator)) for operator in loss.operators]
    return {"compared_pictures": loss.pictures, "outputs": outputs, "costly_ops": costly}


def _finite(row: dict[str, Any]) -> dict[str, Any]:
    """``row`` without infinities, which JSON has not."""
    return {
        key: None if isinstance(value, float) and math.isinf(value) else value for key, value in row.items()
    }


def write(details: dict[str, Any], path: Path) -> None:
    """Write the report as JSON, one line per tensor and operator."""
    lists = {key: value for key, value in details.items() if isinstance(value, list)}
    head = {key: value for key, value in details.items() if key not in lists}
    lines = [f"  {json.dumps(key)}: {printable_json(value)}" for key, value in head.items()]
    for key, items in lists.items():
        rows = ",\n".join(f"    {printable_json(item)}" for item in items)
        lines.append(f"  {json.dumps(key)}: [\n{rows}\n  ]" if rows else f"  {json.dumps(key)}: []")
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def _activation(
    value: ir.Value, param: ActivationParams, options: QuantizeOptions, result: CalibrationResult
) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "name": str(value.name),
        "kind": "activation",
        "algo": options.algo,
        "threshold": param.threshold,
        "low": param.low,
        "high": param.high,
        "scale": float(param.scale),
        "zero_point": param.zero_point,
        "bits": param.bits,
    }
    statistics = result.statistics.get(str(value.name))
    if statistics is not None:
        return entry | {"min": float(statistics.minimum), "max": float(statistics.maximum)}
    if constant_array(value) is not None:
        return entry | {"algo": "the constant's own range"}
    producer = value.producer()
    is_fixed = producer is not None and op_types.kind_of(producer) is Kind.FIXED_RANGE
    return entry | {"algo": "the operator's own range" if is_fixed else "shared with its input"}


def _weights(node_name: str, weights: QuantizedWeights, options: QuantizeOptions) -> list[dict[str, Any]]:
    top = qparams.levels(weights.bits)
    entries: list[dict[str, Any]] = [
        {
            "name": f"{node_name}/weight",
            "kind": "weight",
            "algo": options.weight_quantize_type,
            "threshold": [float(scale) * top for scale in weights.scales],
            "scale": [float(scale) for scale in weights.scales],
            "zero_point": 0,
            "bits": weights.bits,
            "axis": weights.axis,
        }
    ]
    if weights.bias_scales is not None:
        entries.append(
            {
                "name": f"{node_name}/bias",
                "kind": "bias",
                "algo": "input scale x weight scale",
                "scale": [float(scale) for scale in weights.bias_scales],
                "zero_point": 0,
                "bits": 32,
                "axis": None if weights.axis is None else 0,
            }
        )
    return entries


def _operators(
    original: Sequence[tuple[str, str]], folded: Mapping[str, str], selection: Selection
) -> list[dict[str, str]]:
    quantized = {str(unit.node.name) for unit in selection.units}
    fused = selection.fused
    rows = []
    for name, op_type in original:
        row = {"name": name, "op_type": op_type}
        if name in quantized:
            row["status"] = "quantized"
        elif name in fused:
            row |= {"status": "fused", "reason": f"clamp bounds of {fused[name]}"}
        elif name in folded:
            row |= {"status": "folded", "reason": f"into {folded[name]}"}
        else:
            row |= {"status": "float", "reason": selection.reasons[name]}
        rows.append(row)
    return rows
