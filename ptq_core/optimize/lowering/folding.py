"""Constant folding: a node whose inputs are all known is computed now, by onnx's own reference evaluator."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from ptq_core.optimize.lowering.context import Constant, Lowering, Unsupported

# Values that differ from run to run must stay what they are; loops may not end.
_NEVER = frozenset(
    {"RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Bernoulli", "Loop", "Scan"}
)

# Of unknown size before they are computed, but with no more elements than rank · elements of the input.
_BOUNDED = frozenset({"NonZero", "Unique", "Compress", "NonMaxSuppression", "StringNormalizer", "If"})

MAX_GROWTH = 64 * 2**20
"""Bytes by which all results together may exceed what they were computed from: one node can ask for any size."""

_KNOWN_VALUES = 4096
"""Shape inference gets the values of inputs of at most so many elements: of shapes, not of weights."""


def is_static(context: Lowering, node: ir.Node) -> bool:
    """True if every input of ``node`` is a constant (or absent) and its result is always the same."""
    if node.op_type in _NEVER or node.domain not in ("", "ai.onnx"):
        return False
    return all(value is None or isinstance(context.find(value), Constant) for value in node.inputs)


def fold(context: Lowering, node: ir.Node) -> None:
    """Compute ``node`` and bind its outputs to the results. Unsupported beyond MAX_GROWTH."""
    feeds: dict[str, np.ndarray] = {}
    for value in node.inputs:
        entry = context.find(value)
        if value is not None and isinstance(entry, Constant):
            feeds[str(value.name)] = entry.real
    model = _model(context, node, feeds)
    _check_size(context, node, model, feeds)
    from onnx.reference import ReferenceEvaluator  # only here: it takes a while to import

    try:
        results: Any = ReferenceEvaluator(model).run(None, feeds)
    except Exception as error:  # the evaluator's operators raise whatever NumPy raises
        raise Unsupported(f"its constant result cannot be computed: {error}") from error
    names = [output.name for output in model.graph.output]
    for value in node.outputs:
        if value.name in names:
            context.bind(value, Constant(np.asarray(results[names.index(str(value.name))])))


def _model(context: Lowering, node: ir.Node, feeds: dict[str, np.ndarray]) -> onnx.ModelProto:
    """``node`` alone."""
    proto = ir.to_proto(node)
    inputs = [
        onnx.helper.make_tensor_value_info(
            name, onnx.helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
        )
        for name, array in feeds.items()
    ]
    outputs = [onnx.helper.make_empty_tensor_value_info(name) for name in proto.output if name]
    graph = onnx.helper.make_graph([proto], "constant", inputs, outputs)
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", context.opset)])


def _check_size(
    context: Lowering, node: ir.Node, model: onnx.ModelProto, feeds: dict[str, np.ndarray]
) -> None:
    """Unsupported if the results are larger than their inputs by more than what is left of MAX_GROWTH."""
    known = onnx.ModelProto()
    known.CopyFrom(model)
    known.graph.initializer.extend(
        onnx.numpy_helper.from_array(array, name)
        for name, array in feeds.items()
        if array.size <= _KNOWN_VALUES
    )
    try:
        outputs = onnx.shape_inference.infer_shapes(known, data_prop=True).graph.output
    except Exception as error:  # the inference of each operator raises its own
        raise Unsupported(f"its constant result cannot be computed: {error}") from error
    size = sum(_bytes_of(output, node) for output in outputs)
    context.growth += max(0, size - sum(array.nbytes for array in feeds.values()))
    if context.growth > MAX_GROWTH:
        raise Unsupported(
            f"its constant result of {size} bytes makes the model larger by more than {MAX_GROWTH}"
        )


def _bytes_of(output: onnx.ValueInfoProto, node: ir.Node) -> int:
    kind = output.type.tensor_type
    if all(dim.HasField("dim_value") for dim in kind.shape.dim) and kind.HasField("shape"):
        dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)
        return math.prod(dim.dim_value for dim in kind.shape.dim) * dtype.itemsize
    if node.op_type in _BOUNDED:
        return 0
    raise Unsupported("the size of its constant result is not known before it is computed")
