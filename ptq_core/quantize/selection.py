"""Which operators run on integers, and for every other one the reason why not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import onnx_ir as ir

from ptq_core.graph import op_types, scopes
from ptq_core.graph.edits import constant_array
from ptq_core.graph.op_types import Kind
from ptq_core.options.quantize import DEFAULT_OP_TYPES, DEFAULT_SKIP_SCOPE, QuantizeOptions
from ptq_core.quantize.objections import data_indices, objection

FUSED_ACTIVATIONS = ("Relu", "Clip")
"""Become the clamp bounds of the requantizer when they directly follow an int8 operator (docs/numerics.md)."""

WEIGHT_ONLY = "weight_only"
"""The value of `algo` that quantizes constant weights and nothing else."""


@dataclass(frozen=True)
class Unit:
    """One operator on integers with its fused activation."""

    node: ir.Node
    activation: ir.Node | None
    kind: Kind
    data: tuple[int, ...]
    """Indices of the node's inputs that are activations; they must be integers."""
    has_weights: bool
    """Whether input 1 is a constant weight (and input 2 maybe a bias)."""

    @property
    def outputs(self) -> tuple[ir.Value, ...]:
        """The values that the rest of the graph reads."""
        last = self.activation or self.node
        return tuple(last.outputs) if last.op_type == "Split" else (last.outputs[0],)

    @property
    def output(self) -> ir.Value:
        """The first of ``outputs``; only Split has more."""
        return self.outputs[0]

    @property
    def inputs(self) -> tuple[ir.Value, ...]:
        """The activations it reads."""
        values = (self.node.inputs[index] for index in self.data)
        return tuple(value for value in values if value is not None)

    @property
    def shares_scale(self) -> bool:
        """Whether inputs and outputs have one scale."""
        return self.kind is Kind.MOVES

    @property
    def quantized_outputs(self) -> tuple[ir.Value, ...]:
        """The outputs that are integers in any case; those of an accumulating operator only if somebody reads them so."""
        return () if self.kind in (Kind.WEIGHTED, Kind.COMPARES) else self.outputs


@dataclass
class Selection:
    """The units in graph order, and for each float node the reason."""

    units: list[Unit] = field(default_factory=list)
    reasons: dict[str, str] = field(default_factory=dict)

    @property
    def fused(self) -> dict[str, str]:
        """Activation nodes that are part of a unit: name → the unit's node."""
        return {str(u.activation.name): str(u.node.name) for u in self.units if u.activation is not None}


def skipped_nodes(model: ir.Model, options: QuantizeOptions) -> dict[str, str]:
    """Names of the nodes that the user wants in float → the reason, in words; of the model as the user gave it.

    Given scopes, names and tensors must match something (InputError with a near miss); the default scope need not.
    """
    names = [str(node.name) for node in model.graph]
    readers: dict[str, list[str]] = {}
    for node in model.graph:
        for value in node.inputs:
            if value is not None and value.name:
                readers.setdefault(value.name, []).append(str(node.name))
    if options.skip_quant is not None:
        found = scopes.matching_names(names, options.skip_quant)
    else:
        found = {name: DEFAULT_SKIP_SCOPE for name in names if scopes.in_scope(name, DEFAULT_SKIP_SCOPE)}
    reasons = {name: f"in the skip_quant scope `{scope}`" for name, scope in found.items()}
    for name, pattern in scopes.matching_patterns(names, options.skip_nodes).items():
        reasons.setdefault(name, f"named in skip_nodes by `{pattern}`")
    for name, tensor in scopes.reading_nodes(readers, options.skip_tensor_list).items():
        reasons.setdefault(name, f"reads `{tensor}` of skip_tensor_list")
    return reasons


def absent_types(model: ir.Model, options: QuantizeOptions) -> str:
    """A sentence with the op types that the user asked for and the model has not; "" if there are none.

    Lists are handed from model to model, so that is no mistake. Raises InputError for what is no op type.
    """
    op_types.check_op_types(options.quantizable_op_type)
    if options.is_full_quantize:
        return ""
    present = {name for node in model.graph for name in op_types.names_of(node)}
    absent = [
        name for name in options.quantizable_op_type if name not in present and name not in DEFAULT_OP_TYPES
    ]
    if not absent:
        return ""
    return (
        f"quantizable_op_type: the model has no {', '.join(absent)};"
        f" it has {', '.join(sorted(present)) or 'none that can be quantized'}"
    )


