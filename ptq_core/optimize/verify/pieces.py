"""Cut a program, as it was lowered and as it was rewritten, into pieces between values that both have."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import onnx

from ptq_core.flatfile.program import Op, Program


@dataclass(frozen=True)
class Piece:
    """How a value of the model called ``name`` is computed: ``ours`` writes ``tensor`` of the rewritten program, ``model``
    writes ``model_tensor`` of the lowered one, the value permuted by ``model_perm``. Both in execution order.

    ``leaves`` are the tensors that ``ours`` reads, ``stops`` the names of these values of the model. ``names`` are all values of
    the model that the two read and write; ``nodes`` those of its nodes that round more than their operators show (node_rounding).
    """

    name: str
    tensor: int
    ours: tuple[Op, ...]
    leaves: tuple[int, ...]
    stops: frozenset[str]
    model_tensor: int
    model_perm: tuple[int, ...]
    model: tuple[Op, ...]
    names: frozenset[str]
    nodes: tuple[onnx.NodeProto, ...] = ()


class Walk:
    """Who writes what in ``program``; walks back from a tensor."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self._order = {op.outputs[0]: i for i, op in enumerate(program.ops)}

    def place(self, tensor: int) -> int:
        """When ``tensor`` is written; −1 for inputs and constants."""
        return self._order.get(tensor, -1)

    def writer(self, tensor: int) -> Op | None:
        """The operator that writes ``tensor``; None for inputs and constants."""
        place = self.place(tensor)
        return None if place < 0 else self.program.ops[place]

    def back(self, tensor: int, stops: Callable[[int], bool]) -> tuple[tuple[Op, ...], tuple[int, ...]]:
        """(operators that write ``tensor`` from those that ``stops`` and from inputs, those tensors)."""
        found, leaves, wanted = set[int](), dict[int, None](), [tensor]
        while wanted:
            index = wanted.pop()
            if self.program.tensors[index].is_constant or index in found or index in leaves:
                continue
            if index not in self._order or (index != tensor and stops(index)):
                leaves[index] = None
                continue
            found.add(index)
            wanted += self.program.ops[self._order[index]].reads
        ops = tuple(self.program.ops[i] for i in sorted(self._order[index] for index in found))
        return ops, tuple(leaves)


def pieces(
    program: Program, lowered: Program, names: frozenset[str], outputs: Sequence[str]
) -> Iterator[Piece]:
    """The pieces of ``program``, in the order of ``lowered``: what it was lowered to. ``names`` are values that can be had.

    ``outputs`` are the names of the model's, in the order of both. Every operator of ``program`` is in one piece at least, if
    its outputs are values of the model.
    """
    ours, model = Walk(program), Walk(lowered)
    places = {
        tensor.origin.name: (index, tensor.origin.perm)
        for index, tensor in reversed(list(enumerate(lowered.tensors)))
        if tensor.origin is not None and tensor.origin.name in names
    }
    for name, index in zip(outputs, lowered.outputs, strict=True):
        if name in names:  # the tensor may be known as another value, of which this is a transposition
            places.setdefault(name, (index, tuple(range(len(lowered.tensors[index].dims)))))

    def is_value(index: int) -> bool:
        origin = program.tensors[index].origin
        return origin is not None and origin.name in places

    targets = [i for i, _ in enumerate(program.tensors) if is_value(i) and ours.place(i) >= 0]
    for tensor in sorted(targets, key=lambda i: model.place(places[_name(program, i)][0])):
        name = _name(program, tensor)
        place, perm = places[name]
        ops, leaves = ours.back(tensor, is_value)
        stops = {origin.name for i in leaves if (origin := program.tensors[i].origin) is not None}

        def is_stop(index: int, stops: set[str] = stops) -> bool:
            origin = lowered.tensors[index].origin
            return origin is not None and origin.name in stops

        if name in stops:  # a copy of the value, in another type
            model_ops: tuple[Op, ...] = ()
            model_leaves: tuple[int, ...] = ()
        else:
            model_ops, model_leaves = model.back(place, is_stop)
        inside = {*model_leaves, place, *(i for op in model_ops for i in (*op.reads, *op.outputs))}
        known = {o.name for i in inside if (o := lowered.tensors[i].origin) is not None} | stops | {name}
        yield Piece(
            name, tensor, ops, leaves, frozenset(stops), place, perm, model_ops, frozenset(known & names)
        )


def _name(program: Program, tensor: int) -> str:
    origin = program.tensors[tensor].origin
    assert origin is not None
    return origin.name
