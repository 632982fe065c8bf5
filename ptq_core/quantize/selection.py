"""Which operators run in int8, and for every other one the reason why not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import onnx_ir as ir

from ptq_core.config import DEFAULT_OP_TYPES, DEFAULT_SKIP_SCOPE, QuantizeConfig
from ptq_core.errors import InputError
from ptq_core.graph import op_types, scopes
from ptq_core.graph.constants import constant_array

FUSED_ACTIVATIONS = ("Relu", "Clip")
"""Become the clamp bounds of the requantizer when they directly follow an int8 operator (docs/numerics.md)."""


@dataclass(frozen=True)
class Unit:
    """One int8 operator with its fused activation."""

    node: ir.Node
    activation: ir.Node | None
    has_weights: bool
    shares_scale: bool

    @property
    def output(self) -> ir.Value:
        """The value that the rest of the graph reads."""
        return (self.activation or self.node).outputs[0]

    @property
    def inputs(self) -> tuple[ir.Value, ...]:
        """The activations it reads, which must be int8."""
        count = 1 if self.has_weights or len(self.node.inputs) == 1 else len(self.node.inputs)
        if self.shares_scale:
            count = 1
        return tuple(value for value in self.node.inputs[:count] if value is not None)


@dataclass
class Selection:
    """The int8 units in graph order, and for each float node the reason."""

    units: list[Unit] = field(default_factory=list)
    reasons: dict[str, str] = field(default_factory=dict)

    @property
    def fused(self) -> dict[str, str]:
        """Activation nodes that are part of a unit: name → the unit's node."""
        return {str(u.activation.name): str(u.node.name) for u in self.units if u.activation is not None}


def skipped_nodes(names: list[str], config: QuantizeConfig) -> dict[str, str]:
    """Node names in a `skip_quant` scope → that scope. Given scopes must match; the default one need not."""
    if config.skip_quant is not None:
        return scopes.matching_names(names, config.skip_quant)
    return {name: DEFAULT_SKIP_SCOPE for name in names if scopes.in_scope(name, DEFAULT_SKIP_SCOPE)}


def check_wanted_types(model: ir.Model, config: QuantizeConfig) -> None:
    """Raise InputError for an unknown op type, or one that the user added and the model does not have."""
    op_types.check_op_types(config.quantizable_op_type)
    if config.is_full_quantize:
        return
    present = {name for node in model.graph for name in op_types.names_of(node)}
    for name in config.quantizable_op_type:
        if name not in present and name not in DEFAULT_OP_TYPES:
            raise InputError(
                f"quantizable_op_type has `{name}`, but the model has no such operator",
                rule="every op type beyond the default ones must occur in the model",
                fix=f"the model has {', '.join(sorted(present)) or 'none that can be quantized'}",
            )


def select(model: ir.Model, config: QuantizeConfig, skipped: Mapping[str, str]) -> Selection:
    """Choose the int8 operators of a simplified graph.

    Operators with weights and arithmetic ones are taken if their type is wanted; operators that only move values are
    taken if, besides, an int8 operator needs their output (elsewhere they would only cost accuracy).
    """
    result = Selection()
    candidates: dict[str, Unit] = {}
    for node in model.graph:
        reason = _reason_against(node, config, skipped)
        if reason is None:
            op = op_types.BY_ONNX_TYPE[node.op_type]
            candidates[str(node.name)] = Unit(node, _activation_of(node), op.has_weights, op.shares_scale)
        else:
            result.reasons[str(node.name)] = reason
    needed = _needed_in_int8(model, candidates)
    for node in model.graph:
        unit = candidates.get(str(node.name))
        if unit is None:
            continue
        if unit.shares_scale and unit.output not in needed:
            result.reasons[str(node.name)] = "only moves values, and no int8 operator reads its output"
        else:
            result.units.append(unit)
    for name in result.fused:
        result.reasons.pop(name, None)
    return result


def _reason_against(node: ir.Node, config: QuantizeConfig, skipped: Mapping[str, str]) -> str | None:
    names = op_types.names_of(node)
    if node.name in skipped:
        return f"in the skip_quant scope `{skipped[str(node.name)]}`"
    if not names:
        return f"{node.op_type} is not an operator that can be quantized"
    if not config.is_full_quantize and not set(names) & set(config.quantizable_op_type):
        return f"{names[0]} is not in quantizable_op_type"
    source = node.inputs[0]
    if source is None or source.dtype not in (None, ir.DataType.FLOAT):
        return "its input is not float32"
    if op_types.BY_ONNX_TYPE[node.op_type].has_weights:
        return _reason_against_weights(node)
    constants = [v.name for v in node.inputs[:2] if v is not None and constant_array(v) is not None]
    if node.op_type == "Add" and constants:
        return f"adds the constant `{constants[0]}`"
    if node.op_type == "MaxPool" and len(node.outputs) > 1 and node.outputs[1].uses():
        return "its indices are used"
    return None


def _reason_against_weights(node: ir.Node) -> str | None:
    weight = constant_array(node.inputs[1])
    if weight is None:
        return "its weights are not constant"
    if constant_array(node.inputs[0]) is not None:
        return "its input is constant"
    if len(node.inputs) > 2 and node.inputs[2] is not None and constant_array(node.inputs[2]) is None:
        return "its bias is not constant"
    if node.op_type == "Conv" and weight.ndim != 4:
        return f"it is a {weight.ndim - 2}-D convolution; only 2-D ones are quantized"
    if node.op_type == "MatMul" and weight.ndim != 2:
        return f"its matrix has {weight.ndim} dimensions; only 2 can be quantized"
    if node.op_type == "Gemm" and (
        node.attributes.get_float("alpha", 1.0) != 1.0
        or node.attributes.get_float("beta", 1.0) != 1.0
        or node.attributes.get_int("transA", 0) != 0
    ):
        return "alpha, beta or transA differ from the usual 1, 1, 0"
    return None


def _activation_of(node: ir.Node) -> ir.Node | None:
    """The Relu or Clip with constant bounds that is the only reader of ``node``'s output, or None."""
    op, output = op_types.BY_ONNX_TYPE[node.op_type], node.outputs[0]
    if op.shares_scale or len(output.uses()) != 1 or output.is_graph_output():
        return None
    ((reader, _),) = output.uses()
    if reader.op_type not in FUSED_ACTIVATIONS or reader.inputs[0] is not output:
        return None
    bounds = [value for value in reader.inputs[1:] if value is not None]
    return reader if all(constant_array(value) is not None for value in bounds) else None


def _needed_in_int8(model: ir.Model, candidates: Mapping[str, Unit]) -> set[ir.Value]:
    """Values that an int8 operator reads, seen through operators that only move values."""
    needed: set[ir.Value] = set()
    for node in reversed(list(model.graph)):
        unit = candidates.get(str(node.name))
        if unit is not None and (not unit.shares_scale or unit.output in needed):
            needed.update(unit.inputs)
    return needed
