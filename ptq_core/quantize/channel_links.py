"""Pairs of layers with only channel-wise, positively homogeneous operators between them, and how to scale their channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from ptq_core.graph.edits import add_constant, constant_array, only_reader, per_channel

Floats = NDArray[np.float64]

PASS_THROUGH = ("Relu", "LeakyRelu", "MaxPool", "AveragePool", "GlobalAveragePool", "Dropout", "Identity")
"""f(x / s) = f(x) / s for every s > 0, channel by channel."""


@dataclass(frozen=True)
class Link:
    """Channel i of what ``first`` writes is channel i of what ``second`` reads, and nobody else reads it.

    ``between`` are the operators on the way, in order. ``bound`` is the upper bound of a Clip[0, bound] among them (the
    lowest, if there are several), or None.
    """

    first: ir.Node
    between: tuple[ir.Node, ...]
    second: ir.Node
    bound: float | None

    @property
    def value(self) -> ir.Value:
        """What ``first`` writes, before any bound: float [N, channels, …]."""
        return self.first.outputs[0]

    @property
    def ranged(self) -> tuple[ir.Value, ...]:
        """The tensors from ``first`` to ``second`` that get a range; a Relu or Clip right after ``first`` is fused into it."""
        skipped = bool(self.between) and self.between[0].op_type in ("Relu", "Clip")
        return tuple(node.outputs[0] for node in (self.first, *self.between)[skipped:])

    @property
    def output(self) -> ir.Value:
        """What ``second`` reads."""
        return (self.between[-1] if self.between else self.first).outputs[0]


def find_links(graph: ir.Graph) -> list[Link]:
    """All links in graph order."""
    return [link for node in graph if (link := _link_from(node)) is not None]


class ScaledWeights:
    """Float64 copies of the weights and biases of the links' layers; ``write`` puts them into the graph, rounded once."""

    def __init__(self, links: Sequence[Link]) -> None:
        nodes = dict.fromkeys(node for link in links for node in (link.first, link.second))
        self._weights = {node: np.array(constant_array(node.inputs[1]), np.float64) for node in nodes}
        self._biases = {
            node: np.array(constant_array(node.inputs[2]), np.float64).reshape(-1)
            for node in nodes
            if len(node.inputs) > 2 and node.inputs[2] is not None
        }
        self._changed: set[ir.Node] = set()

    def output_ranges(self, node: ir.Node) -> Floats:
        """max |W| per output channel, float64 [channels]."""
        weight, axis = np.abs(self._weights[node]), _output_axis(node)
        result: Floats = weight.max(axis=tuple(d for d in range(weight.ndim) if d != axis))
        return result

    def rows(self, node: ir.Node) -> Floats:
        """|W| as float64 [groups, outputs per group, inputs per group]: the largest over the kernel's positions."""
        return np.asarray(np.abs(self._grouped(node)).max(axis=3))

    def input_ranges(self, node: ir.Node) -> Floats:
        """max |W| per input channel, float64 [channels]."""
        return np.asarray(self.rows(node).max(axis=1).reshape(-1))

    def scale(self, link: Link, factors: Floats) -> None:
        """Divide channel i after ``link.first`` by ``factors[i]`` and multiply it back in ``link.second``."""
        first = self._weights[link.first]
        shape = [1] * first.ndim
        shape[_output_axis(link.first)] = -1
        self._weights[link.first] = first / factors.reshape(shape)
        if link.first in self._biases:
            self._biases[link.first] = np.broadcast_to(self._biases[link.first], factors.shape) / factors
        second = self._weights[link.second]
        if link.second.op_type == "Conv":
            grouped = self._grouped(link.second)
            scaled = grouped * factors.reshape(len(grouped), 1, second.shape[1], 1)
            self._weights[link.second] = scaled.reshape(second.shape)
        else:
            self._weights[link.second] = second * np.expand_dims(factors, _output_axis(link.second))
        self._changed |= {link.first, link.second}

    def write(self, graph: ir.Graph) -> None:
        """New float32 constants for the layers that were scaled: nodes that share the old ones keep them."""
        for node in self._weights:
            if node in self._changed:
                _replace(graph, node, 1, self._weights[node])
                if node in self._biases:
                    _replace(graph, node, 2, self._biases[node])

    def _grouped(self, node: ir.Node) -> Floats:
        weight = self._weights[node]
        if node.op_type != "Conv":
            matrix = weight if _output_axis(node) == 0 else weight.T
            return matrix[np.newaxis, :, :, np.newaxis]
        groups = node.attributes.get_int("group", 1)
        return weight.reshape(groups, weight.shape[0] // groups, weight.shape[1], -1)


def _link_from(first: ir.Node) -> Link | None:
    if not _has_plain_weights(first):
        return None
    between: list[ir.Node] = []
    value, bound = first.outputs[0], np.inf
    while (reader := only_reader(value)) is not None:
        if _has_plain_weights(reader) and reader.inputs[0] is value:
            if _channels_out(first) != _channels_in(reader):
                return None
            return Link(first, tuple(between), reader, None if np.isinf(bound) else float(bound))
        upper = _upper_bound(reader)
        if upper is None or reader.inputs[0] is not value:
            return None
        bound = min(bound, upper)
        between.append(reader)
        value = reader.outputs[0]
    return None


def _upper_bound(node: ir.Node) -> float | None:
    """The bound above which ``node`` is not homogeneous (inf for none); None if it is not homogeneous at all."""
    if node.op_type in PASS_THROUGH:
        return np.inf if len([v for v in node.outputs if v.uses() or v.is_graph_output()]) == 1 else None
    if node.op_type == "Flatten":
        shape = node.inputs[0].shape if node.inputs[0] is not None else None
        flat = shape is not None and len(shape) >= 2 and all(d == 1 for d in list(shape)[2:])
        return np.inf if flat and node.attributes.get_int("axis", 1) == 1 else None
    if node.op_type != "Clip":
        return None
    low, high = (node.inputs[i] if len(node.inputs) > i else None for i in (1, 2))
    lows, highs = constant_array(low), constant_array(high)
    if (low is not None and (lows is None or lows.any())) or (high is not None and highs is None):
        return None
    if low is None and high is not None:
        return (
            None  # unbounded below, bounded above: nothing in practice, and two-sided ranges would be needed
        )
    upper = np.inf if highs is None else float(highs.item())
    return upper if upper > 0 else None


def _has_plain_weights(node: ir.Node) -> bool:
    """Conv with constant weights and bias, Gemm without alpha, beta and transA, MatMul by a constant matrix.

    A Gemm may add a row of its own to every sample; only one bias per channel, or one for all, can be scaled with a channel.
    """
    if node.op_type not in ("Conv", "Gemm", "MatMul"):
        return False
    constants = [constant_array(value) for value in node.inputs[1:] if value is not None]
    if not constants or any(array is None for array in constants) or node.inputs[0] is None:
        return False
    weight = constants[0]
    if weight is None or not np.isfinite(weight).all() or weight.dtype != np.float32:
        return False
    if node.op_type == "Conv":
        return weight.ndim >= 3
    usual = node.attributes.get_float("alpha", 1.0) == 1.0 == node.attributes.get_float("beta", 1.0)
    rows = node.inputs[0].shape
    two = weight.ndim == 2 and rows is not None and len(rows) == 2
    if not two or not usual or node.attributes.get_int("transA", 0) != 0:
        return False
    bias = constants[1] if len(constants) > 1 else None
    return bias is None or per_channel(bias, weight.shape[_output_axis(node)]) is not None


def _channels_out(node: ir.Node) -> int:
    array = constant_array(node.inputs[1])
    return 0 if array is None else int(array.shape[_output_axis(node)])


def _channels_in(node: ir.Node) -> int:
    array = constant_array(node.inputs[1])
    if array is None:
        return 0
    if node.op_type == "Conv":
        return int(array.shape[1]) * node.attributes.get_int("group", 1)
    return int(array.shape[1 - _output_axis(node)])


def _output_axis(node: ir.Node) -> int:
    return 0 if node.op_type == "Conv" or node.attributes.get_int("transB", 0) != 0 else 1


def _replace(graph: ir.Graph, node: ir.Node, index: int, array: Floats) -> None:
    old = node.inputs[index]
    name = f"{node.name}/equalized_{'weight' if index == 1 else 'bias'}"
    constant = add_constant(graph, name, array.astype(np.float32))
    node.replace_input_with(index, constant)
    if old is not None and not old.uses() and not old.is_graph_input() and not old.is_graph_output():
        graph.initializers.pop(str(old.name), None)
