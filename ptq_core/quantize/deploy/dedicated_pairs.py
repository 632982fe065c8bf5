"""A Q/DQ pair for each reader, so that a runtime may fuse each with its reader."""

from __future__ import annotations

import onnx_ir as ir

from ptq_core.graph.edits import producer_of


def dedicate_pairs(graph: ir.Graph) -> None:
    """Write the pair again for every reader but the first; the first one also stays an output of the graph."""
    for dequantize in list(graph):
        quantize = producer_of(dequantize, 0) if dequantize.op_type == "DequantizeLinear" else None
        if quantize is None or quantize.op_type != "QuantizeLinear":
            continue
        first = 0 if dequantize.outputs[0].is_graph_output() else 1
        for number, (reader, index) in enumerate(list(dequantize.outputs[0].uses())[first:], 1):
            again = _copy(quantize, quantize.inputs[0], number)
            pair = [again, _copy(dequantize, again.outputs[0], number)]
            graph.insert_after(dequantize, pair)
            reader.replace_input_with(index, pair[1].outputs[0])


def _copy(node: ir.Node, value: ir.Value | None, number: int) -> ir.Node:
    old = node.outputs[0]
    new = ir.Value(name=f"{old.name}/{number}", shape=old.shape, type=old.type)
    return ir.node(node.op_type, [value, *node.inputs[1:]], outputs=[new], name=f"{node.name}/{number}")
