"""Values of the main graph that follow from constants and known dimensions, before anything is lowered."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import onnx_ir as ir

from ptq_core.graph.edits import constant_array
from ptq_core.graph.evaluate import NEVER, Array, ConstantNode, NotComputedError
from ptq_core.graph.opsets import opset_of

MAX_BYTES = 4096
"""Larger values are not looked at: what leads to conditions and sizes are shapes and numbers."""

_SELECT = frozenset(
    {"Gather", "Slice", "Squeeze", "Unsqueeze", "Identity", "Reshape", "Flatten", "Transpose"}
)
"""Operators that pick elements of their first input: what they do not pick need not be known."""


def known_values(model: ir.Model, targets: Iterable[ir.Value | None]) -> dict[ir.Value, Array]:
    """What is known of ``targets`` and of the values that lead to them, as far as all of a value is."""
    wanted = set(targets)
    leading = []
    for node in reversed(list(model.graph)):
        if any(output in wanted for output in node.outputs):
            leading.append(node)
            wanted.update(node.inputs if node.op_type not in ("Shape", "Size") else ())
    opset = opset_of(model)
    masks: dict[ir.Value, Array] = {}  # where a value is known
    values: dict[ir.Value, Array] = {}
    for value in wanted:
        array = constant_array(value)
        if value is not None and array is not None and array.nbytes <= MAX_BYTES:
            values[value], masks[value] = array, np.ones(array.shape, np.int64)
    for node in reversed(leading):
        _evaluate(node, opset, values, masks)
    return {value: array for value, array in values.items() if masks[value].all()}


def _evaluate(node: ir.Node, opset: int, values: dict[ir.Value, Array], masks: dict[ir.Value, Array]) -> None:
    if node.domain not in ("", "ai.onnx") or node.op_type in NEVER or node.op_type == "If":
        return
    output = node.outputs[0]
    if node.op_type == "Constant":
        tensor = ir.convenience.get_const_tensor(output)
        if tensor is not None and tensor.nbytes <= MAX_BYTES:
            values[output] = tensor.numpy()
            masks[output] = np.ones(values[output].shape, np.int64)
        return
    if node.op_type in ("Shape", "Size"):
        _evaluate_shape(node, values, masks)
        return
    inputs = [value for value in node.inputs if value is not None]
    if not inputs or any(value not in values for value in inputs):
        return
    first, *others = inputs
    if not all(masks[value].all() for value in (others if node.op_type in _SELECT else inputs)):
        return
    feeds = {str(value.name): values[value] for value in inputs}
    try:
        known = ConstantNode(node, feeds, opset)
        if known.growth > MAX_BYTES:
            return
        results = known.results()
        masked: dict[str, Array] = {}
        if node.op_type in _SELECT and not masks[first].all():
            masked = ConstantNode(node, {**feeds, str(first.name): masks[first]}, opset).results()
    except NotComputedError:
        return
    for value in node.outputs:
        if value.name in results:
            values[value] = results[value.name]
            masks[value] = masked.get(value.name, np.ones(values[value].shape, np.int64))


def _evaluate_shape(node: ir.Node, values: dict[ir.Value, Array], masks: dict[ir.Value, Array]) -> None:
    """Shape and Size of a value of known rank; open dimensions are unknown elements."""
    source, output = node.inputs[0], node.outputs[0]
    if source is None or source.shape is None:
        return
    dims = [d if isinstance(d, int) else -1 for d in source.shape]
    if node.op_type == "Size":
        if -1 not in dims:
            values[output], masks[output] = np.array(np.prod(dims, dtype=np.int64)), np.array(1)
        return
    dims = dims[slice(node.attributes.get_int("start", 0), node.attributes.get_int("end", len(dims)))]
    values[output] = np.array(dims, np.int64)
    masks[output] = np.array([d >= 0 for d in dims], np.int64)
