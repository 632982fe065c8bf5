"""An ONNX model as text for people, and as a record for machines: inputs and outputs, nodes, constants, scales."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx_ir as ir

from ptq_core.graph.edits import constant_array
from ptq_core.graph.float32 import conversion_note
from ptq_core.graph.opsets import opset_of

QDQ = ("QuantizeLinear", "DequantizeLinear")
SHOWN_SCALES = 4


def describe_model(model: ir.Model) -> dict[str, Any]:
    """What the text says, as a record for JSON; scales are complete."""
    graph = model.graph
    constants = _constants(model)
    converted = conversion_note(model)
    return {
        "type": "onnx",
        **({"converted": converted} if converted else {}),
        "ir_version": model.ir_version,
        "opset": opset_of(model),
        "producer": f"{model.producer_name or ''} {model.producer_version or ''}".strip(),
        "constant_bytes": sum(constant["bytes"] for constant in constants),
        "inputs": [_value(value) for value in graph.inputs],
        "outputs": [_value(value) for value in graph.outputs],
        "nodes": [
            {
                "op_type": node.op_type,
                **({"domain": node.domain} if node.domain else {}),
                "name": node.name,
                "inputs": [None if value is None else value.name for value in node.inputs],
                "outputs": [value.name for value in node.outputs],
                "attributes": {name: _attribute(attribute) for name, attribute in node.attributes.items()},
                **_qparams(node),
            }
            for node in graph
        ],
        "constants": constants,
    }


def model_lines(model: ir.Model) -> Iterator[str]:
    """One line per input, output, node and constant; names as they are."""
    record = describe_model(model)
    yield f"onnx opset {record['opset']}, ir {record['ir_version']}, by {record['producer'] or '?'}"
    if "converted" in record:
        yield f"note: {record['converted']}"
    yield f"constants {record['constant_bytes']} bytes"
    for label in ("input", "output"):
        for value in record[f"{label}s"]:
            yield f"{label} {_type(value)} {value['name']}"
    for step, node in enumerate(record["nodes"]):
        inputs = ", ".join(name or "-" for name in node["inputs"])
        words = [f"{name}={_short(value)}" for name, value in sorted(node["attributes"].items())]
        if "scales" in node:
            scales = node["scales"]
            more = f",…({len(scales)})" if len(scales) > SHOWN_SCALES else ""
            shown = ",".join(f"{scale:.9g}" for scale in scales[:SHOWN_SCALES])
            words.append(f"scale={shown}{more} zero_point={_short(node['zero_points'])}")
        yield " ".join(
            [
                f"node {step}",
                ", ".join(node["outputs"]),
                "=",
                f"{node['op_type']}({inputs})",
                *words,
                node["name"],
            ]
        )
    for constant in record["constants"]:
        yield f"constant {_type(constant)} {constant['bytes']} bytes {constant['name']}"


def _constants(model: ir.Model) -> list[dict[str, Any]]:
    return [
        {**_value(value), "bytes": int(value.const_value.nbytes)}
        for value in model.graph.initializers.values()
        if value.const_value is not None
    ]


def _value(value: ir.Value) -> dict[str, Any]:
    dims = None if value.shape is None else [d if isinstance(d, int) else str(d) for d in value.shape]
    return {"name": value.name, "dtype": value.dtype.name.lower() if value.dtype else None, "dims": dims}


def _type(value: dict[str, Any]) -> str:
    dims = "?" if value["dims"] is None else ",".join(map(str, value["dims"]))
    return f"{value['dtype'] or '?'}[{dims}]"


def _attribute(attribute: ir.Attr) -> Any:
    """Numbers, strings and lists as they are; tensors and graphs by their kind."""
    value = attribute.value
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, tuple | list) and all(isinstance(v, bool | int | float | str) for v in value):
        return list(value)
    return f"<{attribute.type.name.lower()}>"


def _qparams(node: ir.Node) -> dict[str, Any]:
    """Scales and zero points of a Q or DQ node whose scales are constant."""
    if node.op_type not in QDQ:
        return {}
    scales = constant_array(node.inputs[1])
    points = constant_array(node.inputs[2]) if len(node.inputs) > 2 else None
    if scales is None:
        return {}
    zero_points = np.zeros(1, np.int64) if points is None else points.reshape(-1).astype(np.int64)
    return {
        "scales": scales.reshape(-1).astype(float).tolist(),
        "zero_points": np.unique(zero_points).tolist(),
    }


def _short(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ",".join(map(_short, value)) + "]" if len(value) != 1 else _short(value[0])
    return f"{value:.9g}" if isinstance(value, float) else str(value)
