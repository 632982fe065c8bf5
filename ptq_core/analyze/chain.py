"""A model cut into pieces that run one after the other, each as it is or with what a plan rounds in it.

A piece's form is what is rounded in it. Two plans of one model differ in few pieces, and from the first of these on their
values differ: so a change of one operator costs one small session, and the run of what lies behind it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import helper

from ptq_core.analyze.rounding import Rounding, rounding_nodes, weight_constants
from ptq_core.graph.session import open_session, run_session
from ptq_core.graph.values import reads
from ptq_core.quantize.activations import ActivationParams

Array = NDArray[Any]

Alive = dict[str, Array]
"""Value → what it is, before it is rounded: all that a piece and those behind it read."""


@dataclass(frozen=True)
class Piece:
    """Nodes that follow each other; ``inputs`` they read from before, ``kept`` they write for later pieces."""

    nodes: tuple[onnx.NodeProto, ...]
    reads: frozenset[str]
    written: frozenset[str]
    inputs: tuple[str, ...]
    kept: tuple[str, ...]


@dataclass(frozen=True)
class Form:
    """What is rounded in a piece; equal forms of one piece compute the same.

    ``seen`` are values that are wanted as others read them: outputs of the model, and what is observed.
    """

    everywhere: tuple[tuple[str, ActivationParams], ...]
    places: tuple[tuple[str, int, ActivationParams], ...]
    weights: tuple[tuple[str, int], ...]
    seen: tuple[str, ...]


@dataclass
class _Runner:
    """A piece in one form: its session, the names it is fed by, and which of its results are kept or seen."""

    session: onnxruntime.InferenceSession
    feeds: tuple[tuple[str, str], ...]
    names: tuple[str, ...]
    kept: tuple[tuple[str, int], ...]
    seen: tuple[tuple[str, int], ...]

    def run(self, alive: Alive) -> tuple[Alive, Alive]:
        results = run_session(
            self.session,
            self.names,
            {name: alive[value] for value, name in self.feeds},
            rule="the model runs on the pictures",
            fix="check the export",
        )
        return (
            {name: results[index] for name, index in self.kept},
            {name: results[index] for name, index in self.seen},
        )


@dataclass
class Program:
    """The chain with one rounding: a form for each piece. Sessions are opened when they are first run."""

    chain: Chain
    rounding: Rounding
    forms: list[Form]
    like: Program | None = None
    _runners: dict[int, _Runner] = field(default_factory=dict)

    def first_difference(self, other: Program) -> int | None:
        """The first piece whose form differs from that in ``other``; None if none does."""
        pairs = zip(self.forms, other.forms, strict=True)
        return next((index for index, (mine, theirs) in enumerate(pairs) if mine != theirs), None)

    def step(self, index: int, alive: Alive) -> tuple[Alive, Alive]:
        """Run piece ``index``: what is alive behind it, and what of its values was to be seen."""
        made, seen = self._runner(index, alive).run(alive)
        return self.chain.behind(index, {**alive, **made}), seen

    def outputs(self, start: int, alive: Alive) -> Alive:
        """Run from piece ``start`` to the end: the model's outputs that these pieces write."""
        outputs: Alive = {}
        for index in range(start, len(self.forms)):
            alive, seen = self.step(index, alive)
            outputs |= seen
        return {name: outputs[name] for name in self.chain.outputs if name in outputs}

    def close(self) -> None:
        """Forget its own sessions."""
        self._runners.clear()

    def _runner(self, index: int, alive: Alive) -> _Runner:
        """That of ``like`` where it computes the same."""
        if self.like is not None and self.like.forms[index] == self.forms[index]:
            return self.like._runner(index, alive)
        if index not in self._runners:
            self._runners[index] = self.chain.open(index, self.forms[index], self.rounding, alive)
        return self._runners[index]


