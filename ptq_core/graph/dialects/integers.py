"""New nodes around float operators: DequantizeLinear before them, QuantizeLinear behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from ptq_core.graph.edits import add_constant, constant_array, input_of, take_over_output


@dataclass(frozen=True)
class Scale:
    """What QuantizeLinear and DequantizeLinear take beside their data; ``axis`` is read where there is a scale per channel."""

    scale: ir.Value
    zero_point: ir.Value | None = None
    axis: int | None = None

    @property
    def inputs(self) -> list[ir.Value]:
        """As inputs of a node."""
        return [self.scale] if self.zero_point is None else [self.scale, self.zero_point]

    @property
    def attributes(self) -> dict[str, int]:
        """As attributes of a node."""
        scales = constant_array(self.scale)
        per_channel = scales is not None and scales.size > 1
        return {"axis": self.axis} if per_channel and self.axis is not None else {}


def same_scale(a: ir.Node, b: ir.Node) -> bool:
    """Whether two of QuantizeLinear and DequantizeLinear have equal constants as scale and zero point, or none of either."""
    for place in (1, 2):
        first, second = (constant_array(input_of(node, place)) for node in (a, b))
        if first is None or second is None:
            if first is not second:
                return False
        elif first.dtype != second.dtype or not np.array_equal(first, second):
            return False
    return True


class Writer:
    """Writes nodes into ``graph`` in front of others; new names are none that the graph has."""

    def __init__(self, graph: ir.Graph) -> None:
        self._graph = graph
        nodes = list(graph)
        self._taken = {value.name for node in nodes for value in node.outputs} | {n.name for n in nodes}
        self._taken |= {value.name for value in (*graph.inputs, *graph.initializers.values())}

    def emit(
        self,
        before: ir.Node,
        op_type: str,
        inputs: Sequence[ir.Value | None],
        word: str,
        attributes: Mapping[str, object] | Sequence[ir.Attr] = (),
    ) -> ir.Value:
        """The output of a new ``op_type`` in front of ``before``, both called after it and ``word``."""
        given = attributes if isinstance(attributes, Mapping) else {a.name: a for a in attributes}
        name = self._fresh(f"{before.name}/{word}")
        node = ir.node(op_type, inputs, dict(given), num_outputs=1, name=name)  # type: ignore[arg-type]
        node.outputs[0].name = name
        self._graph.insert_before(before, node)
        return node.outputs[0]

    def dequantized(self, before: ir.Node, q: ir.Value, scale: Scale, word: str) -> ir.Value:
        """What the integers ``q`` stand for."""
        return self.emit(before, "DequantizeLinear", [q, *scale.inputs], word, scale.attributes)

    def quantize_in_place_of(self, node: ir.Node, y: ir.Value, scale: Scale) -> None:
        """Let a QuantizeLinear of ``y`` write what ``node`` writes, and drop ``node``."""
        q = self.emit(node, "QuantizeLinear", [y, *scale.inputs], "q", scale.attributes)
        self.take_over(node, q)

    def quantized_behind(self, node: ir.Node, y: ir.Value, scale: Scale) -> ir.Value:
        """The integers of the output ``y`` of ``node``, which take its name, its readers and its place among the outputs."""
        name, readers = y.name, list(y.uses())
        q = ir.node(
            "QuantizeLinear", [y, *scale.inputs], scale.attributes, name=self._fresh(f"{node.name}/q")
        )
        self._graph.insert_after(node, q)
        out = q.outputs[0]
        for reader, place in readers:
            reader.replace_input_with(place, out)
        if y.is_graph_output():
            self._graph.outputs[self._graph.outputs.index(y)] = out
        out.type, out.shape = y.type, y.shape
        y.name, out.name = self._fresh(f"{node.name}/real"), name
        y.type = None
        return out

    def take_over(self, node: ir.Node, y: ir.Value) -> None:
        """Let ``y``, which is new, be what ``node`` writes, and drop ``node``."""
        producer = y.producer()
        assert producer is not None
        y.type = node.outputs[0].type
        take_over_output(self._graph, producer, node)

    def constant(self, name: str, array: np.ndarray) -> ir.Value:
        """``array`` as a new constant."""
        return add_constant(self._graph, self._fresh(name), array)

    def _fresh(self, name: str) -> str:
        candidate, count = name, 1
        while candidate in self._taken:
            count += 1
            candidate = f"{name}_{count}"
        self._taken.add(candidate)
        return candidate
