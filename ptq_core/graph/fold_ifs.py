"""An If whose condition is known before the model runs becomes the branch that is taken."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
import onnx
import onnx_ir as ir

from ptq_core.graph.edits import constant_array
from ptq_core.graph.evaluate import NEVER, Array, ConstantNode, NotComputedError
from ptq_core.graph.guards import doubles
from ptq_core.graph.opsets import opset_of

MAX_BYTES = 4096
"""No value that leads to a condition is larger: they are shapes and numbers."""

_SELECT = frozenset(
    {"Gather", "Slice", "Squeeze", "Unsqueeze", "Identity", "Reshape", "Flatten", "Transpose"}
)
"""Operators that pick elements of their first input: what they do not pick need not be known."""


def fold_ifs(proto: onnx.ModelProto) -> onnx.ModelProto:
    """``proto`` without the Ifs of its main graph whose condition follows from constants and known dimensions.

    Itself if there is none. The branch's nodes take the If's place; values that the If writes keep their names, others too
    unless a value elsewhere has the name. Ifs inside the branch follow. What only the condition needed is dropped.
    """
    while any(node.op_type == "If" for node in proto.graph.node):
        known = onnx.shape_inference.infer_shapes(proto, data_prop=not doubles(proto.graph))
        model = ir.from_proto(known)
        values = _known_values(model)
        found = [
            node
            for node in model.graph
            if node.op_type == "If" and node.inputs[0] is not None and node.inputs[0] in values
        ]
        if not found:
            break
        for node in found:
            condition = node.inputs[0]
            assert condition is not None
            taken = bool(np.asarray(values[condition]).reshape(-1)[0])
            _splice(model, node, "then_branch" if taken else "else_branch")
            _drop_unread(model.graph, condition)
        proto = ir.to_proto(model)
        del proto.graph.value_info[:]  # shapes behind the If were those of both branches
    return proto


def _known_values(model: ir.Model) -> dict[ir.Value, Array]:
    """What is known of the values that lead to the conditions of Ifs."""
    wanted = {node.inputs[0] for node in model.graph if node.op_type == "If"}
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


def _splice(model: ir.Model, node: ir.Node, branch: str) -> None:
    """Put the nodes and constants of ``branch`` in the place of the If ``node``."""
    graph, body = model.graph, node.attributes[branch].as_graph()
    results = list(body.outputs)
    body.outputs.clear()
    for attribute in [name for name in node.attributes if name != branch]:
        del node.attributes[attribute]  # the names of what is not taken are free
    values, nodes = _names(graph)
    constants = list(body.initializers.values())
    body.initializers.clear()
    for constant in constants:
        constant.name = _free(constant.name, node, values)
        graph.register_initializer(constant)
    moved = list(body)
    body.remove(moved)
    for inner in moved:
        inner.name = _free(inner.name, node, nodes) if inner.name else inner.name
        for value in inner.outputs:
            if value.name:
                value.name = _free(value.name, node, values)
    graph.insert_before(node, moved)
    made = {value for inner in moved for value in inner.outputs}
    for output, result in zip(node.outputs, results, strict=True):
        name = output.name
        if result not in made:  # a value from outside, a constant, or one that has taken its name already
            copy = ir.node("Identity", [result], name=_free(f"{node.name or 'If'}/{name}", node, nodes))
            graph.insert_before(node, copy)
            result = copy.outputs[0]
        made.discard(result)
        output.replace_all_uses_with(result, replace_graph_outputs=True)
        output.name, result.name = None, name
        result.shape, result.type = result.shape or output.shape, result.type or output.type
    graph.remove(node, safe=True)


def _names(graph: ir.Graph) -> tuple[Counter[str], Counter[str]]:
    """How often each name of a value and of a node occurs, in graphs inside nodes too."""
    values: Counter[str] = Counter(str(value.name) for value in graph.inputs)
    nodes: Counter[str] = Counter()
    for inner in _graphs(graph):
        values.update(str(name) for name in inner.initializers)
        values.update(str(value.name) for value in inner.inputs)
        for node in inner:
            nodes[str(node.name)] += 1
            values.update(str(value.name) for value in node.outputs)
    return values, nodes


def _graphs(graph: ir.Graph) -> Iterator[ir.Graph]:
    yield graph
    for node in graph:
        for attribute in node.attributes.values():
            if attribute.type == ir.AttributeType.GRAPH:
                yield from _graphs(attribute.as_graph())
            elif attribute.type == ir.AttributeType.GRAPHS:
                for inner in attribute.as_graphs():
                    yield from _graphs(inner)


def _free(name: str | None, node: ir.Node, taken: Counter[str]) -> str:
    """``name`` if only one has it, else a new one in the scope of the If ``node``, which is then taken."""
    if name and taken[name] <= 1:
        return name
    candidate, suffix = f"{node.name or 'If'}/{name}", 1
    while candidate in taken:
        candidate, suffix = f"{node.name or 'If'}/{name}_{suffix}", suffix + 1
    taken[candidate] += 1
    return candidate


def _drop_unread(graph: ir.Graph, value: ir.Value) -> None:
    """Remove the node that makes ``value`` if nobody reads it any more, then what only that read."""
    pending = [value]
    while pending:
        producer = pending.pop().producer()
        if producer is None or producer.graph is not graph:
            continue
        if any(output.uses() or output.is_graph_output() for output in producer.outputs):
            continue
        inputs = [source for source in producer.inputs if source is not None]
        graph.remove(producer, safe=True)
        pending += inputs