class Chain:
    """The float model ``proto``, cut before the nodes at ``starts``; its constants are held once, and in the sessions."""

    def __init__(self, proto: onnx.ModelProto, starts: Iterable[int]) -> None:
        graph = proto.graph
        self._proto = proto
        self.constants = {tensor.name: tensor for tensor in graph.initializer}
        self._known = {value.name: value for value in (*graph.value_info, *graph.input, *graph.output)}
        written = {name for node in graph.node for name in node.output if name}
        self.outputs = tuple(value.name for value in graph.output if value.name in written)
        nodes = list(graph.node)
        places = {0, *starts} - {len(nodes)} - self._within_sequences(nodes)
        bounds = [*sorted(places), len(nodes)]
        self._last: dict[str, int] = {}
        cuts = list(pairwise(bounds))
        for number, (start, end) in enumerate(cuts):
            self._last |= dict.fromkeys((name for node in nodes[start:end] for name in reads(node)), number)
        self.pieces = [self._piece(number, nodes[start:end]) for number, (start, end) in enumerate(cuts)]

    def _within_sequences(self, nodes: Sequence[onnx.NodeProto]) -> set[int]:
        """Where no cut may be: between what makes a sequence, or an optional value, and what reads it. Only tensors are kept."""
        kinds = {name: value.type.WhichOneof("value") for name, value in self._known.items()}
        made: dict[str, int] = {}
        within: set[int] = set()
        for place, node in enumerate(nodes):
            for name in made.keys() & set(reads(node)):
                within.update(range(made[name] + 1, place + 1))
            made |= {name: place for name in node.output if kinds.get(name) not in (None, "tensor_type")}
        return within

    def program(
        self, rounding: Rounding, *, seen: Iterable[str] = (), like: Program | None = None
    ) -> Program:
        """The model with ``rounding``; ``seen`` are values to be seen besides the outputs, sessions of ``like`` are shared."""
        wanted = {*seen, *self.outputs}
        by_node: dict[str, list[tuple[str, int, ActivationParams]]] = {}
        for (node, index), param in rounding.places.items():
            by_node.setdefault(node, []).append((node, index, param))
        forms = []
        for piece in self.pieces:
            shown = piece.written & wanted
            forms.append(
                Form(
                    tuple(
                        (name, rounding.everywhere[name])
                        for name in sorted(piece.reads | shown)
                        if name in rounding.everywhere
                    ),
                    tuple(place for node in piece.nodes for place in by_node.get(node.name, ())),
                    tuple(
                        (node.name, id(rounding.weights[node.name]))
                        for node in piece.nodes
                        if node.name in rounding.weights
                    ),
                    tuple(sorted(shown)),
                )
            )
        return Program(self, rounding, forms, like)

    def behind(self, index: int, values: Alive) -> Alive:
        """Those of ``values`` that pieces behind ``index`` read."""
        return {name: array for name, array in values.items() if self._last.get(name, -1) > index}

    def _piece(self, number: int, nodes: Sequence[onnx.NodeProto]) -> Piece:
        written = frozenset(name for node in nodes for name in node.output if name)
        read = frozenset(name for node in nodes for name in reads(node))
        inputs = sorted(read - written - self.constants.keys())
        kept = sorted(name for name in written if self._last.get(name, -1) > number)
        return Piece(tuple(nodes), read, written, tuple(inputs), tuple(kept))

    def open(self, index: int, form: Form, rounding: Rounding, alive: Alive) -> _Runner:
        """The session of a piece; ``alive`` tells the types of what it is fed."""
        piece = self.pieces[index]
        everywhere = {name: rounding.everywhere[name] for name, _ in form.everywhere}
        raw = {name: f"{name}/~float" for name in everywhere}
        nodes: list[onnx.NodeProto] = []
        constants: list[onnx.TensorProto] = []

        def put_rounded(source: str, target: str, param: ActivationParams) -> None:
            made, more = rounding_nodes(source, target, param)
            nodes.extend(made)
            constants.extend(more)

        for name, param in everywhere.items():
            if name not in piece.written:
                put_rounded(raw[name], name, param)
        done: set[str] = set()
        for original in piece.nodes:
            node = onnx.NodeProto()
            node.CopyFrom(original)
            for _, place, param in (p for p in form.places if p[0] == node.name):
                target = f"{node.input[place]}/~int8"
                if target not in done:
                    put_rounded(node.input[place], target, param)
                    done.add(target)
                node.input[place] = target
            if node.name in rounding.weights:
                for place, tensor in weight_constants(node.name, rounding.weights[node.name]):
                    constants.append(tensor)
                    node.input[place] = tensor.name
            nodes.append(node)
            for place, name in enumerate(original.output):
                if name in everywhere:
                    node.output[place] = raw[name]
                    put_rounded(raw[name], name, everywhere[name])
        names = list(dict.fromkeys([*(raw.get(n, n) for n in piece.kept), *form.seen]))
        places = {name: number for number, name in enumerate(names)}
        feeds = tuple((name, raw.get(name, name)) for name in piece.inputs)
        session = self._session(nodes, constants, feeds, names, alive)
        return _Runner(
            session,
            feeds,
            tuple(names),
            tuple((name, places[raw.get(name, name)]) for name in piece.kept),
            tuple((name, places[name]) for name in form.seen),
        )

    def _session(
        self,
        nodes: Sequence[onnx.NodeProto],
        constants: Sequence[onnx.TensorProto],
        feeds: Sequence[tuple[str, str]],
        names: Sequence[str],
        alive: Alive,
    ) -> onnxruntime.InferenceSession:
        inputs = []
        for value, name in feeds:
            info = onnx.ValueInfoProto()
            if value in self._known and self._known[value].type.HasField("tensor_type"):
                info.CopyFrom(self._known[value])
            else:
                dtype = helper.np_dtype_to_tensor_dtype(np.asarray(alive[value]).dtype)
                info.CopyFrom(helper.make_tensor_value_info(value, dtype, None))
            info.name = name
            inputs.append(info)
        read = dict.fromkeys(name for node in nodes for name in reads(node))
        own = [self.constants[name] for name in read if name in self.constants]
        outputs = [onnx.ValueInfoProto(name=name) for name in names]
        graph = helper.make_graph(nodes, "piece", inputs, outputs, [*own, *constants])
        proto = self._proto
        model = helper.make_model(graph, opset_imports=proto.opset_import, ir_version=proto.ir_version)
        model.functions.extend(proto.functions)
        return open_session(model.SerializeToString(), low_memory=True, int8="apart")
