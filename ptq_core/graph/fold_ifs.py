"""An If whose condition is known before the model runs becomes the branch that is taken."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
import onnx
import onnx_ir as ir

from ptq_core.graph.guards import doubles
from ptq_core.graph.known_values import known_values


def fold_ifs(proto: onnx.ModelProto) -> onnx.ModelProto:
    """``proto`` without the Ifs of its main graph whose condition follows from constants and known dimensions.

    Itself if there is none. The branch's nodes take the If's place; values that the If writes keep their names, others too
    unless a value elsewhere has the name. Ifs inside the branch follow. What only the condition needed is dropped.
    """
    while any(node.op_type == "If" for node in proto.graph.node):
        known = onnx.shape_inference.infer_shapes(proto, data_prop=not doubles(proto.graph))
        model = ir.from_proto(known)
        conditions = [node.inputs[0] for node in model.graph if node.op_type == "If"]
        values = known_values(model, conditions)
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
