"""The values inside a model, as onnxruntime computes them with every node on its own."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from ptq_core.graph.io import read_apart
from ptq_core.graph.session import open_session

Array = NDArray[Any]


class ModelValues:
    """The values called ``names`` of the model ``source`` (its file, or ModelProto bytes), as it is written.

    ``names`` then holds those that a node of the main graph writes, and what nodes of the types ``inputs_of`` read. The
    weights are held once: they are fed to onnxruntime, not copied into it. Raises InputError if the model cannot be read or
    onnxruntime refuses it.
    """

    def __init__(self, source: Path | bytes, names: Iterable[str], inputs_of: Container[str] = ()) -> None:
        self._proto, self._weights = read_apart(source)
        graph = self._proto.graph
        self._writers = {name: i for i, node in enumerate(graph.node) for name in node.output if name}
        self._constants = {tensor.name: tensor for tensor in graph.initializer}
        read = {name for node in graph.node if node.op_type in inputs_of for name in node.input}
        self.names = frozenset({*names, *read}) & frozenset(self._writers)
        observed = onnx.ModelProto()
        observed.CopyFrom(self._proto)
        del observed.graph.output[:]
        observed.graph.output.extend(onnx.ValueInfoProto(name=name) for name in sorted(self.names))
        self._session = open_session(observed.SerializeToString(), optimized=False, low_memory=True)

    def fetch(self, names: Iterable[str], feeds: Mapping[str, Array]) -> dict[str, Array]:
        """The values of some of ``names`` for the inputs ``feeds``, by name; raises what onnxruntime raises."""
        wanted = sorted(set(names))
        if not wanted:
            return {}
        results = self._session.run(wanted, {**self._weights, **feeds})
        return dict(zip(wanted, (np.asarray(values) for values in results), strict=True))

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
        for value in {value for node in nodes for value in node.input if value}:
            known = given[value] if value in given else self.constant(value)
            if known is not None:
                feeds[value] = known
        make = onnx.helper
        inputs = [
            make.make_tensor_value_info(key, make.np_dtype_to_tensor_dtype(array.dtype), array.shape)
            for key, array in feeds.items()
        ]
        graph = make.make_graph(nodes, "piece", inputs, [onnx.ValueInfoProto(name=name)])
        model = make.make_model(
            graph, opset_imports=self._proto.opset_import, ir_version=self._proto.ir_version
        )
        try:
            results: Any = ReferenceEvaluator(model).run(None, feeds)
        except Exception:  # the evaluator's operators raise whatever NumPy raises
            return None
        return np.asarray(results[0])
