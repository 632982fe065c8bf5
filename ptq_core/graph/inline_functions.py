"""Local functions of a model, and some operators that ONNX defines by others, become the nodes that they stand for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import onnx
from onnx import inliner

from ptq_core.errors import InputError
from ptq_core.graph.guards import doubles

MAX_NODES = 1_000_000
"""Functions that call functions twice each double with every level; no network has as many nodes."""

DEFINED_BY_OTHERS = (("NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss", "SwiGLU"), ("CastLike",))
"""Operators that are inlined by ONNX's own definition, in this order: nobody else needs to know them. The types that a CastLike
in a definition hangs on are known when that is inlined."""

_Key = tuple[str, str, str]


def inline_functions(proto: onnx.ModelProto) -> onnx.ModelProto:
    """``proto`` without local functions; itself if it has none.

    Node and value names of a body are made unique. Raises InputError for functions that onnx cannot inline, or that would become
    more than MAX_NODES nodes. ``proto`` must have passed onnx's checker, which refuses functions that call themselves.
    """
    if not proto.functions:
        return proto
    check_functions(proto)
    try:
        inlined: onnx.ModelProto = inliner.inline_local_functions(proto, convert_version=True)
    except Exception as error:  # the inliner raises unrelated classes
        raise InputError(
            f"the local functions of the model cannot be inlined: {str(error).strip().splitlines()[0]}",
            rule="a local function stands for operators that ONNX knows",
            fix="export the model without local functions",
        ) from error
    return inlined


def check_functions(proto: onnx.ModelProto) -> None:
    """Raise InputError if the local functions of ``proto`` stand for more than MAX_NODES nodes.

    Raises RecursionError if one calls itself.
    """
    bodies = {(f.domain, f.name, f.overload): f for f in proto.functions}
    sizes: dict[_Key, int] = {}

    def size(nodes: Iterable[onnx.NodeProto]) -> int:
        return sum(1 if (key := _called(node)) not in bodies else of_function(key) for node in nodes)

    def of_function(key: _Key) -> int:
        if key not in sizes:
            sizes[key] = size(_nodes(bodies[key].node))
        return sizes[key]

    total = size(_nodes(proto.graph.node))
    if total > MAX_NODES:
        raise InputError(
            f"the local functions of the model stand for {total} nodes",
            rule=f"they stand for at most {MAX_NODES}",
            fix="do not trust this model, or export it without local functions",
        )


def inline_operators(proto: onnx.ModelProto) -> onnx.ModelProto:
    """``proto`` without operators of DEFINED_BY_OTHERS in its main graph; itself if it has none.

    One whose types are not known, or that the model's opset does not define by others, stays.
    """
    for op_types in DEFINED_BY_OTHERS:
        if not any(n.op_type in op_types and n.domain in ("", "ai.onnx") for n in proto.graph.node):
            continue
        typed = onnx.shape_inference.infer_shapes(proto, data_prop=not doubles(proto.graph))
        typed.graph.value_info.extend(  # the inliner does not look at constants
            onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
            for tensor in typed.graph.initializer
        )
        wanted = [("", op_type) for op_type in op_types]
        try:
            proto = inliner.inline_selected_functions(typed, wanted, inline_schema_functions=True)
        except RuntimeError:  # a type is not known
            continue
        constants = {tensor.name for tensor in proto.graph.initializer}
        known = [value for value in proto.graph.value_info if value.name not in constants]
        del proto.graph.value_info[:]
        proto.graph.value_info.extend(known)
    return proto


def _called(node: onnx.NodeProto) -> _Key:
    return node.domain, node.op_type, node.overload


def _nodes(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """``nodes`` and those in their graphs."""
    for node in nodes:
        yield node
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                yield from _nodes(graph.node)
