"""Values that a graph fixes before it runs: nodes of constants, computed by onnx's own reference evaluator."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray

Array = NDArray[Any]

NEVER = frozenset(
    {"RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Bernoulli", "Loop", "Scan"}
)
"""Values that differ from run to run stay what they are; loops may not end."""

_BOUNDED = frozenset({"NonZero", "Unique", "Compress", "NonMaxSuppression", "StringNormalizer", "If"})
"""Of unknown size before they are computed, but with no more elements than rank · elements of the input."""

_KNOWN_VALUES = 4096
"""Shape inference gets the values of inputs of at most so many elements: of shapes, not of weights."""


class NotComputedError(Exception):
    """A node's constant result cannot be computed; the message is the reason, as a phrase."""


class ConstantNode:
    """One node with the values of its inputs, by their names. Raises NotComputedError where onnx knows no result."""

    def __init__(self, node: ir.Node, feeds: Mapping[str, Array], opset: int) -> None:
        self._feeds = dict(feeds)
        self._op_type = node.op_type
        proto = ir.to_proto(node)
        inputs = [
            onnx.helper.make_tensor_value_info(
                name, onnx.helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
            )
            for name, array in feeds.items()
        ]
        outputs = [onnx.helper.make_empty_tensor_value_info(name) for name in proto.output if name]
        graph = onnx.helper.make_graph([proto], "constant", inputs, outputs)
        self._model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)])

    @property
    def growth(self) -> int:
        """Bytes by which the results exceed the inputs, known without computing them."""
        known = onnx.ModelProto()
        known.CopyFrom(self._model)
        known.graph.initializer.extend(
            onnx.numpy_helper.from_array(array, name)
            for name, array in self._feeds.items()
            if array.size <= _KNOWN_VALUES
        )
        try:
            outputs = onnx.shape_inference.infer_shapes(known, data_prop=True).graph.output
        except Exception as error:  # the inference of each operator raises its own
            raise NotComputedError(f"its constant result cannot be computed: {error}") from error
        size = sum(self._bytes_of(output) for output in outputs)
        return size - sum(array.nbytes for array in self._feeds.values())

    def results(self) -> dict[str, Array]:
        """Output name → values."""
        from onnx.reference import ReferenceEvaluator  # only here: it takes a while to import

        try:
            results: Any = ReferenceEvaluator(self._model).run(None, self._feeds)
        except Exception as error:  # the evaluator's operators raise whatever NumPy raises
            raise NotComputedError(f"its constant result cannot be computed: {error}") from error
        names = [output.name for output in self._model.graph.output]
        return {name: np.asarray(result) for name, result in zip(names, results, strict=True)}

    def _bytes_of(self, output: onnx.ValueInfoProto) -> int:
        kind = output.type.tensor_type
        if all(dim.HasField("dim_value") for dim in kind.shape.dim) and kind.HasField("shape"):
            dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)
            return math.prod(dim.dim_value for dim in kind.shape.dim) * dtype.itemsize
        if self._op_type in _BOUNDED:
            return 0
        raise NotComputedError("the size of its constant result is not known before it is computed")