Judgement = Mapping[str, Unit | str]
"""Of each node by name: the unit that it would be if no node were skipped, or the reason why it cannot be one."""


def judge(model: ir.Model, options: QuantizeOptions) -> Judgement:
    """Of each node of a simplified graph, by itself; what is skipped changes nothing of it."""
    return {str(node.name): _reason_against(node, options) or _unit_of(node, options) for node in model.graph}


def select(
    model: ir.Model,
    options: QuantizeOptions,
    skipped: Mapping[str, str],
    judged: Judgement | None = None,
) -> Selection:
    """Choose the operators of a simplified graph that run on integers.

    Operators that accumulate (convolutions, matrix products) are taken if their type is wanted, and so are the others that
    `quantizable_op_type` names. Those that only move values, and those that only `is_full_quantize` asks for, are taken
    where a chosen operator needs their output: behind the last one, rounding would cost accuracy and save nothing.
    ``judged`` is that of ``judge``, for who selects often.
    """
    result = Selection()
    candidates: dict[str, Unit] = {}
    for name, found in (judge(model, options) if judged is None else judged).items():
        if name in skipped:
            result.reasons[name] = skipped[name]
        elif isinstance(found, str):
            result.reasons[name] = found
        elif found.activation is not None and str(found.activation.name) in skipped:
            candidates[name] = replace(found, activation=None)
        else:
            candidates[name] = found
    chosen = _chosen(model, candidates, set(options.quantizable_op_type))
    for name, unit in candidates.items():
        if name in chosen:
            result.units.append(unit)
        elif unit.shares_scale:
            result.reasons[name] = "only moves values, and no int8 operator reads its output"
        else:
            result.reasons[name] = (
                "no int8 operator reads its output (name its type to quantize it all the same)"
            )
    for name in result.fused:
        result.reasons.pop(name, None)
    return result


def _reason_against(node: ir.Node, options: QuantizeOptions) -> str | None:
    names = op_types.names_of(node)
    if not names:
        return f"{node.op_type} is not an operator that can be quantized"
    if not options.is_full_quantize and not set(names) & set(options.quantizable_op_type):
        return f"{names[0]} is not in quantizable_op_type"
    reason = objection(node)
    if reason is None and options.algo == WEIGHT_ONLY and not _has_weights(node):
        return "it has no constant weights, and weight_only quantizes nothing else"
    return reason


def _unit_of(node: ir.Node, options: QuantizeOptions) -> Unit:
    activation = None if options.algo == WEIGHT_ONLY else _activation_of(node)
    return Unit(node, activation, op_types.kind_of(node), data_indices(node), _has_weights(node))


def _has_weights(node: ir.Node) -> bool:
    return op_types.kind_of(node) is Kind.WEIGHTED and constant_array(node.inputs[1]) is not None


def _activation_of(node: ir.Node) -> ir.Node | None:
    """The Relu or Clip with constant bounds that is the only reader of ``node``'s output, or None."""
    output = node.outputs[0]
    if op_types.kind_of(node) not in (Kind.WEIGHTED, Kind.ARITHMETIC) or node.op_type in FUSED_ACTIVATIONS:
        return None
    if len(output.uses()) != 1 or output.is_graph_output():
        return None
    ((reader, _),) = output.uses()
    if reader.op_type not in FUSED_ACTIVATIONS or reader.inputs[0] is not output:
        return None
    bounds = [value for value in reader.inputs[1:] if value is not None]
    return reader if all(constant_array(value) is not None for value in bounds) else None


def _chosen(model: ir.Model, candidates: Mapping[str, Unit], listed: set[str]) -> set[str]:
    """Names of the candidates that are taken, walking from the outputs to the inputs."""
    chosen: set[str] = set()
    needed: set[ir.Value] = set()
    fused = {str(unit.activation.name) for unit in candidates.values() if unit.activation is not None}
    for node in reversed(list(model.graph)):
        unit = candidates.get(str(node.name))
        if unit is None or str(node.name) in fused:
            continue
        named = not unit.shares_scale and bool(set(op_types.names_of(node)) & listed)
        if unit.kind is Kind.WEIGHTED or named or any(output in needed for output in unit.outputs):
            chosen.add(str(node.name))
            needed.update(unit.inputs)
    return chosen
