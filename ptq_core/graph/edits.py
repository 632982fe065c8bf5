"""Small edits of a graph: constants as arrays, new constants under free names, one node in place of another."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray


def input_of(node: ir.Node, place: int | None) -> ir.Value | None:
    """The input of ``node`` at ``place``; None if it is absent."""
    return None if place is None or place >= len(node.inputs) else node.inputs[place]


def producer_of(node: ir.Node, place: int | None) -> ir.Node | None:
    """The node that writes the input of ``node`` at ``place``; None if it is absent, fed or an initializer."""
    value = input_of(node, place)
    return None if value is None else value.producer()


def only_reader(value: ir.Value) -> ir.Node | None:
    """The node that alone reads ``value``, once; None for others and for outputs of the graph."""
    if value.is_graph_output() or len(value.uses()) != 1:
        return None
    ((reader, _),) = value.uses()
    return reader


def constant_array(value: ir.Value | None) -> NDArray[Any] | None:
    """The array of an initializer (or lifted constant); None for anything that is computed or fed."""
    if value is None or value.const_value is None or value.is_graph_input():
        return None
    return value.const_value.numpy()


def per_channel(added: NDArray[Any], channels: int) -> NDArray[Any] | None:
    """What ``added`` adds to each of the ``channels`` of the last dimension; None if it differs from row to row.

    By its shape: a column of as many rows as there are channels is not one value per channel.

    >>> per_channel(np.zeros((1, 3)), 3).shape, per_channel(np.zeros((3, 1)), 3)
    ((3,), None)
    """
    if added.size not in (1, channels) or added.shape[-1:] not in ((), (added.size,)):
        return None
    return np.broadcast_to(added.reshape(-1), (channels,))


def add_constant(graph: ir.Graph, name: str, array: NDArray[Any]) -> ir.Value:
    """Register ``array`` as an initializer called ``name`` (made unique if taken) and return its value."""
    unique, suffix = name, 1
    while unique in graph.initializers:
        unique, suffix = f"{name}_{suffix}", suffix + 1
    tensor = ir.tensor(np.asarray(array, order="C"), name=unique)
    value = ir.Value(
        name=unique, shape=ir.Shape(array.shape), type=ir.TensorType(tensor.dtype), const_value=tensor
    )
    graph.register_initializer(value)
    return value


def drop_unread(graph: ir.Graph, constants: Iterable[ir.Value | None]) -> None:
    """Forget those of ``constants`` that nothing reads any more: folded weights do not lie beside those that they came from."""
    for value in constants:
        if value is None or value.uses() or value.is_graph_output() or value.is_graph_input():
            continue
        if graph.initializers.get(str(value.name)) is value:
            del graph.initializers[str(value.name)]


def take_over_output(graph: ir.Graph, kept: ir.Node, removed: ir.Node) -> None:
    """Let ``kept`` write what ``removed`` wrote, keeping that value's name, shape and place among the outputs."""
    old, new = removed.outputs[0], kept.outputs[0]
    name, shape = old.name, old.shape
    old.replace_all_uses_with(new, replace_graph_outputs=True)
    graph.remove(removed, safe=True)
    new.name, new.shape = name, shape
