"""Operators that move, select or compare integers as they are do it between DequantizeLinear and QuantizeLinear."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ptq_core.graph.dialects.integers import Scale, Writer
from ptq_core.graph.edits import constant_array, input_of
from ptq_core.graph.op_types import BY_ONNX_TYPE, Kind, kind_of

_ALSO_MOVE: dict[str, tuple[int, ...] | None] = {
    "Clip": None,
    "DepthToSpace": (0,),
    "Expand": (0,),
    "GatherElements": (0,),
    "GatherND": (0,),
    "Identity": (0,),
    "Max": None,
    "Min": None,
    "ReduceMax": (0,),
    "ReduceMin": (0,),
    "ScatterElements": (0, 2),
    "ScatterND": (0, 2),
    "SpaceToDepth": (0,),
    "Tile": (0,),
    "TopK": (0,),
    "Where": (1, 2),
}
"""Op types beside those of graph/op_types, which moves or orders too → their inputs that are data; None for all."""

_PAD_VALUE = 2
"""Its place among the inputs of Pad: 0 where it is absent."""


def dequantize_movement(model: ir.Model) -> list[str]:
    """Requires one constant scale for all inputs of such an operator, which may be constant integers too; others stay.

    Ensures that DequantizeLinear alone reads what such an operator or QuantizeLinear writes, and equal integers:
    dequantization is strictly monotone, and quantization to the same scale its inverse.
    """
    writer, changes = Writer(model.graph), []
    scales: dict[ir.Value, Scale] = {}
    for node in list(model.graph):
        if node.op_type == "QuantizeLinear":
            given = input_of(node, 1)
            if given is not None:
                scales[node.outputs[0]] = Scale(given, input_of(node, 2))
            continue
        places = data_places(node)
        scale = _scale(node, places, scales)
        if scale is None:
            continue
        changes.append(f"{node.op_type} `{node.name}` ⇒ DequantizeLinear + {node.op_type} + QuantizeLinear")
        for i in places:
            q = node.inputs[i]
            if q is not None:
                node.replace_input_with(i, writer.dequantized(node, q, scale, f"dequantized{i}"))
        if node.op_type == "Pad" and _PAD_VALUE not in places:
            zero = writer.constant(f"{node.name}/zero", _real_zero(scale))
            node.resize_inputs(max(len(node.inputs), _PAD_VALUE + 1))
            node.replace_input_with(_PAD_VALUE, zero)
        if kind_of_data(node) != Kind.COMPARES:
            for y in node.outputs if node.op_type == "Split" else node.outputs[:1]:
                scales[writer.quantized_behind(node, y, scale)] = scale
    return changes


def kind_of_data(node: ir.Node) -> Kind | None:
    """MOVES or COMPARES for what these rewrites know, else None."""
    if node.domain not in ("", "ai.onnx") or node.attributes.get_string("reduction", "none") in (
        "add",
        "mul",
    ):
        return None
    if node.op_type in _ALSO_MOVE:
        return Kind.MOVES
    kind = kind_of(node) if node.op_type in BY_ONNX_TYPE else None
    return kind if kind in (Kind.MOVES, Kind.COMPARES) else None


def data_places(node: ir.Node) -> list[int]:
    """The inputs of ``node`` that are data; none for operators that compute."""
    if kind_of_data(node) is None:
        return []
    row = BY_ONNX_TYPE.get(node.op_type)
    places = _ALSO_MOVE.get(node.op_type, row.data if row else ())
    if node.op_type == "Pad":
        places = (0, _PAD_VALUE)
    wanted = range(len(node.inputs)) if places is None else places
    return [i for i in wanted if i < len(node.inputs) and node.inputs[i] is not None]


def _scale(node: ir.Node, places: list[int], scales: dict[ir.Value, Scale]) -> Scale | None:
    """The one scale of all data of ``node``; None where there is none, or where some of it is neither known nor constant."""
    values = [node.inputs[i] for i in places]
    known = [scales[value] for value in values if value in scales]
    if not known or any(v not in scales and constant_array(v) is None for v in values):
        return None
    of_first = _numbers(known[0])
    return known[0] if of_first is not None and all(_numbers(s) == of_first for s in known) else None


def _numbers(scale: Scale) -> tuple[float, int] | None:
    """Scale and zero point; None where they are not constant, or differ between channels."""
    s, z = constant_array(scale.scale), constant_array(scale.zero_point)
    if s is None or s.size != 1 or (scale.zero_point is not None and (z is None or z.size != 1)):
        return None
    return float(s.reshape(-1)[0]), 0 if z is None else int(z.reshape(-1)[0])


def _real_zero(scale: Scale) -> np.ndarray:
    """What the integer 0 stands for."""
    numbers = _numbers(scale)
    assert numbers is not None
    return np.asarray(np.float32(-numbers[1]) * np.float32(numbers[0]))
