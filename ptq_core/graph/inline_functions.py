"""Local functions of a model become the nodes that they stand for, so that everybody sees operators."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import onnx
from onnx import inliner

from ptq_core.errors import InputError

MAX_NODES = 1_000_000
"""Functions that call functions twice each double with every level; no network has as many nodes."""

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


def _called(node: onnx.NodeProto) -> _Key:
    return node.domain, node.op_type, node.overload


def _nodes(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """``nodes`` and those in their graphs."""
    for node in nodes:
        yield node
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                yield from _nodes(graph.node)
