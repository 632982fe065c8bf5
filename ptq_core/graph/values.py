"""The values inside a model, as onnxruntime computes them with every node on its own, a part of the model at a time."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from ptq_core.graph.io import read_apart
from ptq_core.graph.session import open_session, run_session
from ptq_core.graph.unsigned_weights import use_unsigned_weights
from ptq_core.memory import forget_pages

Array = NDArray[Any]

PART_NODES, PART_BYTES = 64, 8 * 2**20
"""A part of the model has so many nodes at most, and their outputs so many bytes, as far as known."""


@dataclass(frozen=True)
class _Part:
    """Successive nodes: what they read from before, and what of their outputs is wanted or read behind them."""

    nodes: tuple[onnx.NodeProto, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


class ModelValues:
    """The values called ``names`` of the model ``source`` (its file, or ModelProto bytes), in its own opset.

    ``names`` then holds those that a node of the main graph writes, and what nodes of the types ``inputs_of`` read. ``sizes``
    are bytes of values, by name, as far as known: they tell where to cut. The weights are held once: they are fed to
    onnxruntime, not copied into it. Raises InputError if the model cannot be read.
    """

    def __init__(
        self,
        source: Path | bytes,
        names: Iterable[str],
        *,
        inputs_of: Container[str] = (),
        sizes: Mapping[str, int] | None = None,
    ) -> None:
        self._proto, self._weights = read_apart(source)
        use_unsigned_weights(self._proto, self._weights)
        graph = self._proto.graph
        self._writers = {name: i for i, node in enumerate(graph.node) for name in node.output if name}
        self._constants = {tensor.name: tensor for tensor in graph.initializer}
        self._types = {value.name: value for value in graph.input}
        read = {name for node in graph.node if node.op_type in inputs_of for name in node.input}
        self.names = frozenset({*names, *read}) & frozenset(self._writers)
        self._parts = list(self._cut(sizes or {}))
        self._sessions: dict[int, onnxruntime.InferenceSession] = {}

    def place(self, name: str) -> int:
        """When ``name`` is written: the number of its node; −1 for inputs and constants."""
        return self._writers.get(name, -1)

    def walk(self, feeds: Mapping[str, Array]) -> Iterator[dict[str, Array]]:
        """Run the model on its inputs ``feeds``, part by part; yields those of ``names`` that a part writes.

        Raises InputError where onnxruntime does not load or run a part.
        """
        known = dict(feeds)
        for i, part in enumerate(self._parts):
            given = {n: v for n in part.inputs if (v := self._weights.get(n, known.get(n))) is not None}
            outputs = [name for name in part.outputs if name not in known]
            results = self._run(i, outputs, given)
            known |= results
            for name in part.inputs:
                if name in self._weights:
                    forget_pages(self._weights[name])
            yield {name: values for name, values in results.items() if name in self.names}
            later = {name for after in self._parts[i + 1 :] for name in after.inputs}
            known = {name: values for name, values in known.items() if name in later}

    def _run(self, number: int, outputs: list[str], feeds: Mapping[str, Array]) -> dict[str, Array]:
        if number not in self._sessions:
            self._sessions[number] = self._open(self._parts[number], feeds)
        results = run_session(
            self._sessions[number],
            outputs,
            feeds,
            rule="the model runs in onnxruntime",
            fix="check the export",
        )
        return dict(zip(outputs, results, strict=True))

    def _cut(self, sizes: Mapping[str, int]) -> Iterator[_Part]:
        readers: dict[str, int] = {}  # the last node that reads a value
        for i, node in enumerate(self._proto.graph.node):
            readers |= dict.fromkeys(reads(node), i)
        nodes: list[onnx.NodeProto] = []
        size = 0
        for i, node in enumerate(self._proto.graph.node):
            nodes.append(node)
            size += sum(sizes.get(name, 0) for name in node.output)
            if len(nodes) < PART_NODES and size < PART_BYTES and i + 1 < len(self._proto.graph.node):
                continue
            written = [name for inner in nodes for name in inner.output if name]
            read = dict.fromkeys(name for inner in nodes for name in reads(inner))
            yield _Part(
                tuple(nodes),
                tuple(n for n in read if n not in written and n not in self._constants),
                tuple(n for n in written if n in self.names or readers.get(n, -1) > i),
            )
            nodes, size = [], 0

    def _open(self, part: _Part, feeds: Mapping[str, Array]) -> onnxruntime.InferenceSession:
        make = onnx.helper
        inputs = [
            self._types.get(name)
            or make.make_tensor_value_info(name, make.np_dtype_to_tensor_dtype(values.dtype), values.shape)
            for name, values in feeds.items()
        ]
        constants = [
            self._constants[n] for n in dict.fromkeys(_all_reads(part.nodes)) if n in self._constants
        ]
        graph = make.make_graph(
            part.nodes, "part", inputs, [onnx.ValueInfoProto(name=name) for name in part.outputs], constants
        )
        return open_session(self._model(graph).SerializeToString(), optimized=False, low_memory=True)

    def _model(self, graph: onnx.GraphProto) -> onnx.ModelProto:
        return onnx.helper.make_model(
            graph, opset_imports=self._proto.opset_import, ir_version=self._proto.ir_version
        )

    def nodes(self, name: str, stops: Container[str]) -> list[onnx.NodeProto]:
        """The nodes that compute ``name`` from values in ``stops``, from inputs and constants, in the model's order."""
        found: dict[int, onnx.NodeProto] = {}
        wanted = [name]
        while wanted:
            place = self._writers.get(wanted.pop())
            if place is not None and place not in found:
                found[place] = self._proto.graph.node[place]
                wanted += [value for value in found[place].input if value not in stops]
        return [found[place] for place in sorted(found)]

    def constant(self, name: str) -> Array | None:
        """The initializer ``name``; None if it is none."""
        if name in self._weights:
            return self._weights[name]
        tensor = self._constants.get(name)
        return None if tensor is None else onnx.numpy_helper.to_array(tensor)

    def judged(self, name: str, given: Mapping[str, Array]) -> Array | None:
        """``name`` by onnx's own reference evaluator from the values ``given``; None if that cannot compute it.

        The second opinion where onnxruntime deviates from ONNX.
        """
        from onnx.reference import ReferenceEvaluator  # only here: it takes a while to import

        nodes = self.nodes(name, given)
        feeds = dict[str, Array]()
        for value in _all_reads(nodes):
            known = given[value] if value in given else self.constant(value)
            if known is not None:
                feeds[value] = known
        make = onnx.helper
        inputs = [
            make.make_tensor_value_info(key, make.np_dtype_to_tensor_dtype(array.dtype), array.shape)
            for key, array in feeds.items()
        ]
        model = self._model(make.make_graph(nodes, "piece", inputs, [onnx.ValueInfoProto(name=name)]))
        try:
            results: Any = ReferenceEvaluator(model).run(None, feeds)
        except Exception:  # the evaluator's operators raise whatever NumPy raises
            return None
        return np.asarray(results[0])


def reads(node: onnx.NodeProto) -> set[str]:
    """What ``node`` reads, also in the graphs inside it."""
    names = {name for name in node.input if name}
    for attribute in node.attribute:
        for inner in (attribute.g, *attribute.graphs):
            own = {t.name for t in inner.initializer} | {v.name for v in inner.input}
            own |= {name for each in inner.node for name in each.output}
            names |= {name for each in inner.node for name in reads(each)} - own
            names |= {value.name for value in inner.output} - own
    return names


def _all_reads(nodes: Iterable[onnx.NodeProto]) -> set[str]:
    return {name for node in nodes for name in reads(node)}
